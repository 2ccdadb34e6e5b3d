// SPDX-License-Identifier: Apache-2.0
#include "gpu/egl_composer.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <bulkhead/region.hpp>

#include "gpu/box.hpp"
#include "gpu/gl_context.hpp"
#include "gpu/gl_textures.hpp"
#include "interfaces/layers.hpp"

namespace porthole {

using namespace bulkhead;

namespace {

// One triangle over everything; the scissor cuts out the pixels that are meant, so that no edge
// depends on how a driver rounds.
constexpr const char* everywhere = R"(#version 300 es
void main() {
  gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0);
})";

constexpr const char* of_a_tile = R"(#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
uniform sampler2D tile;
uniform ivec2 at;
out vec4 color;
void main() { color = texelFetch(tile, ivec2(gl_FragCoord.xy) - at, 0); })";

constexpr const char* of_one_color = R"(#version 300 es
precision highp float;
uniform vec4 fill;
out vec4 color;
void main() { color = fill; })";

constexpr const char* draw_picture = "draw with GL";

}  // namespace

/// All that is drawn with; its names end with the context. Row 0 of GL's picture is the top one:
/// nobody looks at it but through read_pixels.
class EglComposer::Painter {
 public:
  explicit Painter(gl::GlContext context) : context_(std::move(context)), textures_(context_) {}

  Result<void> prepare() {
    tiles_ = BULKHEAD_TRY(program(of_a_tile));
    fills_ = BULKHEAD_TRY(program(of_one_color));
    at_ = context_->uniform_location(tiles_, "at");
    fill_ = context_->uniform_location(fills_, "fill");
    unsigned target = 0;
    context_->gen_framebuffers(1, &target);
    context_->bind_framebuffer(gl::framebuffer, target);
    context_->gen_renderbuffers(1, &buffer_);
    context_->bind_renderbuffer(gl::renderbuffer, buffer_);
    context_->enable(gl::scissor_test);
    context_->enable(gl::blend);
    context_->disable(gl::dither);
    context_->blend_function(gl::one, gl::one_minus_src_alpha);
    return context_.check("prepare GL");
  }

  /// Into `pixels`, four bytes for each of the size's.
  Result<void> paint(Size size, std::span<const Surface> surfaces, MutableBytes pixels) {
    BULKHEAD_TRY(resize(size));
    textures_.begin();
    const Box window = Box::of(size);
    fill(window, 0xffffffff);
    for (const Surface& surface : surfaces) draw(window, surface);
    context_->read_pixels(0, 0, size.width, size.height, gl::rgba, gl::unsigned_byte,
                          pixels.data());
    return context_.check(draw_picture);
  }

  const gl::GlContext& context() const noexcept { return context_; }
  const gl::GlTextures& textures() const noexcept { return textures_; }

 private:
  Result<unsigned> program(const char* fragment) {
    const unsigned made = context_->create_program();
    for (const auto& [kind, source] :
         {std::pair{gl::vertex_shader, everywhere}, std::pair{gl::fragment_shader, fragment}}) {
      const unsigned shader = context_->create_shader(kind);
      context_->shader_source(shader, 1, &source, nullptr);
      context_->compile_shader(shader);
      context_->attach_shader(made, shader);
    }
    context_->link_program(made);
    int linked = 0;
    context_->get_program(made, gl::link_status, &linked);
    if (linked == 0) {
      return fail(ErrorKind::unsupported, {.operation = "prepare GL",
                                           .object = context_.renderer(),
                                           .cause = "a shader is refused"});
    }
    return made;
  }

  Result<void> resize(Size size) {
    if (size == size_) return {};
    size_ = {};
    context_->renderbuffer_storage(gl::renderbuffer, gl::rgba8, size.width, size.height);
    context_->attach_renderbuffer(gl::framebuffer, gl::color_attachment0, gl::renderbuffer,
                                  buffer_);
    BULKHEAD_TRY(context_.check(draw_picture));
    if (context_->framebuffer_status(gl::framebuffer) != gl::framebuffer_complete) {
      return fail(ErrorKind::unsupported, {.operation = draw_picture,
                                           .object = context_.renderer(),
                                           .cause = "there is no buffer of this size"});
    }
    context_->viewport(0, 0, size.width, size.height);
    size_ = size;
    return {};
  }

  /// With the program and what it draws from set.
  void cover(const Box& box) {
    context_->scissor(static_cast<int>(box.left), static_cast<int>(box.top),
                      static_cast<int>(box.right - box.left),
                      static_cast<int>(box.bottom - box.top));
    context_->draw_arrays(gl::triangles, 0, 3);
  }

  void fill(const Box& box, std::uint32_t argb) {
    const auto channel = [argb](unsigned shift) {
      return static_cast<float>((argb >> shift) & 0xff) / 255.0F;
    };
    context_->use_program(fills_);
    // In the order of the bytes, as in the textures.
    context_->uniform_4f(fill_, channel(0), channel(8), channel(16), channel(24));
    cover(box);
  }

  void draw(const Box& window, const Surface& surface) {
    const Box seen = Box::of(surface.place).cut(window);
    if (seen.empty()) return;
    if (surface.background >> 24 != 0) fill(seen, surface.background);
    context_->use_program(tiles_);
    for (const Surface::Tile& tile : surface.tiles) {
      const std::int64_t x = std::int64_t{surface.place.x} - surface.scroll.x + tile.at.x;
      const std::int64_t y = std::int64_t{surface.place.y} - surface.scroll.y + tile.at.y;
      const Box part = Box::of_tile(x, y).cut(seen);
      if (part.empty()) continue;
      textures_.bind(surface.producer, tile);
      context_->uniform_2i(at_, static_cast<int>(x), static_cast<int>(y));
      cover(part);
    }
  }

  gl::GlContext context_;
  gl::GlTextures textures_;
  unsigned tiles_ = 0;
  unsigned fills_ = 0;
  int at_ = 0;
  int fill_ = 0;
  unsigned buffer_ = 0;
  Size size_{};
};

namespace {

/// One of each kind of drawing that there is, and no colour like another's.
Result<void> draws_as_the_cpu(EglComposer& gl) {
  std::vector<std::uint32_t> tile(std::size_t{tile_side} * tile_side);
  for (std::uint32_t i = 0; i < tile.size(); ++i) tile[i] = 0xff000000 + i * 37;
  const Bytes pixels = std::as_bytes(std::span{tile});
  const std::array surfaces{Surface{.place = {.x = 3, .y = 5, .width = 90, .height = 80},
                                    .scroll = {.x = 7, .y = 11},
                                    .background = 0xff204060,
                                    .tiles = {{.at = {}, .pixels = pixels}}},
                            Surface{.place = {.x = 60, .y = 50, .width = 40, .height = 40},
                                    .scroll = {.x = 230, .y = -20},
                                    .background = 0,
                                    .tiles = {{.at = {}, .pixels = pixels}}}};
  constexpr Size size{.width = 120, .height = 100};
  const Picture by_gl = BULKHEAD_TRY(gl.compose(size, surfaces));
  const Picture by_cpu = BULKHEAD_TRY(PixmanComposer{}.compose(size, surfaces));
  if (std::ranges::equal(by_gl.pixels.bytes(), by_cpu.pixels.bytes())) return {};
  return fail(ErrorKind::unsupported, {.operation = "start GL",
                                       .object = gl.renderer(),
                                       .cause = "it draws other pixels than the CPU"});
}

}  // namespace

EglComposer::EglComposer(std::unique_ptr<Painter> painter) : painter_(std::move(painter)) {}

EglComposer::~EglComposer() = default;

Result<std::unique_ptr<EglComposer>> EglComposer::create(const gl::GlLibrary& library, GlUse use) {
  auto painter = std::make_unique<Painter>(BULKHEAD_TRY(gl::GlContext::create(library, use)));
  BULKHEAD_TRY(painter->prepare());
  std::unique_ptr<EglComposer> composer{new EglComposer(std::move(painter))};
  std::string why;
  composer->on_failure([&](std::string reason) { why = std::move(reason); });
  BULKHEAD_TRY(draws_as_the_cpu(*composer));
  if (!why.empty()) return fail(ErrorKind::unsupported, {.operation = "start GL", .cause = why});
  composer->on_failure(nullptr);
  return composer;
}

Result<Picture> EglComposer::compose(Size size, std::span<const Surface> surfaces) {
  const int most = painter_->context().max_side();
  if (!drawing_ || size.width > most || size.height > most) return cpu_.compose(size, surfaces);
  const auto pixels = static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height);
  Region region = BULKHEAD_TRY(Region::create(pixels * 4, {.name = "picture"}));
  if (auto painted = painter_->paint(size, surfaces, region.mutable_bytes()); !painted) {
    drawing_ = false;
    if (failed_) failed_(painted.error().sentence());
    return cpu_.compose(size, surfaces);
  }
  BULKHEAD_TRY(region.freeze());
  return Picture{.size = size, .pixels = std::move(region)};
}

const std::string& EglComposer::renderer() const noexcept { return painter_->context().renderer(); }
std::uint64_t EglComposer::uploads() const noexcept { return painter_->textures().uploads(); }
int EglComposer::max_side() const noexcept { return painter_->context().max_side(); }

}  // namespace porthole
