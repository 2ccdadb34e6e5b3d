// SPDX-License-Identifier: Apache-2.0
// `lives_without FACILITY[,FACILITY...] PROGRAM [ARGUMENT...]`: becomes PROGRAM in a world where the
// kernel has not got these, as an older one or a container's filter answers.
#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <iostream>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <map>
#include <sstream>
#include <string>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr unsigned number_at = offsetof(seccomp_data, nr);
constexpr unsigned argument_at(unsigned which) {
  return static_cast<unsigned>(offsetof(seccomp_data, args)) + 8 * which;  // its lower half
}

using Code = std::vector<sock_filter>;

void deny_call(Code& code, unsigned number) {
  code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number_at));
  code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
}

/// SO_PEERPIDFD (77), since Linux 6.5.
void deny_peer_pidfd(Code& code) {
  code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number_at));
  code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsockopt, 0, 3));
  code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument_at(2)));
  code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 77, 0, 1));
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT));
}

/// MFD_NOEXEC_SEAL and MFD_EXEC, since Linux 6.3.
void deny_memfd_exec_flags(Code& code) {
  code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number_at));
  code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_create, 0, 3));
  code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument_at(1)));
  code.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x18, 0, 1));
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL));
}

/// O_TMPFILE, which FUSE, NFS, FAT and 9P have not.
void deny_unnamed_files(Code& code) {
  code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, number_at));
  code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3));
  code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument_at(2)));
  code.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 0, 1));
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP));
}

const std::map<std::string, unsigned> calls{
    {"futex_waitv", 449},
    {"pidfd_open", SYS_pidfd_open},
    {"close_range", SYS_close_range},
    {"openat2", SYS_openat2},
    {"pidfd_getfd", 438},
    {"epoll_pwait2", 441},
    {"inotify", SYS_inotify_init1},
    {"memfd_create", SYS_memfd_create},
};

}  // namespace

int main(int, char** argv) {
  Code code;
  std::istringstream facilities{argv[1]};
  for (std::string name; std::getline(facilities, name, ',');) {
    if (name == "peer_pidfd") {
      deny_peer_pidfd(code);
    } else if (name == "memfd_exec_flags") {
      deny_memfd_exec_flags(code);
    } else if (name == "unnamed_files") {
      deny_unnamed_files(code);
    } else if (calls.contains(name)) {
      deny_call(code, calls.at(name));
    } else {
      std::cerr << "unknown: " << name << '\n';
      return 2;
    }
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog program{.len = static_cast<unsigned short>(code.size()), .filter = code.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    return 3;
  }
  ::execv(argv[2], argv + 2);
  return 4;
}
