// SPDX-License-Identifier: Apache-2.0
#include "bench/channel_variant.hpp"
#include "bench/file_raw.hpp"
#include "bench/inet_raw.hpp"
#include "bench/job.hpp"
#include "bench/mmap_raw.hpp"
#include "bench/pipe_raw.hpp"
#include "bench/queue_raw.hpp"
#include "bench/ring_variant.hpp"
#include "bench/service_variant.hpp"
#include "bench/unix_raw.hpp"

namespace bulkhead::bench {

std::string_view name_of(Mode mode) {
  switch (mode) {
    case Mode::hot:
      return "hot";
    case Mode::sleeping:
      return "sleeping";
    case Mode::copied:
      return "copied";
    case Mode::in_place:
      return "in_place";
  }
  return "";
}

const std::vector<Subject>& subjects() {
  static const std::vector<Subject> all = {
      {.mechanism = "shm", .api = "ring", .make = bare_ring},
      {.mechanism = "threads", .api = "ring", .kind = Kind::threads, .make = bare_ring},
      {.mechanism = "shm", .api = "channel", .make = shm_channel},
      {.mechanism = "shm", .api = "service", .make = shm_service},
      {.mechanism = "unix", .api = "raw", .through_kernel = true, .make = unix_raw},
      {.mechanism = "unix", .api = "channel", .through_kernel = true, .make = unix_channel},
      {.mechanism = "unix", .api = "service", .through_kernel = true, .make = unix_service},
      {.mechanism = "unix_stream", .api = "raw", .through_kernel = true, .make = unix_stream_raw},
      {.mechanism = "unix_stream",
       .api = "channel",
       .through_kernel = true,
       .make = unix_stream_channel},
      {.mechanism = "pipe", .api = "raw", .through_kernel = true, .make = pipe_raw},
      {.mechanism = "pipe", .api = "channel", .through_kernel = true, .make = pipe_channel},
      {.mechanism = "fifo", .api = "raw", .through_kernel = true, .make = fifo_raw},
      {.mechanism = "fifo", .api = "channel", .through_kernel = true, .make = fifo_channel},
      {.mechanism = "tcp", .api = "raw", .through_kernel = true, .make = tcp_raw},
      {.mechanism = "tcp", .api = "channel", .through_kernel = true, .make = tcp_channel},
      {.mechanism = "udp", .api = "raw", .through_kernel = true, .make = udp_raw},
      {.mechanism = "udp", .api = "channel", .through_kernel = true, .make = udp_channel},
      {.mechanism = "mq", .api = "raw", .through_kernel = true, .make = posix_mq_raw},
      {.mechanism = "mq", .api = "channel", .through_kernel = true, .make = posix_mq_channel},
      {.mechanism = "sysv", .api = "raw", .through_kernel = true, .make = sysv_mq_raw},
      {.mechanism = "sysv", .api = "channel", .through_kernel = true, .make = sysv_mq_channel},
      {.mechanism = "file", .api = "raw", .through_kernel = true, .make = file_raw},
      {.mechanism = "file", .api = "channel", .through_kernel = true, .make = file_channel},
      {.mechanism = "mmap", .api = "raw", .through_kernel = true, .make = mmap_raw},
      {.mechanism = "mmap", .api = "channel", .through_kernel = true, .make = mmap_channel},
      {.mechanism = "inproc", .api = "channel", .kind = Kind::threads, .make = inproc_channel},
      {.mechanism = "inproc", .api = "service", .kind = Kind::threads, .make = inproc_service},
  };
  return all;
}

}  // namespace bulkhead::bench
