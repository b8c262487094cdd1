// SPDX-License-Identifier: Apache-2.0
// An allocator of the program that takes a lock of Gordian's: the books of checked mode allocate
// too, also while they make the first record of a thread.
#include "blocked.h"
#include <gordian/sync.h>

#include <cstdlib>
#include <gtest/gtest.h>
#include <new>

namespace {

std::atomic<gordian::mutex*> heap{nullptr};

// For the scope of one allocation.
class HeapHold {
 public:
  HeapHold() : heap_(heap.load()) {
    if (heap_ != nullptr) heap_->lock();
  }
  ~HeapHold() {
    if (heap_ != nullptr) heap_->unlock();
  }
  HeapHold(const HeapHold&) = delete;
  HeapHold& operator=(const HeapHold&) = delete;

 private:
  gordian::mutex* const heap_;
};

}  // namespace

void* operator new(std::size_t size) {
  const HeapHold hold;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  const HeapHold hold;
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }

namespace {

void lock_and_allocate() {
  for (int i = 0; i < 200; ++i) {
    gordian::mutex a("a"), b("b");
    const gordian::hold one(a);
    const gordian::hold two(b);
    EXPECT_EQ(std::string(100, 'x').size(), 100U);
  }
}

TEST(Allocator, MayTakeALockThatIsChecked) {
  gordian::mutex mutex("heap");
  {
    const sync_test::Checked checked;
    heap = &mutex;
    sync_test::Blocker one(lock_and_allocate), two(lock_and_allocate);
    lock_and_allocate();
    gordian::enable_checks();
    lock_and_allocate();
  }
  heap = nullptr;
}

}  // namespace
