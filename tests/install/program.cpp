// SPDX-License-Identifier: Apache-2.0
// A user's program outside the tree, built against an installed Bulkhead: the README's snippet with a
// decoder for "WIDTHxHEIGHT". Prints what a picture, a broken one and a crash come back as.
#include <chrono>
#include <cstdint>
#include <iostream>
#include <string>

#include <bulkhead/bulkhead.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

struct Size {
  int width = 0, height = 0;
};
struct Image {
  Size size;
  std::string pixels;
};

struct Decoder {
  Result<Image> decode(std::string png, Size limit);
};
BULKHEAD_INTERFACE(Decoder, decode)

struct PngDecoder {
  Result<Image> decode(const std::string& png, Size limit) {
    if (png == "crash") *reinterpret_cast<volatile int*>(std::uintptr_t{0x10}) = 1;
    if (png != "30x20" || limit.width < 30)
      return fail(ErrorKind::invalid, {.cause = "not a picture"});
    return Image{{30, 20}, std::string(600, 'p')};
  }
};

void decoder(Bootstrap& boot) { boot.serve<Decoder>(PngDecoder{}); }  // runs in the child

int main(int argc, char** argv) {
  bulkhead::init(argc, argv);  // a child goes no further
  for (std::string png : {"30x20", "what", "crash"}) {
    Process child = or_exit(spawn<decoder>({.sandbox = sandbox::compute_only}));
    Remote<Decoder> remote{child.channel(), {.deadline = 20s}};
    if (auto image = remote.decode(png, {4096, 4096}))
      std::cout << image->size.width << " wide\n";
    else
      std::cout << image.error() << '\n';
  }
}
