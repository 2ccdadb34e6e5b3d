// SPDX-License-Identifier: Apache-2.0
#include "bench/channel_variant.hpp"
#include "bench/file_raw.hpp"
#include "bench/inet_raw.hpp"
#include "bench/job.hpp"
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
      {.mechanism = "tcp", .api = "raw", .through_kernel = true, .make = tcp_raw},
      {.mechanism = "tcp", .api = "channel", .through_kernel = true, .make = tcp_channel},
      {.mechanism = "udp", .api = "raw", .through_kernel = true, .make = udp_raw},
      {.mechanism = "udp", .api = "channel", .through_kernel = true, .make = udp_channel},
      {.mechanism = "file", .api = "raw", .through_kernel = true, .make = file_raw},
      {.mechanism = "file", .api = "channel", .through_kernel = true, .make = file_channel},
      {.mechanism = "inproc", .api = "channel", .kind = Kind::threads, .make = inproc_channel},
      {.mechanism = "inproc", .api = "service", .kind = Kind::threads, .make = inproc_service},
  };
  return all;
}

}  // namespace bulkhead::bench
