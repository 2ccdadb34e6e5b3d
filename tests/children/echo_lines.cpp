// SPDX-License-Identifier: Apache-2.0
// The one child that behaves: repeats its standard input, line by line, until its end.
#include <iostream>
#include <string>

int main() {
  for (std::string line; std::getline(std::cin, line);) std::cout << line << std::endl;
}
