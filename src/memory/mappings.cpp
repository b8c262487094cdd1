// SPDX-License-Identifier: Apache-2.0
// See mappings.h. Whoever maps a file puts it into the table and then looks for descriptors;
// whoever gets a descriptor looks into the table. Of two that do both at a time, one sees the
// other.
#include "memory/mappings.h"

#include "memory/outside.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

using namespace gordian::memory;  // NOLINT(google-build-using-namespace): a file of hooks

namespace gordian::memory {
namespace {

enum SlotState : uint32_t { kFree, kChanging, kUsed };

struct Slot {
  uint32_t state;
  uint64_t begin, end;
  uint64_t device, inode;  // 0: no file
};

constexpr uint32_t kSlots = 4096;
constexpr uint32_t kMostDescriptors = 8192;  // to look at, for one mapping

constinit Slot slots[kSlots] = {};
constinit uint32_t slots_touched = 0;
constinit bool has_relatives = false;  // children, or a parent that had it mapped
constinit bool is_filtered = false;
constinit bool has_others = false;  // that are not in the table: a child inherits them

// Directly: libc's functions are hooked, set errno and may be cancelled.
long call(long number, long a, long b = 0, long c = 0, long d = 0) {
  long result = 0;
  register long r10 asm("r10") = d;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
               : "rcx", "r11", "memory");
  return result;
}

bool is_looked_for() {
  return __atomic_load_n(&state, __ATOMIC_SEQ_CST) == kOn &&
         !has_missed(format::kMemoryUnseenCause);
}
void note_others() { __atomic_store_n(&has_others, true, __ATOMIC_SEQ_CST); }
void miss_mapping() {
  note_others();
  miss(format::kMemoryUnseenCause);
}

// ---- the table

uint64_t look_at(const uint64_t& field) { return __atomic_load_n(&field, __ATOMIC_SEQ_CST); }

bool put(const Slot& wanted) {
  for (uint32_t i = 0; i < kSlots; ++i) {
    Slot& slot = slots[i];
    uint32_t found = kFree;
    if (!__atomic_compare_exchange_n(&slot.state, &found, kChanging, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
      continue;
    __atomic_store_n(&slot.begin, wanted.begin, __ATOMIC_SEQ_CST);
    __atomic_store_n(&slot.end, wanted.end, __ATOMIC_SEQ_CST);
    __atomic_store_n(&slot.device, wanted.device, __ATOMIC_SEQ_CST);
    __atomic_store_n(&slot.inode, wanted.inode, __ATOMIC_SEQ_CST);
    uint32_t touched = __atomic_load_n(&slots_touched, __ATOMIC_SEQ_CST);
    while (touched <= i && !__atomic_compare_exchange_n(&slots_touched, &touched, i + 1, false,
                                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    __atomic_store_n(&slot.state, kUsed, __ATOMIC_SEQ_CST);
    return true;
  }
  return false;
}

template <typename Matches>
Slot* find(const Matches& matches, uint32_t from = 0) {
  const uint32_t touched = __atomic_load_n(&slots_touched, __ATOMIC_SEQ_CST);
  for (uint32_t i = from; i < touched; ++i)
    if (__atomic_load_n(&slots[i].state, __ATOMIC_SEQ_CST) == kUsed && matches(slots[i]))
      return &slots[i];
  return nullptr;
}

bool has_any() {
  return find([](const Slot&) { return true; }) != nullptr;
}

bool is_mapped(const struct stat& status) {
  return find([&](const Slot& slot) {
           return look_at(slot.inode) == status.st_ino && look_at(slot.device) == status.st_dev;
         }) != nullptr;
}

// ---- descriptors

bool may_write(int file) {
  const long flags = call(SYS_fcntl, file, F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

// Apart, for the size of the frame.
__attribute__((noinline)) bool may_write_to(int file, const struct stat& wanted) {
  struct stat status;
  return call(SYS_fstat, file, reinterpret_cast<long>(&status)) == 0 &&
         status.st_ino == wanted.st_ino && status.st_dev == wanted.st_dev && may_write(file);
}

struct Entry {  // what getdents64 tells
  uint64_t inode;
  int64_t next;
  uint16_t size;
  uint8_t type;
  char name[];
};

int number_of(const char* name) {
  int found = 0;
  for (; *name >= '0' && *name <= '9'; ++name) found = found * 10 + (*name - '0');
  return *name == '\0' ? found : -1;
}

// Or it cannot be found out.
bool may_any_write_to(const struct stat& wanted) {
  // Not of the process: its first thread may have ended, and has none then.
  static constexpr char kFolder[] = "/proc/thread-self/fd";
  const long folder = call(SYS_openat, AT_FDCWD, reinterpret_cast<long>(kFolder),
                           O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return true;
  bool found = false;
  uint32_t looked_at = 0;
  alignas(8) char entries[256];
  long size = 0;
  while (!found && (size = call(SYS_getdents64, folder, reinterpret_cast<long>(entries),
                                sizeof entries)) > 0) {
    for (long at = 0; at < size && !found;) {
      const auto* const entry = reinterpret_cast<const Entry*>(entries + at);
      at += entry->size;
      const int file = number_of(entry->name);
      found = ++looked_at > kMostDescriptors || (file >= 0 && may_write_to(file, wanted));
    }
  }
  call(SYS_close, folder);
  return found || size < 0;
}

// ---- what is mapped

// Memory without a file by another name.
bool is_zeros(const struct stat& status) {
  return S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 5);
}

// It is put down before it is looked who else there is: see above.
bool is_nobodys_else(Slot slot, int file, bool is_private) {
  struct stat status;
  if (is_filtered || call(SYS_fstat, file, reinterpret_cast<long>(&status)) != 0) return false;
  if (is_private && is_zeros(status)) return true;
  if (!S_ISREG(status.st_mode)) return false;
  slot.device = status.st_dev;
  slot.inode = status.st_ino;
  return put(slot) && !__atomic_load_n(&has_relatives, __ATOMIC_SEQ_CST) && !may_write(file) &&
         !may_any_write_to(status);
}

void note_mapped(const void* at, size_t size, int protection, int flags, int file) {
  const bool is_private = (flags & MAP_SHARED) == 0;
  const bool has_file = (flags & MAP_ANONYMOUS) == 0;
  if ((is_private && !has_file) || at == MAP_FAILED) return;
  if (!is_looked_for()) return note_others();
  const Slot slot{kFree, number(at), number(at) + size, 0, 0};
  bool is_safe = false;
  if (!has_file) {
    is_safe = put(slot);
  } else if (is_private || (protection & PROT_WRITE) == 0) {
    is_safe = is_nobodys_else(slot, file, is_private);
  }
  if (!is_safe) miss_mapping();
}

// Before it happens: who comes after may map another file there. Of a part nothing is known.
void note_unmapped(const void* at, size_t size) {
  if (!is_looked_for() || (number(at) & 0xfff) != 0) return;  // the kernel refuses that
  const auto is_inside = [&](const Slot& slot) {
    return look_at(slot.begin) >= number(at) && look_at(slot.end) <= number(at) + size;
  };
  for (Slot* slot = nullptr; (slot = find(is_inside)) != nullptr;)
    __atomic_store_n(&slot->state, kFree, __ATOMIC_SEQ_CST);
}

}  // namespace

void note_moved(uint64_t address, uint64_t size, uint64_t new_size, int flags) {
  if (!is_looked_for()) return;
  if (size == 0 || (flags & MREMAP_DONTUNMAP) != 0) miss_mapping();
  // Where it is then is not followed: it stays for good.
  const uint64_t end = address + (size > new_size ? size : new_size);
  const auto is_touched = [&](const Slot& slot) {
    return look_at(slot.begin) < end && look_at(slot.end) > address;
  };
  for (Slot* slot = find(is_touched); slot != nullptr;
       slot = find(is_touched, static_cast<uint32_t>(slot - slots) + 1)) {
    __atomic_store_n(&slot->begin, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&slot->end, UINT64_MAX, __ATOMIC_SEQ_CST);
  }
}

void note_descriptor(int file, bool is_cut) {
  if (file < 0 || !is_looked_for() || !has_any()) return;
  struct stat status;
  if (is_filtered ||
      ((is_cut || may_write(file)) && call(SYS_fstat, file, reinterpret_cast<long>(&status)) == 0 &&
       is_mapped(status)))
    miss_mapping();
}

void note_cut(const char* path) {
  if (!is_looked_for() || !has_any()) return;
  struct stat status;
  if (is_filtered ||
      (call(SYS_stat, reinterpret_cast<long>(path), reinterpret_cast<long>(&status)) == 0 &&
       is_mapped(status)))
    miss_mapping();
}

void note_child() {
  __atomic_store_n(&has_relatives, true, __ATOMIC_SEQ_CST);
  if (is_looked_for() && has_any()) miss_mapping();
}

void note_parent() {
  if (is_looked_for() && (has_any() || __atomic_load_n(&has_others, __ATOMIC_SEQ_CST)))
    miss_mapping();
}

void note_filter() { __atomic_store_n(&is_filtered, true, __ATOMIC_SEQ_CST); }

}  // namespace gordian::memory

GORDIAN_OUTSIDE(void*, mmap,
                (void* address, size_t size, int protection, int flags, int file,
                 off_t at) noexcept,
                (address, size, protection, flags, file, at), GORDIAN_NOTHING,
                (hear_outside(), note_mapped(result, size, protection, flags, file)))
GORDIAN_OUTSIDE_AS(void*, map_memory_64, "mmap64",
                   (void* address, size_t size, int protection, int flags, int file, off64_t at),
                   (address, size, protection, flags, file, at), GORDIAN_NOTHING,
                   (hear_outside(), note_mapped(result, size, protection, flags, file)))
GORDIAN_OUTSIDE(int, munmap, (void* at, size_t size) noexcept, (at, size), note_unmapped(at, size),
                GORDIAN_NOTHING)
GORDIAN_OUTSIDE(void*, shmat, (int segment, const void* address, int flags) noexcept,
                (segment, address, flags), miss_mapping(), GORDIAN_NOTHING)
