// SPDX-License-Identifier: Apache-2.0
#include "runtime/lock_table.h"

#include "runtime/log.h"
#include "runtime/modules.h"
#include "runtime/recording.h"
#include "runtime/system_calls.h"

#include <sys/mman.h>

namespace gordian::runtime {

using format::LockEntry;

constinit uint64_t lock_granules[1 << 15] = {};

namespace {

constexpr uint64_t kBucketBytes = 512;
constexpr uint32_t kBuckets = 1 << 20;
constexpr uint32_t kLocked = 1U << 31;

// Head words: index + 1 of the first entry, and kLocked. Entries link on by page_link.
alignas(4096) constinit uint32_t heads[kBuckets] = {};
constinit uint64_t free_entries = 0;  // tag << 32 | index + 1; linked by page_link

uint32_t bucket_of(uint64_t address) {
  const uint64_t block = address / kBucketBytes;
  return static_cast<uint32_t>((block ^ (block >> 20)) & (kBuckets - 1));
}

// One bucket, claimed. Tests false when another thread kept it too long (it may have been killed
// in there by longjmp): the record is dropped.
class BucketScope {
 public:
  explicit BucketScope(uint32_t bucket) : head_(&heads[bucket]), claimed_(false) {
    for (int i = 0; i < kSpins + kYields; ++i) {
      uint32_t value = __atomic_load_n(head_, __ATOMIC_RELAXED);
      // ORDER: acquire/release between holders of the bit, as for any lock.
      if ((value & kLocked) == 0 &&
          __atomic_compare_exchange_n(head_, &value, value | kLocked, true, __ATOMIC_ACQUIRE,
                                      __ATOMIC_RELAXED)) {
        first_ = value;
        claimed_ = true;
        return;
      }
      if (i < kSpins) {
        __builtin_ia32_pause();
      } else {
        raw_call(SYS_sched_yield);  // its holder was preempted
      }
    }
    count(board.header->dropped_locks);
  }
  ~BucketScope() {
    // ORDER: pairs with the acquire above.
    if (claimed_) __atomic_store_n(head_, first_, __ATOMIC_RELEASE);
  }
  BucketScope(const BucketScope&) = delete;
  BucketScope& operator=(const BucketScope&) = delete;

  explicit operator bool() const { return claimed_; }
  [[nodiscard]] uint32_t first() const { return first_; }
  void set_first(uint32_t index_plus_one) { first_ = index_plus_one; }

 private:
  static constexpr int kSpins = 1000;
  static constexpr int kYields = 2000;

  uint32_t* head_;
  uint32_t first_ = 0;
  bool claimed_;
};

LockEntry& entry_at(uint32_t index_plus_one) { return board.locks[index_plus_one - 1]; }

LockEntry* find_in(uint32_t first, uint64_t address) {
  for (uint32_t i = first; i != 0; i = static_cast<uint32_t>(entry_at(i).page_link)) {
    if (entry_at(i).address == address) return &entry_at(i);
  }
  return nullptr;
}

uint32_t claim_entry() {
  // ORDER: pairs with the release in free_entry: the link read next is that entry's.
  uint64_t top = __atomic_load_n(&free_entries, __ATOMIC_ACQUIRE);
  while (static_cast<uint32_t>(top) != 0) {
    const uint32_t index = static_cast<uint32_t>(top);
    const uint64_t next =
        ((top >> 32) + 1) << 32 |
        static_cast<uint32_t>(__atomic_load_n(&entry_at(index).page_link, __ATOMIC_RELAXED));
    // ORDER: acquire pairs with the release that freed the entry. The tag keeps ABA away.
    if (__atomic_compare_exchange_n(&free_entries, &top, next, true, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE)) {
      return index;
    }
  }
  format::BoardHeader& header = *board.header;
  if (__atomic_load_n(&header.locks_used, __ATOMIC_RELAXED) >= header.lock_capacity) return 0;
  const uint32_t index = __atomic_fetch_add(&header.locks_used, 1, __ATOMIC_RELAXED);
  if (index < header.lock_capacity) return index + 1;
  __atomic_store_n(&header.locks_used, header.lock_capacity, __ATOMIC_RELAXED);
  return 0;
}

void free_entry(uint32_t index) {
  uint64_t top = __atomic_load_n(&free_entries, __ATOMIC_RELAXED);
  uint64_t next = 0;
  do {
    __atomic_store_n(&entry_at(index).page_link, top & 0xffffffff, __ATOMIC_RELAXED);
    next = ((top >> 32) + 1) << 32 | index;
    // ORDER: the link first, then the entry can be found; pairs with claim_entry.
  } while (!__atomic_compare_exchange_n(&free_entries, &top, next, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
}

void mark_granules(uint64_t address) {
  // The block that contains the lock may start in the granule before.
  for (uint64_t granule = (address >> 16) - 1; granule <= address >> 16; ++granule) {
    uint64_t& word = lock_granules[(granule >> 6) & ((1 << 15) - 1)];
    const uint64_t bit = uint64_t{1} << (granule & 63);
    if ((__atomic_load_n(&word, __ATOMIC_RELAXED) & bit) == 0) {
      __atomic_fetch_or(&word, bit, __ATOMIC_RELAXED);
    }
  }
}

bool is_file(format::Kind kind) {
  return kind == format::Kind::Flock || kind == format::Kind::FcntlLock ||
         kind == format::Kind::OfdLock;
}

// What the runtime keeps in LockEntry::reserved.
constexpr int kLogged = 0;
constexpr int kLoggedAddress = 1;

struct Birth {
  uint64_t address;
  uint64_t logged_address;
  uint64_t site;
  uint32_t creator_uid;
  uint16_t type;
  format::Kind kind;
  uint8_t flags;
};

// Adds an entry to a claimed bucket.
LockEntry* add(BucketScope& bucket, const Birth& birth) {
  const uint32_t index = claim_entry();
  if (index == 0) {
    count(board.header->dropped_locks);
    return nullptr;
  }
  LockEntry& entry = entry_at(index);
  // ORDER: the address is stored last, so that a reader never pairs it with an older lock's words.
  __atomic_store_n(&entry.address, uint64_t{0}, __ATOMIC_RELEASE);
  entry.id = __atomic_add_fetch(&board.header->next_lock, 1, __ATOMIC_RELAXED);
  entry.creator_uid = birth.creator_uid;
  entry.kind = birth.kind;
  entry.flags = birth.flags;
  entry.type = birth.type;
  entry.name = 0;
  entry.birth_site = birth.site;
  entry.poster_uid = 0;
  entry.poster_segment = 0;
  entry.reserved[kLogged] = 0;
  entry.reserved[kLoggedAddress] = birth.logged_address;
  __atomic_store_n(&entry.page_link, uint64_t{bucket.first()}, __ATOMIC_RELAXED);
  // ORDER: a reader that sees the address sees the rest of the entry.
  __atomic_store_n(&entry.address, birth.address, __ATOMIC_RELEASE);
  bucket.set_first(index);
  mark_granules(birth.address);

  return &entry;
}

// Takes every entry in [low, high) out of a claimed bucket.
void remove_from(BucketScope& bucket, uint64_t low, uint64_t high) {
  uint32_t previous = 0;
  for (uint32_t i = bucket.first(); i != 0;) {
    LockEntry& entry = entry_at(i);
    const uint32_t next = static_cast<uint32_t>(entry.page_link);
    if (entry.address >= low && entry.address < high) {
      if (previous == 0) {
        bucket.set_first(next);
      } else {
        // claim_entry may still read the link of an entry that was free when it looked.
        __atomic_store_n(&entry_at(previous).page_link, uint64_t{next}, __ATOMIC_RELAXED);
      }
      end_generation(entry.address);
      if (is_recording()) record_end_of(entry.address);
      entry.flags |= format::kLockDead;
      free_entry(i);
    } else {
      previous = i;
    }
    i = next;
  }
}

void remove_range_in_bucket(uint64_t low, uint64_t high) {
  const uint32_t bucket = bucket_of(low);
  if ((__atomic_load_n(&heads[bucket], __ATOMIC_RELAXED)) == 0) return;
  if (BucketScope scope(bucket); scope) remove_from(scope, low, high);
}

}  // namespace

LockEntry* find_lock(uint64_t address) {
  const uint32_t bucket = bucket_of(address);
  if (__atomic_load_n(&heads[bucket], __ATOMIC_RELAXED) == 0) return nullptr;
  BucketScope scope(bucket);
  return scope ? find_in(scope.first(), address) : nullptr;
}

LockEntry* register_lock(uint64_t address, format::Kind kind, uint64_t site, uint8_t lock_flags) {
  BucketScope scope(bucket_of(address));
  if (!scope) return nullptr;
  if (LockEntry* entry = find_in(scope.first(), address)) {
    if (entry->kind == kind) return entry;
    if (entry->kind == format::Kind::Custom) {
      // An annotation named it before anybody used it, and did not know what it is.
      entry->kind = kind;
      return entry;
    }
    // Another kind of lock at this address: the old one ended unseen.
    remove_from(scope, address, address + 1);
  }
  return add(scope, Birth{.address = address,
                          .logged_address = address,
                          .site = site,
                          .creator_uid = 0,
                          .type = 0,
                          .kind = kind,
                          .flags = lock_flags});
}

uint32_t logged_id(LockEntry* entry) {
  if (entry == nullptr) return 0;
  if (__atomic_load_n(&entry->reserved[kLogged], __ATOMIC_RELAXED) != 0 ||
      __atomic_exchange_n(&entry->reserved[kLogged], 1, __ATOMIC_RELAXED) != 0) {
    return entry->id;
  }
  if (!is_file(entry->kind)) note_module_of(entry->birth_site);
  if (auto* record = begin_record<format::LockRecord>(format::RecordType::Lock, this_thread.uid)) {
    record->address = entry->reserved[kLoggedAddress];
    record->id = entry->id;
    record->creator_uid = entry->creator_uid;
    record->kind = entry->kind;
    record->flags = entry->flags;
    record->type = entry->type;
    record->birth_site = entry->birth_site;
    commit(record);
  }
  return entry->id;
}

uint64_t key_of(const Request& request) {
  return is_file(request.kind) ? request.address ^ request.object * 0x9E3779B97F4A7C15U
                               : request.address;
}

LockEntry* register_lock(const Request& request, uint64_t site) {
  const uint64_t key = key_of(request);
  const uint8_t flags =
      (request.flags & format::kShared) != 0 ? format::kLockProcessShared : uint8_t{0};
  if (!is_file(request.kind)) return register_lock(key, request.kind, site, flags);
  BucketScope scope(bucket_of(key));
  if (!scope) return nullptr;
  if (LockEntry* entry = find_in(scope.first(), key)) return entry;
  // A file's record says device and inode where others say address and birthplace.
  return add(scope, Birth{.address = key,
                          .logged_address = request.address,
                          .site = request.object,
                          .creator_uid = 0,
                          .type = 0,
                          .kind = request.kind,
                          .flags = flags});
}

void note_lock_flags(uint64_t address, format::Kind kind, uint8_t lock_flags, uint64_t site) {
  LockEntry* entry = register_lock(address, kind, site, lock_flags);
  if (entry != nullptr && (entry->flags & lock_flags) != lock_flags) {
    __atomic_fetch_or(&entry->flags, lock_flags, __ATOMIC_RELAXED);
  }
}

void lock_born(uint64_t address, format::Kind kind, uint16_t type, uint8_t flags, uint64_t site) {
  BucketScope scope(bucket_of(address));
  if (!scope) return;
  remove_from(scope, address, address + 1);
  begin_generation(address, this_thread.tag);
  add(scope, Birth{.address = address,
                   .logged_address = address,
                   .site = site,
                   .creator_uid = this_thread.uid,
                   .type = type,
                   .kind = kind,
                   .flags = static_cast<uint8_t>(flags | format::kLockBornByInit)});
}

void lock_ended(uint64_t address) { remove_range_in_bucket(address, address + 1); }

void locks_ended(uint64_t low, uint64_t high) {
  for (uint64_t at = low; at < high;) {
    const uint64_t granule_end = (at | 0xffff) + 1;
    const uint64_t end = granule_end < high ? granule_end : high;
    if (may_contain_locks(at)) {
      for (uint64_t block = at; block < end;) {
        const uint64_t block_end = (block | (kBucketBytes - 1)) + 1;
        remove_range_in_bucket(block, block_end < end ? block_end : end);
        block = block_end;
      }
    }
    at = granule_end;
  }
}

bool is_semaphore_like(uint64_t address) {
  const LockEntry* entry = find_lock(address);
  return entry != nullptr && (entry->flags & format::kLockSemaphoreLike) != 0;
}

void note_released_by_other(ThreadState& thread, const Request& request, const CallSite& site) {
  LockEntry* entry = register_lock(request, site.pc);
  if (entry == nullptr) {
    thread.mark_inexact();
    return;
  }
  if ((entry->flags & format::kLockSemaphoreLike) != 0) return;
  __atomic_fetch_or(&entry->flags, format::kLockSemaphoreLike, __ATOMIC_RELAXED);
  __atomic_fetch_add(&semaphore_like_locks, 1, __ATOMIC_RELAXED);
  go_on_with_care();
  // A lock that no record has named yet takes the flag into its own.
  if (entry->reserved[kLogged] == 0) return;
  note_module_of(site.pc);
  if (auto* mark = begin_record<format::MarkRecord>(format::RecordType::Mark, thread.uid)) {
    mark->mark = format::MarkType::ReleasedByOther;
    mark->a = entry->id;
    mark->site = site.pc;
    commit(mark);
  }
}

void clear_lock_index() {
  // Pages never touched stay unmapped: memset would make 4 MiB of each forked child's own.
  raw_call(SYS_madvise, reinterpret_cast<long>(heads), sizeof heads, MADV_DONTNEED);
  free_entries = 0;
}

}  // namespace gordian::runtime
