// SPDX-License-Identifier: Apache-2.0
// The parts of gordian/sync.h, unchecked: a deadlock of theirs is told with their names.
//
// RUN(cycle, with-mutex, readers, stop): gordian run -- %program %case
// EXIT(cycle, with-mutex, readers, stop): 66
// JSON(cycle, with-mutex, readers, stop): findings=1
// JSON(cycle): verdict=deadlock kind=lock-order knot=left,right locks=streams,handle
// JSON(with-mutex): verdict=deadlock knot=left,right locks=streams,plain
// JSON(readers): verdict=deadlock knot=left,right locks=guard,handle
// JSON(stop): verdict=deadlock locks=guard,replication
//
// Their state words are futexes like any other to who only looks from outside.
// ATTACH(cycle, with-mutex, readers, stop): skip
//
// RUN(consistent, cancelled, deferred): gordian run -- %program %case
// EXIT(consistent, cancelled, deferred): 0
// JSON(consistent, cancelled, deferred): findings=0
//
// RUN(lucky): gordian run -- %program %case
// EXIT(lucky): 0
// JSON(lucky): verdict=possible kind=lock-order locks=streams,handle
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"
#include <gordian/sync.h>

#include <mutex>

namespace {

using scenario::Steps;
using scenario::Thread;

gordian::mutex streams{"streams"};
gordian::mutex handle{"handle"};
gordian::shared_mutex guard{"guard"};
gordian::work_gate gate{"guard"};

}  // namespace

std::mutex plain;

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

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"cycle", cycle},
                             {"with-mutex", with_mutex},
                             {"readers", readers},
                             {"stop", stop},
                             {"lucky", one_after_the_other},
                             {"consistent", consistent},
                             {"cancelled", cancelled},
                             {"deferred", deferred}});
}
