// SPDX-License-Identifier: Apache-2.0
#include "redis/installation.h"

#include "redis/direct_connection.h"
#include "redis/event_loop.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>

namespace gordian::redis {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMaxKeys = 200'000;
constexpr size_t kMaxWaits = 200'000;
constexpr size_t kMostBesides = 32;  // bytes of a key besides prefix and name
constexpr auto kLongestListing = std::chrono::seconds(60);

// A pattern of SCAN that means the text itself.
std::string literal_pattern(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (std::string_view("*?[]\\^-").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

// Of what INFO says: lines of "<name>:<value>".
std::string_view field_in(std::string_view info, std::string_view name) {
  while (!info.empty()) {
    const std::string_view line = info.substr(0, info.find_first_of("\r\n"));
    info.remove_prefix(std::min(info.size(), line.size() + 1));
    if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ':')
      return line.substr(name.size() + 1);
  }
  return {};
}

// What several servers have of one thing.
struct Known {
  // Where in Installation::locks a lock with a value is.
  std::map<std::pair<std::string, std::string>, size_t> locks;
  // From which server a client's waits are.
  std::map<uint64_t, std::string> publishers;
};

class ServerReading {
 public:
  ServerReading(std::string label, std::unique_ptr<DirectConnection> connection,
                std::string_view prefix, milliseconds timeout, Installation& result, Known& known)
      : label_(std::move(label)),
        connection_(std::move(connection)),
        prefix_(prefix),
        timeout_(timeout),
        result_(result),
        known_(known) {}

  // What tells one server from another, by whatever name; empty where it does not say. A replica
  // has copies of its master's keys and none of its clients.
  Result<std::string> introduce() {
    GORDIAN_TRY(const Reply reply, ask({"INFO"}));
    const std::string_view text = text_of(reply.get());
    tells_clients_ = field_in(text, "role") != "slave";
    return std::string(field_in(text, "run_id"));
  }

  Result<void> read() {
    if (auto done = read_clients(); !done) return std::move(done).error();
    if (auto done = read_keys(); !done) return std::move(done).error();
    for (const std::string& key : keys_)
      if (auto done = read_key(key); !done) return std::move(done).error();
    return {};
  }

  // Who is not in Installation::clients has no connection to it.
  [[nodiscard]] bool tells_clients() const { return tells_clients_; }

 private:
  // An error reply is an answer, too.
  Result<Reply> ask(std::initializer_list<std::string_view> words) {
    Reply reply = connection_->ask(command(words), timeout_);
    if (reply == nullptr) return Error("it does not answer");
    return reply;
  }

  Result<void> read_clients() {
    GORDIAN_TRY(const Reply reply, ask({"CLIENT", "LIST"}));
    if (is_error(reply.get())) tells_clients_ = false;  // not for everybody
    std::string_view text = text_of(reply.get());
    while (!text.empty()) {
      const std::string_view line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(text.size(), line.size() + 1));
      const size_t at = line.find(" name=");
      if (at == std::string_view::npos) continue;
      const std::string_view name = line.substr(at + 6);
      if (auto client = parse_connection_name(name.substr(0, name.find(' '))))
        result_.clients.insert(std::move(*client));
    }
    return {};
  }

  Result<void> read_keys() {
    const std::string pattern = literal_pattern(prefix_) + ":*";
    std::string cursor = "0";
    const TimePoint until = Clock::now() + kLongestListing;
    do {
      if (Clock::now() > until) return Error("it does not come to the end of its keys");
      GORDIAN_TRY(const Reply reply, ask({"SCAN", cursor, "MATCH", pattern, "COUNT", "1000"}));
      const redisReply* const next = element(reply.get(), 0);
      const redisReply* const keys = element(reply.get(), 1);
      if (next == nullptr || keys == nullptr || keys->type != REDIS_REPLY_ARRAY)
        return Error("it does not list its keys: " + std::string(text_of(reply.get())));
      cursor = text_of(next);
      for (size_t i = 0; i < keys->elements; ++i) {
        const std::string_view key = text_of(keys->element[i]);
        if (key.size() > prefix_.size() + kMaxNameSize + kMostBesides) continue;  // nobody's lock
        if (keys_.size() < kMaxKeys)
          keys_.emplace(key);
        else
          ++result_.left_out;
      }
    } while (cursor != "0");
    return {};
  }

  Result<void> read_key(const std::string& key) {
    const auto incarnation = parse_waits_key(prefix_, key);
    const auto parts = parse_lock_key(prefix_, key);
    if (!parts && !incarnation) return {};
    GORDIAN_TRY(const Reply value, ask({"GET", key}));
    if (parts && is_error(value.get()) && text_of(value.get()).starts_with("WRONGTYPE"))
      result_.blocked.emplace(parts->name);
    if (value->type != REDIS_REPLY_STRING) return {};  // gone meanwhile, or something else
    if (parts) {
      GORDIAN_TRY(const Reply left, ask({"PTTL", key}));
      add_lock(std::string(parts->name), text_of(value.get()),
               milliseconds(left->type == REDIS_REPLY_INTEGER ? left->integer : -1));
      return {};
    }
    const auto record = parse_wait_record(text_of(value.get()));
    if (!record || known_.publishers.try_emplace(*incarnation, label_).first->second != label_)
      return {};
    for (const BlockedOwner& owner : record->owners) {
      if (result_.waits.size() == kMaxWaits) return Error("it has more waits than there can be");
      result_.waits.push_back({.incarnation = *incarnation,
                               .server = label_,
                               .edition = record->edition,
                               .place = {record->host, record->pid},
                               .owner = owner});
    }
    return {};
  }

  void add_lock(std::string name, std::string_view value, milliseconds left) {
    const auto [known, is_new] =
        known_.locks.try_emplace({name, std::string(value)}, result_.locks.size());
    if (is_new) {
      result_.locks.push_back({.name = std::move(name),
                               .keys = 0,
                               .value = std::string(value),
                               .holder = decode(value),
                               .left = left});
    }
    InstalledLock& lock = result_.locks[known->second];
    lock.keys += 1;
    lock.left = std::max(lock.left, left);
  }

  std::string label_;
  std::unique_ptr<DirectConnection> connection_;
  std::string_view prefix_;
  milliseconds timeout_;
  Installation& result_;
  Known& known_;
  std::set<std::string> keys_;
  bool tells_clients_ = false;
};

}  // namespace

Result<Installation> read_installation(const std::vector<NamedServer>& named,
                                       std::string_view prefix, milliseconds timeout) {
  GORDIAN_TRY(Discovery discovery, discover(named, timeout));
  Installation result;
  result.missing = std::move(discovery.missing);
  Known known;
  std::set<std::string> seen;
  bool all_tell = true;
  std::optional<Error> first_error;
  for (FoundServer& server : discovery.servers) {
    const std::string label = server.address.label();
    auto connection = DirectConnection::open(server.address, timeout);
    std::optional<ServerReading> reading;
    Result<std::string> run_id("");
    if (connection) {
      reading.emplace(label, std::move(*connection), prefix, timeout, result, known);
      run_id = reading->introduce();
      if (run_id && !run_id->empty() && !seen.insert(*run_id).second) continue;
    } else {
      run_id = std::move(connection).error();
    }
    const Result<void> done = run_id ? reading->read() : Result<void>(std::move(run_id).error());
    if (done) {
      all_tell = all_tell && reading->tells_clients();
      result.servers.push_back(std::move(server));
    } else if (std::none_of(result.missing.begin(), result.missing.end(),
                            [&label](const auto& one) { return one.label == label; })) {
      result.missing.push_back({label, done.error().message});
    }
  }
  if (result.servers.empty()) {
    if (result.missing.empty()) return Error("no server with locks is named");
    const MissingServer& first = result.missing.front();
    return Error(first.why, "is a server there, and are user, password and database right?")
        .in(first.label);
  }
  result.clients_known = all_tell && result.missing.empty();
  std::sort(result.locks.begin(), result.locks.end(),
            [](const InstalledLock& a, const InstalledLock& b) {
              return std::pair(std::string_view(a.name), b.keys) <
                     std::pair(std::string_view(b.name), a.keys);
            });
  return result;
}

std::vector<std::vector<size_t>> find_rings(const Installation& installation) {
  const size_t count = installation.waits.size();
  constexpr size_t kNone = SIZE_MAX;
  std::map<std::string_view, const InstalledLock*> locks;
  for (const InstalledLock& lock : installation.locks) locks.try_emplace(lock.name, &lock);
  std::map<std::pair<uint64_t, std::string_view>, size_t> holders;
  for (size_t i = 0; i < count; ++i)
    for (const std::string& held : installation.waits[i].owner.holds)
      holders.try_emplace({installation.waits[i].incarnation, held}, i);
  // A lock has one holder, so each wait leads to one other at most.
  std::vector<size_t> next(count, kNone);
  for (size_t i = 0; i < count; ++i) {
    const auto lock = locks.find(installation.waits[i].owner.wants);
    if (lock == locks.end() || !lock->second->holder || lock->second->holder->shared) continue;
    const auto holder = holders.find({lock->second->holder->incarnation, lock->first});
    if (holder != holders.end()) next[i] = holder->second;
  }
  std::vector<std::vector<size_t>> rings;
  std::vector<size_t> seen(count, kNone);  // by the walk from which one
  for (size_t start = 0; start < count; ++start) {
    size_t at = start;
    while (at != kNone && seen[at] == kNone) {
      seen[at] = start;
      at = next[at];
    }
    if (at == kNone || seen[at] != start) continue;
    std::vector<size_t> ring;
    const size_t first = at;
    do {
      ring.push_back(at);
      at = next[at];
    } while (at != first);
    std::rotate(ring.begin(), std::min_element(ring.begin(), ring.end()), ring.end());
    rings.push_back(std::move(ring));
  }
  return rings;
}

std::string ring_signature(const Installation& installation, const std::vector<size_t>& ring) {
  std::string signature;
  for (const size_t index : ring) {
    const InstalledWait& wait = installation.waits[index];
    signature += std::to_string(wait.incarnation) + ' ' + std::to_string(wait.owner.thread) + ' ' +
                 std::to_string(wait.owner.wait) + ' ' + wait.owner.wants + ' ';
    for (const InstalledLock& lock : installation.locks)
      if (lock.name == wait.owner.wants) signature += lock.value;
    signature += '\n';
  }
  return signature;
}

}  // namespace gordian::redis
