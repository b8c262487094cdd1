// SPDX-License-Identifier: Apache-2.0
#include "redis/discover.h"

#include "redis/direct_connection.h"
#include "redis/failure.h"
#include "redis/sentinels.h"
#include "redis/slot_map.h"
#include "redis/wire.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

namespace gordian::redis {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kSentinelScheme = "redis+sentinel://";
constexpr std::string_view kSecureSentinelScheme = "rediss+sentinel://";
constexpr unsigned kSentinelPort = 26379;
constexpr size_t kMostMasters = 1000;  // of a cluster; more than one can have

class Search {
 public:
  explicit Search(milliseconds timeout) : timeout_(timeout) {}

  Result<void> look_behind(const Address& address) {
    auto connection = DirectConnection::open(address, timeout_);
    if (!connection) {
      miss(address, connection.error().message);
      // It may be one of the servers themselves.
      return {};
    }
    const Reply role = (*connection)->ask(command({"ROLE"}), timeout_);
    if (text_of(element(role.get(), 0)) == "sentinel") return is_sentinel(address, *role);
    const Reply slots = (*connection)->ask(command({"CLUSTER", "SLOTS"}), timeout_);
    if (slots == nullptr) {
      miss(address, "it does not answer");
      return {};
    }
    if (slots->type != REDIS_REPLY_ARRAY) {  // none of a cluster, or such an old one
      add({.address = address, .what = {}});
      return {};
    }
    GORDIAN_TRY(const std::vector<SlotRange> ranges,
                parse_cluster_slots(slots.get(), address.host).in(address.label()));
    if (ranges.empty()) miss(address, "it names no master that has slots");
    add_masters(address, ranges);
    return {};
  }

  void look_again(const Address& address) {
    if (found_.missing.empty() || seen_.count(id_of(address)) != 0) return;
    auto connection = DirectConnection::open(address, timeout_);
    if (!connection) return;
    const Reply slots = (*connection)->ask(command({"CLUSTER", "SLOTS"}), timeout_);
    if (const auto ranges = parse_cluster_slots(slots.get(), address.host))
      add_masters(address, *ranges);
  }

  void ask_sentinel(const NamedServer& sentinel) {
    auto connection = DirectConnection::open(sentinel.address, timeout_);
    if (!connection) {
      miss(sentinel.address, "the sentinel: " + connection.error().message);
      return;
    }
    const Reply named =
        (*connection)
            ->ask(command({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinel.master}), timeout_);
    const Reply fields =
        (*connection)->ask(command({"SENTINEL", "MASTER", sentinel.master}), timeout_);
    if (named == nullptr || fields == nullptr) {
      miss(sentinel.address, "the sentinel does not answer");
      return;
    }
    const Result<ServerPlace> place = parse_master_place(named.get());
    if (!place) {
      miss(sentinel.address, "the sentinel: " + place.error().message);
      return;
    }
    // As the client decides: of several answers that of the latest configuration.
    Watched& watched = watched_[{sentinel.master, sentinel.master_login.database}];
    const uint64_t epoch = parse_config_epoch(fields.get());
    if (!watched.address.is_empty() && epoch <= watched.epoch) return;
    watched.epoch = epoch;
    watched.address = sentinel.master_login;
    watched.address.host = place->host;
    watched.address.port = place->port;
  }

  Discovery result() && {
    for (const auto& [key, watched] : watched_)
      if (!watched.address.is_empty())
        add({.address = watched.address, .what = "master " + quoted(key.first) + " of sentinels"});
    return std::move(found_);
  }

 private:
  struct Watched {
    uint64_t epoch = 0;
    Address address;
  };

  Result<void> is_sentinel(const Address& address, const redisReply& role) {
    std::string names;
    const redisReply* const masters = element(&role, 1);
    for (size_t i = 0; element(masters, i) != nullptr && i < 3; ++i)
      names += (i == 0 ? "" : ", ") + quoted(text_of(element(masters, i)));
    return Error(
               "it is a sentinel and has no locks" + (names.empty() ? "" : "; it watches " + names),
               "name the master, too: " +
                   std::string(address.secure ? kSecureSentinelScheme : kSentinelScheme) +
                   address.label() + "/MASTER")
        .in(address.label());
  }
  void miss(const Address& address, std::string why) {
    found_.missing.push_back({address.label(), std::move(why)});
  }
  void add_masters(const Address& of, const std::vector<SlotRange>& ranges) {
    for (const SlotRange& range : ranges) {
      Address master = of;
      master.host = range.master.host;
      master.port = range.master.port;
      if (found_.servers.size() < kMostMasters)
        add({.address = master, .what = "master of a cluster", .of_cluster = true});
    }
  }
  static std::string id_of(const Address& address) {
    return address.label() + '/' + std::to_string(address.database);
  }
  void add(FoundServer server) {
    if (seen_.insert(id_of(server.address)).second) found_.servers.push_back(std::move(server));
  }

  milliseconds timeout_;
  Discovery found_;
  std::set<std::string> seen_;
  std::map<std::pair<std::string, int>, Watched> watched_;
};

}  // namespace

Result<NamedServer> parse_named_server(std::string_view text) {
  NamedServer named;
  const bool secure = text.starts_with(kSecureSentinelScheme);
  if (!secure && !text.starts_with(kSentinelScheme)) {
    GORDIAN_TRY(Address address, parse_address(text));
    named.address = std::move(address);
    return named;
  }
  const std::string form = "write it as " + std::string(kSentinelScheme) +
                           "[USER[:PASSWORD]@]HOST[:PORT]/MASTER[/DATABASE]";
  text.remove_prefix((secure ? kSecureSentinelScheme : kSentinelScheme).size());
  const size_t at = text.rfind('@');
  const size_t slash = text.find('/', at == std::string_view::npos ? 0 : at);
  if (slash == std::string_view::npos) return Error("no master is named", form);
  const size_t second = text.find('/', slash + 1);
  named.master = text.substr(slash + 1, second - slash - 1);
  if (named.master.empty()) return Error("no master is named", form);
  if (named.master.size() > kMaxNameSize) return Error("the master's name is too long", form);
  std::string rest(text.substr(0, slash));
  if (second != std::string_view::npos) rest += text.substr(second);
  GORDIAN_TRY(Address address, parse_address(rest, kSentinelPort));
  named.address = std::move(address);
  named.address.secure = named.master_login.secure = secure;
  named.master_login.user = std::exchange(named.address.user, {});
  named.master_login.password = std::exchange(named.address.password, {});
  named.master_login.database = std::exchange(named.address.database, 0);
  return named;
}

Result<Discovery> discover(const std::vector<NamedServer>& named, milliseconds timeout) {
  Search search(timeout);
  for (const NamedServer& one : named) {
    if (one.is_remembered) {
      search.look_again(one.address);
    } else if (one.master.empty()) {
      if (auto done = search.look_behind(one.address); !done) return std::move(done).error();
    } else {
      search.ask_sentinel(one);
    }
  }
  return std::move(search).result();
}

std::vector<NamedServer> with_remembered(const std::vector<NamedServer>& named,
                                         const std::vector<FoundServer>& found) {
  std::vector<NamedServer> all;
  std::copy_if(named.begin(), named.end(), std::back_inserter(all),
               [](const NamedServer& one) { return !one.is_remembered; });
  for (const FoundServer& server : found)
    if (server.of_cluster)
      all.push_back(
          {.address = server.address, .master = {}, .master_login = {}, .is_remembered = true});
  return all;
}

}  // namespace gordian::redis
