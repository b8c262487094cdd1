// SPDX-License-Identifier: Apache-2.0
// All registers of a thread, at the price of stopping it for a moment.
#pragma once

#include "model/snapshot.h"

#include <optional>

namespace gordian::process {

// Stops the thread for at most about 2 ms. One asleep in futex goes on sleeping, unseen by its
// program; epoll_wait and its like return EINTR to it. Nullopt: no right, gone, traced by somebody
// else, or it did not stop in time.
std::optional<model::Registers> read_registers_stopped(int tid);

}  // namespace gordian::process
