// SPDX-License-Identifier: Apache-2.0
// WebP, with libwebp, which shrinks while it decodes. Of animations the first frame is shown.
#include <memory>
#include <utility>
#include <webp/decode.h>
#include <webp/demux.h>

#include "formats.hpp"
#include "shrink.hpp"

namespace contact_sheet {
namespace {

using bulkhead::Result;

std::string in_words(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      return "ends early";
    case VP8_STATUS_BITSTREAM_ERROR:
      return "damaged: no valid bit stream";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "damaged: an unknown feature";
    case VP8_STATUS_OUT_OF_MEMORY:
      return "needs more memory than there is";
    default:
      return "damaged: libwebp status " + std::to_string(status);
  }
}

/// Decodes one still image straight to the size of the thumbnail.
Result<void> decode_still(const std::uint8_t* data, std::size_t size, Picture& picture) {
  picture.rgba.resize(std::size_t{picture.thumbnail.width} * picture.thumbnail.height * 4);
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config))
    return bulkhead::fail(damaged("WebP", "decoder is another than expected"));
  config.options.use_scaling = 1;
  config.options.scaled_width = static_cast<int>(picture.thumbnail.width);
  config.options.scaled_height = static_cast<int>(picture.thumbnail.height);
  config.output.colorspace = MODE_RGBA;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {.rgba = picture.rgba.data(),
                          .stride = static_cast<int>(picture.thumbnail.width * 4),
                          .size = picture.rgba.size()};
  const VP8StatusCode status = WebPDecode(data, size, &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK) return bulkhead::fail(damaged("WebP", in_words(status)));
  return {};
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

Result<void> decode_first_frame(std::string_view bytes, const Limits& limits, Picture& picture) {
  const WebPData data{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  const std::unique_ptr<WebPDemuxer, CloseDemuxer> demuxer(WebPDemux(&data));
  Frame frame;
  if (!demuxer || !WebPDemuxGetFrame(demuxer.get(), 1, &frame.iterator)) {
    return bulkhead::fail(damaged("WebP", "damaged: no whole first frame"));
  }
  const WebPIterator& first = frame.iterator;
  const Size size{static_cast<std::uint32_t>(first.width),
                  static_cast<std::uint32_t>(first.height)};
  BULKHEAD_TRY(check_size("WebP", size, limits));
  picture.thumbnail = fit(size, limits.box);
  picture.remark = "first of " + std::to_string(first.num_frames) + " frames";
  return decode_still(first.fragment.bytes, first.fragment.size, picture);
}

}  // namespace

Result<Picture> decode_webp(std::string_view bytes, const Limits& limits) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  WebPBitstreamFeatures features;
  const VP8StatusCode status = WebPGetFeatures(data, bytes.size(), &features);
  if (status != VP8_STATUS_OK) return bulkhead::fail(damaged("WebP", in_words(status)));
  const Size size{static_cast<std::uint32_t>(features.width),
                  static_cast<std::uint32_t>(features.height)};
  BULKHEAD_TRY(check_size("WebP", size, limits));
  Picture picture{.size = size, .format = "WebP", .thumbnail = fit(size, limits.box)};
  if (features.has_animation) {
    BULKHEAD_TRY(decode_first_frame(bytes, limits, picture));
  } else {
    BULKHEAD_TRY(decode_still(data, bytes.size(), picture));
  }
  return picture;
}

}  // namespace contact_sheet
