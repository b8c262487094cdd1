// SPDX-License-Identifier: Apache-2.0
// Short programs of work_gate, worker and bounded_queue, one a case, for `gordian explore` to run
// under many schedules (tools/explore-parts). Exit status 0 if everything came out as it should, 1
// if not; `knot` deadlocks under some schedules, so that one sees that exploring finds it.
#include <gordian/sync.h>

#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

namespace {

int wrong = 0;

void expect(bool fine, const char* what) {
  if (fine) return;
  std::fprintf(stderr, "explored: %s\n", what);
  wrong = 1;
}

// Two that pass, one of them from inside too, one that closes, and one that gives up.
void gate() {
  gordian::work_gate traffic("traffic");
  gordian::mutex database("database");
  gordian::stop_source cancel;
  int alone = 0;  // no lock: only who closed the gate may touch it
  std::atomic<int> inside{0};
  const auto serve = [&] {
    for (int i = 0; i < 2; ++i) {
      auto pass = traffic.enter();
      ++inside;
      auto again = traffic.enter();
      { gordian::hold lock(database); }
      --inside;
    }
  };
  const auto switch_over = [&] {
    auto closed = traffic.close();
    expect(inside == 0, "somebody is inside a closed gate");
    ++alone;
  };
  std::thread first(serve), second(serve), closer(switch_over);
  std::thread cancelled([&] {
    if (auto closed = traffic.close(cancel.get_token())) ++alone;
  });
  cancel.request_stop();
  switch_over();
  for (std::thread* one : {&first, &second, &closer, &cancelled}) one->join();
  expect(alone == 2 || alone == 3, "an exclusive phase was lost");
  expect(static_cast<bool>(traffic.try_close()), "the gate stayed taken");
}

// Two stoppers, one of them under the lock that the worker takes by its token, and the worker
// itself.
void worker() {
  gordian::mutex session("session");
  gordian::bounded_queue<int> ticks(1, "ticks");
  gordian::worker clock;
  std::atomic<bool> ready{false};
  clock = gordian::worker("clock", [&](const gordian::stop_token& stop) {
    while (!ready) std::this_thread::yield();
    while (const auto tick = ticks.pop(stop)) {
      if (!session.lock(stop)) return;
      session.unlock();
      if (*tick == 2) clock.stop();
    }
  });
  ready = true;
  std::thread feeder([&] {
    for (int i = 1; i <= 2; ++i) {
      if (!ticks.push(i, clock.get_stop_token())) return;
    }
  });
  std::thread hang_up([&] {
    gordian::hold lock(session);
    clock.stop();
  });
  clock.stop();
  expect(!clock.running(), "stopped, and still running");
  hang_up.join();
  feeder.join();
}

// Two on each side, more items than room, and an end that drains.
void queue() {
  gordian::bounded_queue<int> items(1, "items");
  std::atomic<int> sum{0};
  const auto produce = [&](int from) {
    for (int i = from; i < from + 2; ++i) expect(!!items.push(i), "a push was lost");
  };
  const auto consume = [&] {
    while (const auto item = items.pop()) sum += *item;
  };
  std::thread first(consume), second(consume);
  std::thread one(produce, 1), other(produce, 10);
  one.join();
  other.join();
  items.close();
  first.join();
  second.join();
  expect(sum == 1 + 2 + 10 + 11, "items were lost, or came twice");
}

// The worker enters without its token what its stopper has closed.
void knot() {
  gordian::work_gate traffic("traffic");
  gordian::worker replication("replication", [&] { auto pass = traffic.enter(); });
  auto closed = traffic.close();
  replication.stop();
}

}  // namespace

int main(int argc, char** argv) {
  const auto is = [&](const char* name) { return argc > 1 && std::strcmp(argv[1], name) == 0; };
  if (is("gate")) {
    gate();
  } else if (is("worker")) {
    worker();
  } else if (is("queue")) {
    queue();
  } else if (is("knot")) {
    knot();
  } else {
    std::fprintf(stderr, "usage: explored gate|worker|queue|knot\n");
    return 2;
  }
  return wrong;
}
