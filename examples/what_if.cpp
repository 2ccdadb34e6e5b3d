// SPDX-License-Identifier: Apache-2.0
//
// A private mapping: "what if" on a file of readings, without a copy of the file and without a
// change to it. Only the pages that are written are copied, in this process alone.
//
//   build/bin/what_if make readings.bin 1000000     # a file of that many readings
//   build/bin/what_if warmer readings.bin 0.5       # their mean, and the mean if each were so much more
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <span>
#include <string>
#include <string_view>

#include <bulkhead/region.hpp>
#include <bulkhead/sigbus_guard.hpp>

using namespace bulkhead;

namespace {

int make(const char* path, int count) {
  std::ofstream file{path, std::ios::binary};
  for (int i = 0; i < count; ++i) {
    const double reading = 10 + i % 7;
    file.write(reinterpret_cast<const char*>(&reading), sizeof reading);
  }
  if (file.flush()) return 0;
  std::cerr << path << ": cannot be written\n";
  return 1;
}

double mean(std::span<const double> readings) {
  double sum = 0;
  for (const double reading : readings) sum += reading;
  return readings.empty() ? 0 : sum / static_cast<double>(readings.size());
}

int warmer(const char* path, double by) {
  or_exit(guard_mappings());  // somebody may cut the file meanwhile: then check() says so
  auto region = or_exit(Region::open(file_memory(path), {.writes = Region::Writes::stay_private}));
  const MutableBytes bytes = region.mutable_bytes();
  const std::span readings{reinterpret_cast<double*>(bytes.data()), bytes.size() / sizeof(double)};
  const double before = mean(readings);
  for (double& reading : readings) reading += by;
  const double after = mean(readings);
  or_exit(region.check());
  std::cout << "mean " << before << ", if warmer " << after << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 3 ? argv[1] : "";
  if (verb == "make" && std::atoi(argv[3]) > 0) return make(argv[2], std::atoi(argv[3]));
  if (verb == "warmer") return warmer(argv[2], std::atof(argv[3]));
  std::cerr << "usage: what_if make FILE COUNT | what_if warmer FILE BY\n";
  return 2;
}
