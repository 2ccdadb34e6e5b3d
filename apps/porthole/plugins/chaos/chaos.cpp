// SPDX-License-Identifier: Apache-2.0
//
// The chaos plugin, for tests: it misbehaves while it renders, in the one way that the end of its MIME
// type says (image/x-chaos-crash), or the document itself (image/x-chaos, "crash"); "calm" does not.
// With CHAOS_WHILE_LOADING=what in its environment it does so already while it is loaded, and
// with CHAOS_TABLE=what its table is wrong in one way.
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plugin/adapter.hpp"

namespace porthole::chaos {
namespace {

using plugin::Canvas;
using plugin::Measure;

volatile std::uintptr_t nowhere = 0x10;
void* volatile kept = nullptr;

[[noreturn]] void loop() {
  for (volatile unsigned turns = 0;;) turns = turns + 1;
}

/// Written to, or it would cost nothing.
void eat_memory() {
  for (;;) {
    constexpr std::size_t bite = std::size_t{8} << 20;
    void* const memory = std::malloc(bite);
    if (!memory) throw std::bad_alloc{};
    std::memset(memory, 1, bite);
    kept = memory;
  }
}

void misbehave(std::string_view how) {
  if (how == "crash") *reinterpret_cast<volatile int*>(nowhere) = 1;
  if (how == "loop") loop();
  if (how == "memory") eat_memory();
  if (how == "open-file") static_cast<void>(::open("/etc/passwd", O_RDONLY | O_CLOEXEC));
  if (how == "socket") static_cast<void>(::syscall(SYS_socket, AF_INET, SOCK_STREAM, 0));
  if (how == "exit") ::_exit(3);
  if (how == "exec") ::execl("/bin/sh", "sh", "-c", "exit 0", nullptr);
  if (how == "load") static_cast<void>(::dlopen("libBrokenLocale.so.1", RTLD_NOW));
}

class Document final : public plugin::Document {
 public:
  Measure measure(std::string_view mime_type, std::string_view bytes,
                  const porthole_request&) override {
    constexpr std::string_view mark = "x-chaos-";
    const auto at = mime_type.find(mark);
    how_ = at == mime_type.npos ? bytes.substr(0, bytes.find_last_not_of(" \n") + 1)
                                : mime_type.substr(at + mark.size());
    if (how_ == "wrong-size") return {.width = -1, .height = 1 << 30};
    return {.width = 16, .height = 16};
  }

  void render(Canvas canvas) override {
    misbehave(how_);
    std::memset(canvas.pixels, 0xff, canvas.stride * static_cast<std::size_t>(canvas.height));
  }

 private:
  std::string how_;
};

[[gnu::constructor]] void while_loading() {
  const char* const how = std::getenv("CHAOS_WHILE_LOADING");
  if (how) misbehave(how);
}

const char* const mime_types[] = {"application/x-chaos",
                                  "application/x-chaos-crash",
                                  "application/x-chaos-loop",
                                  "application/x-chaos-memory",
                                  "application/x-chaos-wrong-size",
                                  "application/x-chaos-open-file",
                                  "application/x-chaos-socket",
                                  "application/x-chaos-exit",
                                  "application/x-chaos-exec",
                                  "application/x-chaos-load",
                                  "application/x-chaos-calm",
                                  "image/x-chaos",
                                  "image/x-chaos-crash",
                                  "image/x-chaos-loop",
                                  "image/x-chaos-memory",
                                  "image/x-chaos-wrong-size",
                                  "image/x-chaos-open-file",
                                  "image/x-chaos-socket",
                                  "image/x-chaos-exit",
                                  "image/x-chaos-exec",
                                  "image/x-chaos-load",
                                  "image/x-chaos-calm",
                                  nullptr};

const porthole_plugin* table_as(std::string_view how) {
  static porthole_plugin table = plugin::detail::table<Document>("chaos", mime_types);
  if (how == "none") return nullptr;
  if (how == "version") table.version = 99;
  if (how == "small") table.size = 8;
  if (how == "gaps") table.feed = nullptr;
  return &table;
}

}  // namespace
}  // namespace porthole::chaos

extern "C" const porthole_plugin* porthole_plugin_table(void) {
  const char* const how = std::getenv("CHAOS_TABLE");
  return porthole::chaos::table_as(how ? how : "");
}
