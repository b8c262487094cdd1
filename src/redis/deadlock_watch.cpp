// SPDX-License-Identifier: Apache-2.0
#include "redis/deadlock_watch.h"

#include "redis/client_place.h"
#include "redis/local_waits.h"

#include <algorithm>
#include <tuple>
#include <unistd.h>

namespace gordian::redis {
namespace {

constexpr size_t kMaxCycle = 64;
constexpr size_t kMaxWaiters = 10'000;  // looked at
constexpr size_t kMaxOwners = 1000;     // published

constexpr size_t kMaxHolders = 256;  // whose local waits are looked at

}  // namespace

struct DeadlockWatch::Walk {
  uint32_t thread = 0;  // of this client, where it began
  unsigned server = 0;
  struct Member {
    uint64_t incarnation = 0;
    uint64_t edition = 0;
    std::string host;
    int64_t pid = 0;
    BlockedOwner owner;
    std::string value;  // in the key of the lock it wants
  };
  std::vector<Member> members;
  uint64_t next_incarnation = 0;
  std::string
      next_holds;  // the next member is the owner there that holds this; empty: it is `thread`
};

DeadlockWatch::DeadlockWatch(EventLoop& loop, Servers& servers, LockTable& table,
                             const client_options& options, uint64_t incarnation,
                             OnDeadlock on_deadlock)
    : loop_(loop),
      servers_(servers),
      table_(table),
      options_(options),
      incarnation_(incarnation),
      on_deadlock_(std::move(on_deadlock)) {
  const ClientPlace place = own_place();
  record_.host = place.host;
  record_.pid = place.pid;
  publications_.resize(servers.count());
}

void DeadlockWatch::wake() {
  if (options_.deadlocks == deadlock_mode::off || ticking_.exchange(true)) return;
  loop_.post(
      [this] { timer_ = loop_.at(Clock::now() + options_.deadlock_delay, [this] { tick(); }); });
}

void DeadlockWatch::stop() { loop_.cancel(timer_); }

std::vector<BlockedOwner> DeadlockWatch::blocked_owners(bool& anybody, HeldByOthers& held) const {
  std::vector<BlockedOwner> owners;
  const TimePoint long_ago = Clock::now() - options_.deadlock_delay;
  const std::lock_guard lock(table_.mutex);
  for (const auto& [name, gate] : table_.gates) {
    for (const auto& waiter : gate->waiters) {
      anybody = true;
      if (waiter->gives_up || waiter->since > long_ago || owners.size() >= kMaxWaiters) continue;
      owners.push_back({.thread = waiter->owner,
                        .wait = waiter->number,
                        .priority = waiter->priority,
                        .since_ms = waiter->since_ms,
                        .thread_name = {},
                        .wants = name,
                        .holds = {}});
    }
  }
  if (owners.empty()) return owners;
  for (const auto& [name, gate] : table_.gates) {
    // A lease that another thread may release keeps nobody waiting for this one.
    if (!gate->hold || gate->hold->words.kept_elsewhere != 0) continue;
    const uint32_t holder = gate->hold->owner;
    bool is_blocked = false;
    for (BlockedOwner& owner : owners) {
      if (owner.thread != holder) continue;
      owner.holds.push_back(name);
      is_blocked = true;
    }
    if (!is_blocked && (held.count(holder) != 0 || held.size() < kMaxHolders))
      held[holder].push_back(name);
  }
  return owners;
}

// Whoever holds a lock and waits, through threads of this process, for an owner that waits for a
// lock, is let go by that owner alone: so that owner holds the lock, too. That stays so for as long
// as its wait lasts, which is asked last.
void DeadlockWatch::contract(std::vector<BlockedOwner>& owners, const HeldByOthers& held) {
  local_waits_.clear();
  for (const auto& [holder, names] : held) {
    const std::vector<LocalWait> waits = read_local_waits(holder);
    if (waits.empty()) continue;
    const auto owner = std::find_if(owners.begin(), owners.end(), [&](const BlockedOwner& one) {
      return one.thread == waits.back().for_thread;
    });
    if (owner == owners.end()) continue;
    const std::vector<std::string> still_held = still_waits(*owner, holder, names);
    if (still_held.empty()) continue;
    owner->holds.insert(owner->holds.end(), still_held.begin(), still_held.end());
    for (const LocalWait& wait : waits) local_waits_[owner->thread].push_back(describe(wait));
  }
}

std::vector<std::string> DeadlockWatch::still_waits(const BlockedOwner& owner, uint32_t holder,
                                                    const std::vector<std::string>& names) const {
  std::vector<std::string> still_held;
  const std::lock_guard lock(table_.mutex);
  if (waiter_of(owner) == nullptr) return still_held;
  for (const std::string& name : names)
    if (const auto gate = table_.find(name); gate && gate->hold && gate->hold->owner == holder)
      still_held.push_back(name);
  return still_held;
}

void DeadlockWatch::tick() {
  timer_ = {};
  bool anybody = false;
  HeldByOthers held;
  std::vector<BlockedOwner> owners = blocked_owners(anybody, held);
  if (!anybody) {
    suspicions_.clear();
    ticking_ = false;
    // Whoever came in between found it still ticking.
    (void)blocked_owners(anybody, held);
    if (anybody) wake();
    return;
  }
  timer_ = loop_.at(Clock::now() + options_.deadlock_delay, [this] { tick(); });
  if (owners.empty()) return;
  contract(owners, held);
  // Those that somebody may wait for come first.
  std::stable_partition(owners.begin(), owners.end(),
                        [](const BlockedOwner& owner) { return !owner.holds.empty(); });
  if (owners.size() > kMaxOwners) owners.resize(kMaxOwners);
  for (BlockedOwner& owner : owners) owner.thread_name = thread_name(owner.thread);
  record_.owners = std::move(owners);
  for (unsigned server = 0; server < servers_.count(); ++server)
    if (!publications_[server].under_way) publish(server);
}

// An edition that was not confirmed is published again, under the same number: see the header.
void DeadlockWatch::publish(unsigned server) {
  Publication& publication = publications_[server];
  publication.under_way = true;
  record_.edition = publication.confirmed + 1;
  const auto lives = std::max(options_.deadlock_delay * 4, std::chrono::milliseconds(1000));
  servers_.ask_server(server,
                      {"SET", waits_key(options_.key_prefix, incarnation_), to_text(record_), "PX",
                       std::to_string(lives.count())},
                      [this, server](const redisReply* reply) {
                        publications_[server].under_way = false;
                        if (reply == nullptr || is_error(reply)) return;
                        publications_[server].confirmed += 1;
                        if (server == servers_.first_ready()) walk(server);
                      });
}

void DeadlockWatch::walk(unsigned server) {
  for (const BlockedOwner& owner : record_.owners) {
    // Who holds nothing is waited for by nobody; it is published for people.
    if (owner.holds.empty()) continue;
    const auto walk = std::make_shared<Walk>();
    walk->thread = owner.thread;
    walk->server = server;
    walk->next_incarnation = incarnation_;
    step(walk);
  }
}

void DeadlockWatch::step(const std::shared_ptr<Walk>& walk) {
  servers_.ask_server(
      walk->server, {"GET", waits_key(options_.key_prefix, walk->next_incarnation)},
      [this, walk](const redisReply* reply) { found_record(walk, text_of(reply)); });
}

void DeadlockWatch::found_record(const std::shared_ptr<Walk>& walk, std::string_view text) {
  std::optional<WaitRecord> record = parse_wait_record(text);
  if (!record) return ended(*walk);
  const auto owner = std::find_if(
      record->owners.begin(), record->owners.end(), [&walk](const BlockedOwner& candidate) {
        if (walk->next_holds.empty()) return candidate.thread == walk->thread;
        return std::find(candidate.holds.begin(), candidate.holds.end(), walk->next_holds) !=
               candidate.holds.end();
      });
  if (owner == record->owners.end()) return ended(*walk);
  if (!walk->members.empty()) {
    const Walk::Member& first = walk->members.front();
    if (walk->next_incarnation == first.incarnation && owner->thread == first.owner.thread)
      return closed(*walk);
  }
  for (const Walk::Member& member : walk->members)  // a cycle further on, without us
    if (member.incarnation == walk->next_incarnation && member.owner.thread == owner->thread)
      return ended(*walk);
  if (walk->members.size() >= kMaxCycle) return ended(*walk);
  walk->members.push_back({.incarnation = walk->next_incarnation,
                           .edition = record->edition,
                           .host = record->host,
                           .pid = record->pid,
                           .owner = std::move(*owner),
                           .value = {}});
  // With independent servers this is also the number of a key.
  servers_.ask_server(
      walk->server,
      {"GET", lock_key(options_.key_prefix, walk->server, walk->members.back().owner.wants)},
      [this, walk](const redisReply* reply) { found_value(walk, text_of(reply)); });
}

void DeadlockWatch::found_value(const std::shared_ptr<Walk>& walk, std::string_view value) {
  const std::optional<Identity> identity = decode(value);
  if (!identity || identity->shared) return ended(*walk);
  walk->members.back().value = value;
  walk->next_incarnation = identity->incarnation;
  walk->next_holds = walk->members.back().owner.wants;
  step(walk);
}

std::shared_ptr<Waiter> DeadlockWatch::waiter_of(const BlockedOwner& owner) const {
  const auto gate = table_.find(owner.wants);
  if (!gate) return nullptr;
  for (const auto& waiter : gate->waiters)
    if (waiter->number == owner.wait && waiter->owner == owner.thread) return waiter;
  return nullptr;
}

// The thread writes it down itself, and goes on waiting: nobody else could read it safely.
void DeadlockWatch::ask_for_stack(const BlockedOwner& owner) {
  std::shared_ptr<Waiter> waiter;
  {
    const std::lock_guard lock(table_.mutex);
    waiter = waiter_of(owner);
  }
  if (waiter) waiter->parker.unpark();
}

void DeadlockWatch::add_local_part(const BlockedOwner& owner, deadlock_member& member) const {
  if (const auto found = local_waits_.find(owner.thread); found != local_waits_.end())
    member.local_waits = found->second;
  const std::lock_guard lock(table_.mutex);
  if (const auto waiter = waiter_of(owner)) member.stack = waiter->stack;
}

void DeadlockWatch::ended(const Walk& walk) { suspicions_.erase(walk.thread); }

void DeadlockWatch::closed(const Walk& walk) {
  std::string signature = std::to_string(walk.server) + '\n';
  std::vector<uint64_t> editions;
  for (const Walk::Member& member : walk.members) {
    signature += std::to_string(member.incarnation) + ' ' + std::to_string(member.owner.thread) +
                 ' ' + std::to_string(member.owner.wait) + ' ' + member.owner.wants + ' ' +
                 member.value + '\n';
    editions.push_back(member.edition);
  }
  Suspicion& suspicion = suspicions_[walk.thread];
  if (suspicion.signature != signature) {
    suspicion = {};
    suspicion.signature = signature;
  }
  suspicion.walks += 1;
  if (suspicion.walks == 2) {
    suspicion.editions = editions;
    for (const Walk::Member& member : walk.members)
      if (member.incarnation == incarnation_) ask_for_stack(member.owner);
  }
  if (suspicion.walks < 3 || suspicion.told) return;
  for (size_t i = 0; i < editions.size(); ++i)
    if (editions[i] < suspicion.editions[i] + 2) return;
  suspicion.told = true;

  // The same on every client: all see the same records.
  const auto rank = [](const Walk::Member& member) {
    return std::tuple(member.owner.priority, member.owner.holds.size(), -member.owner.since_ms,
                      ~member.incarnation, ~member.owner.thread);
  };
  const auto victim = std::min_element(
      walk.members.begin(), walk.members.end(),
      [&rank](const Walk::Member& a, const Walk::Member& b) { return rank(a) < rank(b); });
  std::vector<deadlock_member> cycle;
  for (size_t i = 0; i < walk.members.size(); ++i) {
    const Walk::Member& member = walk.members[i];
    const Walk::Member& next = walk.members[(i + 1) % walk.members.size()];
    cycle.push_back({.host = member.host,
                     .pid = member.pid,
                     .thread = member.owner.thread,
                     .thread_name = member.owner.thread_name,
                     .wants = member.owner.wants,
                     .holder = next.host + '/' + std::to_string(next.pid) + '/' +
                               std::to_string(next.owner.thread),
                     .stack = {},
                     .local_waits = {}});
    if (member.incarnation == incarnation_) add_local_part(member.owner, cycle.back());
  }
  on_deadlock_(walk.thread, walk.members.front().owner.wait, victim == walk.members.begin(), cycle);
}

}  // namespace gordian::redis
