// SPDX-License-Identifier: Apache-2.0
//
// make_images FOLDER: makes the images of this example, the good ones and the bad ones. What it
// made is kept in images/; it is needed again only when an image is to change:
//
//   cmake --build build --target make_images && build/bin/make_images examples/isolate/images
//
// A scene is a function from a point to a colour. It is rendered, given to one of the four
// encoders, and, for the bad ones, damaged. Nothing here is random, so a second run writes the
// same files. Longer than most files (style.md): drawing, encoding and damaging in one program.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>  // jpeglib.h needs it before
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gif_lib.h>
#include <iostream>
#include <jpeglib.h>
#include <map>
#include <png.h>
#include <string>
#include <vector>
#include <webp/encode.h>

namespace {

[[noreturn]] void die(const std::string& why) {
  std::cerr << "make_images: " << why << '\n';
  std::exit(1);
}

// Drawing: points have x from 0 to the aspect ratio and y from 0 (top) to 1.

struct Colour {
  double r = 0, g = 0, b = 0, a = 1;
};

constexpr Colour hex(unsigned rgb) {
  return {(rgb >> 16 & 255) / 255.0, (rgb >> 8 & 255) / 255.0, (rgb & 255) / 255.0, 1};
}

Colour mix(Colour from, Colour to, double share) {
  const double t = std::clamp(share, 0.0, 1.0);
  return {std::lerp(from.r, to.r, t), std::lerp(from.g, to.g, t), std::lerp(from.b, to.b, t),
          std::lerp(from.a, to.a, t)};
}

/// A repeatable number in [0, 1) for a cell of a grid.
double hash(int x, int y) {
  auto h = static_cast<std::uint32_t>(x) * 374761393U + static_cast<std::uint32_t>(y) * 668265263U;
  h = (h ^ (h >> 13)) * 1274126177U;
  return ((h ^ (h >> 16)) & 0xffffff) / 16777216.0;
}

double noise(double x, double y) {
  const double left = std::floor(x), top = std::floor(y);
  const int i = static_cast<int>(left), j = static_cast<int>(top);
  const auto ease = [](double t) { return t * t * (3 - 2 * t); };
  const double u = ease(x - left), v = ease(y - top);
  return std::lerp(std::lerp(hash(i, j), hash(i + 1, j), u),
                   std::lerp(hash(i, j + 1), hash(i + 1, j + 1), u), v);
}

/// Several octaves of noise, in [0, 1).
double fractal(double x, double y) {
  double sum = 0, weight = 0.5;
  for (int octave = 0; octave < 5; ++octave, x *= 2, y *= 2, weight /= 2)
    sum += weight * noise(x, y);
  return sum;
}

using Scene = std::function<Colour(double x, double y)>;

struct Image {
  int width, height;
  std::vector<std::uint8_t> rgba;
};

/// `fine` x `fine` samples a pixel.
Image render(int width, int height, const Scene& scene, int fine = 3) {
  Image image{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      Colour sum{0, 0, 0, 0};
      for (int s = 0; s < fine * fine; ++s) {
        const Colour c =
            scene((x + (s % fine + 0.5) / fine) / height, (y + (s / fine + 0.5) / fine) / height);
        sum = {sum.r + c.r * c.a, sum.g + c.g * c.a, sum.b + c.b * c.a, sum.a + c.a};
      }
      const double scale = sum.a > 0 ? 255 / sum.a : 0;
      for (const double value :
           {sum.r * scale, sum.g * scale, sum.b * scale, sum.a * 255 / (fine * fine)}) {
        image.rgba.push_back(static_cast<std::uint8_t>(std::clamp(value + 0.5, 0.0, 255.0)));
      }
    }
  }
  return image;
}

// The scenes.

Colour mountains(double x, double y) {
  Colour c = mix(hex(0x274b8a), hex(0xf6b27a), y * 1.5);
  const double sun = std::hypot(x - 1.02, y - 0.44);
  c = mix(c, hex(0xfff1cf), std::exp(-sun * 6));
  if (sun < 0.075) c = hex(0xfffbe8);
  for (int layer = 0; layer < 4; ++layer) {
    const double ridge =
        0.44 + layer * 0.13 - 0.26 * (fractal(x * (2.2 + layer * 0.5) + layer * 7.3, layer) - 0.42);
    if (y < ridge) continue;
    const Colour rock = mix(hex(0x8d8fb5), hex(0x1c2740), (layer + 0.6) / 3.6);
    c = mix(rock, hex(0xe9a98a), 0.25 * std::exp(-(y - ridge) * 9) * (3 - layer) / 3);
    if (layer == 0 && y < ridge + 0.035 * fractal(x * 30, 3)) c = hex(0xf3eef2);
  }
  return c;
}

Colour moon(double x, double y) {
  const double dx = (x - 0.67) / 0.42, dy = (y - 0.5) / 0.42, r2 = dx * dx + dy * dy;
  if (r2 >= 1) {
    const int i = static_cast<int>(x * 60), j = static_cast<int>(y * 60);
    const double star = hash(i, j);
    const double off = std::hypot(x * 60 - i - 0.5, y * 60 - j - 0.5);
    const double grey = 0.05 + (star > 0.965 && off < 0.2 ? star * 0.8 : 0);
    return {grey, grey, grey};
  }
  const double dz = std::sqrt(1 - r2);
  double height = fractal(dx * 3 + 5, dy * 3 + 5) * 0.8;
  double shade = 0;
  for (int crater = 0; crater < 26; ++crater) {
    const double cx = hash(crater, 1) * 1.8 - 0.9, cy = hash(crater, 2) * 1.8 - 0.9;
    const double size = 0.05 + 0.13 * hash(crater, 3) * hash(crater, 4);
    const double far = std::hypot(dx - cx, dy - cy) / size;
    if (far < 1) shade += ((dx - cx) + (dy - cy)) / size * 0.16, height -= 0.1;
    if (far >= 1 && far < 1.25) shade += 0.07;
  }
  const double light = std::max(0.0, -0.62 * dx - 0.45 * dy + 0.64 * dz);
  const double grey = 0.03 + light * (0.55 + 0.42 * height + shade);
  return {grey, grey, grey};
}

/// A ship from the side, cut open: seven compartments, two of them flooded, and still afloat.
Colour bulkheads(double x, double y) {
  const double sea = 0.62 + 0.006 * std::sin(x * 40);
  const Colour water = hex(0x2f6f9f), air = hex(0xdfeaf2), steel = hex(0x3a3f4a);
  const double sx = x - 0.03 * (y - 0.6), sy = y + 0.035 * (x - 0.7);  // it lists a little
  const double bow = 0.1 + 0.10 * (sy - 0.5) / 0.25, stern = 1.36 - 0.05 * (sy - 0.5) / 0.25;
  const bool hull =
      sy > 0.5 && sy < 0.8 && sx > bow && sx < stern && !(sy > 0.76 && sx < bow + 0.05);
  if (hull) {
    const double wall = 0.013;
    if (sy < 0.5 + wall || sy > 0.8 - wall || sx < bow + wall || sx > stern - wall) return steel;
    const double at = (sx - 0.2) / 0.165;
    const double beside = (at - std::floor(at)) * 0.165;
    if (at > 0 && at < 7 && beside < 0.01) return hex(0xb5402c);  // a bulkhead
    const int room = static_cast<int>(std::floor(at));
    const bool flooded = room == 1 || room == 2;
    if (flooded && sy > 0.56) return hex(0x4f9fd0);
    if (std::abs(sy - 0.65) < 0.005 && !flooded) return hex(0x8a8271);  // a deck
    return hex(0xf3e6c4);
  }
  if (sy > 0.42 && sy <= 0.5 && sx > 0.32 && sx < 1.14) {
    const double port = std::fmod(sx * 18, 1.0) - 0.5;
    return std::hypot(port, (sy - 0.455) * 18) < 0.27 ? hex(0xf5cf5b) : hex(0xf7f5ef);
  }
  for (const double funnel : {0.48, 0.7, 0.92}) {
    const double fx = sx - funnel + 0.12 * (sy - 0.42);
    if (sy > 0.24 && sy <= 0.42 && fx > 0 && fx < 0.085) return sy < 0.28 ? steel : hex(0xd9822b);
    const double smoke = 0.16 - sy + 0.25 * (sx - funnel);
    if (sy < 0.22 && sx > funnel && std::abs(smoke) < 0.03 + 0.1 * (sx - funnel) &&
        noise(sx * 14, sy * 14) > 0.42) {
      return hex(0xb8c0c8);
    }
  }
  if (y > sea)
    return y < sea + 0.012 ? hex(0x8fc1de)
                           : mix(water, hex(0x16385a), std::floor((y - sea) * 12) / 4);
  return air;
}

Colour glass(double x, double y) {
  Colour c{0, 0, 0, 0};
  constexpr std::array tints{0xe4572eU, 0x29335cU, 0xf3a712U, 0x669bbcU, 0x7a9e3fU};
  for (int i = 0; i < 5; ++i) {
    const double angle = i * 2 * M_PI / 5 - M_PI / 2;
    const double far =
        std::hypot(x - 0.7 - 0.21 * std::cos(angle), y - 0.5 - 0.21 * std::sin(angle));
    if (far > 0.25) continue;
    Colour tint = mix(hex(tints[static_cast<std::size_t>(i)]), hex(0xffffff), 0.35 - far);
    tint.a = far > 0.24 ? 0.95 : 0.55;
    const double a = tint.a + c.a * (1 - tint.a);
    c = mix(c.a > 0 ? c : tint, tint, tint.a / a);
    c.a = a;
  }
  return c;
}

Colour mandelbrot(double x, double y) {
  const double cr = -0.7436 + (x - 0.7) * 0.011, ci = 0.1318 + (y - 0.5) * 0.011;
  double r = 0, i = 0;
  for (int turn = 0; turn < 600; ++turn) {
    const double next = r * r - i * i + cr;
    i = 2 * r * i + ci;
    r = next;
    if (r * r + i * i < 256) continue;
    const double t = (turn + 1 - std::log2(std::log2(r * r + i * i) / 2)) * 0.035;
    return {0.5 + 0.5 * std::cos(6.28 * (t + 0.55)), 0.5 + 0.5 * std::cos(6.28 * (t + 0.63)),
            0.5 + 0.45 * std::cos(6.28 * (t + 0.75))};
  }
  return hex(0x05060c);
}

Colour plasma(double x, double y) {
  const double v = std::sin(x * 7) + std::sin(y * 9 + x * 3) +
                   std::sin(std::hypot(x - 0.9, y - 0.3) * 14) + 2 * fractal(x * 3, y * 3);
  return {0.5 + 0.5 * std::sin(v * 1.7), 0.45 + 0.4 * std::sin(v * 1.7 + 1.8),
          0.6 + 0.4 * std::sin(v * 1.7 + 3.4)};
}

Colour sunset(double x, double y) {
  const auto sky = [](double sx, double sy) {
    const double far = std::hypot(sx - 0.7, (sy - 0.5) * 1.2);
    Colour c = mix(hex(0x3b2a5e), hex(0xff8a4a), sy * 1.9);
    c = mix(c, hex(0xffe08a), std::exp(-far * 5));
    const double cloud = fractal(sx * 2.5, sy * 14 + 3) - 0.5;
    return far < 0.11 ? hex(0xfff0b8) : mix(c, hex(0x8a3f5f), cloud * 2.4);
  };
  if (y < 0.55) return sky(x, y);
  const double depth = y - 0.55;
  const double ripple = (noise(x * 20 / (0.2 + depth * 2), y * 140) - 0.5) * (0.03 + depth * 0.3);
  const double glint = std::exp(-std::abs(x - 0.7) / (0.05 + depth * 0.35)) *
                       (noise(x * 9 / (0.1 + depth), y * 110) > 0.45 ? 1 : 0.25);
  return mix(mix(sky(x + ripple, 0.52 - depth * 0.8), hex(0x1a1c40), 0.45), hex(0xffc36b),
             glint * 0.8);
}

Colour aurora(double x, double y) {
  Colour c = mix(hex(0x060b22), hex(0x123a4d), y);
  const int i = static_cast<int>(x * 45), j = static_cast<int>(y * 45);
  if (hash(i, j + 9) > 0.95 && std::hypot(x * 45 - i - 0.5, y * 45 - j - 0.5) < 0.16)
    c = hex(0xe8f0ff);
  for (int curtain = 0; curtain < 3; ++curtain) {
    const double foot = 0.62 - curtain * 0.1 + 0.16 * std::sin(x * (3 + curtain) + curtain * 2.1);
    if (y > foot) continue;
    const double fold = 0.35 + 0.65 * noise(x * 26 + curtain * 40 + y * 2, curtain);
    const double glow = fold * std::exp(-(foot - y) * 5.5);
    c = mix(c, mix(hex(0x52f5a4), hex(0x9a6bff), (foot - y) * 2.4), glow * 0.75);
  }
  const double hill = 0.86 - 0.13 * fractal(x * 2.4 + 9, 1);
  const double tree = 0.05 * (1 - std::abs(std::fmod(x * 31, 1.0) * 2 - 1)) *
                      (0.4 + hash(static_cast<int>(x * 31), 5));
  return y > hill - tree ? hex(0x04070d) : c;
}

/// Seigaiha, "waves of the blue sea": overlapping rings in rows.
Colour seigaiha(double x, double y) {
  constexpr double radius = 0.13;
  constexpr std::array rings{0xf4efe2U, 0x1f4e79U, 0xf4efe2U, 0x3d7ea6U, 0xf4efe2U, 0x1f4e79U};
  for (int row = 20; row >= -1; --row) {  // lower rows lie above
    const double cy = row * radius / 2 + radius / 2, shift = row % 2 ? radius : 0;
    const double cx = std::round((x - shift) / (2 * radius)) * 2 * radius + shift;
    const double far = std::hypot(x - cx, y - cy) / radius;
    if (far < 1 && y <= cy) return hex(rings[static_cast<std::size_t>((1 - far) * 6)]);
  }
  return hex(rings[1]);
}

Colour maze(double x, double y) {
  const double gx = x * 18, gy = y * 18;
  const bool turned = hash(static_cast<int>(gx), static_cast<int>(gy)) > 0.5;
  const double u = gx - std::floor(gx), v = gy - std::floor(gy);
  const double line = std::abs(turned ? u - v : u + v - 1);
  return line < 0.2 || line > 0.85 ? hex(0x000000) : hex(0xffffff);
}

/// The beam turns with `turn` from 0 to 1.
Colour lighthouse(double x, double y, double turn) {
  Colour c = mix(hex(0x10142e), hex(0x3a3b66), std::floor(y * 9) / 9);
  const double dx = x - 0.42, dy = y - 0.27;
  const double beam = std::cos((turn) * 2 * M_PI);
  if (dx * beam > 0 && std::abs(dy) < 0.03 + 0.22 * std::abs(dx) &&
      std::abs(dx) < 1.2 * std::abs(beam)) {
    c = mix(c, hex(0xffe9a0), 0.7);
  }
  if (y > 0.78)
    c = std::fmod(y * 40 + std::sin(x * 9 + turn * 6.28), 2.0) < 0.5 ? hex(0x4d6fa0)
                                                                     : hex(0x1d2f57);
  if (y > 0.72 + 0.5 * std::pow(dx, 2) && std::abs(dx) < 0.4) c = hex(0x2a2622);
  const double half = 0.05 + 0.05 * (y - 0.3);
  if (y > 0.33 && y < 0.74 && std::abs(dx) < half)
    c = std::fmod(y * 7, 2.0) < 1 ? hex(0xd8432f) : hex(0xf3f1e7);
  if (y > 0.22 && y < 0.33 && std::abs(dx) < 0.035) c = hex(0xffe9a0);
  if (y > 0.16 && y <= 0.22 && std::abs(dx) < (y - 0.14) * 0.7) c = hex(0xd8432f);
  if (y > 0.325 && y < 0.345 && std::abs(dx) < 0.065) c = hex(0x191919);
  return c;
}

/// The flag under which the traps sail.
Colour pirate(double x, double y) {
  const double sway = 0.02 * std::sin(x * 7);
  const double dx = (x - 0.67), dy = y - 0.42 - sway;
  const Colour bone = hex(0xf2efe6);
  Colour c = mix(hex(0x23242a), hex(0x0e0f13), 0.5 + 0.5 * std::sin(x * 7 + 1));
  for (const double side : {-1.0, 1.0}) {
    const double along = (dx * side + (dy - 0.2)) / M_SQRT2,
                 across = (dx * side - (dy - 0.2)) / M_SQRT2;
    if (std::abs(across) < 0.028 && std::abs(along) < 0.33) c = bone;
    for (const double end : {-0.34, 0.34}) {
      for (const double knob : {-0.035, 0.035}) {
        if (std::hypot(along - end, across - knob) < 0.045) c = bone;
      }
    }
  }
  if (std::hypot(dx, dy * 1.05) < 0.235) c = bone;
  if (std::abs(dx) < 0.115 && dy > 0.1 && dy < 0.29)
    c = dy > 0.215 && std::fmod(std::abs(dx) + 0.0225, 0.045) < 0.008 ? hex(0x15161a) : bone;
  if (std::hypot(std::abs(dx) - 0.095, dy - 0.02) < 0.062) c = hex(0x15161a);
  if (dy > 0.085 && dy < 0.15 && std::abs(dx) < (dy - 0.075) * 0.5) c = hex(0x15161a);
  return c;
}

// The encoders. What cannot fail with our own pictures ends the program when it does.

enum class PngKind { rgb, rgba, grey, bilevel, palette };

struct PngOptions {
  PngKind kind = PngKind::rgb;
  bool interlaced = false;
  std::string order;  // for the example decoder's backdoor
};

void append(png_structp png, png_bytep data, png_size_t size) {
  static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<char*>(data), size);
}

/// The colours of an image in the order of their appearance; at most 256.
std::map<std::uint32_t, int> colours_of(const Image& image, std::vector<png_color>& palette) {
  std::map<std::uint32_t, int> index;
  for (std::size_t i = 0; i < image.rgba.size(); i += 4) {
    const auto* p = &image.rgba[i];
    const std::uint32_t key = p[0] << 16U | p[1] << 8U | p[2];
    if (index.try_emplace(key, static_cast<int>(palette.size())).second) {
      palette.push_back({p[0], p[1], p[2]});
    }
  }
  if (palette.size() > 256) die("too many colours for a palette");
  return index;
}

std::string encode_png(const Image& image, const PngOptions& options) {
  std::string file;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &file, append, nullptr);
  png_set_compression_level(png, 9);
  std::vector<png_color> palette;
  std::map<std::uint32_t, int> index;
  if (options.kind == PngKind::palette) index = colours_of(image, palette);
  const std::map<PngKind, int> types{{PngKind::rgb, PNG_COLOR_TYPE_RGB},
                                     {PngKind::rgba, PNG_COLOR_TYPE_RGBA},
                                     {PngKind::grey, PNG_COLOR_TYPE_GRAY},
                                     {PngKind::bilevel, PNG_COLOR_TYPE_GRAY},
                                     {PngKind::palette, PNG_COLOR_TYPE_PALETTE}};
  const int depth = options.kind == PngKind::bilevel ? 1 : palette.size() - 1 < 16 ? 4 : 8;
  png_set_IHDR(png, info, static_cast<png_uint_32>(image.width),
               static_cast<png_uint_32>(image.height), depth, types.at(options.kind),
               options.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (!palette.empty()) png_set_PLTE(png, info, palette.data(), static_cast<int>(palette.size()));
  png_write_info(png, info);
  if (!options.order.empty()) {
    png_write_chunk(png, reinterpret_cast<png_const_bytep>("buLk"),
                    reinterpret_cast<png_const_bytep>(options.order.data()), options.order.size());
  }
  png_set_packing(png);
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < image.rgba.size(); i += 4) {
    const auto* p = &image.rgba[i];
    switch (options.kind) {
      case PngKind::rgb:
        bytes.insert(bytes.end(), p, p + 3);
        break;
      case PngKind::rgba:
        bytes.insert(bytes.end(), p, p + 4);
        break;
      case PngKind::grey:
        bytes.push_back(p[0]);
        break;
      case PngKind::bilevel:
        bytes.push_back(p[0] > 127);
        break;
      case PngKind::palette:
        bytes.push_back(static_cast<std::uint8_t>(index.at(p[0] << 16U | p[1] << 8U | p[2])));
    }
  }
  std::vector<png_bytep> rows;
  const std::size_t stride = bytes.size() / static_cast<std::size_t>(image.height);
  for (int y = 0; y < image.height; ++y)
    rows.push_back(&bytes[static_cast<std::size_t>(y) * stride]);
  png_write_image(png, rows.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return file;
}

std::string encode_jpeg(const Image& image, int quality, bool progressive) {
  jpeg_compress_struct jpeg;
  jpeg_error_mgr errors;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &data, &size);
  jpeg.image_width = static_cast<JDIMENSION>(image.width);
  jpeg.image_height = static_cast<JDIMENSION>(image.height);
  jpeg.input_components = 4;
  jpeg.in_color_space = JCS_EXT_RGBA;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, quality, TRUE);
  jpeg.optimize_coding = TRUE;
  if (progressive) jpeg_simple_progression(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    auto* row = const_cast<JSAMPLE*>(&image.rgba[jpeg.next_scanline * jpeg.image_width * 4U]);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  std::string file(reinterpret_cast<char*>(data), size);
  jpeg_destroy_compress(&jpeg);
  std::free(data);
  return file;
}

int append_gif(GifFileType* gif, const GifByteType* data, int size) {
  static_cast<std::string*>(gif->UserData)->append(reinterpret_cast<const char*>(data), size);
  return size;
}

/// All frames of one size; the palette is giflib's choice for all of them together.
std::string encode_gif(const std::vector<Image>& frames) {
  std::vector<GifByteType> planes[3];
  for (const Image& frame : frames) {
    for (std::size_t i = 0; i < frame.rgba.size(); ++i) {
      if (i % 4 != 3) planes[i % 4].push_back(frame.rgba[i]);
    }
  }
  int colours = 256;
  ColorMapObject* map = GifMakeMapObject(colours, nullptr);
  std::vector<GifByteType> indices(planes[0].size());
  const auto height =
      static_cast<unsigned>(frames.size()) * static_cast<unsigned>(frames[0].height);
  GifQuantizeBuffer(static_cast<unsigned>(frames[0].width), height, &colours, planes[0].data(),
                    planes[1].data(), planes[2].data(), indices.data(), map->Colors);
  std::string file;
  int error = 0;
  GifFileType* gif = EGifOpen(&file, append_gif, &error);
  EGifSetGifVersion(gif, true);
  EGifPutScreenDesc(gif, frames[0].width, frames[0].height, 8, 0, map);
  const GifByteType* from = indices.data();
  for (const Image& frame : frames) {
    const GifByteType control[] = {4, 12, 0, 0};  // keep, 120 ms
    if (frames.size() > 1) EGifPutExtension(gif, GRAPHICS_EXT_FUNC_CODE, 4, control);
    EGifPutImageDesc(gif, 0, 0, frame.width, frame.height, false, nullptr);
    for (int y = 0; y < frame.height; ++y, from += frame.width) {
      if (EGifPutLine(gif, const_cast<GifPixelType*>(from), frame.width) != GIF_OK) die("GIF");
    }
  }
  EGifCloseFile(gif, &error);
  GifFreeMapObject(map);
  return file;
}

std::string encode_webp(const Image& image, bool lossless) {
  std::uint8_t* data = nullptr;
  const int stride = image.width * 4;
  const std::size_t size =
      lossless ? WebPEncodeLosslessRGBA(image.rgba.data(), image.width, image.height, stride, &data)
               : WebPEncodeRGBA(image.rgba.data(), image.width, image.height, stride, 80, &data);
  if (size == 0) die("WebP");
  std::string file(reinterpret_cast<char*>(data), size);
  WebPFree(data);
  return file;
}

// The damage.

std::string cut(const std::string& file, double share) {
  return file.substr(0, static_cast<std::size_t>(static_cast<double>(file.size()) * share));
}

std::string flip(std::string file, double where, unsigned bit) {
  auto& byte = file[static_cast<std::size_t>(static_cast<double>(file.size()) * where)];
  byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1U << bit));
  return file;
}

void write_nothing(png_structp) {}

/// The head of a PNG of 60,000 x 60,000 pixels of four bytes: 14 GB for whoever believes it. The
/// pixels end after the first few rows; a whole one would be only some 15 MB.
std::string bomb() {
  std::string file;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &file, append, write_nothing);
  png_set_compression_buffer_size(png, 256);  // chunks of that size, so that some get written
  png_set_IHDR(png, info, 60000, 60000, 8, PNG_COLOR_TYPE_RGBA, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  std::vector<png_byte> row(60000 * 4);
  for (int y = 0; y < 8; ++y) png_write_row(png, row.data());
  png_write_flush(png);
  png_destroy_write_struct(&png, &info);
  return file;
}

void save(const std::filesystem::path& folder, const std::string& name, const std::string& bytes) {
  std::ofstream out(folder / name, std::ios::binary);
  if (!out.write(bytes.data(), static_cast<std::streamsize>(bytes.size())).flush())
    die("cannot write " + name);
  std::cout << name << ": " << bytes.size() << " bytes\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) die("usage: make_images FOLDER");
  const std::filesystem::path folder = argv[1];

  const std::string mountain_png = encode_png(render(320, 224, mountains), {});
  const std::string sunset_jpeg = encode_jpeg(render(320, 224, sunset), 82, false);
  const std::string aurora_webp = encode_webp(render(320, 224, aurora), false);
  const std::string mandelbrot_gif = encode_gif({render(240, 168, mandelbrot)});
  const std::string plasma_jpeg = encode_jpeg(render(320, 224, plasma), 80, true);
  std::vector<Image> frames;
  for (int i = 0; i < 12; ++i) {
    frames.push_back(
        render(160, 160, [i](double x, double y) { return lighthouse(x, y, i / 12.0); }, 1));
  }
  save(folder, "aurora.webp", aurora_webp);
  save(folder, "bulkheads.png",
       encode_png(render(336, 230, bulkheads, 1), {.kind = PngKind::palette, .order = {}}));
  save(folder, "glass.png",
       encode_png(render(300, 215, glass), {.kind = PngKind::rgba, .order = {}}));
  save(folder, "lighthouse.gif", encode_gif(frames));
  save(folder, "mandelbrot.gif", mandelbrot_gif);
  save(folder, "maze.png",
       encode_png(render(400, 280, maze, 1), {.kind = PngKind::bilevel, .order = {}}));
  save(
      folder, "moon.png",
      encode_png(render(280, 210, moon), {.kind = PngKind::grey, .interlaced = true, .order = {}}));
  save(folder, "mountains.png", mountain_png);
  save(folder, "plasma.jpg", plasma_jpeg);
  save(folder, "seigaiha.webp", encode_webp(render(320, 224, seigaiha), true));
  save(folder, "sunset.jpg", sunset_jpeg);

  for (const std::string order : {"crash", "spin", "eat", "open", "socket"}) {
    save(folder, "trap-" + order + ".png",
         encode_png(render(160, 120, pirate, 2), {.order = order}));
  }
  save(folder, "wreck-bomb.png", bomb());
  save(folder, "wreck-cut-short.jpg", cut(sunset_jpeg, 0.55));
  save(folder, "wreck-cut-short.png", cut(mountain_png, 0.6));
  save(folder, "wreck-flipped.gif", flip(mandelbrot_gif, 0.3, 6));
  save(folder, "wreck-flipped.jpg", flip(sunset_jpeg, 0.15, 6));
  save(folder, "wreck-flipped.png", flip(mountain_png, 0.5, 2));
  save(folder, "wreck-flipped.webp", flip(aurora_webp, 0.5, 6));
  save(folder, "wreck-text.png", "This is no image, whatever its name says.\n");
}
