// SPDX-License-Identifier: Apache-2.0
//
// A camera builds its frames in memory that a viewer looks at where they lie: nothing is copied.
//
//   build/bin/shared_memory camera shm:camera 100    in one terminal: sends each viewer 100 frames
//   build/bin/shared_memory viewer shm:camera        in another: says how bright they were
//
// Only memory can lend itself: with unix:///tmp/camera both say so when they bind, and leave.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <numeric>
#include <string_view>

#include <bulkhead/bulkhead.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t frame_bytes = 640 * 480;
const ChannelOptions options{.capacity_bytes = 1 << 20, .needs = {.in_place = true}};

void expose(MutableBytes frame, int number) {
  std::fill(frame.begin(), frame.end(), static_cast<std::byte>(number));
}

int brightness(Bytes frame) {
  const auto sum = std::accumulate(
      frame.begin(), frame.end(), std::size_t{0},
      [](std::size_t all, std::byte pixel) { return all + std::to_integer<unsigned>(pixel); });
  return static_cast<int>(sum / frame.size());
}

void camera(const char* address, int frames) {
  Listener listener = or_exit(listen(address, {.channel = options}));
  std::cout << "ready" << std::endl;
  Channel viewer = or_exit(listener.accept(never));
  for (int i = 0; i < frames; ++i) {
    Loan frame = or_exit(viewer.loan(frame_bytes, 10s));
    expose(frame.bytes(), i);
    or_exit(viewer.send(std::move(frame)));
  }
}

void viewer(const char* address) {
  Channel camera = or_exit(connect(address, 2s, options));
  int frames = 0;
  int brightest = 0;
  while (auto frame = camera.receive_view(10s)) {
    brightest = std::max(brightest, brightness(frame->bytes()));
    ++frames;
  }
  std::cout << frames << " frames, the brightest " << brightest << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "camera" && argc == 4) {
    camera(argv[2], std::atoi(argv[3]));
  } else if (verb == "viewer" && argc == 3) {
    viewer(argv[2]);
  } else {
    std::cerr << "usage: shared_memory camera ADDRESS FRAMES | shared_memory viewer ADDRESS\n";
    return 2;
  }
}
