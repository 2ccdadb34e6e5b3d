// SPDX-License-Identifier: Apache-2.0
#include "sandbox/root_folder.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bulkhead/fd.hpp>

#include "os/syscall.hpp"

namespace bulkhead::sandbox {
namespace {

namespace fs = std::filesystem;

// Linux 5.2 and 5.12; own constants, as C libraries older than glibc 2.36 have none.
constexpr unsigned open_tree_clone = 1;
constexpr unsigned at_recursive = 0x8000;
constexpr unsigned move_mount_from_empty_path = 4;
constexpr std::uint64_t attribute_read_only = 1;
constexpr std::uint64_t attribute_no_suid = 2;
constexpr std::uint64_t attribute_no_device = 4;
constexpr std::uint64_t attribute_no_exec = 8;
struct MountAttributes {
  std::uint64_t set = 0;
  std::uint64_t clear = 0;
  std::uint64_t propagation = 0;
  std::uint64_t user_namespace = 0;
};

struct Tree {
  const Grant* grant;
  Fd mount;
  bool folder;
};

/// A detached copy of the mounts below the path, that cannot be written unless granted.
Result<Tree> copy_tree(const Grant& grant) {
  const auto& path = grant.path;
  Fd mount = Fd::adopt(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, path.c_str(),
                                                  open_tree_clone | O_CLOEXEC | at_recursive)));
  if (!mount) return os::failed("copy mounts of", path);
  MountAttributes attributes{.set = attribute_no_suid};
  if (grant.use != Grant::Use::device) attributes.set |= attribute_no_device;
  // Mapping code needs it too; starting programs is refused by Landlock and the filter.
  if (grant.use != Grant::Use::load) attributes.set |= attribute_no_exec;
  if (grant.use != Grant::Use::write) attributes.set |= attribute_read_only;
  if (::syscall(SYS_mount_setattr, mount.native(), "", AT_EMPTY_PATH | at_recursive, &attributes,
                sizeof attributes) != 0) {
    return os::failed("protect mounts of", path);
  }
  struct stat status{};
  if (::fstat(mount.native(), &status) != 0) return os::failed("look at", path);
  return Tree{&grant, std::move(mount), S_ISDIR(status.st_mode)};
}

/// Makes what to mount over, below the new root. Errors show when the mount fails.
void make_place(const std::string& place, bool folder) {
  std::error_code ignored;
  fs::create_directories(folder ? fs::path{place} : fs::path{place}.parent_path(), ignored);
  if (!folder) Fd::adopt(::open(place.c_str(), O_CREAT | O_RDONLY | O_CLOEXEC, 0444));
}

Result<void> fill(const std::string& root, std::vector<Tree>& trees) {
  for (auto& [grant, mount, folder] : trees) {
    const auto place = root + grant->path;
    make_place(place, folder);
    if (::syscall(SYS_move_mount, mount.native(), "", AT_FDCWD, place.c_str(),
                  move_mount_from_empty_path) != 0) {
      return os::failed("show", grant->path);
    }
  }
  return {};
}

/// Any folder does: it is covered in our namespace only.
Result<std::string> mount_empty() {
  for (const char* folder : {"/tmp", "/proc", "/dev"}) {
    if (::mount("none", folder, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                "size=64k,nr_inodes=256,mode=0755") == 0) {
      return folder;
    }
  }
  return os::failed("mount", "an empty root folder");
}

/// Makes `root` the root folder, with the old one lying on top of it for now.
Result<void> pivot(const std::string& root) {
  if (::chdir(root.c_str()) == 0 && ::syscall(SYS_pivot_root, ".", ".") == 0) return {};
  return os::failed("change", "root folder");
}

Result<void> leave_old_root() {
  if (::umount2(".", MNT_DETACH) != 0 || ::chdir("/") != 0) {
    return os::failed("leave", "the old root folder");
  }
  constexpr auto flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (::mount(nullptr, "/", nullptr, flags, nullptr) != 0) {
    return os::failed("protect", "the root folder");
  }
  return {};
}

Result<void> add_grant(std::vector<Grant>& list, const std::string& path, Grant::Use use) {
  std::error_code error;
  const auto absolute = fs::absolute(path, error).lexically_normal();
  const auto resolved = error ? fs::path{} : fs::canonical(absolute, error);
  if (error) {
    return fail(Error::from_errno(error.value(), {.operation = "grant", .object = path}));
  }
  list.push_back({.path = resolved.string(), .use = use});
  auto named = absolute.string();
  if (named.size() > 1 && named.ends_with('/')) named.pop_back();
  if (named != resolved) list.push_back({.path = std::move(named), .use = use});
  return {};
}

}  // namespace

Result<std::vector<Grant>> grants(const Sandbox& sandbox) {
  std::vector<Grant> list;
  for (const auto& path : sandbox.readable) BULKHEAD_TRY(add_grant(list, path, Grant::Use::read));
  for (const auto& path : sandbox.writable) BULKHEAD_TRY(add_grant(list, path, Grant::Use::write));
  for (const auto& path : sandbox.loadable) BULKHEAD_TRY(add_grant(list, path, Grant::Use::load));
  for (const auto& path : sandbox.devices) BULKHEAD_TRY(add_grant(list, path, Grant::Use::device));
  std::ranges::stable_sort(list, {}, [](const Grant& grant) { return grant.path.size(); });
  return list;
}

Result<void> change_root(const std::vector<Grant>& granted) {
  if (std::ranges::any_of(granted, [](const Grant& grant) { return grant.path == "/"; })) {
    return fail(ErrorKind::unsupported,
                {.operation = "change", .object = "root folder", .cause = "all of it is declared"});
  }
  std::error_code ignored;
  const auto here = fs::current_path(ignored);
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return os::failed("separate", "mounts");
  }
  std::vector<Tree> trees;
  for (const auto& grant : granted) trees.push_back(BULKHEAD_TRY(copy_tree(grant)));
  const auto root = BULKHEAD_TRY(mount_empty());
  auto entered = fill(root, trees);
  if (entered) entered = pivot(root);
  if (!entered) {
    // As before: Landlock may still do, and needs to see the declared paths.
    static_cast<void>(!::chdir(here.c_str()));
    ::umount2(root.c_str(), MNT_DETACH);
    return entered;
  }
  BULKHEAD_TRY(leave_old_root());
  // Relative names go on working where the folder is still there.
  if (::chdir(here.c_str()) != 0) static_cast<void>(::chdir("/"));
  return {};
}

}  // namespace bulkhead::sandbox
