// SPDX-License-Identifier: Apache-2.0
#include "redis/slot_map.h"

#include "redis/whole_number.h"
#include "redis/wire.h"

namespace gordian::redis {
namespace {

std::optional<unsigned> slot_in(const redisReply* reply) {
  if (reply == nullptr || reply->type != REDIS_REPLY_INTEGER || reply->integer < 0 ||
      reply->integer >= static_cast<long long>(kSlots))
    return std::nullopt;
  return static_cast<unsigned>(reply->integer);
}

std::optional<unsigned> number_of(std::string_view text, unsigned high) {
  const auto number = whole_number<unsigned>(text);
  return number && *number <= high ? number : std::nullopt;
}

}  // namespace

Result<std::vector<SlotRange>> parse_cluster_slots(const redisReply* reply,
                                                   std::string_view asked_host) {
  if (is_error(reply)) return Error("the server says: " + std::string(text_of(reply)));
  if (reply == nullptr || reply->type != REDIS_REPLY_ARRAY || reply->elements > kSlots)
    return Error("what it says of its slots cannot be read");
  std::vector<SlotRange> ranges;
  for (size_t i = 0; i < reply->elements; ++i) {
    const redisReply* const entry = element(reply, i);
    const auto first = slot_in(element(entry, 0)), last = slot_in(element(entry, 1));
    const redisReply* const master = element(entry, 2);
    const redisReply* const port = element(master, 1);
    if (!first || !last || *first > *last || port == nullptr || port->type != REDIS_REPLY_INTEGER)
      return Error("what it says of its slots cannot be read");
    std::string_view host = text_of(element(master, 0));
    if (host.empty()) host = asked_host;
    if (!can_be_a_host(host) || port->integer <= 0 || port->integer > 65535) continue;
    ranges.push_back({.first = *first,
                      .last = *last,
                      .master = {std::string(host), static_cast<unsigned>(port->integer)}});
  }
  return ranges;
}

std::optional<Redirection> parse_redirection(std::string_view error, std::string_view asked_host) {
  Redirection redirection;
  redirection.for_good = error.starts_with("MOVED ");
  if (!redirection.for_good && !error.starts_with("ASK ")) return std::nullopt;
  error.remove_prefix(error.find(' ') + 1);
  const size_t space = error.find(' ');
  const size_t colon = error.rfind(':');  // a host may be an IPv6 address without brackets
  if (space == std::string_view::npos || colon == std::string_view::npos || colon < space)
    return std::nullopt;
  const auto slot = number_of(error.substr(0, space), kSlots - 1);
  const auto port = number_of(error.substr(colon + 1), 65535);
  std::string_view host = error.substr(space + 1, colon - space - 1);
  if (host.empty()) host = asked_host;
  if (!slot || !port || *port == 0 || !can_be_a_host(host)) return std::nullopt;
  redirection.slot = *slot;
  redirection.to = {std::string(host), *port};
  return redirection;
}

bool is_for_a_moment(std::string_view error) {
  return error.starts_with("TRYAGAIN") || error.starts_with("CLUSTERDOWN") ||
         error.starts_with("LOADING") || error.starts_with("MASTERDOWN");
}

}  // namespace gordian::redis
