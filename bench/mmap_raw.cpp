// SPDX-License-Identifier: Apache-2.0
//
// What a channel of mapped files does, without checksums, sequence numbers and owners: the bytes
// into the ring, then the cursor that publishes them; the reader reads cursor and bytes and writes
// how far it is. A large message goes through the ring in quarters of it. Who waits reads inotify;
// hot sides of a round trip poll the cursor, and yield in between on one core.
#include "bench/mmap_raw.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sched.h>
#include <string>
#include <sys/inotify.h>
#include <system_error>
#include <unistd.h>

#include <bulkhead/channel.hpp>

#include "bench/folder.hpp"
#include "bench/payload.hpp"

namespace bulkhead::bench {

namespace {

constexpr std::size_t ring_bytes = ChannelOptions{}.capacity_bytes;
constexpr std::size_t piece_bytes = ring_bytes / 4;

[[noreturn]] void fail(const char* what) {
  throw std::system_error{errno, std::generic_category(), what};
}

Fd open_file(const std::string& path, off_t size) {
  Fd file = Fd::adopt(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file || (size > 0 && ::posix_fallocate(file.native(), 0, size) != 0)) fail("open");
  return file;
}

std::uint64_t read_number(FdView file) {
  std::uint64_t number = 0;
  if (::pread(file.native(), &number, sizeof number, 0) < 0) fail("pread");
  return number;
}

void write_number(FdView file, std::uint64_t number) {
  if (::pwrite(file.native(), &number, sizeof number, 0) != sizeof number) fail("pwrite");
}

/// One direction. The sender uses the sent_ half of the members, the receiver the other.
class Ring {
 public:
  void create(const Folder& folder, const std::string& name, bool polls, bool yields) {
    const std::string path = folder / name.c_str();
    ring_ = open_file(path + ".ring", static_cast<off_t>(ring_bytes));
    tail_ = open_file(path + ".tail", sizeof(std::uint64_t));
    head_ = open_file(path + ".head", sizeof(std::uint64_t));
    data_watch_ = watch(path + ".tail");
    room_watch_ = watch(path + ".head");
    polls_ = polls;
    yields_ = yields;
    sent_ = read_by_peer_ = received_ = written_by_peer_ = 0;
  }

  void send(const std::byte* bytes, std::size_t size) {
    while (ring_bytes - (sent_ - read_by_peer_) < size) {
      const std::uint64_t before = read_by_peer_;
      read_by_peer_ = read_number(head_);
      if (read_by_peer_ == before) sleep(room_watch_);
    }
    move(sent_, size, [&](std::size_t done, std::size_t some, off_t at) {
      return ::pwrite(ring_.native(), bytes + done, some, at);
    });
    sent_ += size;
    write_number(tail_, sent_);
  }

  void receive(std::byte* to, std::size_t size) {
    while (written_by_peer_ - received_ < size) {
      const std::uint64_t before = written_by_peer_;
      written_by_peer_ = read_number(tail_);
      if (written_by_peer_ == before) sleep(data_watch_);
    }
    move(received_, size, [&](std::size_t done, std::size_t some, off_t at) {
      return ::pread(ring_.native(), to + done, some, at);
    });
    received_ += size;
    write_number(head_, received_);
  }

 private:
  static Fd watch(const std::string& path) {
    Fd watcher = Fd::adopt(::inotify_init1(IN_CLOEXEC));
    if (::inotify_add_watch(watcher.native(), path.c_str(), IN_MODIFY) < 0) fail("inotify");
    return watcher;
  }

  /// A span of the ring, which may go round its end.
  template <class Call> static void move(std::uint64_t from, std::size_t size, Call call) {
    for (std::size_t done = 0; done < size;) {
      const std::size_t at = (from + done) % ring_bytes;
      const ssize_t n = call(done, std::min(size - done, ring_bytes - at), static_cast<off_t>(at));
      if (n <= 0) fail("move");
      done += static_cast<std::size_t>(n);
    }
  }

  void sleep(FdView watcher) const {
    if (polls_) {
      if (yields_) ::sched_yield();
      return;
    }
    char events[4096];
    if (::read(watcher.native(), events, sizeof events) < 0 && errno != EINTR) fail("read");
  }

  Fd ring_;
  Fd tail_;
  Fd head_;
  Fd data_watch_;
  Fd room_watch_;
  bool polls_ = false;
  bool yields_ = false;
  std::uint64_t sent_ = 0;
  std::uint64_t read_by_peer_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t written_by_peer_ = 0;
};

class MmapRaw : public Variant {
 public:
  explicit MmapRaw(const Job& job)
      : job_{job}, client_buffer_{job.bytes, job.offset}, server_buffer_{job.bytes, job.offset} {}

  void create() override {
    folder_.emplace();
    const bool polls = job_.shape == Shape::round_trip && job_.mode == Mode::hot;
    const bool yields = job_.placement == Placement::one_core;
    there_.create(*folder_, "there", polls, yields);
    back_.create(*folder_, "back", polls, yields);
  }

  void client(std::uint64_t count) override {
    for (std::uint64_t i = 0; i < count; ++i) {
      send(there_, client_buffer_.message(i));
      if (job_.shape == Shape::round_trip) receive(back_, client_buffer_.data());
    }
  }

  void server(std::uint64_t count) override {
    for (std::uint64_t i = 0; i < count; ++i) {
      receive(there_, server_buffer_.data());
      if (job_.shape == Shape::round_trip) send(back_, server_buffer_.data());
    }
  }

 private:
  void send(Ring& ring, const std::byte* message) const {
    for (std::size_t done = 0; done < job_.bytes; done += piece_bytes) {
      ring.send(message + done, std::min(piece_bytes, job_.bytes - done));
    }
  }

  void receive(Ring& ring, std::byte* to) const {
    for (std::size_t done = 0; done < job_.bytes; done += piece_bytes) {
      ring.receive(to + done, std::min(piece_bytes, job_.bytes - done));
    }
  }

  const Job job_;
  std::optional<Folder> folder_;
  Ring there_;
  Ring back_;
  Buffer client_buffer_;
  Buffer server_buffer_;
};

}  // namespace

std::unique_ptr<Variant> mmap_raw(const Job& job) {
  if (job.mode == Mode::in_place) return nullptr;  // the kernel copies whatever we do
  return std::make_unique<MmapRaw>(job);
}

}  // namespace bulkhead::bench
