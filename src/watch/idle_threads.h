// SPDX-License-Identifier: Apache-2.0
// Threads that merely wait for a signal, of which there may be thousands.
//
// They need not be read one by one again if the processor time of their process says that none of
// its threads ran since before the first readings: then the first reading is the second one too.
// Whoever holds something, or waits for a lock or a thread, is read twice in any case.
#pragma once

#include "model/snapshot.h"

namespace gordian::watch {

// Its owner's threads of the knot are all that matters. Not so where anybody may give a signal; and
// a file lock belongs to a process: any of its threads can release it, also one without a card.
bool has_one_waker(const model::Resource& resource);

// Holds nothing and waits for what anybody may give, as far as the snapshot tells.
bool is_idle(const model::Snapshot& snapshot, const model::Thread& thread);

}  // namespace gordian::watch
