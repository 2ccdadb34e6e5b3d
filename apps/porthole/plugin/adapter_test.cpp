// SPDX-License-Identifier: Apache-2.0
//
// The table that adapter.hpp makes of a class, called as a host may call it.
#include "plugin/adapter.hpp"

#include <gtest/gtest.h>
#include <stdexcept>
#include <vector>

namespace porthole::plugin {
namespace {

/// Gives back what it was fed, in upper case.
class Shout final : public Document {
 public:
  Measure measure(std::string_view mime_type, std::string_view bytes,
                  const porthole_request& request) override {
    if (mime_type == "text/x-refused") throw Refusal{PORTHOLE_UNSUPPORTED, "not this one"};
    if (mime_type == "text/x-memory") throw std::bad_alloc{};
    if (mime_type == "text/x-thrown") throw std::runtime_error{"unexpected"};
    bytes_ = bytes;
    return {.width = request.wanted_width, .height = 1, .text_bytes = bytes.size()};
  }
  void render(Canvas canvas) override { canvas.row(0)[0] = 7; }
  void text(char* buffer) override {
    for (const char c : bytes_) *buffer++ = static_cast<char>(c - 'a' + 'A');
  }

 private:
  std::string_view bytes_;
};

}  // namespace
}  // namespace porthole::plugin

PORTHOLE_PLUGIN("shout", porthole::plugin::Shout, "text/plain", "text/x-refused")

namespace porthole::plugin {
namespace {

struct Opened {
  explicit Opened(const char* mime_type) {
    porthole_request request{};
    request.size = sizeof request;
    request.wanted_width = 3;
    EXPECT_EQ(table->open(mime_type, &request, &document), PORTHOLE_OK);
    measure.size = sizeof measure;
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  ~Opened() { table->close(document); }

  const porthole_plugin* table = porthole_plugin_table();
  porthole_document* document = nullptr;
  porthole_measure measure{};
};

TEST(adapter, makes_a_whole_table) {
  const porthole_plugin& table = *porthole_plugin_table();
  EXPECT_EQ(table.size, sizeof(porthole_plugin));
  EXPECT_EQ(table.version, PORTHOLE_PLUGIN_VERSION);
  EXPECT_STREQ(table.name, "shout");
  EXPECT_STREQ(table.mime_types[1], "text/x-refused");
  EXPECT_EQ(table.mime_types[2], nullptr);
}

TEST(adapter, joins_what_is_fed_in_pieces) {
  using Pieces = std::vector<std::string>;
  for (const Pieces& pieces :
       {Pieces{"shout"}, Pieces{"s", "ho", "ut"}, Pieces{}, Pieces{"", "a"}}) {
    Opened open{"text/plain"};
    std::string whole;
    for (const auto& piece : pieces) {
      EXPECT_EQ(open.table->feed(open.document, piece.data(), piece.size()), PORTHOLE_OK);
      whole += piece;
    }
    ASSERT_EQ(open.table->finish(open.document, &open.measure), PORTHOLE_OK);
    EXPECT_EQ(open.measure.text_bytes, whole.size());
    EXPECT_EQ(open.measure.width, 3);
    std::string text(whole.size(), ' ');
    EXPECT_EQ(open.table->text(open.document, text.data(), text.size()), PORTHOLE_OK);
    for (char& c : whole) c = static_cast<char>(c - 'a' + 'A');
    EXPECT_EQ(text, whole);
    std::uint8_t row[12] = {};
    EXPECT_EQ(open.table->render(open.document, row, sizeof row), PORTHOLE_OK);
    EXPECT_EQ(row[0], 7);
  }
}

TEST(adapter, turns_exceptions_into_answers) {
  const auto answer = [](const char* mime_type, std::string& why) {
    Opened open{mime_type};
    const auto status = open.table->finish(open.document, &open.measure);
    char text[8] = {};  // shorter than the reason
    why.assign(text, open.table->explain(open.document, text, sizeof text));
    return status;
  };
  std::string why;
  EXPECT_EQ(answer("text/x-refused", why), PORTHOLE_UNSUPPORTED);
  EXPECT_EQ(why, "not this");
  EXPECT_EQ(answer("text/x-memory", why), PORTHOLE_NO_MEMORY);
  EXPECT_EQ(answer("text/x-thrown", why), PORTHOLE_INVALID);
  EXPECT_EQ(why, "");
}

}  // namespace
}  // namespace porthole::plugin
