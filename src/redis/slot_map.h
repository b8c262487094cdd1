// SPDX-License-Identifier: Apache-2.0
// What the servers of a cluster say about which of them has which slot.
#pragma once

#include "redis/address.h"
#include "redis/reply.h"

#include <optional>
#include <string_view>
#include <vector>

namespace gordian::redis {

struct SlotRange {
  unsigned first = 0;
  unsigned last = 0;
  ServerPlace master;
  bool operator==(const SlotRange&) const = default;
};

// The answer to CLUSTER SLOTS. A server that does not know its own host leaves it out: it is the
// one that was asked. Ranges whose master is not known are left out. Error: it is no such answer.
Result<std::vector<SlotRange>> parse_cluster_slots(const redisReply* reply,
                                                   std::string_view asked_host);

// "MOVED <slot> <host>:<port>": the slot lives there from now on. "ASK ...": this one request shall
// go there, the slot is about to move.
struct Redirection {
  bool for_good = false;
  unsigned slot = 0;
  ServerPlace to;
};
std::optional<Redirection> parse_redirection(std::string_view error, std::string_view asked_host);

// Errors that pass by themselves: keys under way from server to server, a failover that is not
// over.
bool is_for_a_moment(std::string_view error);

}  // namespace gordian::redis
