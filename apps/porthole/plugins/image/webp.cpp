// SPDX-License-Identifier: Apache-2.0
// WebP, with libwebp, straight into the canvas. Of animations the first frame is shown.
#include <memory>
#include <webp/decode.h>
#include <webp/demux.h>

#include "formats.hpp"

namespace porthole::image {
namespace {

Refusal in_words(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      return damaged("WebP", "ends early");
    case VP8_STATUS_BITSTREAM_ERROR:
      return damaged("WebP", "damaged: no valid bit stream");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return damaged("WebP", "damaged: an unknown feature");
    case VP8_STATUS_OUT_OF_MEMORY:
      return {PORTHOLE_NO_MEMORY, "WebP needs more memory than there is"};
    default:
      return damaged("WebP", "damaged: libwebp status " + std::to_string(status));
  }
}

WebPBitstreamFeatures features_of(std::string_view bytes) {
  WebPBitstreamFeatures features;
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const VP8StatusCode status = WebPGetFeatures(data, bytes.size(), &features);
  if (status != VP8_STATUS_OK) throw in_words(status);
  return features;
}

/// Decodes one still picture to where it lies on the canvas; it must fit.
void draw_still(const std::uint8_t* data, std::size_t size, const Canvas& canvas, int left,
                int top) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) throw damaged("WebP", "decoder is another than expected");
  std::uint8_t* const first = canvas.row(top) + static_cast<std::ptrdiff_t>(left) * 4;
  const std::uint8_t* const end = canvas.row(canvas.height - 1) + std::ptrdiff_t{4} * canvas.width;
  config.output.colorspace = MODE_bgrA;  // premultiplied
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {.rgba = first,
                          .stride = static_cast<int>(canvas.stride),
                          .size = static_cast<std::size_t>(end - first)};
  const VP8StatusCode status = WebPDecode(data, size, &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK) throw in_words(status);
}

struct CloseDemuxer {
  void operator()(WebPDemuxer* demuxer) const { WebPDemuxDelete(demuxer); }
};

struct Frame {
  WebPIterator iterator{};

  Frame() = default;
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  ~Frame() { WebPDemuxReleaseIterator(&iterator); }
};

void draw_first_frame(std::string_view bytes, const Canvas& canvas) {
  const WebPData data{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  const std::unique_ptr<WebPDemuxer, CloseDemuxer> demuxer(WebPDemux(&data));
  Frame frame;
  if (!demuxer || !WebPDemuxGetFrame(demuxer.get(), 1, &frame.iterator)) {
    throw damaged("WebP", "damaged: no whole first frame");
  }
  const WebPIterator& first = frame.iterator;
  if (first.x_offset < 0 || first.y_offset < 0 || first.width > canvas.width - first.x_offset ||
      first.height > canvas.height - first.y_offset) {
    throw damaged("WebP", "damaged: a frame beside its canvas");
  }
  draw_still(first.fragment.bytes, first.fragment.size, canvas, first.x_offset, first.y_offset);
}

PictureSize measure(std::string_view bytes) {
  const auto features = features_of(bytes);
  return {static_cast<std::uint32_t>(features.width), static_cast<std::uint32_t>(features.height)};
}

void draw(std::string_view bytes, Canvas canvas) {
  if (features_of(bytes).has_animation) return draw_first_frame(bytes, canvas);
  draw_still(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), canvas, 0, 0);
}

}  // namespace

const Format webp{.name = "WebP", .measure = measure, .draw = draw};

}  // namespace porthole::image
