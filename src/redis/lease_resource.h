// SPDX-License-Identifier: Apache-2.0
// A lease as a resource of Gordian's runtime: an address that stands for one lock of one realm,
// that is of one set of servers and one prefix.
#pragma once

#include <string_view>

namespace gordian::redis {

// The same address for the same lock as long as the process lives, whichever client takes it. Null
// when no runtime is loaded, or for more locks than the runtime would care to hear of.
const void* lease_resource(std::string_view realm, std::string_view name);

}  // namespace gordian::redis
