// SPDX-License-Identifier: Apache-2.0
// A client's inside: the queue in front of each lock (LockTable), the thread that talks to the
// servers, and the renewals.
//
// A lock that is free in this client is tried by the calling thread itself, on a borrowed
// connection. All else is the I/O thread's: it contends for the first in each queue, after every
// push that names the key and, whatever was pushed or not, when the holder's lease should be over.
//
// A reply that did not come is no answer: the try may have worked. So it is repeated with the same
// value, which the server then finds to be ours; and if nobody wants the lock any more it is
// released.
#pragma once

#include "gordian/redis_lock.h"
#include "redis/deadlock_watch.h"
#include "redis/lock_table.h"
#include "redis/notifier.h"
#include "redis/servers.h"

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

namespace gordian::redis {

// What a try for one lock came to.
struct TryOutcome {
  enum class Kind : uint8_t { Acquired, Refused, Unknown, Error };
  Kind kind = Kind::Unknown;
  uint64_t token = 0;
  std::string holder;                         // Refused: the value that is there,
  std::chrono::milliseconds holder_left{-1};  // and how long; negative: for ever
  std::string failure;
  bool is_partial = false;  // Error: in the middle of the script, and what it had done stays

  // The key may have the value, though nobody was told that he holds the lock.
  [[nodiscard]] bool may_have_worked() const { return kind == Kind::Unknown || is_partial; }
};
TryOutcome read_try(const redisReply* reply);

namespace detail {

class ClientState : public std::enable_shared_from_this<ClientState> {
 public:
  explicit ClientState(client_options options);
  ~ClientState();
  ClientState(const ClientState&) = delete;
  ClientState& operator=(const ClientState&) = delete;

  void start();
  void close();
  [[nodiscard]] bool is_of_this_process() const;
  void keep_for_ever() { itself_ = shared_from_this(); }

  enum class Want : uint8_t { Wait, Once, Force };
  // Null only for Once: somebody else has it.
  std::shared_ptr<Hold> acquire(std::string_view name, const wait_limit& limit, Want want);
  std::shared_ptr<Hold> acquire_shared(std::string_view name, const wait_limit& limit);
  // On a loop of the program's own.
  int descriptor();
  void run_ready();
  // Throws misuse_error on the thread that would wait for itself.
  void check_may_wait() const;
  // Called once, with one of the two, unless this throws.
  using OnAcquired = std::function<void(std::vector<std::shared_ptr<Hold>>, std::exception_ptr)>;
  enum class Kind : uint8_t { Exclusive, Shared, Once, Force };
  void acquire_async(std::string name, const wait_limit& limit, Kind kind, OnAcquired done);
  // The names are sorted, and different.
  void acquire_all_async(std::vector<std::string> names, const wait_limit& limit, OnAcquired done);

  // May throw only if `wait`.
  void release(const std::shared_ptr<Hold>& hold, bool wait);

  [[nodiscard]] const client_options& options() const { return options_; }

 private:
  // --- the calling thread (client_state.cpp)
  void wait_for_what_is_under_way();
  void check_usable(std::string_view name) const;
  void check_has_readers(std::string_view name) const;
  std::shared_ptr<Hold> wait_for(const std::shared_ptr<Gate>& gate,
                                 const std::shared_ptr<Waiter>& waiter, const wait_limit& limit);
  bool tell_stack(Waiter& waiter);
  [[nodiscard]] bool ends_by_itself(const Waiter& waiter) const;
  [[nodiscard]] std::shared_ptr<Waiter> make_waiter(std::string_view name, const wait_limit& limit,
                                                    bool once);
  void raise_if_lost(const Hold& hold);
  void release_reader(const std::shared_ptr<Hold>& hold, bool wait);
  TryOutcome ask_directly(std::string_view name, const Value& value, const Waiter& waiter,
                          bool can_stop);
  std::shared_ptr<Hold> force(std::string_view name, const Waiter& waiter);
  // Any thread; nobody waits for it.
  void release_soon(std::string_view name, const Value& value);
  // What was forced at the servers is this client's now. Null if the client ends.
  std::shared_ptr<Hold> keep_forced(std::string_view name, const Value& value, uint64_t token,
                                    TimePoint asked_at, const Waiter& waiter);
  enum class Released : uint8_t { Yes, WasLost, Unknown };
  Released release_directly(const Hold& hold, TimePoint answer_by);
  // What is left to do about a hold that was let go of here: its key to be released at the servers,
  // or (no gate) none, because it was lost before.
  struct Parting {
    std::shared_ptr<Gate> gate;
    bool limit_reached = false;
  };
  // Nothing: it stays with another lease or went on to the next waiter.
  std::optional<Parting> part_with(const std::shared_ptr<Hold>& hold);
  [[nodiscard]] bool may_hand_over(const Gate& gate, const Hold& hold) const;
  std::shared_ptr<Waiter> hand_over(Gate& gate, Hold& hold);
  void let_go(const std::shared_ptr<Gate>& gate, bool polite);
  std::shared_ptr<Hold> make_hold(std::string_view name, const Value& value, uint64_t token,
                                  TimePoint asked_at);
  Value new_value(uint32_t owner, bool shared = false);
  [[nodiscard]] ScriptCall acquire_call(unsigned index, std::string_view name, const Value& value,
                                        bool force) const;
  [[nodiscard]] ScriptCall release_call(unsigned index, std::string_view name,
                                        const Value& value) const;

  // --- requests that nobody waits for, and the program's loop (asynchronous.cpp)
  struct Request;
  std::shared_ptr<Request> make_request(std::string name, const wait_limit& limit, Kind kind);
  void check_takes_requests(std::string_view name);
  void begin(const std::shared_ptr<Request>& request);
  void enqueue(const std::shared_ptr<Request>& request);
  void force_for(const std::shared_ptr<Request>& request);
  void acquire_next(const std::shared_ptr<Request>& all);
  void give_back(const std::shared_ptr<Request>& all, const Failure& failure);
  void release_then(const std::shared_ptr<Hold>& hold, const std::function<void()>& then);
  void fail(const std::shared_ptr<Request>& request, Failure failure);
  void forget(const std::shared_ptr<Request>& request);
  void give_up(const std::shared_ptr<Request>& request, errc code);
  void settled(const std::shared_ptr<Request>& request);
  void settle_all();
  // Calls it soon, with no lock held: from the notifier's thread, or from the program's loop.
  void tell_program(std::function<void()> work);
  void tell_what_is_there(size_t at_most);

  // --- the I/O thread: getting locks (contend.cpp)
  struct Try;
  using OnTried = std::function<void(const TryOutcome&)>;
  // The gate is claimed; `first` is what a try just came to, if there was one.
  void start_contending(const std::shared_ptr<Gate>& gate, const TryOutcome& first);
  void contend(const std::shared_ptr<Gate>& gate);
  void contended(const std::shared_ptr<Gate>& gate, const Value& value, TimePoint asked_at,
                 TryOutcome outcome);
  void contend_at(const std::shared_ptr<Gate>& gate, TimePoint time);
  void stop_if_unwanted(const std::shared_ptr<Gate>& gate);
  void stop_all_contending();
  void stop_contending(const std::shared_ptr<Gate>& gate);
  void grant(const std::shared_ptr<Gate>& gate, const Value& value, TimePoint asked_at,
             uint64_t token);
  void refused(const std::shared_ptr<Gate>& gate, const TryOutcome& outcome);
  void failed(const std::shared_ptr<Gate>& gate, const TryOutcome& outcome);
  void try_keys(std::string name, const Value& value, bool force, OnTried on_tried);
  void ask_more_keys(const std::shared_ptr<Try>& attempt);
  void key_answered(const std::shared_ptr<Try>& attempt, unsigned index, const redisReply* reply);
  void raise_counters(const std::shared_ptr<Try>& attempt);
  void decide(const std::shared_ptr<Try>& attempt, TryOutcome::Kind kind);
  void say_that_a_writer_waits(const std::shared_ptr<Gate>& gate);
  void no_writer_waits(const std::shared_ptr<Gate>& gate);
  // Somebody of this client let go of the lock: the others in it are not told by the server.
  void wake_other_kind(const std::shared_ptr<Gate>& gate);
  void changed(std::optional<std::string_view> key);
  void deadlocked(uint32_t thread, uint64_t wait, bool is_victim,
                  const std::vector<deadlock_member>& cycle);

  // --- the I/O thread: keeping and letting go of them (renew.cpp)
  std::vector<std::shared_ptr<Hold>> take_due(TimePoint now);
  void renew_due();
  void extend(const std::shared_ptr<Hold>& hold);
  void verify(const std::shared_ptr<Hold>& hold);
  void verify_reader(const std::shared_ptr<Hold>& hold);
  // Any thread.
  void lose(std::shared_ptr<Hold> hold, std::string why);
  // What was got, or perhaps was, when nobody wanted it any more. The gate stays claimed until the
  // server has let go of it.
  void release_unwanted(const std::shared_ptr<Gate>& gate, const Value& value, TimePoint until);
  void release_at_server(const std::string& name, const Value& value, TimePoint until,
                         const std::function<void(Released)>& done);

  // What is not worth granting: the answer to a try that was sent then came when the lease was
  // over. (Somebody else may have had the lock since.) As if none had come.
  void drop_if_late(TryOutcome& outcome, TimePoint asked_at) const;

  [[nodiscard]] std::chrono::milliseconds drift() const {
    return options_.validity / 100 + std::chrono::milliseconds(2);
  }

  std::shared_ptr<ClientState> itself_;
  client_options options_;
  unsigned majority_ = 1;
  unsigned keys_ = 1;
  std::string validity_ms_;
  std::string realm_;  // which servers and which prefix: two realms share no lock
  uint64_t incarnation_ = 0;
  std::atomic<uint64_t> sequence_{0};
  unsigned fork_generation_ = 0;

  LockTable table_;
  EventLoop loop_;
  std::unique_ptr<Servers> servers_;
  std::unique_ptr<DeadlockWatch> watch_;
  Notifier notifier_;
  std::thread thread_;
  // Tries, and releases in the background: what the servers may be left with if nobody waits for
  // it.
  std::atomic<unsigned> under_way_{0};

  std::mutex asynchronous_mutex_;
  std::unordered_set<std::shared_ptr<Request>> requests_;
  std::deque<std::function<void()>> to_tell_;  // to the program, from its own loop
  std::atomic<uint32_t> loop_thread_{0};       // that turns the loop; 0: a thread of the client's
  bool ended_ = false;
};

}  // namespace detail
}  // namespace gordian::redis
