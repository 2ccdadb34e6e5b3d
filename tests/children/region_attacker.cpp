// SPDX-License-Identifier: Apache-2.0
// Holds somebody's Region as descriptor 3 and tries to change it. For region_test.cpp.
//
//   region_attacker attack  every way once; prints "won WAY" for each that worked, then "done"
//   region_attacker race    the same over and over until its input ends; then as attack
//   region_attacker hold    maps it for writing, prints "held" or "refused", waits for its input's end
#include <cstdio>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace {

constexpr int region = 3;
constexpr std::size_t page = 4096;

std::string won;

void attempt(const char* way, bool worked) {
  if (worked) won += std::string{"won "} + way + "\n";
}

void try_mapping(const char* way, int fd) {
  void* writable = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  attempt(way, writable != MAP_FAILED);
  if (writable != MAP_FAILED) ::munmap(writable, page);
  void* at = ::mmap(nullptr, page, PROT_READ, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return;
  attempt("mprotect", ::mprotect(at, page, PROT_READ | PROT_WRITE) == 0);
  attempt("MADV_REMOVE", ::madvise(at, page, MADV_REMOVE) == 0);
  void* moved = ::mremap(at, 0, page, MREMAP_MAYMOVE);
  if (moved != MAP_FAILED) {
    attempt("mremap", ::mprotect(moved, page, PROT_READ | PROT_WRITE) == 0);
    ::munmap(moved, page);
  }
  ::munmap(at, page);
}

void try_calls(int fd) {
  char byte = 'x';
  iovec part{&byte, 1};
  attempt("write", ::write(fd, &byte, 1) > 0);
  attempt("pwrite", ::pwrite(fd, &byte, 1, 0) > 0);
  attempt("pwritev", ::pwritev(fd, &part, 1, 0) > 0);
  attempt("truncate", ::ftruncate(fd, 0) == 0);
  attempt("grow", ::ftruncate(fd, 1 << 20) == 0);
  attempt("punch", ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, page) == 0);
  attempt("zero", ::fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, page) == 0);
  attempt("collapse", ::fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, page) == 0);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) == 0) {
    attempt("splice", ::write(ends[1], "y", 1) == 1 &&
                          ::splice(ends[0], nullptr, fd, nullptr, 1, SPLICE_F_NONBLOCK) > 0);
    ::close(ends[0]);
    ::close(ends[1]);
  }
  attempt("copy", ::copy_file_range(STDIN_FILENO, nullptr, fd, nullptr, 1, 0) > 0);
}

void attack_through(int fd) {
  if (fd < 0) return;
  try_calls(fd);
  try_mapping("map", fd);
}

void attack() {
  attack_through(region);
  const int copy = ::fcntl(region, F_DUPFD_CLOEXEC, 0);
  attack_through(copy);
  ::close(copy);
  const int again = ::open("/proc/self/fd/3", O_RDWR | O_CLOEXEC);
  attack_through(again);
  ::close(again);
  const int cut = ::open("/proc/self/fd/3", O_RDWR | O_TRUNC | O_CLOEXEC);
  attempt("open and truncate", cut >= 0);
  ::close(cut);
  attempt("truncate by path", ::truncate("/proc/self/fd/3", 0) == 0);
}

bool input_has_ended() {
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  return ::poll(&input, 1, 0) > 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "attack";
  if (mode == "hold") {
    void* at = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, region, 0);
    std::printf("%s\n", at == MAP_FAILED ? "refused" : "held");
    std::fflush(stdout);
    char byte = 0;
    static_cast<void>(!::read(STDIN_FILENO, &byte, 1));
    return 0;
  }
  if (mode == "race") {
    std::printf("ready\n");
    std::fflush(stdout);
    while (!input_has_ended()) attack();
  }
  won.clear();
  attack();
  std::printf("%sdone\n", won.c_str());
}
