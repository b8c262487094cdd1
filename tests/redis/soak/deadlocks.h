// SPDX-License-Identifier: Apache-2.0
// Deadlocks over locks of several processes, made again and again; and traffic that has none.
#pragma once

#include <cstdint>

namespace soak {

// Rings of 2, 3 and 8 processes, and of 2 with a mutex inside one or both: every one has exactly
// one victim within a second, and all others get what they wait for, as do threads that wait behind
// the ring. Who stands where, who asks last, and what else each holds is drawn. The exit status.
int make_deadlocks(unsigned runs, uint32_t seed);
int run_ring_member(int fd, unsigned member);

// Random traffic with time limits, crashes and standstills, but one order of the locks: whoever
// claims a deadlock is wrong. The exit status.
int make_traffic(unsigned seconds, uint32_t seed);
int run_traffic(int fd, unsigned process);

}  // namespace soak
