// SPDX-License-Identifier: Apache-2.0
#include "runtime/threads.h"

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

}  // namespace
}  // namespace gordian::runtime
