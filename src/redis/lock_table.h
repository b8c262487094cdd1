// SPDX-License-Identifier: Apache-2.0
// Who holds and who waits for which lock inside one client: the queue in front of the server.
//
// Of all threads that want a lock only one speaks to the server for it (the contender), so a lock
// has at most one contender a client however many wait. The order among them is the order in which
// they came.
//
// Thread-safety: everything here is guarded by LockTable::mutex, unless a comment says otherwise.
// It is held for a few instructions at a time: no I/O, no user code, no waiting under it.
#pragma once

#include "gordian/lease_words.h"
#include "gordian/redis_lock.h"
#include "redis/event_loop.h"
#include "redis/failure.h"
#include "redis/parker.h"
#include "redis/wire.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gordian::redis {

namespace detail {

// One acquisition: what a lease points to.
struct Hold {
  Hold() {
    words.self = reinterpret_cast<uint64_t>(&words);
    words.magic = hold_words::magic_number;
  }
  ~Hold() { words.magic = 0; }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  hold_words words;
  std::string name;
  Value value{};
  uint32_t owner = 0;  // kernel thread id; 0: no thread's, it was acquired asynchronously
  unsigned depth = 1;  // how many leases share it: more than one only with allow_reentry
  uint64_t token = 0;
  bool shared = false;
  const void* resource = nullptr;  // its address for Gordian's runtime
  std::stop_source lost;           // thread-safe itself
  std::weak_ptr<ClientState> client;
  std::string lost_because;

  enum class State : uint8_t { Held, Releasing, Released, Lost };
  std::atomic<State> state{State::Held};  // written under the mutex
  // By this machine's clock, in ns; written by the I/O thread and before anybody else sees the
  // hold.
  std::atomic<int64_t> expires_ns{0};
  [[nodiscard]] TimePoint expires_at() const {
    return TimePoint(std::chrono::nanoseconds(expires_ns));
  }
  std::multimap<TimePoint, std::shared_ptr<Hold>>::iterator renewal;
  bool has_renewal = false;
};

}  // namespace detail

using detail::Hold;

// One request: of a thread that waits for it, or of nobody who waits.
struct Waiter {
  Parker parker;
  // Instead of a thread that is parked: called, from any thread and with no mutex held, once there
  // is a result. Then the owner is 0, and the request part of no deadlock: whoever made it goes on.
  std::function<void()> on_settled;
  uint32_t owner = 0;
  const void* resource = nullptr;  // see Hold
  uint64_t number = 0;             // distinguishes the waits of a process
  bool once = false;               // a try: fails as soon as the server says no
  bool gives_up = false;           // by itself: never part of a deadlock
  std::optional<TimePoint> deadline;
  int priority = 0;
  TimePoint since{};
  int64_t since_ms = 0;  // the same as a time of day

  enum class State : uint8_t { Waiting, Granted, Failed };
  State state = State::Waiting;
  std::shared_ptr<Hold> grant;
  Failure failure;
  std::vector<std::string> stack;  // if it was asked for, by waking the thread while it waits

  // Once there is a result: the last that is done with it, for the thread may be gone after.
  void wake() {
    if (owner != 0)
      parker.unpark();
    else if (on_settled)
      std::exchange(on_settled, nullptr)();
  }
};

// One lock this client has to do with now.
inline constexpr unsigned kMostHandovers = 4096;

struct Gate {
  Gate(std::string lock_name, bool for_readers) : name(std::move(lock_name)), shared(for_readers) {
    words.self = reinterpret_cast<uint64_t>(&words);
    words.name = reinterpret_cast<uint64_t>(name.data());
    words.name_size = name.size();
    words.magic = lease_words::magic_number;
  }
  ~Gate() { words.magic = 0; }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  const std::string name;
  const bool shared;  // its waiters and holders are readers
  lease_words words;
  std::deque<std::shared_ptr<Waiter>> waiters;
  std::shared_ptr<Hold> hold;  // written by set_hold()
  void set_hold(std::shared_ptr<Hold> now);
  std::vector<std::shared_ptr<Hold>> readers;  // `shared`: instead of `hold`
  // Somebody is at the server for it: a thread that tries first, one that releases, or the
  // contender.
  bool claimed = false;
  unsigned handovers = 0;       // in a row
  unsigned handover_limit = 0;  // grows as long as no other process shows up

  // The contender's own, touched by the I/O thread alone.
  struct Contention {
    bool active = false;
    bool in_flight = false;
    bool again = false;
    bool ambiguous = false;  // a try whose outcome is not known: the value may be on the server
    bool polite = false;     // after a row of handovers: others first
    bool was_polite = false;
    std::optional<Value> value;
    std::optional<Value> writer;  // what tells later readers that it waits for the earlier ones
    unsigned failures = 0;
    std::string last_failure;
    EventLoop::TimerId timer{};
    std::string holder;  // the value that was there at the last try
    TimePoint holder_until{};
    TimePoint since{};
  } contention;
};

class LockTable {
 public:
  std::mutex mutex;
  using Gates = std::unordered_map<std::string, std::shared_ptr<Gate>>;
  Gates gates;
  Gates reader_gates;
  std::multimap<TimePoint, std::shared_ptr<Hold>> renewals;  // when each hold is to be looked at
  bool closing = false;

  // All below: with the mutex held.
  std::shared_ptr<Gate> find(std::string_view name, bool shared = false);
  std::shared_ptr<Gate> find_or_make(std::string_view name, unsigned handover_limit,
                                     bool shared = false);
  [[nodiscard]] std::vector<std::shared_ptr<Gate>> all_gates() const;
  // The hold of a thread among the readers of a gate; null for a null gate.
  static std::shared_ptr<Hold> find_reader(const std::shared_ptr<Gate>& readers, uint32_t owner);
  // Takes a hold out of its gate. Null if it was there no more.
  std::shared_ptr<Gate> take_out(const std::shared_ptr<Hold>& hold);
  // Forgets the gate if nobody has to do with it any more.
  void drop_if_idle(const std::shared_ptr<Gate>& gate);
  void renew_at(const std::shared_ptr<Hold>& hold, TimePoint time);
  void renew_never(const std::shared_ptr<Hold>& hold);
  // Takes the waiter out of the queue, if it is still in it.
  static void leave(Gate& gate, const std::shared_ptr<Waiter>& waiter);
  // The first in the queue gets it. Whoever asks for this, or for fail(), wakes the waiter once the
  // mutex is free.
  [[nodiscard]] static std::shared_ptr<Waiter> grant_first(Gate& gate, std::shared_ptr<Hold> hold);
  [[nodiscard]] static std::shared_ptr<Waiter> fail(Gate& gate, std::shared_ptr<Waiter> waiter,
                                                    Failure failure);
};

// The kernel's id of the calling thread.
uint32_t this_thread_id();

}  // namespace gordian::redis
