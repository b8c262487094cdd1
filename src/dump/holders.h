// SPDX-License-Identifier: Apache-2.0
// Who holds a lock, where the text does not say it.
//
// A backtrace shows what threads wait for, seldom what they hold. What it does show:
//
//   - the object around the lock. A waiting frame has `handle=0x7f10`, the mutex is 0x7f10 + 0x118,
//     and another thread's frames carry the same pointer: that thread is at work inside the object.
//   - the same story. The lock is taken by a function of a class, file or folder; another blocked
//     thread has come through that class, file or folder.
//   - re-entry. A thread has left an object through foreign frames and come back into it: it wants
//     again what it took on its way out.
//   - what is left. Idle threads hold nothing; if nobody is at work, the holder is one of those
//     that are blocked themselves.
//
// A thread that shows the lock's surroundings only where it asks for its own lock ("at the door")
// may have nothing: it counts where everybody of the process is in the text, and blocked.
//
// A thread at work that is as near to the lock as the blocked ones may be the holder, and will let
// go: then nothing is concluded. The same where a possible holder is itself not stuck. So a claim
// needs a whole circle, and what it is made of is weighed, not proved: holds found here are never
// definite.
#pragma once

#include "dump/thread_view.h"
#include "model/resource.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gordian::dump {

enum class Why : uint8_t {
  Shown,      // the text names the owner
  Runs,       // the thread's frames run what is waited for: a once-initialisation, a dlopen
  Variable,   // a guard object in its frames
  Object,     // it is inside the object around the lock
  Reentered,  // it left that object and came back
  Story,      // class, function or file in common
  Layer,      // folder or module in common
  Signal,     // a signal interrupted the same function
  Left,       // everybody else is idle
};

struct Holder {
  uint32_t thread = 0;
  size_t frame = 0;  // where it shows
  Why why = Why::Left;
};

struct Lock {
  model::ResourceKind kind = model::ResourceKind::Mutex;
  uint64_t address = 0;           // 0: not shown, told apart by where it is wanted
  bool is_foreign = false;        // see WaitFact
  std::vector<uint32_t> waiters;  // without a time limit
  // Thread: who is waited for, and whether the text lists that thread at all.
  bool is_join = false;
  bool is_absent = false;

  std::vector<Holder> holders;  // as good as each other; given ones stay as they are
  bool is_given = false;        // `holders` is what the text itself says
};

// Fills `holders` of the locks that belong to a circle of blocked threads; of all others they stay
// empty. `has_hole`: the process has more threads than these. Linear in the text for practical
// purposes: each lock looks at a bounded number of threads.
void find_holders(const std::vector<ThreadView>& threads, bool has_hole, std::vector<Lock>& locks);

}  // namespace gordian::dump
