// SPDX-License-Identifier: Apache-2.0
#include <csignal>
#include <cstring>
#include <ostream>
#include <sstream>

#include <bulkhead/exit.hpp>

namespace bulkhead {
namespace {

std::string with_detail(std::string text, const std::string& detail, const char* between) {
  if (!detail.empty()) text += between + detail;
  return text;
}

}  // namespace

std::string signal_name(int signal) {
  if (const char* name = ::sigabbrev_np(signal)) return std::string("SIG") + name;
  return "signal " + std::to_string(signal);
}

std::string to_string(const Exit& exit) {
  switch (exit.cause) {
    case Exit::Cause::code:
      return "exit code " + std::to_string(exit.code);
    case Exit::Cause::signal: {
      std::ostringstream text;
      text << signal_name(exit.signal);
      if (exit.fault_address) text << " at 0x" << std::hex << *exit.fault_address;
      // An exception that nobody caught.
      if (!exit.detail.empty()) text << " (" << exit.detail << ")";
      return std::move(text).str();
    }
    case Exit::Cause::out_of_memory:
      return exit.detail.empty() ? "out of memory" : "out of memory (" + exit.detail + ")";
    case Exit::Cause::resource_limit:
      return with_detail("resource limit", exit.detail, ": ");
    case Exit::Cause::sandbox_violation:
      return with_detail("sandbox violation", exit.detail, ": ");
    case Exit::Cause::hang:
      return with_detail("hang", exit.detail, ": ");
    case Exit::Cause::never_started:
      return with_detail("never started", exit.detail, ": ");
    case Exit::Cause::unknown:
      return with_detail("exit status unknown", exit.detail, ": ");
  }
  return "exit status unknown";
}

std::ostream& operator<<(std::ostream& out, const Exit& exit) { return out << to_string(exit); }

}  // namespace bulkhead
