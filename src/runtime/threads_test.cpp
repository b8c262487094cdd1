// SPDX-License-Identifier: Apache-2.0
#include "runtime/threads.h"

#include "runtime/real_functions.h"

#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <thread>

namespace gordian::runtime {
namespace {

// Where the calling thread's stack begins, by the runtime and by libc.
struct StackLow {
  uint64_t known = 0;
  uint64_t real = 0;
};

void* look_at_stack(void* to) {
  pthread_attr_t attributes;
  void* low = nullptr;
  size_t size = 0;
  EXPECT_EQ(pthread_getattr_np(pthread_self(), &attributes), 0);
  pthread_attr_getstack(&attributes, &low, &size);
  pthread_attr_destroy(&attributes);
  *static_cast<StackLow*>(to) = {this_thread.card->stack_low, reinterpret_cast<uint64_t>(low)};
  return nullptr;
}

// As the hook makes a thread.
StackLow stack_of_thread(const pthread_attr_t* attributes) {
  StackLow seen;
  pthread_t thread{};
  format::Card* card =
      card_for_child(reinterpret_cast<void*>(look_at_stack), &seen, attributes, {1, 2});
  EXPECT_EQ(pthread_create(&thread, attributes, run_thread, card), 0);
  EXPECT_EQ(pthread_join(thread, nullptr), 0);
  EXPECT_NE(seen.known, 0U);
  return seen;
}

// libc keeps the stacks of threads that ended for the next ones that ask for so much or less, so
// the tests ask for more and more.
class Stacks : public testing::Test {
 protected:
  void SetUp() override {
    ensure_started();
    pthread_attr_init(&attributes_);
  }
  void TearDown() override { pthread_attr_destroy(&attributes_); }

  pthread_attr_t attributes_{};
};

TEST_F(Stacks, OfTheDefaultSizeAreKnown) {
  const StackLow without = stack_of_thread(nullptr);
  EXPECT_EQ(without.known, without.real);
  const StackLow with = stack_of_thread(&attributes_);
  EXPECT_EQ(with.known, with.real);
}

TEST_F(Stacks, OfThreadsFromElsewhereAreTakenToHaveTheDefaultSize) {
  StackLow seen;
  std::thread([&seen] {
    const HookScope scope({1, reinterpret_cast<uint64_t>(__builtin_frame_address(0))});
    ASSERT_TRUE(scope);
    look_at_stack(&seen);
  }).join();
  EXPECT_EQ(seen.known, seen.real);
}

TEST_F(Stacks, OfAnotherDefaultSizeAreKnown) {
  pthread_attr_t before;
  pthread_getattr_default_np(&before);
  pthread_attr_setstacksize(&attributes_, 20 << 20);
  ASSERT_EQ(pthread_setattr_default_np(&attributes_), 0);
  const StackLow seen = stack_of_thread(nullptr);
  pthread_setattr_default_np(&before);
  pthread_attr_destroy(&before);
  EXPECT_EQ(seen.known, seen.real);
}

// libc cuts a size to the alignment of thread-local memory. Each is larger than those before, so
// that none is used again.
TEST_F(Stacks, OfAnySizeAreKnown) {
  for (const size_t size : {30U << 20, (30U << 20) + 100000, (30U << 20) + 200001}) {
    pthread_attr_setstacksize(&attributes_, size);
    const StackLow seen = stack_of_thread(&attributes_);
    EXPECT_EQ(seen.known, seen.real) << size;
  }
}

TEST_F(Stacks, UsedAgainAreNotThoughtLonger) {
  pthread_attr_setstacksize(&attributes_, 3 << 20);
  stack_of_thread(&attributes_);
  pthread_attr_setstacksize(&attributes_, 2 << 20);
  const StackLow seen = stack_of_thread(&attributes_);
  EXPECT_GE(seen.known, seen.real);
}

TEST_F(Stacks, ThatTheProgramBringsAreKnown) {
  constexpr size_t kSize = (1 << 20) + 1024;
  char* const area = static_cast<char*>(
      mmap(nullptr, 2 * kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  for (const size_t offset : {0U, 64U, 1000U}) {
    pthread_attr_setstack(&attributes_, area + offset, kSize);
    const StackLow seen = stack_of_thread(&attributes_);
    EXPECT_EQ(seen.known, seen.real) << offset;
    EXPECT_EQ(seen.known, reinterpret_cast<uint64_t>(area) + offset);
  }
  munmap(area, 2 * kSize);
}

// Memory laid out like a thread that libc has made and that has not run.
class MadeThread {
 public:
  MadeThread(void* (*routine)(void*), void* argument) {
    const uint64_t own = pthread_self();
    const uint64_t below = own - reinterpret_cast<uint64_t>(&this_thread);
    const auto* field =
        static_cast<const uint32_t*>(find_next_symbol("_thread_db_pthread_start_routine", ""));
    const uint64_t at = (below + 63) & ~uint64_t{63};
    const uint64_t size = (at + field[2] + 16 + 63) & ~uint64_t{63};
    memory_ = static_cast<char*>(std::aligned_alloc(64, size));
    std::memset(memory_, 0, size);
    descriptor_ = memory_ + at;
    const void* start[] = {reinterpret_cast<void*>(routine), argument};
    std::memcpy(descriptor_ + field[2], start, sizeof start);
    state_ = reinterpret_cast<ThreadState*>(descriptor_ - below);
  }
  ~MadeThread() { std::free(memory_); }
  MadeThread(const MadeThread&) = delete;
  MadeThread& operator=(const MadeThread&) = delete;

  [[nodiscard]] pthread_t id() const { return reinterpret_cast<pthread_t>(descriptor_); }
  [[nodiscard]] ThreadState& state() const { return *state_; }

 private:
  char* memory_ = nullptr;
  char* descriptor_ = nullptr;
  ThreadState* state_ = nullptr;
};

void* nothing(void*) { return nullptr; }

TEST(UidOfThread, IsThatOfItsCardBeforeItRuns) {
  ensure_started();
  format::Card* card = card_for_child(reinterpret_cast<void*>(nothing), nullptr, nullptr, {1, 2});
  const MadeThread thread(run_thread, card);
  EXPECT_EQ(uid_of_thread(thread.id()), card->uid);
  child_not_created(card);
}

TEST(UidOfThread, IsItsOwnOnceItRuns) {
  ensure_started();
  format::Card* card = card_for_child(reinterpret_cast<void*>(nothing), nullptr, nullptr, {1, 2});
  const MadeThread thread(run_thread, card);
  thread.state().uid = 4711;
  EXPECT_EQ(uid_of_thread(thread.id()), 4711U);
  child_not_created(card);
}

TEST(UidOfThread, IsUnknownWithoutACard) {
  ensure_started();
  const MadeThread thread(nothing, nullptr);
  EXPECT_EQ(uid_of_thread(thread.id()), 0U);
}

void* start_otherwise(void* card) { return run_thread(card); }

// As a sanitizer's pthread_create does it: nobody can tell whose descriptor it is before it runs.
TEST(UidOfThread, IsKnownAfterTheJoinOfOneThatLibcStartsOtherwise) {
  ensure_started();
  for (int i = 0; i < 3; ++i) {
    pthread_t thread{};
    format::Card* card = card_for_child(reinterpret_cast<void*>(nothing), nullptr, nullptr, {1, 2});
    const uint32_t uid = card->uid;
    const MadeThread unborn(start_otherwise, card);
    EXPECT_EQ(uid_of_thread(unborn.id()), 0U);
    EXPECT_EQ(uid_of_joined(unborn.id()), 0U);
    ASSERT_EQ(pthread_create(&thread, nullptr, start_otherwise, card), 0);
    ASSERT_EQ(pthread_join(thread, nullptr), 0);
    EXPECT_EQ(uid_of_joined(thread), uid);
  }
}

// Of a real descriptor: the thread forgets for a moment that it runs. A sanitizer starts threads
// with a routine of its own.
void* forget_and_ask(void* found) {
  const uint32_t uid = this_thread.uid;
  this_thread.uid = 0;
  const uint32_t read = uid_of_thread(pthread_self());
  this_thread.uid = uid;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  EXPECT_EQ(read, 0U);
#else
  EXPECT_EQ(read, uid);
#endif
  *static_cast<bool*>(found) = true;
  return nullptr;
}

TEST(UidOfThread, IsFoundInTheDescriptorThatLibcMakes) {
  ensure_started();
  bool asked = false;
  pthread_t thread{};
  format::Card* card =
      card_for_child(reinterpret_cast<void*>(forget_and_ask), &asked, nullptr, {1, 2});
  ASSERT_EQ(pthread_create(&thread, nullptr, run_thread, card), 0);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  EXPECT_TRUE(asked);
}

}  // namespace
}  // namespace gordian::runtime
