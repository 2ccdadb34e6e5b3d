// SPDX-License-Identifier: Apache-2.0
#include "plugin/loaded_plugin.hpp"

#include <algorithm>
#include <array>
#include <dlfcn.h>
#include <utility>

namespace porthole {
namespace {

using bulkhead::ErrorKind;
using bulkhead::fail;
using bulkhead::Region;
using bulkhead::Result;

constexpr std::uint64_t max_text_bytes = std::uint64_t{32} << 20;
constexpr std::size_t max_mime_types = 64;

std::unexpected<bulkhead::Error> refuse(ErrorKind kind, const std::string& file,
                                        std::string cause) {
  return fail(kind, {.operation = "load", .object = file, .cause = std::move(cause)});
}

bool is_whole(const porthole_plugin& table) {
  return table.name && table.mime_types && table.open && table.feed && table.finish &&
         (table.render || table.text) && table.explain && table.close;
}

ErrorKind kind_of(std::int32_t status) {
  switch (status) {
    case PORTHOLE_TOO_LARGE:
      return ErrorKind::too_large;
    case PORTHOLE_UNSUPPORTED:
      return ErrorKind::unsupported;
    case PORTHOLE_NO_MEMORY:
      return ErrorKind::exhausted;
    default:
      return ErrorKind::invalid;
  }
}

/// A document under way. Closed when it goes.
class Document {
 public:
  Document(const porthole_plugin& table, std::string_view plugin)
      : table_(table), plugin_(plugin) {}
  Document(const Document&) = delete;
  Document& operator=(const Document&) = delete;
  ~Document() {
    if (document_) table_.close(document_);
  }

  Result<void> open(const std::string& mime_type, Size wanted) {
    const auto side = [](std::int32_t length) { return std::clamp(length, 0, max_picture_side); };
    const porthole_request request{.size = sizeof(porthole_request),
                                   .wanted_width = side(wanted.width),
                                   .wanted_height = side(wanted.height),
                                   .max_side = max_picture_side,
                                   .max_pixels = max_picture_pixels,
                                   .max_text_bytes = max_text_bytes};
    BULKHEAD_TRY(check(table_.open(mime_type.c_str(), &request, &document_)));
    return document_ ? Result<void>{} : nonsense("opened a document that is none");
  }

  Result<porthole_measure> read(bulkhead::Bytes bytes) {
    BULKHEAD_TRY(check(table_.feed(document_, bytes.data(), bytes.size())));
    porthole_measure measure{};
    measure.size = sizeof measure;
    BULKHEAD_TRY(check(table_.finish(document_, &measure)));
    BULKHEAD_TRY(check_measure(measure));
    return measure;
  }

  Result<Region> pixels(const porthole_measure& measure) {
    const auto stride = static_cast<std::size_t>(measure.width) * 4;
    auto region = BULKHEAD_TRY(
        Region::create(stride * static_cast<std::size_t>(measure.height), {.name = "picture"}));
    BULKHEAD_TRY(check(table_.render(document_, region.mutable_bytes().data(), stride)));
    BULKHEAD_TRY(region.freeze());
    return region;
  }

  Result<std::string> text(const porthole_measure& measure) {
    std::string text(measure.text_bytes, '\0');
    BULKHEAD_TRY(check(table_.text(document_, text.data(), text.size())));
    return text;
  }

 private:
  Result<void> check(std::int32_t status) const {
    if (status == PORTHOLE_OK) return {};
    std::string why = explain();
    if (why.empty() && status == PORTHOLE_NO_MEMORY) {
      why = "it needs more memory than the plugin " + std::string{plugin_} + " may use";
    }
    return fail(kind_of(status), {.cause = std::move(why)});
  }

  /// TRUST: one line, in printable characters, whatever the plugin wrote.
  std::string explain() const {
    if (!document_) return {};
    std::array<char, 200> text{};
    const auto size = std::min(table_.explain(document_, text.data(), text.size()), text.size());
    std::ranges::replace_if(text, [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; }, ' ');
    return {text.data(), size};
  }

  std::unexpected<bulkhead::Error> nonsense(const std::string& what,
                                            ErrorKind kind = ErrorKind::invalid) const {
    return fail(kind, {.cause = "the plugin " + std::string{plugin_} + " " + what});
  }

  /// TRUST: before anything is computed from these numbers.
  Result<void> check_measure(const porthole_measure& measure) const {
    const auto [size, width, height, text_bytes] = measure;
    const bool has_picture = width != 0 || height != 0;
    if (width < 0 || height < 0 || (has_picture && (width == 0 || height == 0))) {
      return nonsense("answered a size that no picture has");
    }
    if (width > max_picture_side || height > max_picture_side ||
        std::int64_t{width} * height > max_picture_pixels || text_bytes > max_text_bytes) {
      return nonsense("answered a size beyond what it was allowed", ErrorKind::too_large);
    }
    if ((has_picture && !table_.render) || (text_bytes > 0 && !table_.text)) {
      return nonsense("promised what it cannot do");
    }
    if (!has_picture && text_bytes == 0) return nonsense("made nothing of the document");
    return {};
  }

  const porthole_plugin& table_;
  std::string_view plugin_;
  porthole_document* document_ = nullptr;
};

}  // namespace

LoadedPlugin::LoadedPlugin(const porthole_plugin& table) : table_(&table), name_(table.name) {
  for (const char* const* type = table.mime_types; *type; ++type) {
    if (mime_types_.size() == max_mime_types) break;
    mime_types_.emplace_back(*type);
  }
}

Result<LoadedPlugin> LoadedPlugin::load(const std::string& file) {
  void* const object = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!object) return refuse(ErrorKind::not_found, file, ::dlerror());
  auto* const table_of =
      reinterpret_cast<decltype(&porthole_plugin_table)>(::dlsym(object, "porthole_plugin_table"));
  if (!table_of) {
    return refuse(ErrorKind::incompatible, file, "it has no porthole_plugin_table");
  }
  const porthole_plugin* const table = table_of();
  if (!table || table->size < sizeof(porthole_plugin) ||
      table->version != PORTHOLE_PLUGIN_VERSION) {
    return refuse(ErrorKind::incompatible, file, "its table is of another version");
  }
  if (!is_whole(*table)) return refuse(ErrorKind::incompatible, file, "its table has gaps");
  return LoadedPlugin{*table};
}

Result<PluginOutput> LoadedPlugin::render(const std::string& mime_type, bulkhead::Bytes bytes,
                                          Size wanted) const {
  if (std::ranges::find(mime_types_, mime_type) == mime_types_.end()) {
    return fail(ErrorKind::unsupported,
                {.cause = "the plugin " + name_ + " does not show " + mime_type});
  }
  Document document{*table_, name_};
  BULKHEAD_TRY(document.open(mime_type, wanted));
  const auto measure = BULKHEAD_TRY(document.read(bytes));
  PluginOutput output;
  if (measure.width > 0) {
    output.size = {measure.width, measure.height};
    output.pixels = BULKHEAD_TRY(document.pixels(measure));
  }
  if (measure.text_bytes > 0) output.html = BULKHEAD_TRY(document.text(measure));
  return output;
}

}  // namespace porthole
