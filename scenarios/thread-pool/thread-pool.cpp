// SPDX-License-Identifier: Apache-2.0
// A thread pool that waits for itself.
//
// A task splits its work, puts one half into the pool's queue, does the other half, and waits for
// the first one's future. When every worker does so at once, all halves are in the queue and nobody
// is left to take one. No lock is held by anybody: only tasks wait for tasks.
//
// The repair: who waits for a task takes tasks from the queue meanwhile. In the `timed` twin it
// loses patience, and tries that after a while only.
//
// With N threads the pool has N workers; main waits for the results.
//
// RUN(broken):    gordian run -- %program
// RUN(broken@3):  gordian run -- %program 3
// RUN(broken@8):  gordian run -- %program 8
// EXIT(broken*):  66
// JSON(broken*):  findings=1
// JSON(broken*):  verdict=deadlock
// JSON(broken@3): no verdict=stall
//
// RUN(repaired, timed):    gordian run -- %program
// RUN(repaired@8):         gordian run -- %program 8
// REPEAT(repaired):        50
// EXIT(repaired*, timed):  0
// JSON(repaired*, timed):  findings=0
#include "support/thread.h"
#include "support/twin.h"

#include <barrier>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <numeric>
#include <string>
#include <vector>

using scenario::kTwin;
using scenario::Twin;
using Part = std::vector<int>::const_iterator;

class ThreadPool {
 public:
  explicit ThreadPool(int count) {
    for (int i = 1; i <= count; ++i) {
      workers_.emplace_back("pool-" + std::to_string(i), [this] { work(); });
    }
  }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    more_.notify_all();
  }

  std::future<long> submit(std::function<long()> body) {
    std::packaged_task<long()> task(std::move(body));
    std::future<long> result = task.get_future();
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    more_.notify_one();
    return result;
  }

  // Runs one task of the queue. False: there was none.
  bool help() {
    std::unique_lock lock(mutex_);
    if (tasks_.empty()) return false;
    std::packaged_task<long()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    return true;
  }

 private:
  void work() {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        more_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
        if (tasks_.empty()) return;
      }
      help();
    }
  }

  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<std::packaged_task<long()>> tasks_;
  bool ending_ = false;
  std::vector<scenario::Thread> workers_;
};

// The result of a task, for one who is himself a task.
SCENARIO_FRAME long wait_for(ThreadPool* pool, std::future<long> result) {
  if constexpr (kTwin != Twin::Broken) {
    const auto patience = std::chrono::milliseconds(kTwin == Twin::Timed ? 20 : 0);
    while (result.wait_for(patience) != std::future_status::ready) {
      // Nothing to help with: another worker has our task, and it needs nobody else.
      if (!pool->help()) break;
    }
  }
  return result.get();
}

SCENARIO_FRAME long sum(ThreadPool* pool, Part begin, Part end, std::barrier<>* all_began) {
  const Part middle = begin + (end - begin) / 2;
  if (all_began != nullptr) all_began->arrive_and_wait();
  std::future<long> left = pool->submit([=] { return std::accumulate(begin, middle, 0L); });
  const long right = std::accumulate(middle, end, 0L);
  return right + wait_for(pool, std::move(left));
}

int main(int argc, char** argv) {
  const int threads = scenario::thread_count(argc, argv, 2, 1);
  std::vector<int> numbers(100'000);
  std::iota(numbers.begin(), numbers.end(), 0);

  // Every worker has its task before the first of them submits another.
  std::barrier<> all_began(threads);
  ThreadPool pool(threads);
  std::vector<std::future<long>> results;
  for (int i = 0; i < threads; ++i) {
    results.push_back(
        pool.submit([&] { return sum(&pool, numbers.begin(), numbers.end(), &all_began); }));
  }
  long total = 0;
  for (std::future<long>& result : results) total += result.get();
  std::printf("%ld\n", total);
}
