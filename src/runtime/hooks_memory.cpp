// SPDX-License-Identifier: Apache-2.0
// Ends of memory: a lock in a block that is freed, moved or unmapped has ended, and the next lock
// at its address is another one. std::mutex announces its end in no other way. And what was written
// to the block orders nobody with whoever gets the memory next.
#include "runtime/hook.h"
#include "runtime/recording.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/resource.h>

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

using UsableSize = size_t(void*);
constinit UsableSize* usable_size = nullptr;

// Only the allocator that made a block can size it: the same object must bring both functions.
UsableSize* find_usable_size() {
  void* size = find_first_symbol("malloc_usable_size", "");
  void* end = find_first_symbol("free", "");
  dl_find_object of_size{}, of_free{};
  if (size == nullptr || end == nullptr || _dl_find_object(size, &of_size) != 0 ||
      _dl_find_object(end, &of_free) != 0 || of_size.dlfo_map_start != of_free.dlfo_map_start) {
    return [](void*) -> size_t { return 0; };
  }
  return reinterpret_cast<UsableSize*>(size);
}

// Not in a HookScope: an allocator that a thread first meets here takes locks, through our hooks.
size_t size_of_block(void* block) {
  if (usable_size == nullptr) usable_size = find_usable_size();
  return usable_size(block);
}

// Blocks that malloc maps by themselves start 16 bytes into a page; a lock may lie far inside.
__attribute__((always_inline)) inline bool needs_care(const void* block) {
  const uint64_t address = address_of(block);
  return (may_contain_locks(address) || (address & 0xfff) == 0x10) && block != nullptr;
}

__attribute__((noinline)) void note_freed(void* block, const CallSite& site) {
  const uint64_t address = address_of(block);
  const uint64_t size = size_of_block(block);
  if (HookScope log(site); log) {
    if (needs_care(block)) locks_ended(address, address + size);
    if (recorder.memory != nullptr) record_freed(*log.operator->(), address, size);
  }
}

// Before the real call: afterwards the block may be somebody else's.
__attribute__((noinline)) void free_with_care(void* block, CallSite site) {
  ensure_started();
  const bool matters = needs_care(block) || (recorder.memory != nullptr && block != nullptr);
  if (matters && this_thread.card != nullptr) note_freed(block, site);
  real.free(block);
}

template <typename Limit>
void give_way_to_limit(int resource, const Limit* limit) {
  if (resource == RLIMIT_AS && limit != nullptr && limit->rlim_cur != RLIM_INFINITY) trim_board();
}

}  // namespace

GORDIAN_HOOK void free(void* block) noexcept {
  const uint32_t state = alive();
  if (__builtin_expect(state == kNotAlive || state == kRecording || needs_care(block), 0)) {
    free_with_care(block, GORDIAN_CALL_SITE());
    return;
  }
  real.free(block);
}

GORDIAN_HOOK void* realloc(void* block, size_t size) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  uint64_t end = 0;
  if (needs_care(block) && this_thread.card != nullptr) {
    const uint64_t old_size = size_of_block(block);
    end = address_of(block) + old_size;
    if (size < old_size) {
      // Cut off, wherever the block will be; all of it with size 0, which frees.
      if (HookScope log(site); log) locks_ended(address_of(block) + size, end);
    }
  }
  // What is left of it may move: only then have its locks ended, and only afterwards is that known.
  void* moved = real.realloc(block, size);
  if (end != 0 && moved != nullptr && moved != block) {
    if (HookScope log(site); log) locks_ended(address_of(block), end);
  }
  return moved;
}

GORDIAN_HOOK int munmap(void* start, size_t size) noexcept {
  const CallSite site = GORDIAN_CALL_SITE();
  ensure_started();
  if (this_thread.card != nullptr) {
    if (HookScope log(site); log) locks_ended(address_of(start), address_of(start) + size);
  }
  return real.munmap(start, size);
}

// The board is mostly room for growth: it must not count against a limit that the program sets
// itself to what it needs.
GORDIAN_HOOK int setrlimit(__rlimit_resource_t resource, const rlimit* limit) noexcept {
  ensure_started();
  give_way_to_limit(resource, limit);
  return real.setrlimit(resource, limit);
}

GORDIAN_HOOK int setrlimit64(__rlimit_resource_t resource, const rlimit64* limit) noexcept {
  ensure_started();
  give_way_to_limit(resource, limit);
  return real.setrlimit64(resource, limit);
}

GORDIAN_HOOK int prlimit(pid_t pid, enum __rlimit_resource resource, const rlimit* limit,
                         rlimit* old) noexcept {
  ensure_started();
  give_way_to_limit(resource, limit);
  return real.prlimit(pid, resource, limit, old);
}

GORDIAN_HOOK int prlimit64(pid_t pid, enum __rlimit_resource resource, const rlimit64* limit,
                           rlimit64* old) noexcept {
  ensure_started();
  give_way_to_limit(resource, limit);
  return real.prlimit64(pid, resource, limit, old);
}

GORDIAN_HOOK int mlockall(int flags) noexcept {
  ensure_started();
  if ((flags & MCL_CURRENT) != 0) trim_board();
  return real.mlockall(flags);
}
