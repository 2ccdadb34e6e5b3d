// SPDX-License-Identifier: Apache-2.0
//
// For plugins written in C++: a class with three functions becomes the table of plugin_abi.h.
//
//   struct Picture : porthole::plugin::Document { ... measure, render ... };
//   PORTHOLE_PLUGIN("picture", Picture, "image/x-picture")
//
// A Document refuses by throwing Refusal; no exception leaves the plugin. It is given all bytes at
// once. Header only, and for plugins only: the host does not include it.
#pragma once

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "plugin/plugin_abi.h"

namespace porthole::plugin {

/// Thrown by a Document: a status of plugin_abi.h, and one line for people.
struct Refusal {
  std::int32_t status = PORTHOLE_INVALID;
  std::string why{};
};

/// Rows of pixels in the host's buffer, as plugin_abi.h describes them.
struct Canvas {
  std::uint8_t* pixels = nullptr;
  std::size_t stride = 0;
  std::int32_t width = 0;
  std::int32_t height = 0;

  std::uint8_t* row(std::int32_t y) const { return pixels + static_cast<std::size_t>(y) * stride; }
};

struct Measure {
  std::int32_t width = 0;
  std::int32_t height = 0;
  std::size_t text_bytes = 0;
};

class Document {
 public:
  Document() = default;
  Document(const Document&) = delete;
  Document& operator=(const Document&) = delete;
  virtual ~Document() = default;

  /// First, once. `bytes` stay until the Document goes.
  virtual Measure measure(std::string_view mime_type, std::string_view bytes,
                          const porthole_request& request) = 0;
  virtual void render(Canvas canvas) { static_cast<void>(canvas); }
  virtual void text(char* buffer) { static_cast<void>(buffer); }
};

namespace detail {

/// What the host knows as porthole_document.
struct Open {
  std::unique_ptr<Document> document{};
  std::string mime_type{};
  porthole_request request{};
  std::string_view bytes{};
  std::string joined{};  // when it was fed in several pieces
  bool fed = false;
  Measure measure{};
  std::string why{};
};

inline Open& opened(porthole_document* document) { return *reinterpret_cast<Open*>(document); }

template <class Step> std::int32_t guarded(Open& open, Step&& step) noexcept {
  try {
    step();
    return PORTHOLE_OK;
  } catch (Refusal& refusal) {
    open.why = std::move(refusal.why);
    return refusal.status;
  } catch (const std::bad_alloc&) {
    return PORTHOLE_NO_MEMORY;
  } catch (...) {
    return PORTHOLE_INVALID;
  }
}

template <class Kind>
std::int32_t open(const char* mime_type, const porthole_request* request,
                  porthole_document** document) noexcept {
  try {
    auto made = std::make_unique<Open>();
    made->document = std::make_unique<Kind>();
    made->mime_type = mime_type;
    made->request = *request;
    *document = reinterpret_cast<porthole_document*>(made.release());
    return PORTHOLE_OK;
  } catch (...) {
    return PORTHOLE_NO_MEMORY;
  }
}

inline std::int32_t feed(porthole_document* document, const void* bytes,
                         std::size_t size) noexcept {
  Open& open = opened(document);
  return guarded(open, [&] {
    const std::string_view piece{static_cast<const char*>(bytes), size};
    if (std::exchange(open.fed, true)) {
      if (open.joined.empty()) open.joined = open.bytes;
      open.joined += piece;
      open.bytes = open.joined;
    } else {
      open.bytes = piece;
    }
  });
}

inline std::int32_t finish(porthole_document* document, porthole_measure* measure) noexcept {
  Open& open = opened(document);
  return guarded(open, [&] {
    open.measure = open.document->measure(open.mime_type, open.bytes, open.request);
    measure->width = open.measure.width;
    measure->height = open.measure.height;
    measure->text_bytes = open.measure.text_bytes;
  });
}

inline std::int32_t render(porthole_document* document, void* pixels, std::size_t stride) noexcept {
  Open& open = opened(document);
  return guarded(open, [&] {
    open.document->render({.pixels = static_cast<std::uint8_t*>(pixels),
                           .stride = stride,
                           .width = open.measure.width,
                           .height = open.measure.height});
  });
}

inline std::int32_t text(porthole_document* document, char* buffer, std::size_t) noexcept {
  Open& open = opened(document);
  return guarded(open, [&] { open.document->text(buffer); });
}

inline std::size_t explain(const porthole_document* document, char* buffer,
                           std::size_t size) noexcept {
  const auto& why = reinterpret_cast<const Open*>(document)->why;
  const auto count = std::min(size, why.size());
  std::memcpy(buffer, why.data(), count);
  return count;
}

inline void close(porthole_document* document) noexcept {
  delete reinterpret_cast<Open*>(document);
}

template <class Kind>
constexpr porthole_plugin table(const char* name, const char* const* mime_types) {
  return {.size = sizeof(porthole_plugin),
          .version = PORTHOLE_PLUGIN_VERSION,
          .name = name,
          .mime_types = mime_types,
          .open = open<Kind>,
          .feed = feed,
          .finish = finish,
          .render = render,
          .text = text,
          .explain = explain,
          .close = close};
}

}  // namespace detail
}  // namespace porthole::plugin

/// Once in a plugin, outside of every namespace: its name, its Document and its MIME types.
#define PORTHOLE_PLUGIN(name, Kind, ...)                            \
  extern "C" const porthole_plugin* porthole_plugin_table(void) {   \
    static const char* const mime_types[] = {__VA_ARGS__, nullptr}; \
    static const porthole_plugin table =                            \
        ::porthole::plugin::detail::table<Kind>(name, mime_types);  \
    return &table;                                                  \
  }
