// SPDX-License-Identifier: Apache-2.0
//
// The three files of an end of mmap:, as a disk or a liar may give them: opened and read to the end
// by the other end, opened and written on by their own. Nothing crashes or hangs, and no message is
// larger than what is there.
//
// Input: two bytes each for the lengths of N.tail and N.head, then these, then the ring's header and
// the first bytes of its records; the ring is as large as its header says, where it says 16 KiB.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <span>
#include <string>
#include <unistd.h>

#include "os/file.hpp"
#include "transport/mmap/ring_ends.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::transport::mmap;

void require(bool holds) {
  if (!holds) std::abort();
}

const std::string& folder() {
  static const std::string path = [] {
    const char* base = std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp";
    return std::string{base} + "/bulkhead-fuzz-ring-" + std::to_string(::getpid());
  }();
  return path;
}

Fd open(const char* name) {
  return std::move(*os::open_file(folder() + "/" + name, O_RDWR | O_CREAT));
}

void put(const char* name, std::uint64_t offset, Bytes bytes) {
  require(os::write_at(open(name), offset, bytes, name).has_value());
}

void read_all() {
  auto ring = RingFile::open(folder() + "/0.ring", 0);
  if (!ring) return;
  auto receiver = RingReceiver::open(*std::move(ring), open("0.tail"), "0.tail", open("1.head"),
                                     "1.head", 1 << 16);
  if (!receiver) return;
  Message message;
  for (int count = 0; count < 100'000; ++count) {
    auto got = receiver->next(message);
    if (!got || !*got) return;
    require(message.size() <= (1 << 16));
  }
  std::abort();  // a ring of 16 KiB holds 512 messages
}

void write_on() {
  auto ring = RingFile::open(folder() + "/0.ring", 0);
  if (!ring) return;
  auto sender =
      RingSender::open(*std::move(ring), open("0.tail"), "0.tail", open("1.head"), "1.head", {});
  if (!sender) return;
  const Bytes one = as_bytes("written behind it");
  for (int i = 0; i < 1000 && sender->send({&one, 1}); ++i) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::span input{reinterpret_cast<const std::byte*>(data), size};
  const auto take = [&](std::size_t most) {
    const auto part = input.first(std::min(most, input.size()));
    input = input.subspan(part.size());
    return part;
  };
  const auto lengths = take(2);
  if (lengths.size() < 2) return 0;
  const auto tail = take(std::to_integer<std::size_t>(lengths[0]));
  const auto head = take(std::to_integer<std::size_t>(lengths[1]));
  const auto header = take(sizeof(RingHeader));
  std::filesystem::remove_all(folder());
  std::filesystem::create_directory(folder());
  put("0.tail", 0, tail);
  put("1.head", 0, head);
  put("0.ring", 0, header);
  require(os::cut(open("0.ring"), ring_offset + 16 * 1024, "0.ring").has_value());
  put("0.ring", ring_offset, input.first(std::min<std::size_t>(input.size(), 16 * 1024)));
  read_all();
  write_on();
  read_all();
  std::filesystem::remove_all(folder());
  return 0;
}
