// SPDX-License-Identifier: Apache-2.0
// Uses every part once; what compilers.sh compiles and runs. Exit status 0 if the handler heard of
// a wrong order and the program could go on, which also holds without exceptions.
#include <gordian/sync.h>

enum class level { outer, inner };

int main() {
  gordian::timed_mutex outer{"outer", level::outer};
  gordian::shared_timed_mutex inner{"inner", level::inner};
  gordian::recursive_timed_mutex again{"again"};
  gordian::guarded<int> data;
  gordian::bounded_queue<int> queue{1, "queue"};
  gordian::work_gate gate{"gate"};
  gordian::deferred later;
  gordian::strand strand;
  gordian::condition_variable arrived;
  int heard = 0;

  gordian::set_error_handler([&](const gordian::lock_error&) { ++heard; });
  gordian::enable_checks();
  {
    gordian::hold_shared wrong(inner);
    gordian::hold order(outer);
  }
  gordian::disable_checks();

  gordian::worker worker{"worker", [&](const gordian::stop_token& stop) {
                           std::unique_lock lock(outer);
                           arrived.wait(lock, stop, [] { return false; });
                         }};
  worker.stop();
  gordian::stop_source stop;
  stop.request_stop();
  gordian::hold hold(again);
  auto all = gordian::lock_all(outer, gordian::shared(inner));
  auto pass = gate.enter(stop.get_token());
  queue.push(1, stop.get_token());
  later.post([&] { ++*data.lock(); });
  later.run();
  strand.dispatch([&] { ++*data.lock(); });
  gordian::start_watching();
  const bool fine = heard == 1 && *data.snapshot() == 2 && queue.pop() == 1 && pass &&
                    !gordian::prometheus_text().empty();
  gordian::stop_watching();
  return fine ? 0 : 1;
}
