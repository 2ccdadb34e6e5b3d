// SPDX-License-Identifier: Apache-2.0
#include "bench/advice_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <bulkhead/fd.hpp>

#include "bench/placement.hpp"

namespace bulkhead::bench {

namespace {

using Json = nlohmann::json;

constexpr int format = 1;
constexpr std::size_t most_bytes = 1 << 20;  // of the file; what is written has some ten thousand
constexpr std::size_t most_lines = 200;
constexpr std::size_t most_paces = 16;
constexpr std::size_t longest_text = 1000;

/// What does not hold; caught where the file's text is judged.
struct Unbelievable {
  const char* what;
};

const Json& field(const Json& object, const char* name) {
  if (!object.is_object()) throw Unbelievable{"something that is no object"};
  const auto found = object.find(name);
  if (found == object.end()) throw Unbelievable{name};
  return *found;
}

std::string text(const Json& object, const char* name) {
  const Json& value = field(object, name);
  if (!value.is_string()) throw Unbelievable{name};
  auto words = value.get<std::string>();
  const bool printable = std::none_of(words.begin(), words.end(), [](char byte) {
    return static_cast<unsigned char>(byte) < 32 || byte == 127;
  });
  if (!printable || words.size() > longest_text) throw Unbelievable{name};
  return words;
}

double number(const Json& object, const char* name, double least, double most) {
  const Json& value = field(object, name);
  if (!value.is_number()) throw Unbelievable{name};
  const double figure = value.get<double>();
  if (!(figure >= least && figure <= most)) throw Unbelievable{name};
  return figure;
}

const Json& list(const Json& object, const char* name, std::size_t most) {
  const Json& value = field(object, name);
  if (!value.is_array() || value.size() > most) throw Unbelievable{name};
  return value;
}

Mechanism mechanism_in(const Json& object) {
  const std::string name = text(object, "mechanism");
  for (const Mechanism mechanism : all_mechanisms) {
    if (to_string(mechanism) == name) return mechanism;
  }
  throw Unbelievable{"mechanism"};
}

Pace pace_in(const Json& object) {
  constexpr double most_ns = 1e12;
  Pace pace{.rate = number(object, "rate", 1e-3, 1e12),
            .send_ns = number(object, "send_ns", 0, most_ns),
            .receive_ns = number(object, "receive_ns", 0, most_ns)};
  if (object.contains("delay_ns")) pace.delay_ns = number(object, "delay_ns", 0, most_ns);
  return pace;
}

Line line_in(const Json& object) {
  Line line{.mechanism = mechanism_in(object),
            .bytes = static_cast<std::size_t>(number(object, "bytes", 1, 1e12))};
  for (const Json& pace : list(object, "paces", most_paces)) line.paces.push_back(pace_in(pace));
  if (line.paces.empty() || line.paces.back().delay_ns) throw Unbelievable{"paces"};
  for (std::size_t i = 1; i < line.paces.size(); ++i) {
    if (!(line.paces[i - 1].rate < line.paces[i].rate)) throw Unbelievable{"paces"};
  }
  return line;
}

Measurements measurements_in(const Json& json) {
  if (number(json, "format", 0, 1e9) != format) throw Unbelievable{"format"};
  Measurements all{.origin = {.machine = text(json, "machine"),
                              .kernel = text(json, "kernel"),
                              .version = text(json, "version"),
                              .date = text(json, "date")}};
  if (!field(json, "busy").is_boolean()) throw Unbelievable{"busy"};
  all.cpus = static_cast<int>(number(json, "cpus", 1, 1e6));
  all.busy = field(json, "busy").get<bool>();
  for (const Json& object : list(json, "lines", most_lines)) {
    Line line = line_in(object);
    for (const Line& other : all.lines) {
      if (other.mechanism == line.mechanism && other.bytes == line.bytes) {
        throw Unbelievable{"lines"};
      }
    }
    all.lines.push_back(std::move(line));
  }
  if (all.lines.empty()) throw Unbelievable{"lines"};
  for (const Json& object : list(json, "unmeasured", most_lines)) {
    all.unmeasured.push_back({mechanism_in(object), text(object, "why")});
  }
  return all;
}

std::unexpected<Error> corrupt(std::string what) {
  return fail(ErrorKind::corrupt, {.cause = "not what was written there: " + std::move(what)});
}

std::unexpected<Error> failed(const char* operation, const std::filesystem::path& on) {
  return fail(Error::from_errno(errno, {.operation = operation, .object = on.string()}));
}

std::string processor() {
  std::ifstream file{"/proc/cpuinfo"};
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name"))
      return line.substr(std::min(line.size(), line.find(": ") + 2));
  }
  return "processor";
}

std::string date_now() {
  const time_t now = ::time(nullptr);
  tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts)};
}

/// Bytes that are no UTF-8 become a mark; somebody's words are in here.
std::string dumped(const Json& json) {
  return json.dump(1, ' ', false, Json::error_handler_t::replace);
}

Result<std::string> read_file(const std::filesystem::path& file) {
  const Fd fd = Fd::adopt(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return failed("open", file);
  std::string content;
  char some[65536];
  for (ssize_t n = 0; (n = ::read(fd.native(), some, sizeof some)) != 0;) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read", file);
    content.append(some, static_cast<std::size_t>(n));
    if (content.size() > most_bytes) return corrupt("too long");
  }
  return content;
}

}  // namespace

Origin origin_here(std::string version) {
  utsname names{};
  ::uname(&names);
  const int cpus = usable_cpus();
  return {.machine = processor() + ", " + std::to_string(cpus) +
                     (cpus == 1 ? " CPU, " : " CPUs, ") + names.nodename,
          .kernel = names.release,
          .version = std::move(version),
          .date = date_now()};
}

std::optional<std::filesystem::path> measurements_path() {
  const auto absolute = [](const char* variable) -> std::optional<std::filesystem::path> {
    const char* value = std::getenv(variable);
    if (value == nullptr || value[0] != '/') return std::nullopt;
    return value;
  };
  auto folder = absolute("XDG_CACHE_HOME");
  if (!folder) {
    folder = absolute("HOME");
    if (!folder) return std::nullopt;
    *folder /= ".cache";
  }
  return *folder / "bulkhead" / "measurements.json";
}

Result<Measurements> parse_measurements(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return corrupt("no JSON");
  try {
    return measurements_in(json);
  } catch (const Unbelievable& found) {
    return corrupt(found.what);
  }
}

std::string to_json(const Measurements& measurements) {
  Json lines = Json::array();
  for (const Line& line : measurements.lines) {
    Json paces = Json::array();
    for (const Pace& pace : line.paces) {
      Json one{{"rate", pace.rate}, {"send_ns", pace.send_ns}, {"receive_ns", pace.receive_ns}};
      if (pace.delay_ns) one["delay_ns"] = *pace.delay_ns;
      paces.push_back(std::move(one));
    }
    lines.push_back({{"mechanism", to_string(line.mechanism)},
                     {"bytes", line.bytes},
                     {"paces", std::move(paces)}});
  }
  Json unmeasured = Json::array();
  for (const Unmeasured& one : measurements.unmeasured) {
    unmeasured.push_back({{"mechanism", to_string(one.mechanism)}, {"why", one.why}});
  }
  return dumped({{"format", format},
                 {"machine", measurements.origin.machine},
                 {"kernel", measurements.origin.kernel},
                 {"version", measurements.origin.version},
                 {"date", measurements.origin.date},
                 {"cpus", measurements.cpus},
                 {"busy", measurements.busy},
                 {"lines", std::move(lines)},
                 {"unmeasured", std::move(unmeasured)}}) +
         "\n";
}

Result<Measurements> load(const std::filesystem::path& file, const Origin& here) {
  const std::string content = BULKHEAD_TRY(read_file(file));
  auto measurements = parse_measurements(content);
  if (!measurements) return fail(measurements.error().during("read", file.string()));
  if (measurements->origin.same_place(here)) return measurements;
  const Origin& other = measurements->origin;
  const char* what = other.machine != here.machine ? "machine"
                     : other.kernel != here.kernel ? "kernel"
                                                   : "version of bulkhead";
  return fail(ErrorKind::incompatible,
              {.operation = "read",
               .object = file.string(),
               .cause = std::string{"it was measured on another "} + what});
}

Result<void> save(const std::filesystem::path& file, const Measurements& measurements) {
  std::error_code code;
  std::filesystem::create_directories(file.parent_path().parent_path(), code);
  if (::mkdir(file.parent_path().c_str(), 0700) != 0 && errno != EEXIST) {
    return failed("make", file.parent_path());
  }
  std::string beside = file.string() + ".XXXXXX";
  const Fd fd = Fd::adopt(::mkostemp(beside.data(), O_CLOEXEC));  // mode 0600
  if (!fd) return failed("make", beside);
  const std::string content = to_json(measurements);
  const ssize_t written = ::write(fd.native(), content.data(), content.size());
  if (written == std::ssize(content) && ::rename(beside.c_str(), file.c_str()) == 0) return {};
  if (written >= 0 && written != std::ssize(content)) errno = ENOSPC;
  const auto error = failed("write", file);
  ::unlink(beside.c_str());
  return error;
}

}  // namespace bulkhead::bench
