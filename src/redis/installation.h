// SPDX-License-Identifier: Apache-2.0
// What stands on the servers at one moment: who holds which lock, and who has published that he
// waits for which. For people who look; it takes part in nothing and changes nothing.
#pragma once

#include "base/result.h"
#include "redis/address.h"
#include "redis/client_place.h"
#include "redis/discover.h"
#include "redis/wait_record.h"
#include "redis/wire.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::redis {

struct InstalledLock {
  std::string name;
  unsigned keys = 0;                  // how many of its keys have this value
  std::string value;                  // of the first of them
  std::optional<Identity> holder;     // nullopt: a foreign one
  std::chrono::milliseconds left{0};  // the longest of its keys; negative: for ever
};

struct InstalledWait {
  uint64_t incarnation = 0;
  std::string server;    // the first of those it was published on
  uint64_t edition = 0;  // on that server: each has numbers of its own
  ClientPlace place;
  BlockedOwner owner;
};

struct Installation {
  std::vector<FoundServer> servers;    // that were read
  std::vector<MissingServer> missing;  // what is there is not below
  std::vector<InstalledLock> locks;    // by name
  std::set<std::string> blocked;       // locks that nobody can take: the key is no string
  std::vector<InstalledWait> waits;
  std::map<uint64_t, ClientPlace> clients;  // by incarnation: those that are connected
  bool clients_known = false;               // the servers tell who is connected, and all were read
  size_t left_out = 0;                      // keys beyond what is read
};

// All servers together; those that cannot be reached or do not let us in are told. Error: all of
// them are such.
Result<Installation> read_installation(const std::vector<NamedServer>& named,
                                       std::string_view prefix, std::chrono::milliseconds timeout);

// Waits that are a ring: each for a lock whose holder is the next one. Indices of Installation::
// waits; every ring once, beginning with its smallest index. One reading alone proves nothing, see
// ring_signature().
std::vector<std::vector<size_t>> find_rings(const Installation& installation);

// What must stay the same of a ring: its waits, and the values of the locks they are for.
std::string ring_signature(const Installation& installation, const std::vector<size_t>& ring);

}  // namespace gordian::redis
