// SPDX-License-Identifier: Apache-2.0
// The parts of <gordian/sync.h> beside what people use instead. `tools/bench sync` runs it.
//
// Names are ROW/VARIANT; tools/bench compares the variants of a row. Every thread of a row has
// locks of its own: what is measured is the cost of the lock and of what looks on, not of the
// contention.
#include <gordian/sync.h>

#include <absl/synchronization/mutex.h>
#include <benchmark/benchmark.h>
#include <boost/thread/mutex.hpp>
#include <boost/thread/shared_mutex.hpp>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <shared_mutex>
#include <thread>

namespace {

struct AbseilMutex {
  void lock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex.Lock(); }
  void unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex.Unlock(); }
  void lock_shared() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex.ReaderLock(); }
  void unlock_shared() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex.ReaderUnlock(); }
  absl::Mutex mutex;
};

void plain(const benchmark::State&) {}
void checked(const benchmark::State&) { gordian::enable_checks(); }
void unchecked(const benchmark::State&) { gordian::disable_checks(); }
void watched(const benchmark::State&) { gordian::start_watching(); }
void unwatched(const benchmark::State&) { gordian::stop_watching(); }
void detecting(const benchmark::State&) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kReport);
}
void not_detecting(const benchmark::State&) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
}

template <typename Mutex>
void one_lock(benchmark::State& state) {
  Mutex mutex;
  for (auto _ : state) {
    mutex.lock();
    benchmark::ClobberMemory();
    mutex.unlock();
  }
}

template <typename Mutex>
void nested(benchmark::State& state) {
  Mutex outer;
  Mutex inner;
  for (auto _ : state) {
    outer.lock();
    inner.lock();
    benchmark::ClobberMemory();
    inner.unlock();
    outer.unlock();
  }
}

template <typename Mutex>
void shared(benchmark::State& state) {
  Mutex mutex;
  for (auto _ : state) {
    mutex.lock_shared();
    benchmark::ClobberMemory();
    mutex.unlock_shared();
  }
}

// All threads on one lock.
template <typename Mutex>
void contended(benchmark::State& state) {
  static Mutex mutex;
  for (auto _ : state) {
    mutex.lock();
    benchmark::ClobberMemory();
    mutex.unlock();
  }
}

void start_stop_worker(benchmark::State& state) {
  for (auto _ : state) {
    gordian::worker worker("bench", [](const gordian::stop_token&) {});
    worker.stop();
  }
}
void start_stop_jthread(benchmark::State& state) {
  for (auto _ : state) {
    std::jthread thread([](const std::stop_token&) {});
    thread.request_stop();
    thread.join();
  }
}

// The usual queue of a mutex and two condition variables.
class PlainQueue {
 public:
  explicit PlainQueue(std::size_t capacity) : capacity_(capacity) {}
  void push(int item) {
    std::unique_lock lock(mutex_);
    not_full_.wait(lock, [&] { return items_.size() < capacity_; });
    items_.push_back(item);
    not_empty_.notify_one();
  }
  int pop() {
    std::unique_lock lock(mutex_);
    not_empty_.wait(lock, [&] { return !items_.empty(); });
    const int item = items_.front();
    items_.pop_front();
    not_full_.notify_one();
    return item;
  }

 private:
  std::mutex mutex_;
  std::condition_variable not_full_, not_empty_;
  std::deque<int> items_;
  std::size_t capacity_;
};

void queue_gordian(benchmark::State& state) {
  gordian::bounded_queue<int> queue(64, "bench");
  for (auto _ : state) {
    queue.push(1);
    benchmark::DoNotOptimize(queue.pop());
  }
}
void queue_plain(benchmark::State& state) {
  PlainQueue queue(64);
  for (auto _ : state) {
    queue.push(1);
    benchmark::DoNotOptimize(queue.pop());
  }
}

using Function = void(benchmark::State&);
using Hook = void(const benchmark::State&);

void add(const std::string& row, const std::string& variant, Function* function, int threads,
         Hook* setup = plain, Hook* teardown = plain) {
  benchmark::RegisterBenchmark((row + "/" + variant).c_str(), function)
      ->Threads(threads)
      ->Setup(setup)
      ->Teardown(teardown)
      ->UseRealTime();
}

void add_mutexes(const std::string& row, Function* standard, Function* ours, Function* abseil,
                 Function* boost_one, int threads) {
  add(row, "std", standard, threads);
  add(row, "gordian", ours, threads);
  add(row, "gordian checked", ours, threads, checked, unchecked);
  add(row, "gordian watched", ours, threads, watched, unwatched);
  add(row, "absl", abseil, threads, not_detecting);
  add(row, "absl detecting", abseil, threads, detecting, not_detecting);
  add(row, "boost", boost_one, threads);
}

}  // namespace

int main(int argc, char** argv) {
  // glibc's locks are cheaper in a process that never had a second thread; so are ours. Rows of one
  // thread are measured in a process that had one.
  std::thread([] {}).join();
  gordian::set_error_handler(gordian::abort_on_error);
  for (const int threads : {1, 2, 8}) {
    const std::string suffix = threads == 1 ? "" : ", " + std::to_string(threads) + " threads";
    add_mutexes("uncontended" + suffix, one_lock<std::mutex>, one_lock<gordian::mutex>,
                one_lock<AbseilMutex>, one_lock<boost::mutex>, threads);
    add_mutexes("nested" + suffix, nested<std::mutex>, nested<gordian::mutex>, nested<AbseilMutex>,
                nested<boost::mutex>, threads);
  }
  add_mutexes("shared", shared<std::shared_mutex>, shared<gordian::shared_mutex>,
              shared<AbseilMutex>, shared<boost::shared_mutex>, 1);
  add_mutexes("one lock, 2 threads", contended<std::mutex>, contended<gordian::mutex>,
              contended<AbseilMutex>, contended<boost::mutex>, 2);
  add("worker start and stop", "std", start_stop_jthread, 1);
  add("worker start and stop", "gordian", start_stop_worker, 1);
  add("queue push and pop", "std", queue_plain, 1);
  add("queue push and pop", "gordian", queue_gordian, 1);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
