// SPDX-License-Identifier: Apache-2.0
// Large blocks of memory lie in large pages, where the system has any.
//
// Judging a trace fills arrays of a hundred megabytes once, from front to back. In pages of 4 KiB
// the first touch of each page took more than half of the time of `gordian predict`.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GORDIAN_FOREIGN_NEW 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GORDIAN_FOREIGN_NEW 1
#endif

// A sanitizer has a `new` of its own.
#ifndef GORDIAN_FOREIGN_NEW

namespace {

constexpr std::size_t kLargePage = std::size_t{2} << 20;
constexpr std::size_t kLarge = 4 * kLargePage;

void* allocate_large(std::size_t size) {
  if (size > SIZE_MAX - kLargePage) return nullptr;
  const std::size_t rounded = (size + kLargePage - 1) / kLargePage * kLargePage;
  void* const memory = std::aligned_alloc(kLargePage, rounded);
  // Without large pages it is memory all the same.
  if (memory != nullptr) madvise(memory, rounded, MADV_HUGEPAGE);
  return memory;
}

}  // namespace

void* operator new(std::size_t size) {
  void* const memory = size >= kLarge ? allocate_large(size) : std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { std::free(memory); }

#endif
