// SPDX-License-Identifier: Apache-2.0
// How a request failed, on its way from the I/O thread to the thread that asked.
#pragma once

#include "gordian/redis_lock.h"

#include <string>
#include <string_view>
#include <vector>

namespace gordian::redis {

struct Failure {
  errc code = errc::not_acquired;
  std::string what;
  std::vector<deadlock_member> cycle;
};

// Throws the exception of its type.
[[noreturn]] void raise(Failure failure, std::string_view name);

// A lock's name in a message.
std::string quoted(std::string_view name);

}  // namespace gordian::redis
