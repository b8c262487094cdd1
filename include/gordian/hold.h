// SPDX-License-Identifier: Apache-2.0
// gordian::hold and gordian::hold_shared: like std::lock_guard, but the errors and reports name the
// line that made them (std's own guards hide it), and Clang's analysis follows them.
//
//   gordian::hold lock(streams);
//   gordian::hold_shared read(guard);
#ifndef GORDIAN_HOLD_H
#define GORDIAN_HOLD_H

#include <gordian/source_location.h>
#include <gordian/thread_safety.h>

#include <mutex>

namespace gordian {

template <typename Mutex>
class GORDIAN_SCOPED_CAPABILITY [[nodiscard]] hold {
 public:
  explicit hold(Mutex& lock, const source_location& where = source_location::current())
      GORDIAN_ACQUIRE(lock) GORDIAN_NO_THREAD_SAFETY_ANALYSIS : lock_(lock) {
    lock_.lock(where);
  }
  hold(Mutex& lock, std::adopt_lock_t) GORDIAN_REQUIRES(lock) : lock_(lock) {}
  ~hold() GORDIAN_RELEASE() { lock_.unlock(); }
  hold(const hold&) = delete;
  hold& operator=(const hold&) = delete;

 private:
  Mutex& lock_;
};

template <typename Mutex>
class GORDIAN_SCOPED_CAPABILITY [[nodiscard]] hold_shared {
 public:
  explicit hold_shared(Mutex& lock, const source_location& where = source_location::current())
      GORDIAN_ACQUIRE_SHARED(lock) GORDIAN_NO_THREAD_SAFETY_ANALYSIS : lock_(lock) {
    lock_.lock_shared(where);
  }
  hold_shared(Mutex& lock, std::adopt_lock_t) GORDIAN_REQUIRES_SHARED(lock) : lock_(lock) {}
  ~hold_shared() GORDIAN_RELEASE() { lock_.unlock_shared(); }
  hold_shared(const hold_shared&) = delete;
  hold_shared& operator=(const hold_shared&) = delete;

 private:
  Mutex& lock_;
};

}  // namespace gordian

#endif
