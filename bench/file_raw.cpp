// SPDX-License-Identifier: Apache-2.0
//
// Messages of known sizes, one behind the other. Hot sides of a round trip poll with pread, others
// wait for inotify. A log takes all that a fast
// writer writes: larger messages than 4 KiB would measure how fast the disk fills.
#include "bench/file_raw.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sched.h>
#include <string>
#include <sys/inotify.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "bench/payload.hpp"
#include "os/file.hpp"

namespace bulkhead::bench {

namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error{errno, std::generic_category(), what};
}

/// One side: what it writes, what it reads, and how far.
struct End {
  Fd out;
  Fd in;
  Fd watch;
  off_t written = 0;
  off_t read = 0;
};

class FileRaw : public Variant {
 public:
  explicit FileRaw(const Job& job)
      : job_{job},
        polls_{job.shape == Shape::round_trip && job.mode == Mode::hot},
        client_buffer_{job.bytes, job.offset},
        server_buffer_{job.bytes, job.offset} {}

  void create() override {
    client_ = {};
    server_ = {};
    client_.out = or_throw(os::open_nameless());
    client_.in = or_throw(os::open_nameless());
    server_.out = or_throw(Fd::duplicate(client_.in));
    server_.in = or_throw(Fd::duplicate(client_.out));
    for (End* end : {&client_, &server_}) {
      end->watch = Fd::adopt(::inotify_init1(IN_CLOEXEC));
      const std::string path = "/proc/self/fd/" + std::to_string(end->in.native());
      if (::inotify_add_watch(end->watch.native(), path.c_str(), IN_MODIFY) < 0) fail("inotify");
    }
  }

  void client(std::uint64_t count) override {
    for (std::uint64_t i = 0; i < count; ++i) {
      send(client_, client_buffer_.message(i));
      if (job_.shape == Shape::round_trip) receive(client_, client_buffer_);
    }
  }

  void server(std::uint64_t count) override {
    for (std::uint64_t i = 0; i < count; ++i) {
      receive(server_, server_buffer_);
      if (job_.shape == Shape::round_trip) send(server_, server_buffer_.data());
    }
  }

 private:
  void send(End& end, const std::byte* message) const {
    for (std::size_t done = 0; done < job_.bytes;) {
      const ssize_t n = ::pwrite(end.out.native(), message + done, job_.bytes - done, end.written);
      if (n < 0) fail("pwrite");
      done += static_cast<std::size_t>(n);
      end.written += n;
    }
  }

  void receive(End& end, Buffer& buffer) const {
    for (std::size_t done = 0; done < buffer.size();) {
      const ssize_t n =
          ::pread(end.in.native(), buffer.data() + done, buffer.size() - done, end.read);
      if (n < 0) fail("pread");
      done += static_cast<std::size_t>(n);
      end.read += n;
      if (n == 0) wait(end);
    }
  }

  void wait(const End& end) const {
    if (polls_) {
      if (job_.placement == Placement::one_core) ::sched_yield();
      return;
    }
    char events[4096];
    if (::read(end.watch.native(), events, sizeof events) < 0 && errno != EINTR) fail("read");
  }

  const Job job_;
  const bool polls_;
  End client_;
  End server_;
  Buffer client_buffer_;
  Buffer server_buffer_;
};

}  // namespace

std::unique_ptr<Variant> file_raw(const Job& job) {
  if (job.mode == Mode::in_place) return nullptr;  // the kernel copies whatever we do
  if (job.bytes > largest_in_a_log) return nullptr;
  return std::make_unique<FileRaw>(job);
}

}  // namespace bulkhead::bench
