// SPDX-License-Identifier: Apache-2.0
// Denies itself the newer system calls that starting a process uses, as an older kernel or a
// container's filter does; spawns all the same, and prints how the child found its descriptors.
#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <iostream>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bulkhead/process.hpp>

using namespace bulkhead;
using namespace std::chrono_literals;

namespace {

void role(Bootstrap& boot) {
  const bool leaked = ::fcntl(200, F_GETFD) >= 0;
  or_exit(boot.channel().send(as_bytes(leaked ? "a descriptor leaked" : "none leaked"), 10s));
}

bool deny_new_calls() {
  constexpr unsigned number = offsetof(seccomp_data, nr);
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execveat, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
  };
  const sock_fprog program{.len = std::size(code), .filter = code};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  init(argc, argv);
  if (!deny_new_calls()) return 1;
  const int leak = ::open("/dev/null", O_RDONLY);  // not close-on-exec
  if (::dup2(leak, 200) != 200) return 1;
  Process child = or_exit(spawn<role>());
  std::cout << or_exit(child.channel().receive(10s)).text() << std::endl;
}
