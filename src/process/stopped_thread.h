// SPDX-License-Identifier: Apache-2.0
// All registers of a thread, at the price of stopping it for a moment.
#pragma once

#include "model/snapshot.h"

#include <cstdint>
#include <optional>

namespace gordian::process {

// Stops the thread as long as it takes to read them: some microseconds. One asleep in futex goes on
// sleeping, unseen by its program; epoll_wait and its like return EINTR to it. Nullopt: no right,
// gone, or traced by somebody else.
std::optional<model::Registers> read_registers_stopped(int tid);

// With the register in which a function without a frame keeps its first argument.
struct StoppedCall {
  model::Registers registers;
  uint64_t argument = 0;
};
std::optional<StoppedCall> read_call_stopped(int tid);

}  // namespace gordian::process
