// SPDX-License-Identifier: Apache-2.0
// What a thread holds, and which orders it has already had checked. Written by its own thread
// alone; others read it only while the thread is registered as waiting. Not meant for direct use.
#ifndef GORDIAN_THREAD_RECORD_H
#define GORDIAN_THREAD_RECORD_H

#include <gordian/lock_identity.h>
#include <gordian/lock_word.h>
#include <gordian/source_location.h>

#include <array>
#include <utility>
#include <vector>

// One for all libraries of the program, also of those that hide their symbols.
#pragma GCC visibility push(default)

namespace gordian::detail {

// Where a lock was asked for. std::unique_lock and its like hide the line from us; the return
// address then at least names the function that contains it.
struct call_site {
  source_location where;
  const void* caller = nullptr;
};

struct held_lock {
  const lock_identity* what;
  call_site site;
  std::int64_t since_ns;  // 0: this one is not timed
  std::uint32_t depth;    // of a recursive lock
  mode how;
  bool is_thread;  // not a lock, but "I am this worker"
};

struct thread_record {
  std::vector<held_lock> held;
  std::uint32_t number = 0;
  std::uint32_t epoch = 0;
  std::uint32_t until_sample = 0;
  const char* name = nullptr;  // of the worker it is
  bool busy = false;           // in our own books: an allocator that locks is not checked

  // Pairs (held, wanted) found in order. Ids are never reused, so nothing has to be taken out.
  std::array<std::uint64_t, 256> in_order{};

  static std::uint64_t pair_of(std::uint32_t held_id, std::uint32_t wanted_id) {
    return std::uint64_t{held_id} << 32 | wanted_id;
  }
  std::uint64_t& slot_of(std::uint64_t pair) {
    return in_order[(pair * 0x9e37'79b9'7f4a'7c15U) >> 56];
  }

  held_lock* find(const lock_identity& what) {
    for (std::size_t i = held.size(); i-- > 0;) {
      if (held[i].what == &what) return &held[i];
    }
    return nullptr;
  }
};

// Switching on begins a new epoch: what was held or learned before is not known.
inline constinit std::atomic<std::uint32_t> current_epoch{1};

// Number and epoch of an owner in one word.
inline std::uint32_t stamp_of(const thread_record& record) {
  return (record.number & 0xff'ffff) << 8 | (record.epoch & 0xff);
}

inline constinit thread_local thread_record* this_record = nullptr;
inline constinit thread_local bool this_thread_is_ending = false;
// The worker this thread is; and the same until its function has returned.
inline constinit thread_local const lock_identity* this_worker = nullptr;
inline constinit thread_local const lock_identity* this_running_worker = nullptr;

// As thread_record::busy, of a thread that has none yet.
inline constinit thread_local bool busy_without_record = false;

thread_record* new_record();

// Null: the thread is past its thread-local destructors, or inside our own books.
inline thread_record* current_record() {
  thread_record* record = this_record;
  if (record == nullptr) [[unlikely]]
    record = new_record();
  if (record == nullptr || record->busy) return nullptr;
  const std::uint32_t epoch = current_epoch.load(std::memory_order_relaxed);
  if (record->epoch != epoch) [[unlikely]] {
    record->epoch = epoch;
    record->held.clear();
    record->until_sample = 0;
    record->in_order.fill(0);
    if (this_running_worker != nullptr) {
      record->held.push_back({this_running_worker, {}, 0, 1, mode::exclusive, true});
    }
  }
  return record;
}

// For the scope of our own bookkeeping, which allocates and frees: the program's allocator may
// lock.
class [[nodiscard]] busy_scope {
 public:
  explicit busy_scope(thread_record& me) noexcept : busy_scope(me.busy) {}
  busy_scope() noexcept
      : busy_scope(this_record != nullptr ? this_record->busy : busy_without_record) {}
  ~busy_scope() { busy_ = before_; }
  busy_scope(const busy_scope&) = delete;
  busy_scope& operator=(const busy_scope&) = delete;

 private:
  explicit busy_scope(bool& busy) noexcept : busy_(busy), before_(std::exchange(busy, true)) {}

  bool& busy_;
  const bool before_;
};

// The record where nothing is left to do for it, else null.
inline thread_record* ready_record() noexcept {
  thread_record* const record = this_record;
  const bool ready = record != nullptr && !record->busy &&
                     record->epoch == current_epoch.load(std::memory_order_relaxed);
  return ready ? record : nullptr;
}

}  // namespace gordian::detail

#pragma GCC visibility pop

#endif
