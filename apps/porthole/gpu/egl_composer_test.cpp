// SPDX-License-Identifier: Apache-2.0
//
// What GL draws, against the CPU pixel by pixel; and what becomes of a picture that GL cannot draw.
// On whatever GL there is; each test skips where there is none.
#include "gpu/egl_composer.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <vector>

#include "gpu/gl_context.hpp"
#include "gpu/pixman_composer.hpp"
#include "interfaces/layers.hpp"

namespace {

using namespace bulkhead;
using namespace porthole;

/// Each pixel another colour.
class Noise {
 public:
  Noise(std::mt19937& random, std::uint32_t alpha) : pixels_(tile_side * tile_side) {
    for (auto& pixel : pixels_) pixel = below(static_cast<std::uint32_t>(random()), alpha);
  }
  Bytes bytes() const { return std::as_bytes(std::span{pixels_}); }
  void fill(std::uint32_t color) { std::ranges::fill(pixels_, color); }

  /// Multiplied by alpha.
  static std::uint32_t below(std::uint32_t color, std::uint32_t alpha) {
    std::uint32_t made = alpha << 24;
    for (const unsigned shift : {0U, 8U, 16U}) {
      made |= (((color >> shift) & 0xff) * alpha / 255) << shift;
    }
    return made;
  }

 private:
  std::vector<std::uint32_t> pixels_;
};

class egl_composer : public testing::Test {
 public:
  void SetUp() override {
    auto library = gl::GlLibrary::load();
    if (!library) GTEST_SKIP() << library.error();
    auto made = EglComposer::create(*library, GlUse::any);
    if (!made) GTEST_SKIP() << made.error();
    composer = std::move(*made);
    composer->on_failure([this](std::string reason) { why = std::move(reason); });
  }

  Picture by_gl(Size size, std::span<const Surface> surfaces) {
    Picture picture = or_throw(composer->compose(size, surfaces));
    EXPECT_EQ(why, "");
    return picture;
  }
  Picture by_cpu(Size size, std::span<const Surface> surfaces) {
    return or_throw(cpu.compose(size, surfaces));
  }

  std::unique_ptr<EglComposer> composer;
  PixmanComposer cpu;
  std::string why;
};

bool same(const Picture& one, const Picture& other) {
  return one.size == other.size && std::ranges::equal(one.pixels.bytes(), other.pixels.bytes());
}

int largest_difference(const Picture& one, const Picture& other) {
  int largest = 0;
  for (std::size_t i = 0; i < one.pixels.size(); ++i) {
    const int difference =
        std::to_integer<int>(one.pixels.bytes()[i]) - std::to_integer<int>(other.pixels.bytes()[i]);
    largest = std::max(largest, std::abs(difference));
  }
  return largest;
}

/// Layers anywhere in and around a window, scrolled anywhere.
class Scenes {
 public:
  explicit Scenes(std::uint32_t alpha) : alpha_(alpha) {
    for (int i = 0; i < 6; ++i) tiles_.emplace_back(random_, alpha);
  }

  int between(int least, int most) { return std::uniform_int_distribution{least, most}(random_); }
  Size size() { return {.width = between(1, 400), .height = between(1, 300)}; }
  std::vector<Surface> surfaces() {
    std::vector<Surface> made(static_cast<std::size_t>(between(0, 4)));
    for (Surface& surface : made) surface = one();
    return made;
  }

 private:
  Surface one() {
    Surface surface{.place = {.x = between(-300, 400),
                              .y = between(-300, 300),
                              .width = between(-5, 500),
                              .height = between(-5, 400)},
                    .scroll = {.x = between(-300, 600), .y = between(-300, 600)},
                    .background = 0,
                    .tiles = {}};
    if (between(0, 2) > 0) {
      surface.background = Noise::below(static_cast<std::uint32_t>(random_()), alpha_);
    }
    for (int row = 0; row < 3; ++row) {
      for (int column = 0; column < 3; ++column) {
        if (between(0, 3) == 0) continue;  // not painted yet
        const auto which = static_cast<std::size_t>(between(0, 5));
        surface.tiles.push_back({.at = {.x = column * tile_side, .y = row * tile_side},
                                 .pixels = tiles_[which].bytes(),
                                 .version = between(0, 1) * (which + 1)});
      }
    }
    surface.producer = 1;
    return surface;
  }

  // The same each time, so that a failure can be looked at.
  std::mt19937 random_{20261121};  // NOLINT(cert-msc51-cpp)
  std::uint32_t alpha_;
  std::vector<Noise> tiles_;
};

TEST_F(egl_composer, draws_opaque_scenes_as_the_cpu_does) {
  Scenes scenes{0xff};
  for (int i = 0; i < 60; ++i) {
    const Size size = scenes.size();
    const auto surfaces = scenes.surfaces();
    ASSERT_TRUE(same(by_gl(size, surfaces), by_cpu(size, surfaces))) << "scene " << i;
  }
}

TEST_F(egl_composer, draws_translucent_scenes_as_the_cpu_does_but_for_rounding) {
  Scenes scenes{0x90};
  for (int i = 0; i < 20; ++i) {
    const Size size = scenes.size();
    const auto surfaces = scenes.surfaces();
    // Each layer may round otherwise, and there are up to four with a background each.
    ASSERT_LE(largest_difference(by_gl(size, surfaces), by_cpu(size, surfaces)), 3) << i;
  }
}

TEST_F(egl_composer, an_output_without_layers_is_white_and_frozen) {
  const Picture picture = by_gl({3, 2}, {});
  EXPECT_EQ(picture.pixels.state(), Region::State::frozen);
  EXPECT_TRUE(same(picture, by_cpu({3, 2}, {})));
}

TEST_F(egl_composer, the_largest_and_smallest_numbers_draw_nothing_and_harm_nothing) {
  std::mt19937 random{7};  // NOLINT(cert-msc51-cpp)
  const Noise tile{random, 0xff};
  constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
  constexpr std::int32_t least = std::numeric_limits<std::int32_t>::min();
  const std::array surfaces{
      Surface{.place = {0, 0, 10, 10},
              .scroll = {-max_page_side, max_page_side},
              .tiles = {{{max_page_side, 0}, tile.bytes()}, {{0, 0}, tile.bytes()}}},
      Surface{.place = {most, least, most, most}, .tiles = {{{0, 0}, tile.bytes()}}},
      Surface{.place = {0, 0, -5, least}, .tiles = {{{0, 0}, tile.bytes()}}}};
  EXPECT_TRUE(same(by_gl({10, 10}, surfaces), by_cpu({10, 10}, {})));
}

TEST_F(egl_composer, a_picture_that_is_too_large_for_gl_is_drawn_by_the_cpu) {
  std::mt19937 random{8};  // NOLINT(cert-msc51-cpp)
  const Noise tile{random, 0xff};
  const std::array surfaces{Surface{.place = {0, 0, 9000, 9}, .tiles = {{{0, 0}, tile.bytes()}}}};
  const Size wide{.width = composer->max_side() + 1, .height = 2};
  const auto before = composer->uploads();
  EXPECT_TRUE(same(by_gl(wide, surfaces), by_cpu(wide, surfaces)));
  EXPECT_EQ(composer->uploads(), before);
  const Size fits{.width = composer->max_side(), .height = 2};
  EXPECT_TRUE(same(by_gl(fits, surfaces), by_cpu(fits, surfaces)));
  EXPECT_EQ(composer->uploads(), before + 1);
}

TEST_F(egl_composer, a_tile_is_uploaded_once_for_each_version_and_producer) {
  std::mt19937 random{9};  // NOLINT(cert-msc51-cpp)
  Noise tile{random, 0xff};
  const auto show = [&](std::uint64_t producer, std::uint64_t version) {
    const std::array surfaces{
        Surface{.place = {0, 0, 50, 50},
                .tiles = {{.at = {}, .pixels = tile.bytes(), .version = version}},
                .producer = producer}};
    const auto before = composer->uploads();
    EXPECT_TRUE(same(by_gl({50, 50}, surfaces), by_cpu({50, 50}, surfaces)));
    return composer->uploads() - before;
  };
  EXPECT_EQ(show(1, 1), 1U);
  EXPECT_EQ(show(1, 1), 0U);
  tile.fill(0xff00ff00);
  EXPECT_EQ(show(1, 2), 1U);
  tile.fill(0xffff0000);
  EXPECT_EQ(show(2, 2), 1U);
  tile.fill(0xff0000ff);
  EXPECT_EQ(show(2, 0), 1U);  // of no known version: each time
  EXPECT_EQ(show(2, 0), 1U);
}

TEST_F(egl_composer, more_tiles_than_are_kept_are_drawn_all_the_same) {
  std::mt19937 random{10};  // NOLINT(cert-msc51-cpp)
  std::vector<Noise> tiles;
  for (int i = 0; i < 4; ++i) tiles.emplace_back(random, 0xff);
  // A hundred to a picture, a pixel of each; twelve pictures, then the first again.
  const auto show = [&](std::uint64_t picture) {
    Surface surface{.place = {0, 0, 100, 1}, .tiles = {}, .producer = 1};
    for (int i = 0; i < 100; ++i) {
      const auto version = picture * 100 + static_cast<std::uint64_t>(i) + 1;
      surface.tiles.push_back({.at = {.x = i, .y = 0},
                               .pixels = tiles[version % tiles.size()].bytes(),
                               .version = version});
    }
    const std::array surfaces{surface};
    EXPECT_TRUE(same(by_gl({100, 1}, surfaces), by_cpu({100, 1}, surfaces))) << picture;
  };
  for (std::uint64_t picture = 0; picture < 12; ++picture) show(picture);
  show(0);
}

/// What the driver says instead of the truth; its functions have no memory of their own.
unsigned error_to_tell = gl::no_error;
unsigned tell_error() { return error_to_tell; }

TEST(egl_composer_failing, the_cpu_draws_that_picture_and_all_that_follow) {
  auto library = gl::GlLibrary::load();
  if (!library) GTEST_SKIP() << library.error();
  library->get_error = tell_error;
  auto made = EglComposer::create(*library, GlUse::any);
  if (!made) GTEST_SKIP() << made.error();
  EglComposer& composer = **made;
  std::vector<std::string> reasons;
  composer.on_failure([&](std::string why) { reasons.push_back(std::move(why)); });
  std::mt19937 random{11};  // NOLINT(cert-msc51-cpp)
  const Noise tile{random, 0xff};
  const std::array surfaces{Surface{.place = {2, 2, 50, 50}, .tiles = {{{0, 0}, tile.bytes()}}}};
  const auto good = or_throw(composer.compose({60, 60}, surfaces));
  ASSERT_TRUE(reasons.empty());
  error_to_tell = 0x0505;  // GL_OUT_OF_MEMORY
  EXPECT_TRUE(same(or_throw(composer.compose({60, 60}, surfaces)), good));
  error_to_tell = gl::no_error;
  const auto uploads = composer.uploads();
  EXPECT_TRUE(same(or_throw(composer.compose({60, 60}, surfaces)), good));
  EXPECT_EQ(composer.uploads(), uploads);
  ASSERT_EQ(reasons.size(), 1U);
  EXPECT_EQ(reasons[0], "draw with GL " + composer.renderer() + ": GL error 0x0505");
}

TEST(egl_composer_failing, a_context_that_is_gone_is_noticed) {
  auto library = gl::GlLibrary::load();
  if (!library) GTEST_SKIP() << library.error();
  auto made = EglComposer::create(*library, GlUse::any);
  if (!made) GTEST_SKIP() << made.error();
  std::string why;
  (*made)->on_failure([&](std::string reason) { why = std::move(reason); });
  const gl::Display display =
      library->get_platform_display(gl::egl::platform_surfaceless, nullptr, nullptr);
  library->make_current(display, nullptr, nullptr, nullptr);
  PixmanComposer cpu;
  EXPECT_TRUE(same(or_throw((*made)->compose({7, 5}, {})), or_throw(cpu.compose({7, 5}, {}))));
  EXPECT_TRUE(why.ends_with("the context is gone")) << why;
}

TEST(gl_context, software_is_not_taken_for_a_gpu) {
  auto library = gl::GlLibrary::load();
  if (!library) GTEST_SKIP() << library.error();
  std::string renderer;
  {
    auto any = gl::GlContext::create(*library, GlUse::any);
    if (!any) GTEST_SKIP() << any.error();
    renderer = any->renderer();
  }
  EXPECT_EQ(gl::GlContext::create(*library, GlUse::hardware).has_value(),
            !gl::is_software(renderer));
}

TEST(gl_context, software_is_known_by_its_name) {
  for (const char* name : {"llvmpipe (LLVM 15.0.6, 256 bits)", "softpipe", "Software Rasterizer",
                           "Google SwiftShader", "SWRAST"}) {
    EXPECT_TRUE(gl::is_software(name)) << name;
  }
  for (const char* name : {"Mesa Intel(R) UHD Graphics 620 (KBL GT2)",
                           "AMD Radeon RX 580 (polaris10)", "V3D 4.2", "virgl"}) {
    EXPECT_FALSE(gl::is_software(name)) << name;
  }
}

}  // namespace
