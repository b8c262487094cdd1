// SPDX-License-Identifier: Apache-2.0
#include "redis_cli/redis_words.h"

#include "base/text.h"
#include "redis/failure.h"

#include <algorithm>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <set>

namespace gordian::redis_cli {
namespace {

using redis::ClientPlace;
using redis::Installation;
using redis::InstalledLock;
using redis::InstalledWait;

std::optional<ClientPlace> place_of(const Installation& installation, uint64_t incarnation) {
  const auto client = installation.clients.find(incarnation);
  if (client != installation.clients.end()) return client->second;
  for (const InstalledWait& wait : installation.waits)
    if (wait.incarnation == incarnation) return wait.place;
  return std::nullopt;
}

std::string thread_text(const ClientPlace& place, uint32_t thread) {
  return fmt::format("{} of process {} on {}",
                     thread == 0 ? "an asynchronous request" : fmt::format("thread {}", thread),
                     place.pid, escape_for_terminal(place.host));
}

std::string holder_text(const Installation& installation, const InstalledLock& lock) {
  if (!lock.holder) return "somebody else's client";
  if (lock.holder->shared) return "readers";
  const auto place = place_of(installation, lock.holder->incarnation);
  if (place) return thread_text(*place, lock.holder->thread);
  return fmt::format("thread {} of client {:x}", lock.holder->thread, lock.holder->incarnation);
}

std::string left_text(const InstalledLock& lock) {
  if (lock.left.count() < 0) return "never expires";
  return "expires in " + to_text(lock.left);
}

std::string dot_word(std::string_view text) { return dot_quoted(escape_for_terminal(text)); }

std::string dot_thread(const ClientPlace& place, uint32_t thread, std::string_view name) {
  return fmt::format("{}/{}/{}{}{}", place.host, place.pid, thread, name.empty() ? "" : " ", name);
}

}  // namespace

std::string redis_text(const RedisReport& report) {
  const Installation& all = report.installation;
  std::string text;
  for (const std::vector<size_t>& ring : report.rings) {
    text +=
        fmt::format("DEADLOCK: {} wait for each other's locks\n", count_of(ring.size(), "thread"));
    for (const size_t index : ring) {
      const InstalledWait& wait = all.waits[index];
      text += fmt::format(
          "  {}{} holds", thread_text(wait.place, wait.owner.thread),
          wait.owner.thread_name.empty() ? "" : " " + redis::quoted(wait.owner.thread_name));
      for (const std::string& held : wait.owner.holds) text += ' ' + redis::quoted(held);
      text += fmt::format(", wants {}\n", redis::quoted(wait.owner.wants));
    }
    text += "  Assumed: Nobody deletes or forces the key of a lease.\n\n";
  }
  // One server that is named and read needs no word.
  for (const redis::FoundServer& server : all.servers)
    if (!server.what.empty() || all.servers.size() > 1 || !all.missing.empty())
      text += fmt::format("read: {}{}\n", escape_for_terminal(server.address.label()),
                          server.what.empty() ? "" : ", " + server.what);
  for (const redis::MissingServer& server : all.missing)
    text += fmt::format("NOT READ: {}: {}\n", escape_for_terminal(server.label),
                        escape_for_terminal(server.why));
  text += count_of(all.locks.size(), "lock") + " held\n";
  for (const InstalledLock& lock : all.locks) {
    text += fmt::format("  {} by {}, {}", redis::quoted(lock.name), holder_text(all, lock),
                        left_text(lock));
    if (lock.keys > 1) text += fmt::format(", {} keys", lock.keys);
    text += '\n';
    const auto doubt = report.suspicions.find(lock.value);
    if (doubt != report.suspicions.end()) text += "    suspicious: " + doubt->second + '\n';
  }
  for (const std::string& name : all.blocked)
    text +=
        fmt::format("  {} cannot be taken: its key is no string; delete it\n", redis::quoted(name));
  if (all.left_out > 0) text += fmt::format("  ... and {} more keys\n", all.left_out);
  text += count_of(all.waits.size(), "wait") + " published\n";
  for (const InstalledWait& wait : all.waits) {
    text += fmt::format(
        "  {}{} wants {}", thread_text(wait.place, wait.owner.thread),
        wait.owner.thread_name.empty() ? "" : " " + redis::quoted(wait.owner.thread_name),
        redis::quoted(wait.owner.wants));
    if (!wait.owner.holds.empty()) text += ", holds";
    for (const std::string& held : wait.owner.holds) text += ' ' + redis::quoted(held);
    text += '\n';
  }
  return text;
}

std::string redis_json(const RedisReport& report, std::string_view prefix) {
  using nlohmann::json;
  const Installation& all = report.installation;
  json locks = json::array();
  for (const InstalledLock& lock : all.locks) {
    json entry = {{"name", to_valid_utf8(lock.name)},
                  {"keys", lock.keys},
                  {"foreign", !lock.holder.has_value()}};
    if (lock.left.count() >= 0) entry["expires_in_ms"] = lock.left.count();
    if (lock.holder) {
      entry["shared"] = lock.holder->shared;
      entry["thread"] = lock.holder->thread;
      entry["incarnation"] = fmt::format("{:x}", lock.holder->incarnation);
      entry["acquisition"] = lock.holder->sequence;
      if (const auto place = place_of(all, lock.holder->incarnation)) {
        entry["host"] = to_valid_utf8(place->host);
        entry["pid"] = place->pid;
      }
    }
    const auto doubt = report.suspicions.find(lock.value);
    if (doubt != report.suspicions.end()) entry["suspicious"] = doubt->second;
    locks.push_back(std::move(entry));
  }
  json waits = json::array();
  for (const InstalledWait& wait : all.waits) {
    json holds = json::array();
    for (const std::string& held : wait.owner.holds) holds.push_back(to_valid_utf8(held));
    waits.push_back({{"host", to_valid_utf8(wait.place.host)},
                     {"pid", wait.place.pid},
                     {"thread", wait.owner.thread},
                     {"thread_name", to_valid_utf8(wait.owner.thread_name)},
                     {"incarnation", fmt::format("{:x}", wait.incarnation)},
                     {"wants", to_valid_utf8(wait.owner.wants)},
                     {"holds", std::move(holds)},
                     {"since_ms", wait.owner.since_ms}});
  }
  json servers = json::array();
  for (const redis::FoundServer& server : all.servers)
    servers.push_back(
        {{"address", to_valid_utf8(server.address.label())}, {"what", to_valid_utf8(server.what)}});
  json missing = json::array();
  for (const redis::MissingServer& server : all.missing)
    missing.push_back(
        {{"address", to_valid_utf8(server.label)}, {"why", to_valid_utf8(server.why)}});
  json blocked = json::array();
  for (const std::string& name : all.blocked) blocked.push_back(to_valid_utf8(name));
  const json whole = {{"schema", 1},
                      {"servers", std::move(servers)},
                      {"servers_not_read", std::move(missing)},
                      {"prefix", to_valid_utf8(prefix)},
                      {"locks", std::move(locks)},
                      {"waits", std::move(waits)},
                      {"blocked", std::move(blocked)},
                      {"keys_left_out", all.left_out},
                      {"deadlocks", report.rings}};  // indices into "waits"
  return whole.dump(2) + '\n';
}

std::string redis_dot(const RedisReport& report) {
  const Installation& all = report.installation;
  std::set<size_t> stuck;
  for (const auto& ring : report.rings) stuck.insert(ring.begin(), ring.end());
  std::string text = "digraph locks {\n  rankdir=LR;\n";
  for (const redis::MissingServer& server : all.missing)
    text += fmt::format("  // not read: {}: {}\n", escape_for_terminal(server.label),
                        escape_for_terminal(server.why));
  std::set<std::pair<uint64_t, std::string>> shown;  // holds said by the waits themselves
  for (size_t i = 0; i < all.waits.size(); ++i) {
    const InstalledWait& wait = all.waits[i];
    const std::string thread =
        dot_word(dot_thread(wait.place, wait.owner.thread, wait.owner.thread_name));
    const char* const color = stuck.count(i) != 0 ? " [color=red]" : "";
    text += fmt::format("  {} [shape=box];\n", thread);
    text += fmt::format("  {} -> {}{};\n", thread, dot_word(wait.owner.wants), color);
    for (const std::string& held : wait.owner.holds) {
      shown.emplace(wait.incarnation, held);
      text += fmt::format("  {} -> {}{};\n", dot_word(held), thread, color);
    }
  }
  for (const InstalledLock& lock : all.locks) {
    text += fmt::format("  {} [shape=ellipse];\n", dot_word(lock.name));
    if (lock.holder && shown.count({lock.holder->incarnation, lock.name}) != 0) continue;
    const auto place =
        lock.holder ? place_of(all, lock.holder->incarnation) : std::optional<ClientPlace>{};
    const std::string holder =
        place ? dot_thread(*place, lock.holder->thread, {}) : holder_text(all, lock);
    text +=
        fmt::format("  {0} [shape=box];\n  {1} -> {0};\n", dot_word(holder), dot_word(lock.name));
  }
  return text + "}\n";
}

}  // namespace gordian::redis_cli
