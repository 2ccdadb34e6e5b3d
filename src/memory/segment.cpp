// SPDX-License-Identifier: Apache-2.0
#include "memory/segment.hpp"

#include <cerrno>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

#include "memory/memory_file.hpp"
#include "os/recorded_names.hpp"
#include "os/syscall.hpp"

namespace bulkhead::memory {
namespace {

using os::Named;

std::unexpected<Error> no_key(const MemoryName& name) {
  return fail(ErrorKind::invalid, {.operation = "use",
                                   .object = title_of(name),
                                   .cause = "key 0 is that of no segment in particular",
                                   .remedy = "choose another key, or a memory file"});
}

std::unexpected<Error> not_made(const MemoryName& name, std::size_t size, bool huge) {
  const int number = errno;
  Error::Details details{
      .operation = "make", .object = title_of(name), .code = {number, std::system_category()}};
  if (number == EINVAL) {
    details.cause = "the kernel allows no segment of " + words(size);
    details.remedy = "raise kernel.shmmax (sysctl)";
  } else if (number == ENOSPC) {
    details.cause = "the kernel's segments or their pages are used up";
    details.remedy = "raise kernel.shmmni or kernel.shmall, or remove some (ipcrm)";
  } else if (huge) {
    details.cause = "the kernel has too few huge pages reserved";
    details.remedy = "reserve them (sysctl vm.nr_hugepages=N) or do without";
  } else {
    return os::failed("make", title_of(name));
  }
  return fail(ErrorKind::exhausted, std::move(details));
}

struct Found {
  int id = -1;
  shmid_ds state{};
};

Result<Found> find(const MemoryName& name) {
  Found found;
  found.id = ::shmget(name.key, 0, 0);
  if (found.id < 0 || ::shmctl(found.id, IPC_STAT, &found.state) != 0) {
    return os::failed("open", title_of(name));
  }
  // TRUST: processes of equal trust are this user's; whoever else can write it is not.
  if (found.state.shm_perm.uid != ::geteuid() || (found.state.shm_perm.mode & 022) != 0) {
    return fail(ErrorKind::denied, {.operation = "open",
                                    .object = title_of(name),
                                    .cause = "other users can write it",
                                    .remedy = "choose another key"});
  }
  return found;
}

/// It ends with its users. A maker that died before it could tell which one it made has attached none.
bool is_recorded(const MemoryName& name, const Found& found) {
  const std::string key = std::to_string(name.key);
  return os::is_recorded({Named::segment, key, os::identity_of_id(found.id)}) ||
         (found.state.shm_lpid == 0 && os::is_recorded({Named::segment, key, {}}));
}

bool is_abandoned(const Found& found, bool (*is_unfinished)(const std::byte*, std::size_t)) {
  if (is_unfinished == nullptr) return false;
  const auto mapping = Mapping::of_segment(found.id, found.state.shm_segsz, {.write = false});
  return mapping && is_unfinished(mapping->data(), found.state.shm_segsz);
}

Result<os::NameRecord> record_for(const MemoryName& name) {
  auto record = BULKHEAD_TRY(os::NameRecord::create("system_v_memory"));
  BULKHEAD_TRY(record.add(Named::segment, std::to_string(name.key)));
  return record;
}

}  // namespace

Result<Segment> make_segment(const MemoryName& name, std::size_t size, Ends ends, const Wish& wish,
                             bool (*is_unfinished)(const std::byte* at, std::size_t size)) {
  if (name.key == IPC_PRIVATE) return no_key(name);
  BULKHEAD_TRY(check_memory_limits(size));
  Segment segment;
  segment.owner = ::getpid();
  segment.size = size;
  segment.lock = BULKHEAD_TRY(os::lock_segments());
  if (const auto found = find(name);
      found && found->state.shm_nattch == 0 &&
      (is_recorded(name, *found) || is_abandoned(*found, is_unfinished))) {
    ::shmctl(found->id, IPC_RMID, nullptr);
  }
  if (ends == Ends::with_users) segment.record = BULKHEAD_TRY(record_for(name));
  const int id =
      ::shmget(name.key, size, IPC_CREAT | IPC_EXCL | 0600 | (wish.huge ? SHM_HUGETLB : 0));
  if (id < 0 && errno == EEXIST) return os::failed("make", title_of(name));
  if (id < 0) return not_made(name, size, wish.huge);
  if (segment.record) segment.record->made();
  // The kernel gives a segment's pages when they are touched: all of them now.
  Wish all = wish;
  all.prefault = true;
  auto mapping = Mapping::of_segment(id, size, all);
  if (!mapping) {
    ::shmctl(id, IPC_RMID, nullptr);
    return fail(std::move(mapping).error());
  }
  segment.mapping = *std::move(mapping);
  return segment;
}

Result<Segment> open_segment(const MemoryName& name, const Wish& wish) {
  if (name.key == IPC_PRIVATE) return no_key(name);
  const auto lock = BULKHEAD_TRY(os::lock_segments());
  const Found found = BULKHEAD_TRY(find(name));
  const bool ends_with_users = is_recorded(name, found);
  if (ends_with_users && found.state.shm_nattch == 0) {  // its users were all killed
    ::shmctl(found.id, IPC_RMID, nullptr);
    errno = ENOENT;
    return os::failed("open", title_of(name));
  }
  Segment segment;
  segment.owner = ::getpid();
  segment.size = found.state.shm_segsz;
  if (ends_with_users) {
    segment.record = BULKHEAD_TRY(record_for(name));
    segment.record->made();
  }
  Wish all = wish;
  all.prefault = true;
  segment.mapping = BULKHEAD_TRY(Mapping::of_segment(found.id, segment.size, all));
  return segment;
}

void leave(Segment& segment) noexcept {
  const int id = segment.mapping.segment();
  const bool ours = segment.record.has_value() && segment.owner == ::getpid();
  if (!ours || id < 0) return segment.mapping.unmap();
  try {
    if (!segment.lock) {
      if (auto lock = os::lock_segments()) segment.lock = *std::move(lock);
    }
    segment.mapping.unmap();
    shmid_ds state{};
    if (!segment.lock) return segment.record->leave();  // for `bulkhead clean`
    const bool is_there = ::shmctl(id, IPC_STAT, &state) == 0;
    const bool is_removed = is_there && (state.shm_perm.mode & SHM_DEST) != 0;
    if (is_there && !is_removed && state.shm_nattch != 0) {
      // Others have records of their own, but for children by fork: then ours stays for who cleans.
      const os::NamedThing thing{Named::segment, std::to_string(state.shm_perm.__key),
                                 os::identity_of_id(id)};
      if (!os::is_recorded(thing, segment.record->file_name())) return segment.record->leave();
    } else if (is_there && !is_removed) {
      ::shmctl(id, IPC_RMID, nullptr);
    }
    segment.record->release();
  } catch (const std::bad_alloc&) {
    segment.record->leave();
  }
}

Result<void> remove_segment(const MemoryName& name) {
  const auto lock = BULKHEAD_TRY(os::lock_segments());
  const int id = ::shmget(name.key, 0, 0);
  if (id >= 0 && ::shmctl(id, IPC_RMID, nullptr) == 0) return {};
  return os::failed("remove", title_of(name));
}

}  // namespace bulkhead::memory
