// SPDX-License-Identifier: Apache-2.0
//
// The image of a log's newest segment, as a disk may give it back: read to its end, opened by a
// writer, which may cut it, written on, and read again. Nothing crashes or hangs, and what is read
// is never anything but a message that was written: the corpus begins with real segments, whose
// payloads say their own number and length.
//
// The first byte chooses whether a second, empty segment follows (then nothing may be cut).
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

#include "transport/file/log_reader.hpp"
#include "transport/file/log_writer.hpp"

namespace {

using namespace bulkhead;
using namespace bulkhead::transport::file;

void require(bool holds) {
  if (!holds) std::abort();
}

const std::string& folder() {
  static const std::string path = [] {
    const char* base = std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp";
    return std::string{base} + "/bulkhead-fuzz-log-" + std::to_string(::getpid());
  }();
  return path;
}

/// How many messages there are before the end or the damage.
std::uint64_t read_all() {
  auto reader = LogReader::open(folder(), {});
  if (!reader) return 0;
  Message message;
  for (std::uint64_t count = 0;; ++count) {
    require(count < 1'000'000);
    auto got = reader->next(message);
    if (!got) {
      require(!got.error().sentence().empty());
      return count;
    }
    if (*got == LogReader::Got::nothing) return count;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::filesystem::remove_all(folder());
  std::filesystem::create_directory(folder());
  std::ofstream{folder() + "/" + segment_name(1), std::ios::binary}.write(
      reinterpret_cast<const char*>(data + 1), static_cast<std::streamsize>(size - 1));
  if (data[0] % 4 == 3) {
    const auto header = SegmentHeader::create(1000);
    std::ofstream{folder() + "/" + segment_name(1000), std::ios::binary}.write(
        reinterpret_cast<const char*>(&header), sizeof header);
  }
  const std::uint64_t before = read_all();
  {
    auto writer = LogWriter::open(folder(), {});
    if (writer) {
      const Bytes one = as_bytes("written behind it");
      require(writer->append({&one, 1}).has_value());
      writer->close();
    }
  }
  require(read_all() >= before);
  std::filesystem::remove_all(folder());
  return 0;
}
