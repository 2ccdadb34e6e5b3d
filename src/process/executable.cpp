// SPDX-License-Identifier: Apache-2.0
#include "process/executable.hpp"

#include <atomic>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <span>
#include <sys/auxv.h>

#include "os/syscall.hpp"

namespace bulkhead::process {
namespace {

/// The main program among the loaded objects.
struct Image {
  std::uintptr_t base = 0;
  std::span<const ElfW(Phdr)> headers;
  std::string build_id;

  bool holds_code(std::uintptr_t address) const {
    for (const auto& header : headers) {
      if (header.p_type != PT_LOAD || (header.p_flags & PF_X) == 0) continue;
      const std::uintptr_t begin = base + header.p_vaddr;
      if (address >= begin && address < begin + header.p_memsz) return true;
    }
    return false;
  }
};

constexpr std::size_t aligned(std::size_t size, std::size_t to) {
  return (size + to - 1) / to * to;
}

/// The build id in a PT_NOTE segment, if it is there.
std::string build_id_in(const Image& image, const ElfW(Phdr) & header) {
  const std::size_t alignment = header.p_align == 8 ? 8 : 4;
  const auto* at = reinterpret_cast<const char*>(image.base + header.p_vaddr);
  const auto* end = at + header.p_memsz;
  while (at + sizeof(ElfW(Nhdr)) <= end) {
    ElfW(Nhdr) note;
    std::memcpy(&note, at, sizeof note);
    const char* name = at + sizeof note;
    const char* content = name + aligned(note.n_namesz, alignment);
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0) {
      return {content, note.n_descsz};
    }
    at = content + aligned(note.n_descsz, alignment);
  }
  return {};
}

/// The first that dl_iterate_phdr names is the main program.
int take_first(dl_phdr_info* info, std::size_t, void* into) {
  auto& image = *static_cast<Image*>(into);
  image.base = info->dlpi_addr;
  image.headers = {info->dlpi_phdr, info->dlpi_phnum};
  for (const auto& header : image.headers) {
    if (header.p_type == PT_NOTE && image.build_id.empty()) {
      image.build_id = build_id_in(image, header);
    }
  }
  return 1;
}

const Image& own_image() {
  static const Image image = [] {
    Image made;
    ::dl_iterate_phdr(take_first, &made);
    return made;
  }();
  return image;
}

std::atomic<const Origin*> remembered{nullptr};

Fd open_executable() {
  // O_PATH: to be executed a file need not be readable.
  Fd fd = Fd::adopt(::open("/proc/self/exe", O_PATH | O_CLOEXEC));
  if (fd) return fd;
  const auto* path = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));  // without /proc
  return path != nullptr ? Fd::adopt(::open(path, O_PATH | O_CLOEXEC)) : Fd{};
}

}  // namespace

Result<std::uint64_t> offset_of(detail::RoleEntry entry) {
  const auto& image = own_image();
  const auto address = reinterpret_cast<std::uintptr_t>(entry);
  if (!image.holds_code(address)) {
    return fail(ErrorKind::unsupported,
                {.cause = "the role lies in a shared library",
                 .remedy = "name a function of the executable as the role"});
  }
  return address - image.base;
}

detail::RoleEntry entry_at(std::uint64_t offset) {
  const auto& image = own_image();
  const std::uintptr_t address = image.base + offset;
  return image.holds_code(address) ? reinterpret_cast<detail::RoleEntry>(address) : nullptr;
}

const std::string& build_id() { return own_image().build_id; }

void remember_origin(const char* program) {
  static const Origin made = [program] {
    Origin origin;
    origin.executable = open_executable();
    if (!origin.executable) origin.failure = os::failed("open", "own executable").error();
    origin.program = program != nullptr && *program != '\0' ? program : "bulkhead";
    return origin;
  }();
  remembered.store(&made);
}

const Origin* origin() noexcept { return remembered.load(); }

}  // namespace bulkhead::process
