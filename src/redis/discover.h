// SPDX-License-Identifier: Apache-2.0
// Which servers make up an installation of which some are named: a cluster's masters, the master
// that sentinels name, or the servers themselves. For people who look, as installation.h.
#pragma once

#include "base/result.h"
#include "redis/address.h"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::redis {

// What somebody names.
struct NamedServer {
  Address address;
  std::string master;    // not empty: the address is a sentinel's, and this is what it watches;
  Address master_login;  // there with this user, password and database
  // Nobody named it: it was found in a cluster, and tells of the others if one that is named
  // cannot. It is no loss if it cannot either.
  bool is_remembered = false;
};

// An address (address.h), or redis+sentinel://[USER[:PASSWORD]@]HOST[:PORT]/MASTER[/DATABASE],
// where all but host and port is said of the master; rediss+sentinel:// for TLS to both.
Result<NamedServer> parse_named_server(std::string_view text);

// One that has locks.
struct FoundServer {
  Address address;
  std::string what;  // "master of a cluster", "master \"shop\" of sentinels"; empty: named itself
  bool of_cluster = false;
};

// One that could not be asked, and why.
struct MissingServer {
  std::string label;
  std::string why;
};

struct Discovery {
  std::vector<FoundServer> servers;  // each once, in the order in which they were found
  std::vector<MissingServer> missing;
};

// Asks each for up to the timeout. Error: what is named can be no installation of locks.
Result<Discovery> discover(const std::vector<NamedServer>& named,
                           std::chrono::milliseconds timeout);

// What to ask the next time, if this was found by asking those.
std::vector<NamedServer> with_remembered(const std::vector<NamedServer>& named,
                                         const std::vector<FoundServer>& found);

}  // namespace gordian::redis
