// SPDX-License-Identifier: Apache-2.0
// Birth and death of threads and of their cards.
//
// A thread made through a hooked call gets its card from its parent and starts in our trampoline.
// Any other (raw clone, libc's own helpers) is adopted by its first hook. A thread ends, by
// whatever road, in the last round of its thread-specific destructors; one that leaves by the bare
// exit system call is found out when cards run out.
#pragma once

#include "runtime/thread_card.h"

#include <pthread.h>

namespace gordian::runtime {

// Once: the key whose destructor sees threads end, and the main thread's card.
void prepare_threads();

// The calling thread's first hook. False: it gets no card.
bool adopt_this_thread(uint64_t frame);

// What pthread_create and thrd_create really start, with a card as argument. `parent_site` is who
// created it. `attributes` null: the default. Null: no card to be had; start the thread as it is,
// it will be adopted.
format::Card* card_for_child(void* routine, void* argument, const pthread_attr_t* attributes,
                             const CallSite& parent_site);
void* run_thread(void* card);
void child_created(uint32_t uid, const CallSite& site);
void child_not_created(format::Card* card);

// Does the log know the thread? The first kThreadsLogged all are; later ones, in a server that has
// run for months, only once they log something.
inline constexpr uint32_t kThreadsLogged = 1 << 15;
bool is_logged(uint32_t uid);
void log_this_thread(ThreadState& thread);

// uid of a thread that is not yet joined, 0 if it never had a card. Also 0 if it has not run yet
// and another library's pthread_create, a sanitizer's, starts it with a routine of its own.
uint32_t uid_of_thread(pthread_t thread);
// Of one that was joined just now; 0: not known, or not any more.
uint32_t uid_of_joined(pthread_t thread);

// Lists of free cards and hold blocks: lock-free stacks of indices, kept outside the board.
enum class FreeList { Cards, Blocks };
uint32_t pop_free(FreeList list);  // index + 1, or 0
void push_free(FreeList list, uint32_t index_plus_one);
void clear_free_lists();

// The calling thread's holds, kept in private memory across a fork: the parent's card goes on
// changing while the child starts.
void save_for_fork();
void drop_saved_for_fork();
// In the child: the thread's card on the new board, at its old place, with what it holds.
void revive_card(const Board& parents);
// The calling thread has no card and gets none any more.
void forget_this_thread();

}  // namespace gordian::runtime
