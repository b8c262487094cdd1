// SPDX-License-Identifier: Apache-2.0
// The parts of gordian/sync.h, unchecked: a deadlock of theirs is told with their names.
//
// RUN(cycle, with-mutex, readers, stop, push, condition, member): gordian run -- %program %case
// EXIT(cycle, with-mutex, readers, stop, push, condition, member): 66
// JSON(cycle, with-mutex, readers, stop, push, condition, member): findings=1
// JSON(cycle): verdict=deadlock kind=lock-order knot=left,right locks=streams,handle
// JSON(with-mutex): verdict=deadlock knot=left,right locks=streams,plain
// JSON(readers): verdict=deadlock kind=rwlock knot=left,right locks=guard,handle
// JSON(stop): verdict=deadlock kind=join knot=parts,replication locks=traffic,replication
// JSON(push): verdict=deadlock kind=queue knot=parts,waiter locks=process,tokens
// JSON(condition): verdict=deadlock kind=condition knot=parts,notifier locks=handle,arrived
// JSON(member): verdict=deadlock kind=queue knot=parts,sender locks=lobby.streams,lobby.letters
//
// Somebody else runs, but is known to be none who pops; else it is only a stall.
// RUN(complete): gordian run -- %program %case
// EXIT(complete): 66
// JSON(complete): findings=1 verdict=deadlock kind=queue knot=parts,waiter locks=process,tokens
// RUN(incomplete): gordian run -- %program %case
// EXIT(incomplete): 0
// JSON(incomplete): verdict=stall kind=queue locks=process,tokens
// JSON(incomplete): no verdict=deadlock
// ATTACH(complete, incomplete): skip
//
// Each is called what it is, and the code that took it is the program's own.
// EXPECT(cycle): holds streams, a mutex of level 2, taken at
// EXPECT(readers): holds guard (shared), an rwlock, taken at
// EXPECT(stop): holds traffic (exclusive), a gate, taken at
// EXPECT(stop): joins worker replication, which is "replication"
// EXPECT(push): waits on queue tokens, which could only be served by "waiter"
// EXPECT(condition): waits on condition arrived, which could only be signalled by "notifier"
// REJECT(cycle, with-mutex, readers, stop, push, condition, member): gordian::detail
//
// Their state words are futexes like any other to who only looks from outside.
// ATTACH(cycle, with-mutex, readers, stop, push, condition, member): skip
//
// RUN(consistent, cancelled, deferred, tried, signalled, served, outlived): gordian run -- %program %case
// EXIT(consistent, cancelled, deferred, tried, signalled, served, outlived): 0
// JSON(consistent, cancelled, deferred, tried, signalled, served, outlived): findings=0
//
// RUN(lucky, late): gordian run -- %program %case
// EXIT(lucky, late): 0
// JSON(late): findings=1 verdict=possible kind=join
// JSON(lucky): verdict=possible kind=lock-order locks=streams,handle
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"
#include <gordian/sync.h>

#include <array>
#include <mutex>
#include <poll.h>
#include <thread>

namespace {

using scenario::Steps;
using scenario::Thread;

enum class level { handles = 1, streams };

gordian::mutex streams{"streams", level::streams};
gordian::mutex handle{"handle"};
gordian::shared_mutex guard{"guard"};
gordian::work_gate gate{"traffic"};

// Without names of their own.
struct Room {
  gordian::mutex streams;
  gordian::bounded_queue<int> letters{1};
};

}  // namespace

std::mutex plain;
Room lobby;

namespace {

template <typename First, typename Second>
void cross(First& a, Second& b) {
  Steps both_hold_one;
  auto body = [&](auto& first, auto& second) {
    std::lock_guard hold(first);
    both_hold_one.meet(2);
    std::lock_guard want(second);
  };
  Thread left("left", [&] { body(a, b); });
  Thread right("right", [&] { body(b, a); });
}

void cycle() { cross(streams, handle); }
void with_mutex() { cross(streams, plain); }

// A read lock is a hold too.
void readers() {
  Steps both_hold_one;
  Thread left("left", [&] {
    gordian::hold_shared read(guard);
    both_hold_one.meet(2);
    gordian::hold want(handle);
  });
  Thread right("right", [&] {
    gordian::hold hold(handle);
    both_hold_one.meet(2);
    gordian::hold want(guard);
  });
}

// Stopping a worker under the gate that it enters without a token.
void stop() {
  Steps closed;
  gordian::worker replication("replication", [&] {
    closed.wait_for(1);
    auto pass = gate.enter();
  });
  auto alone = gate.close();
  closed.advance();
  replication.stop();
}

// Who could take the token waits for the lock that the pusher holds.
void push(bool tries) {
  gordian::bounded_queue<int> tokens(1, "tokens");
  gordian::mutex process("process");
  Steps locked;
  tokens.push(1);
  Thread waiter("waiter", [&] {
    locked.wait_for(1);
    gordian::hold sign_off(process);
    tokens.pop();
  });
  gordian::hold lock(process);
  locked.advance();
  if (tries) {
    (void)tokens.try_push(2);
  } else {
    tokens.push(2);
  }
}

enum class Consumers { Complete, Incomplete, Served };

// As push(), but somebody else lives on, who might take the token if it were not said that only
// those do who have done so before.
void push_beside_others(Consumers which) {
  gordian::bounded_queue<int> tokens(1, "tokens");
  gordian::mutex process("process");
  Steps popped, locked, over;
  Thread idle("idle", [&] {
    if (which == Consumers::Incomplete) {
      poll(nullptr, 0, 1500);
      tokens.pop();
    } else {
      while (!over.is_at(1)) poll(nullptr, 0, 20);
    }
  });
  Thread waiter("waiter", [&] {
    (void)tokens.try_pop();
    popped.advance();
    locked.wait_for(1);
    std::unique_lock sign_off(process, std::defer_lock);
    if (which != Consumers::Served) sign_off.lock();
    tokens.pop();
  });
  popped.wait_for(1);
  if (which != Consumers::Incomplete) tokens.consumers_complete();
  tokens.push(1);
  gordian::hold lock(process);
  locked.advance();
  tokens.push(2);
  over.advance();
}

void member() {
  Steps locked;
  Thread sender("sender", [&] {
    locked.wait_for(1);
    gordian::hold lock(lobby.streams);
    lobby.letters.push(1);
  });
  gordian::hold lock(lobby.streams);
  locked.advance();
  (void)lobby.letters.pop();
}

// Who would notify waits for the lock that the waiter holds.
void condition(bool holds) {
  gordian::mutex state("state");
  gordian::condition_variable arrived("arrived");
  bool there = false;
  Steps locked;
  Thread notifier("notifier", [&] {
    locked.wait_for(1);
    gordian::hold outer(handle);
    gordian::hold inner(state);
    there = true;
    arrived.notify_one();
  });
  std::unique_lock outer(handle, std::defer_lock);
  if (holds) outer.lock();
  std::unique_lock inner(state);
  locked.advance();
  arrived.wait(inner, [&] { return there; });
}

void one_after_the_other() {
  Steps turn;
  Thread left("left", [&] {
    {
      gordian::hold a(streams);
      gordian::hold b(handle);
    }
    turn.advance();
    turn.wait_for(2);
  });
  Thread right("right", [&] {
    turn.wait_for(1);
    {
      gordian::hold b(handle);
      gordian::hold a(streams);
    }
    turn.advance();
  });
}

// After many other locks at one place the thread takes the one under which it is joined: the places
// are told apart.
void late() {
  std::array<gordian::mutex, 100> others;
  Steps over;
  std::thread thread([&] {
    for (gordian::mutex& other : others) gordian::hold lock(other);
    { gordian::hold lock(handle); }
    over.advance();
  });
  over.wait_for(1);
  gordian::hold lock(handle);
  thread.join();
}

void consistent() {
  auto body = [] {
    for (int i = 0; i < 300; ++i) {
      gordian::hold a(streams);
      gordian::hold b(handle);
      gordian::hold_shared c(guard);
    }
  };
  Thread left("left", body);
  Thread right("right", body);
}

// The stop ends the wait: no deadlock.
void cancelled() {
  gordian::worker replication("replication", [&](const gordian::stop_token& stop) {
    while (auto pass = gate.enter(stop)) {
    }
  });
  auto alone = gate.close();
  replication.stop();
}

void deferred() {
  gordian::deferred later;
  auto lock = later.hold(streams);
  later.post([&] { gordian::hold again(streams); });
}

// Made before the thread's first lock, and so gone after all that Gordian keeps of the thread.
struct ReleasedAtTheEnd {
  gordian::mutex* held = nullptr;
  ~ReleasedAtTheEnd() {
    if (held == nullptr) return;
    gordian::hold late(handle);
    held->unlock();
  }
};
thread_local ReleasedAtTheEnd at_the_end;

void outlived() {
  Thread("worker", [] {
    at_the_end.held = &streams;
    streams.lock();
  });
  gordian::hold again(streams);
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"cycle", cycle},
                             {"with-mutex", with_mutex},
                             {"readers", readers},
                             {"stop", stop},
                             {"push", [] { push(false); }},
                             {"tried", [] { push(true); }},
                             {"complete", [] { push_beside_others(Consumers::Complete); }},
                             {"incomplete", [] { push_beside_others(Consumers::Incomplete); }},
                             {"served", [] { push_beside_others(Consumers::Served); }},
                             {"member", member},
                             {"condition", [] { condition(true); }},
                             {"signalled", [] { condition(false); }},
                             {"lucky", one_after_the_other},
                             {"late", late},
                             {"consistent", consistent},
                             {"cancelled", cancelled},
                             {"deferred", deferred},
                             {"outlived", outlived}});
}
