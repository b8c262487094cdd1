// SPDX-License-Identifier: Apache-2.0
#include "redis/client_place.h"

#include "redis/whole_number.h"

#include <climits>
#include <unistd.h>

namespace gordian::redis {
namespace {

constexpr std::string_view kConnection = "gordian:";

}  // namespace

ClientPlace own_place() {
  char name[HOST_NAME_MAX + 1] = {};
  const bool known = gethostname(name, sizeof name - 1) == 0;
  return {.host = known ? name : "?", .pid = getpid()};
}

std::string connection_name(uint64_t incarnation, const ClientPlace& place) {
  char digits[17];
  const auto end = std::to_chars(digits, digits + 16, incarnation, 16).ptr;
  std::string name(kConnection);
  name.append(digits, end).append(1, ':').append(std::to_string(place.pid)).append(1, '@');
  // Servers take no spaces nor control characters.
  for (const char c : place.host) name += c > ' ' && c < 0x7f ? c : '?';
  return name;
}

std::optional<std::pair<uint64_t, ClientPlace>> parse_connection_name(std::string_view name) {
  if (!name.starts_with(kConnection)) return std::nullopt;
  name.remove_prefix(kConnection.size());
  const size_t colon = name.find(':');
  const size_t at = name.find('@');
  if (colon == std::string_view::npos || at == std::string_view::npos || at < colon)
    return std::nullopt;
  const auto incarnation = whole_number<uint64_t>(name.substr(0, colon), 16);
  const auto pid = whole_number<int64_t>(name.substr(colon + 1, at - colon - 1));
  if (!incarnation || !pid) return std::nullopt;
  return std::pair(*incarnation, ClientPlace{std::string(name.substr(at + 1)), *pid});
}

}  // namespace gordian::redis
