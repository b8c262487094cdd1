// SPDX-License-Identifier: Apache-2.0
// What happened before what, as far as it can rule out a deadlock: thread starts and joins,
// signals, posts, barriers.
//
// A thread's life is cut into segments, numbered from 1. "Segments <= n of that thread happened
// before segments >= m of this one" is one SyncRecord, written only when it is news.
#pragma once

#include "runtime/thread_card.h"

namespace gordian::runtime {

inline constexpr uint32_t kWholeLife = 0xffffffff;  // from_segment of a joined thread

// The join of the thread in `request` succeeded.
void note_joined(Request request, const CallSite& site);

// The thread is about to signal, post or arrive at the object: who is woken comes after this.
// `to_all`: a broadcast.
void note_posted(const Request& request, const CallSite& site, bool to_all = false);

// Whatever was posted at the object's address was meant for another one, which has ended unseen.
void forget_posts(const Request& request, const CallSite& site);

// What the thread did so far can be referred to by the segment returned; what it does next cannot.
uint32_t end_segment(ThreadState& thread);

// What `uid` did up to `segment` happened before what the thread does from now on.
void note_comes_after(ThreadState& thread, uint32_t uid, uint32_t segment, format::Kind why);

// The thread got past its wait for the object.
void note_woken(const Request& request, const CallSite& site);

}  // namespace gordian::runtime
