// SPDX-License-Identifier: Apache-2.0
// The program brings an allocator that locks, starts threads and is called before anything else.
//
// RUN(jemalloc-cycle, tcmalloc-cycle): gordian run -- %program cycle
// ENV(jemalloc-cycle, jemalloc-busy): LD_PRELOAD=libjemalloc.so.2
// ENV(tcmalloc-cycle, tcmalloc-busy): LD_PRELOAD=libtcmalloc_minimal.so.4
// EXIT(*-cycle): 66
// JSON(*-cycle): findings=1
// JSON(*-cycle): verdict=deadlock kind=lock-order knot=left,right locks=shelf,basket
//
// RUN(jemalloc-busy, tcmalloc-busy): gordian run -- %program busy
// EXIT(*-busy): 0
// JSON(*-busy): findings=0
//
// What the allocator does when a thread first comes to it is no gap in the thread's record.
// RUN(jemalloc-first, tcmalloc-first, first): gordian run -- %program first
// ENV(jemalloc-first): LD_PRELOAD=libjemalloc.so.2
// ENV(tcmalloc-first): LD_PRELOAD=libtcmalloc_minimal.so.4
// EXIT(*first): 66
// JSON(*first): findings=1
// JSON(*first): verdict=deadlock kind=lock-order knot=left,right locks=shelf,basket
// REJECT(*first): not recorded
//
// Preloaded beside us, in either order, without a judge.
// RUN(jemalloc-before): env LD_PRELOAD=libjemalloc.so.2:%lib %program busy
// RUN(jemalloc-after): env LD_PRELOAD=%lib:libjemalloc.so.2 %program busy
// RUN(tcmalloc-before): env LD_PRELOAD=libtcmalloc_minimal.so.4:%lib %program busy
// RUN(tcmalloc-after): env LD_PRELOAD=%lib:libtcmalloc_minimal.so.4 %program busy
// EXIT(*-before, *-after): 0
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

std::mutex shelf, basket;

namespace {

using scenario::Steps;
using scenario::Thread;

void churn() {
  std::vector<void*> blocks(200);
  for (int i = 0; i < 20000; ++i) {
    void*& block = blocks[(i * 7919) % blocks.size()];
    std::free(block);
    block = std::malloc(1 + (i * 31) % 5000);
  }
  for (void* block : blocks) std::free(block);
}

struct Item {
  std::mutex mutex;
  int count = 0;
};

void busy() {
  auto body = [] {
    churn();
    for (int i = 0; i < 2000; ++i) {
      auto item = new Item;
      {
        std::lock_guard hold(shelf);
        std::lock_guard want(item->mutex);
        ++item->count;
      }
      delete item;
    }
  };
  std::vector<Thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back("busy", body);
}

void cycle() {
  busy();
  Steps both_hold_one;
  auto body = [&](std::mutex& first, std::mutex& second) {
    std::lock_guard hold(first);
    both_hold_one.meet(2);
    std::lock_guard want(second);
  };
  Thread left("left", [&] { body(shelf, basket); });
  Thread right("right", [&] { body(basket, shelf); });
}

// Each thread first meets the allocator when it frees a block that has been a lock's home.
void first() {
  auto home = [] {
    auto* item = new (std::malloc(sizeof(Item))) Item;
    std::lock_guard hold(shelf);
    std::lock_guard want(item->mutex);
    return item;
  };
  Steps both_hold_one;
  auto body = [&](Item* item, std::mutex& one, std::mutex& other) {
    std::free(item);
    std::lock_guard hold(one);
    both_hold_one.meet(2);
    std::lock_guard want(other);
  };
  Item* const of_left = home();
  Item* const of_right = home();
  Thread left("left", [&] { body(of_left, shelf, basket); });
  Thread right("right", [&] { body(of_right, basket, shelf); });
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv, {{"busy", busy}, {"cycle", cycle}, {"first", first}});
}
