// SPDX-License-Identifier: Apache-2.0
// Finds deadlocks over the locks of many clients, with nobody in the middle.
//
// A client with threads that hold locks and have waited for another one for longer than
// deadlock_delay publishes them (WaitRecord), again every tick, and with an expiry. Then it walks
// for each of them: the lock it wants -> the value in that lock's key -> the client that made the
// value -> what that client publishes -> the thread there that holds the lock -> the lock that one
// wants, and so on. Back at the start it is a cycle.
//
// One walk proves nothing: its edges were read one after the other. Three do. The second begins
// after the first has ended. In the third every record must be two editions younger than in the
// second: a client captures an edition only after the server has confirmed the one before, so these
// were captured after the first walk was over. A wait with the same number, and a key with the same
// value, was the same all the time; so there was an instant at which all edges stood together, and
// none of the waits has a time limit. A thread that holds a lock and waits for a mutex, or for the
// end of a thread, counts with the blocked owner it waits for in the end (local_waits.h). Where
// there are several servers each has its own editions, and all three walks are of one of them. A
// missing record, a foreign holder or anything unreadable ends the walk: no claim.
//
// The I/O thread's alone, but for wake().
#pragma once

#include "redis/lock_table.h"
#include "redis/servers.h"
#include "redis/wait_record.h"

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace gordian::redis {

class DeadlockWatch {
 public:
  // A cycle that `thread` of this client is part of by its wait number `wait`, found for the first
  // time.
  using OnDeadlock = std::function<void(uint32_t thread, uint64_t wait, bool is_victim,
                                        const std::vector<deadlock_member>&)>;

  DeadlockWatch(EventLoop& loop, Servers& servers, LockTable& table, const client_options& options,
                uint64_t incarnation, OnDeadlock on_deadlock);

  // From any thread: somebody waits.
  void wake();
  void stop();

 private:
  struct Walk;
  // What the walks so far have shown for one wait.
  struct Suspicion {
    uint64_t wait = 0;
    std::string signature;           // of the cycle
    unsigned walks = 0;              // in a row that found it
    std::vector<uint64_t> editions;  // of the records in the second of them
    bool told = false;
  };

  void tick();
  // By thread: the locks of those that wait for no lock themselves.
  using HeldByOthers = std::map<uint32_t, std::vector<std::string>>;
  std::vector<BlockedOwner> blocked_owners(bool& anybody, HeldByOthers& held) const;
  void contract(std::vector<BlockedOwner>& owners, const HeldByOthers& held);
  // Of these locks those that `holder` still has while `owner` still waits.
  [[nodiscard]] std::vector<std::string> still_waits(const BlockedOwner& owner, uint32_t holder,
                                                     const std::vector<std::string>& names) const;
  // With the table's mutex held. Null: it waits no more.
  [[nodiscard]] std::shared_ptr<Waiter> waiter_of(const BlockedOwner& owner) const;
  void ask_for_stack(const BlockedOwner& owner);
  void add_local_part(const BlockedOwner& owner, deadlock_member& member) const;
  void publish(unsigned server);
  void walk(unsigned server);
  void step(const std::shared_ptr<Walk>& walk);
  void found_record(const std::shared_ptr<Walk>& walk, std::string_view text);
  void found_value(const std::shared_ptr<Walk>& walk, std::string_view value);
  void closed(const Walk& walk);
  void ended(const Walk& walk);

  EventLoop& loop_;
  Servers& servers_;
  LockTable& table_;
  const client_options& options_;
  const uint64_t incarnation_;
  const OnDeadlock on_deadlock_;
  std::atomic<bool> ticking_{false};
  EventLoop::TimerId timer_{};
  WaitRecord record_;  // without its edition
  struct Publication {
    uint64_t confirmed = 0;  // the last edition this server has taken
    bool under_way = false;
  };
  std::vector<Publication> publications_;  // one a server
  std::map<uint32_t, Suspicion> suspicions_;
  std::map<uint32_t, std::vector<std::string>> local_waits_;  // of the last tick, by blocked owner
};

}  // namespace gordian::redis
