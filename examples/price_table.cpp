// SPDX-License-Identifier: Apache-2.0
//
// A table that one program writes and any number of others read, in any start order, without ever
// waiting for it: a writer that is stopped or killed anywhere delays no reader.
//
//   build/bin/price_table write prices 100000     so many rounds of prices
//   build/bin/price_table read prices             the present ones
#include <array>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

#include <bulkhead/seqlock.hpp>
#include <bulkhead/shared.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

struct Price {
  std::int64_t bid = 0;
  std::int64_t ask = 0;  // always 2 above the bid, if a price is read as it was written
};

struct Table {
  explicit Table(Place place) : gold(place), silver(place), copper(place) {}
  Seqlock<Price> gold, silver, copper;
};

void write(Table& table, std::int64_t rounds) {
  for (std::int64_t i = 1; i <= rounds; ++i) {
    or_exit(table.gold.write({2400 + i % 100, 2402 + i % 100}, 1s));
    or_exit(table.silver.write({30 + i % 10, 32 + i % 10}, 1s));
    or_exit(table.copper.write({9 + i % 3, 11 + i % 3}, 1s));
  }
}

void read(const Table& table) {
  for (const auto* metal : {&table.gold, &table.silver, &table.copper}) {
    const Price now = or_exit(metal->read(1s));
    std::cout << now.bid << ' ' << now.ask << '\n';
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 2 ? argv[1] : "";
  if (verb == "write" && argc == 4) {
    auto table = or_exit(Shared<Table>::open_or_create(posix_memory(argv[2])));
    write(*table, std::atoll(argv[3]));
    std::cout << "written" << std::endl;
    std::string line;
    std::getline(std::cin, line);  // the table ends with the last program that has it
  } else if (verb == "read" && argc == 3) {
    read(*or_exit(Shared<Table>::open(posix_memory(argv[2]))));
  } else {
    std::cerr << "usage: price_table write NAME ROUNDS | price_table read NAME\n";
    return 2;
  }
}
