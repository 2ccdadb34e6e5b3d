// SPDX-License-Identifier: Apache-2.0
//
// Decoding of arbitrary bytes. What is accepted must encode again, to bytes that decode to the same
// bytes: nothing is lost, whatever odd NaN or order of map entries came. What is refused must be
// refused with one of the two kinds that a peer can cause.
//
// The first byte chooses trust and type, the rest is the message. In the corpus are encodings of random
// values of each type (src/wire/specimen.hpp), and what a minimised run added to them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <bulkhead/bytes.hpp>
#include <bulkhead/wire.hpp>

#include "wire/specimen.hpp"

namespace {

using namespace bulkhead;

void require(bool holds) {
  if (!holds) std::abort();
}

template <class T> void judge(Bytes bytes, Trust trust) {
  wire::Decoder decoder{bytes, {}, trust};
  auto value = decoder.get<T>();
  if (!value) {
    const ErrorKind kind = value.error().kind();
    require(kind == ErrorKind::corrupt ||
            (kind == ErrorKind::too_large && trust == Trust::untrusted));
    require(!value.error().sentence().empty());
    return;
  }
  if (!decoder.finish()) return;
  auto once = encode(*value);
  require(once.has_value());
  require(once->size() == wire::detail::measure(*value, 0));
  wire::Decoder second{*once, {}, trust};
  auto again = second.get<T>();
  require(again.has_value() && second.at_end());
  auto twice = encode(*again);
  require(twice.has_value() && twice->size() == once->size());
}

/// Has one encoding only: bytes that are accepted come back as they are.
struct Exact {
  wire::Numbers numbers;
  std::vector<wire::Padded> padded;
  std::vector<std::string> words;
  std::optional<std::variant<std::vector<bool>, wire::Tree, wire::Node>> choice;
  std::vector<wire::Point> points;
};

void judge_exact(Bytes bytes) {
  auto value = decode<Exact>(bytes);
  if (!value) return;
  auto back = encode(*value);
  require(back && std::ranges::equal(*back, bytes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes bytes = std::as_bytes(std::span{data, size}.subspan(1));
  const Trust trust = (*data & 0x80) != 0 ? Trust::equal : Trust::untrusted;
  switch (*data & 0x7f) {
    case 0:
      judge_exact(bytes);
      break;
    case 1:
      judge<wire::Specimen>(bytes, trust);
      break;
    case 2:
      judge<wire::Tree>(bytes, trust);
      break;
    case 3:
      judge<wire::Node>(bytes, trust);
      break;
    case 4:
      judge<Error>(bytes, trust);
      break;
    case 5:
      judge<Result<std::map<std::string, std::vector<Exit>>>>(bytes, trust);
      break;
    default:
      break;
  }
  return 0;
}
