// SPDX-License-Identifier: Apache-2.0
// Where a client is, and how a server's list of connections tells it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace gordian::redis {

// Where a client says it is: in the name of its connections, and in what it publishes.
struct ClientPlace {
  std::string host;
  int64_t pid = 0;
  bool operator==(const ClientPlace&) const = default;
};

ClientPlace own_place();

// The name a client gives its connections; and back. No names of others.
std::string connection_name(uint64_t incarnation, const ClientPlace& place);
std::optional<std::pair<uint64_t, ClientPlace>> parse_connection_name(std::string_view name);

}  // namespace gordian::redis
