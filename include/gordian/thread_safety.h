// SPDX-License-Identifier: Apache-2.0
// Clang's thread safety attributes (-Wthread-safety), by short names; nothing elsewhere.
//
//   class account {
//     gordian::mutex m_;
//     long cents_ GORDIAN_GUARDED_BY(m_) = 0;
//   };
#ifndef GORDIAN_THREAD_SAFETY_H
#define GORDIAN_THREAD_SAFETY_H

#if defined(__clang__)
#define GORDIAN_THREAD_SAFETY_(x) __attribute__((x))
#else
#define GORDIAN_THREAD_SAFETY_(x)
#endif

#define GORDIAN_CAPABILITY(name) GORDIAN_THREAD_SAFETY_(capability(name))
#define GORDIAN_SCOPED_CAPABILITY GORDIAN_THREAD_SAFETY_(scoped_lockable)
#define GORDIAN_GUARDED_BY(...) GORDIAN_THREAD_SAFETY_(guarded_by(__VA_ARGS__))
#define GORDIAN_PT_GUARDED_BY(...) GORDIAN_THREAD_SAFETY_(pt_guarded_by(__VA_ARGS__))
// Checked by clang with -Wthread-safety-beta: the order of nested locks, at compile time.
#define GORDIAN_ACQUIRED_BEFORE(...) GORDIAN_THREAD_SAFETY_(acquired_before(__VA_ARGS__))
#define GORDIAN_ACQUIRED_AFTER(...) GORDIAN_THREAD_SAFETY_(acquired_after(__VA_ARGS__))
#define GORDIAN_REQUIRES(...) GORDIAN_THREAD_SAFETY_(requires_capability(__VA_ARGS__))
#define GORDIAN_REQUIRES_SHARED(...) GORDIAN_THREAD_SAFETY_(requires_shared_capability(__VA_ARGS__))
#define GORDIAN_ACQUIRE(...) GORDIAN_THREAD_SAFETY_(acquire_capability(__VA_ARGS__))
#define GORDIAN_ACQUIRE_SHARED(...) GORDIAN_THREAD_SAFETY_(acquire_shared_capability(__VA_ARGS__))
#define GORDIAN_RELEASE(...) GORDIAN_THREAD_SAFETY_(release_capability(__VA_ARGS__))
#define GORDIAN_RELEASE_SHARED(...) GORDIAN_THREAD_SAFETY_(release_shared_capability(__VA_ARGS__))
#define GORDIAN_TRY_ACQUIRE(...) GORDIAN_THREAD_SAFETY_(try_acquire_capability(__VA_ARGS__))
#define GORDIAN_TRY_ACQUIRE_SHARED(...) \
  GORDIAN_THREAD_SAFETY_(try_acquire_shared_capability(__VA_ARGS__))
#define GORDIAN_EXCLUDES(...) GORDIAN_THREAD_SAFETY_(locks_excluded(__VA_ARGS__))
#define GORDIAN_ASSERT_CAPABILITY(...) GORDIAN_THREAD_SAFETY_(assert_capability(__VA_ARGS__))
#define GORDIAN_ASSERT_SHARED_CAPABILITY(...) \
  GORDIAN_THREAD_SAFETY_(assert_shared_capability(__VA_ARGS__))
#define GORDIAN_RETURN_CAPABILITY(x) GORDIAN_THREAD_SAFETY_(lock_returned(x))
// The implementation of a lock, which the analysis cannot follow.
#define GORDIAN_NO_THREAD_SAFETY_ANALYSIS GORDIAN_THREAD_SAFETY_(no_thread_safety_analysis)

#endif
