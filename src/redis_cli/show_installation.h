// SPDX-License-Identifier: Apache-2.0
// gordian redis: who holds and who waits for which lock on a Redis server.
#pragma once

#include "base/result.h"

#include <string>
#include <vector>

namespace gordian::redis_cli {

// Parses, looks, prints. The exit status: Exit::Found where somebody waits for ever.
Result<int> show_installation(const std::vector<std::string>& arguments);

}  // namespace gordian::redis_cli
