// SPDX-License-Identifier: Apache-2.0
// The calling threads' part: queueing, the direct try, waiting, releasing.
#include "redis/client_state.h"

#include "base/text.h"
#include "gordian/annotate.h"
#include "redis/client_place.h"
#include "redis/failure.h"
#include "redis/lease_resource.h"
#include "redis/local_waits.h"
#include "redis/quiet_thread.h"

#include <algorithm>
#include <pthread.h>
#include <sys/random.h>

namespace gordian::redis::detail {
namespace {

std::atomic<unsigned> forks{0};

// A child has the parent's sockets and none of its threads: its client is dead, and says so.
unsigned watch_forks() {
  [[maybe_unused]] static const int registered = pthread_atfork(nullptr, nullptr, [] { ++forks; });
  return forks;
}

std::vector<Address> addresses_of(const client_options& options) {
  const bool sentinels = options.kind == topology::sentinel;
  std::vector<Address> addresses;
  std::shared_ptr<const TlsContext> tls;
  for (const std::string& text : options.servers) {
    Result<Address> address = parse_address(text);
    if (!address) {
      const std::string& hint = address.error().hint;
      throw misuse_error("server: " + address.error().message + (hint.empty() ? "" : "; " + hint));
    }
    if (address->secure) {
      if (!tls) {
        auto made = TlsContext::make(options.tls);
        if (!made)
          throw misuse_error(made.error().message +
                             (made.error().hint.empty() ? "" : "; " + made.error().hint));
        tls = std::move(*made);
      }
      address->tls = tls;
    }
    if (address->user.empty() && address->password.empty()) {
      address->user = sentinels ? options.sentinel_user : options.user;
      address->password = sentinels ? options.sentinel_password : options.password;
    }
    if (sentinels && address->database != 0)
      throw misuse_error(
          "server: a sentinel has no database; the master's is client_options::database");
    if (!sentinels && address->database == 0) address->database = options.database;
    if (options.kind == topology::cluster &&
        (address->database != 0 || !address->unix_path.empty()))
      throw misuse_error("server: a cluster has neither Unix sockets nor databases but 0");
    addresses.push_back(std::move(*address));
  }
  if (addresses.empty()) throw misuse_error("no server is named");
  return addresses;
}

// Sums of time points and what is longer overflow.
constexpr std::chrono::milliseconds kLongest = std::chrono::hours(24 * 365 * 10);

void check(const client_options& options) {
  using std::chrono::milliseconds;
  if (options.validity < milliseconds(10)) throw misuse_error("validity is shorter than 10 ms");
  for (const milliseconds time :
       {options.validity, options.connect_timeout, options.command_timeout, options.retry_interval,
        options.fencing_lifetime, options.deadlock_delay})
    if (time > kLongest) throw misuse_error("a time of the options is longer than ten years");
  if (options.fencing && options.fencing_lifetime < milliseconds(1))
    throw misuse_error("fencing_lifetime is shorter than 1 ms");
  if (options.deadlocks != deadlock_mode::off && options.deadlock_delay < milliseconds(1))
    throw misuse_error("deadlock_delay is shorter than 1 ms");
  if (options.command_timeout < milliseconds(1) || options.connect_timeout < milliseconds(1) ||
      options.retry_interval < milliseconds(1))
    throw misuse_error("a timeout or interval is shorter than 1 ms");
  if (options.key_prefix.empty() || options.key_prefix.size() > kMaxNameSize)
    throw misuse_error("key_prefix is empty or too long");
  if (options.handover_limit > kMostHandovers)
    throw misuse_error("handover_limit is larger than " + std::to_string(kMostHandovers));
  if (options.majority > 50) throw misuse_error("majority is larger than 50");
  if (options.kind == topology::sentinel) {
    if (options.sentinel_master.empty() || options.sentinel_master.size() > kMaxNameSize)
      throw misuse_error("sentinel_master is empty or too long");
    return;
  }
  if (options.kind == topology::cluster) return;
  if (options.kind == topology::standalone) {
    if (options.servers.size() < 2) return;
    throw misuse_error("several servers are named: say topology::independent if each is a master");
  }
  const size_t needed = options.majority == 0 ? options.servers.size() : options.majority * 2 - 1;
  if (options.servers.size() != needed || needed % 2 == 0)
    throw misuse_error("independent servers must be an odd number, 2 * majority - 1; " +
                       std::to_string(options.servers.size()) + " are named");
}

}  // namespace

ClientState::ClientState(client_options options) : options_(std::move(options)) {
  check(options_);
  if (options_.extend_interval >= options_.validity - drift())
    throw misuse_error("extend_interval is not shorter than the validity less 1 % and 2 ms");
  if (options_.extend_interval.count() <= 0) options_.extend_interval = options_.validity / 2;
  majority_ = options_.majority;
  if (majority_ == 0)
    majority_ = options_.kind == topology::independent
                    ? static_cast<unsigned>(options_.servers.size() / 2 + 1)
                    : 1;
  keys_ = majority_ * 2 - 1;
  validity_ms_ = std::to_string(options_.validity.count());
  if (getrandom(&incarnation_, sizeof incarnation_, 0) != sizeof incarnation_)
    throw std::system_error(errno, std::generic_category(), "getrandom");
  fork_generation_ = watch_forks();
  std::vector<Address> addresses = addresses_of(options_);
  for (const Address& address : addresses)
    realm_ += address.label() + '/' + std::to_string(address.database) + ' ';
  if (options_.kind == topology::sentinel) realm_ += options_.sentinel_master + ' ';
  realm_ += options_.key_prefix;
  servers_ = std::make_unique<Servers>(
      loop_, options_, std::move(addresses),
      [this](std::optional<std::string_view> key) { changed(key); },
      connection_name(incarnation_, own_place()));
  watch_ = std::make_unique<DeadlockWatch>(loop_, *servers_, table_, options_, incarnation_,
                                           [this](uint32_t thread, uint64_t wait, bool is_victim,
                                                  const std::vector<deadlock_member>& cycle) {
                                             deadlocked(thread, wait, is_victim, cycle);
                                           });
  loop_.set_due(
      [this] {
        const std::lock_guard lock(table_.mutex);
        return table_.renewals.empty() ? TimePoint::max() : table_.renewals.begin()->first;
      },
      [this] { renew_due(); });
  loop_.set_before_sleep([this] { servers_->flush(); });
}

ClientState::~ClientState() { close(); }

void ClientState::start() {
  if (options_.foreign_loop) {
    loop_.descriptor();
    loop_thread_ = this_thread_id();
  } else {
    thread_ = start_quiet_thread([this] { loop_.run(); });
    pthread_setname_np(thread_.native_handle(), "gordian-redis");
  }
  // The first answer decides, so that a wrong address is told here and not by the first lock.
  struct First {
    Parker parker;
    std::atomic<bool> reachable{false};
    std::atomic<bool> is_settled{false};
    std::string failure;
  };
  const auto first = std::make_shared<First>();
  loop_.post([this, first] {
    servers_->connect_then([first](bool reachable, const std::string& failure) {
      first->reachable = reachable;
      first->failure = failure;
      first->is_settled = true;
      first->parker.unpark();
    });
  });
  auto patience = options_.connect_timeout + options_.command_timeout;
  if (options_.kind == topology::sentinel) patience *= 2;  // they are asked first
  const TimePoint until = Clock::now() + patience;
  if (options_.foreign_loop) loop_.run_while([&first] { return !first->is_settled; }, until);
  const bool answered = first->parker.park(until);
  if (options_.on_transport_error == transport_policy::keep_trying ||
      (answered && first->reachable))
    return;
  const std::string what = answered ? first->failure : "no server answered in time";
  close();
  throw transport_error(what);
}

void ClientState::close() {
  std::vector<std::shared_ptr<Waiter>> woken;
  std::vector<std::shared_ptr<Hold>> holds;
  const bool own_process = fork_generation_ == forks;
  if (own_process) {
    const std::lock_guard lock(table_.mutex);
    table_.closing = true;
    for (const auto& gate : table_.all_gates()) {
      while (!gate->waiters.empty())
        woken.push_back(LockTable::fail(*gate, gate->waiters.front(),
                                        {errc::closed, "the client is being destroyed", {}}));
    }
  }
  for (const auto& waiter : woken) waiter->wake();
  const bool turns_itself = options_.foreign_loop && own_process && !std::exchange(ended_, true);
  if (turns_itself) {
    loop_.post([this] { stop_all_contending(); });
    loop_.run_while([this] { return under_way_ != 0; }, Clock::now() + options_.command_timeout);
  } else if (thread_.joinable() && own_process) {
    wait_for_what_is_under_way();
  }
  if (own_process) {
    const std::lock_guard lock(table_.mutex);
    for (const auto& gate : table_.all_gates()) {
      if (gate->hold) holds.push_back(gate->hold);
      holds.insert(holds.end(), gate->readers.begin(), gate->readers.end());
    }
  }
  for (const auto& hold : holds) lose(hold, "the client was destroyed");
  if (turns_itself) {
    watch_->stop();
    settle_all();
    servers_->shut_down();
    while (!to_tell_.empty()) tell_what_is_there(to_tell_.size());
  }
  if (!thread_.joinable()) return;
  if (!own_process) {
    thread_.detach();  // it is the parent's
    return;
  }
  loop_.post([this] { watch_->stop(); });
  loop_.stop();
  thread_.join();
  settle_all();
  servers_->shut_down();
  notifier_.stop();
}

void ClientState::wait_for_what_is_under_way() {
  const TimePoint until = Clock::now() + options_.command_timeout;
  // What was posted before has begun then, and counts.
  const auto begun = std::make_shared<Parker>();
  loop_.post([this, begun] {
    stop_all_contending();
    begun->unpark();
  });
  begun->park(until);
  while (under_way_ != 0 && Clock::now() < until) {
    // The I/O thread tells when it has looked at them; then perhaps none is left.
    const auto looked = std::make_shared<Parker>();
    loop_.post([this, looked] {
      loop_.at(Clock::now() + std::chrono::milliseconds(1), [looked] { looked->unpark(); });
    });
    looked->park(until);
  }
}

bool ClientState::is_of_this_process() const { return fork_generation_ == forks; }

void ClientState::check_usable(std::string_view name) const {
  if (fork_generation_ != forks)
    throw closed_error("the client belongs to the parent of this process: make one after fork()");
  if (name.empty() || name.size() > kMaxNameSize)
    throw misuse_error("a lock's name has 1 to " + std::to_string(kMaxNameSize) +
                       " bytes, this one has " + std::to_string(name.size()));
  // Told before the lock is claimed.
  if (options_.fencing && !side_key("fence", lock_key(options_.key_prefix, 0, name)))
    throw misuse_error("lock " + quoted(name) +
                       ": a name with braces that make no hash tag cannot have a fencing counter");
}

void ClientState::check_has_readers(std::string_view name) const {
  if (!side_key("readers", lock_key(options_.key_prefix, 0, name)))
    throw misuse_error("lock " + quoted(name) +
                       ": a name with braces that make no hash tag cannot have readers");
}

Value ClientState::new_value(uint32_t owner, bool shared) {
  return encode(
      {.shared = shared, .thread = owner, .incarnation = incarnation_, .sequence = ++sequence_});
}

ScriptCall ClientState::acquire_call(unsigned index, std::string_view name, const Value& value,
                                     bool force) const {
  if (is_shared(view(value))) {
    const std::string key = lock_key(options_.key_prefix, index, name);
    return {.script = &kAcquireShared,
            .keys = {key, *side_key("readers", key), *side_key("writer", key)},
            .arguments = {std::string(view(value)), validity_ms_}};
  }
  ScriptCall call{.script = force ? &kForce : &kAcquire,
                  .keys = {lock_key(options_.key_prefix, index, name)},
                  .arguments = {std::string(view(value)), validity_ms_}};
  if (options_.fencing) {
    // check_usable() has seen that there is one.
    std::optional<std::string> counter = side_key("fence", call.keys.front());
    call.keys.push_back(std::move(*counter));
    call.arguments.push_back(std::to_string(options_.fencing_lifetime.count()));
  }
  return call;
}

ScriptCall ClientState::release_call(unsigned index, std::string_view name,
                                     const Value& value) const {
  if (is_shared(view(value))) {
    const std::string key = lock_key(options_.key_prefix, index, name);
    return {.script = &kReleaseShared,
            .keys = {key, *side_key("readers", key)},
            .arguments = {std::string(view(value))}};
  }
  return {.script = &kRelease,
          .keys = {lock_key(options_.key_prefix, index, name)},
          .arguments = {std::string(view(value))}};
}

std::shared_ptr<Hold> ClientState::make_hold(std::string_view name, const Value& value,
                                             uint64_t token, TimePoint asked_at) {
  auto hold = std::make_shared<Hold>();
  hold->name = name;
  hold->value = value;
  hold->shared = is_shared(view(value));
  hold->token = options_.fencing && !hold->shared ? token : 0;
  hold->client = weak_from_this();
  hold->expires_ns = (asked_at + options_.validity - drift()).time_since_epoch().count();
  return hold;
}

void ClientState::drop_if_late(TryOutcome& outcome, TimePoint asked_at) const {
  if (outcome.kind != TryOutcome::Kind::Acquired ||
      Clock::now() < asked_at + options_.validity - drift())
    return;
  outcome.kind = TryOutcome::Kind::Unknown;
  outcome.failure = "the answer came after the end of the lease it grants";
}

TryOutcome ClientState::ask_directly(std::string_view name, const Value& value,
                                     const Waiter& waiter, bool can_stop) {
  TryOutcome nothing_sent;
  nothing_sent.kind = TryOutcome::Kind::Error;
  if (keys_ != 1) return nothing_sent;
  TimePoint answer_by =
      Clock::now() + (can_stop ? std::min(options_.command_timeout, options_.retry_interval)
                               : options_.command_timeout);
  if (waiter.deadline) answer_by = std::min(answer_by, *waiter.deadline);
  if (answer_by <= Clock::now()) return nothing_sent;
  const ScriptCall call = acquire_call(0, name, value, false);
  Node* const node = servers_->direct_node(call.keys.front());
  std::unique_ptr<DirectConnection> connection =
      node == nullptr ? nullptr : node->borrow(time_left(answer_by));
  if (connection == nullptr) return nothing_sent;
  Reply reply = connection->ask(call.bytes(false), time_left(answer_by));
  if (is_error(reply.get()) && text_of(reply.get()).starts_with("NOSCRIPT"))
    reply = connection->ask(call.bytes(true), time_left(answer_by));
  node->give_back(std::move(connection));
  return read_try(reply.get());
}

std::shared_ptr<Waiter> ClientState::make_waiter(std::string_view name, const wait_limit& limit,
                                                 bool once) {
  auto waiter = std::make_shared<Waiter>();
  waiter->owner = this_thread_id();
  waiter->resource = lease_resource(realm_, name);
  waiter->once = once;
  waiter->deadline = limit.deadline;
  waiter->priority = options_.priority;
  waiter->number = ++sequence_;
  waiter->gives_up = limit.deadline || limit.stop.stop_possible() || waiter->once;
  waiter->since = Clock::now();
  waiter->since_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count();
  return waiter;
}

std::shared_ptr<Hold> ClientState::acquire(std::string_view name, const wait_limit& limit,
                                           Want want) {
  check_usable(name);
  check_may_wait();
  const std::shared_ptr<Waiter> waiter = make_waiter(name, limit, want == Want::Once);
  const void* const resource = waiter->resource;
  if (want == Want::Force) return force(name, *waiter);

  std::shared_ptr<Gate> gate;
  bool first = false;
  {
    const std::lock_guard lock(table_.mutex);
    if (table_.closing) raise({errc::closed, "the client is being destroyed", {}}, name);
    gate = table_.find_or_make(name, options_.handover_limit);
    if (gate->hold && gate->hold->owner == waiter->owner) {
      if (!options_.allow_reentry)
        raise(
            {errc::reentry,
             "the calling thread holds it already and would wait for itself; release it first, or "
             "set client_options::allow_reentry",
             {}},
            name);
      gate->hold->depth += 1;
      return gate->hold;
    }
    if (LockTable::find_reader(table_.find(name, true), waiter->owner))
      raise({errc::reentry,
             "the calling thread holds it as a reader and would wait for itself; release it first",
             {}},
            name);
    first = !gate->claimed && !gate->hold && gate->waiters.empty();
    if (!first && waiter->once) return nullptr;
    if (first) {
      gate->claimed = true;
    } else {
      waiter->parker.announce(gate->words, ends_by_itself(*waiter));
      gate->waiters.push_back(waiter);
    }
  }
  if (!first) return wait_for(gate, waiter, limit);

  const uint64_t epoch = servers_->epoch();
  const TimePoint asked_at = Clock::now();
  const Value value = new_value(waiter->owner);
  TryOutcome outcome = ask_directly(name, value, *waiter, limit.stop.stop_possible());
  drop_if_late(outcome, asked_at);
  if (outcome.kind == TryOutcome::Kind::Acquired) {
    std::shared_ptr<Hold> hold = make_hold(name, value, outcome.token, asked_at);
    hold->owner = waiter->owner;
    hold->resource = resource;
    const TimePoint renewal = asked_at + options_.extend_interval;
    {
      const std::lock_guard lock(table_.mutex);
      gate->claimed = false;
      gate->set_hold(hold);
      table_.renew_at(hold, renewal);
    }
    loop_.wake_before(renewal);
    // Perhaps it was a server that is not the master any more, when all that is held had been
    // looked after already.
    if (servers_->epoch() != epoch) loop_.post([this, hold] { verify(hold); });
    if (resource != nullptr && waiter->once) GORDIAN_TRIED_LEASE(resource, GORDIAN_EXCLUSIVE);
    if (resource != nullptr && !waiter->once) GORDIAN_ACQUIRED_LEASE(resource, GORDIAN_EXCLUSIVE);
    return hold;
  }
  const bool is_over = outcome.kind == TryOutcome::Kind::Refused && waiter->once;
  {
    const std::lock_guard lock(table_.mutex);
    if (!is_over) {
      waiter->parker.announce(gate->words, ends_by_itself(*waiter));
      gate->waiters.push_front(waiter);
    }
    if (gate->waiters.empty()) {
      gate->claimed = false;
      table_.drop_if_idle(gate);
      return nullptr;
    }
  }
  // What was learned goes with it; the gate stays claimed, by the I/O thread from now on.
  loop_.post([this, gate, outcome, value] {
    gate->contention.value = value;
    gate->contention.ambiguous = outcome.may_have_worked();
    start_contending(gate, outcome);
  });
  if (is_over) return nullptr;
  return wait_for(gate, waiter, limit);
}

// Also where a deadlock of leases makes the request fail.
bool ClientState::ends_by_itself(const Waiter& waiter) const {
  return waiter.gives_up || options_.deadlocks == deadlock_mode::raise;
}

// Woken without a result: the stack is asked for. False: there is a result.
bool ClientState::tell_stack(Waiter& waiter) {
  {
    const std::lock_guard lock(table_.mutex);
    if (waiter.state != Waiter::State::Waiting) return false;
  }
  std::vector<std::string> stack = own_stack();
  const std::lock_guard lock(table_.mutex);
  waiter.stack = std::move(stack);
  return waiter.state == Waiter::State::Waiting;
}

// Published for Gordian's runtime as a want of the lease, in a frame that stays as long as the
// wait.
std::shared_ptr<Hold> ClientState::wait_for(const std::shared_ptr<Gate>& gate,
                                            const std::shared_ptr<Waiter>& waiter,
                                            const wait_limit& limit) {
  const void* const resource = waiter->resource;
  const bool gives_up = ends_by_itself(*waiter);
  watch_->wake();
  const int mode = gate->shared ? GORDIAN_SHARED : GORDIAN_EXCLUSIVE;
  if (resource != nullptr && gives_up) GORDIAN_WANTS_LEASE_TIMED(resource, mode);
  if (resource != nullptr && !gives_up) GORDIAN_WANTS_LEASE(resource, mode);
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  {
    const std::stop_callback on_stop(limit.stop, [cancelled, waiter] {
      *cancelled = true;
      waiter->parker.unpark();
    });
    while (waiter->parker.park(limit.deadline) && !*cancelled && tell_stack(*waiter)) {
    }
  }
  bool settled = false;
  {
    const std::lock_guard lock(table_.mutex);
    settled = waiter->state != Waiter::State::Waiting;
    if (!settled) LockTable::leave(*gate, waiter);
  }
  if (waiter->state == Waiter::State::Granted) {
    if (resource != nullptr) GORDIAN_ACQUIRED_LEASE(resource, mode);
    return std::move(waiter->grant);
  }
  if (resource != nullptr) GORDIAN_ABANDONED(resource);
  if (settled) {
    if (waiter->once && waiter->failure.code == errc::not_acquired) return nullptr;
    raise(std::move(waiter->failure), gate->name);
  }
  loop_.post([this, gate] { stop_if_unwanted(gate); });
  if (*cancelled) raise({errc::cancelled, {}, {}}, gate->name);
  raise({errc::deadline, {}, {}}, gate->name);
}

std::shared_ptr<Hold> ClientState::force(std::string_view name, const Waiter& waiter) {
  struct Forced {
    Parker parker;
    TryOutcome outcome;
    TimePoint asked_at;
  };
  const auto forced = std::make_shared<Forced>();
  const Value value = new_value(waiter.owner);
  loop_.post([this, forced, value, lock = std::string(name)] {
    forced->asked_at = Clock::now();
    try_keys(lock, value, true, [forced](const TryOutcome& outcome) {
      forced->outcome = outcome;
      forced->parker.unpark();
    });
  });
  if (!forced->parker.park(Clock::now() + options_.command_timeout + options_.connect_timeout)) {
    release_soon(name, value);
    raise({errc::transport, "no answer in time", {}}, name);
  }
  drop_if_late(forced->outcome, forced->asked_at);
  if (forced->outcome.kind != TryOutcome::Kind::Acquired) {
    if (forced->outcome.may_have_worked()) release_soon(name, value);
    raise({errc::transport, forced->outcome.failure, {}}, name);
  }
  std::shared_ptr<Hold> hold =
      keep_forced(name, value, forced->outcome.token, forced->asked_at, waiter);
  if (!hold) raise({errc::closed, "the client is being destroyed", {}}, name);
  if (waiter.resource != nullptr) GORDIAN_TRIED_LEASE(waiter.resource, GORDIAN_EXCLUSIVE);
  return hold;
}

void ClientState::release_soon(std::string_view name, const Value& value) {
  under_way_ += 1;
  loop_.post([this, value, lock = std::string(name)] {
    release_at_server(lock, value, Clock::now() + options_.validity,
                      [this](Released) { under_way_ -= 1; });
  });
}

std::shared_ptr<Hold> ClientState::keep_forced(std::string_view name, const Value& value,
                                               uint64_t token, TimePoint asked_at,
                                               const Waiter& waiter) {
  std::shared_ptr<Hold> hold = make_hold(name, value, token, asked_at);
  hold->owner = waiter.owner;
  hold->resource = waiter.resource;
  if (hold->owner == 0) hold->words.kept_elsewhere = 1;
  std::vector<std::shared_ptr<Hold>> former;
  {
    const std::lock_guard lock(table_.mutex);
    if (const auto readers = table_.find(name, true)) former = readers->readers;
    const auto exclusive = table_.find_or_make(name, options_.handover_limit)->hold;
    if (exclusive) former.push_back(exclusive);
  }
  for (const auto& one : former) lose(one, "forced by this process");
  {
    const std::lock_guard lock(table_.mutex);
    if (table_.closing) return nullptr;
    const std::shared_ptr<Gate> gate = table_.find_or_make(name, options_.handover_limit);
    gate->set_hold(hold);
    table_.renew_at(hold, asked_at + options_.extend_interval);
  }
  loop_.wake_before(asked_at + options_.extend_interval);
  return hold;
}

ClientState::Released ClientState::release_directly(const Hold& hold, TimePoint answer_by) {
  if (keys_ != 1) return Released::Unknown;
  const ScriptCall call = release_call(0, hold.name, hold.value);
  Node* const node = servers_->direct_node(call.keys.front());
  std::unique_ptr<DirectConnection> connection =
      node == nullptr ? nullptr : node->borrow(time_left(answer_by));
  if (connection == nullptr) return Released::Unknown;
  Reply reply = connection->ask(call.bytes(false), time_left(answer_by));
  if (is_error(reply.get()) && text_of(reply.get()).starts_with("NOSCRIPT"))
    reply = connection->ask(call.bytes(true), time_left(answer_by));
  node->give_back(std::move(connection));
  if (is_integer(reply.get(), 1)) return Released::Yes;
  if (is_integer(reply.get(), 0)) return Released::WasLost;
  return Released::Unknown;
}

std::optional<ClientState::Parting> ClientState::part_with(const std::shared_ptr<Hold>& hold) {
  std::shared_ptr<Gate> gate;
  std::shared_ptr<Waiter> next;
  bool limit_reached = false;
  {
    const std::lock_guard lock(table_.mutex);
    if (hold->depth > 1) {
      hold->depth -= 1;
      return std::nullopt;
    }
    // A lost one too: until now the thread was known as its holder.
    if (hold->resource != nullptr) GORDIAN_RELEASED(hold->resource);
    if (hold->state == Hold::State::Held) {
      hold->state = Hold::State::Releasing;
      table_.renew_never(hold);
      gate = table_.find(hold->name);
      if (gate && gate->hold == hold) {
        gate->set_hold(nullptr);
        limit_reached = !gate->waiters.empty() && gate->handovers >= gate->handover_limit;
        if (may_hand_over(*gate, *hold)) {
          next = hand_over(*gate, *hold);
        } else {
          gate->handovers = 0;
          gate->claimed = true;
        }
      } else {
        gate = nullptr;  // forced by this client meanwhile: the key is another's
      }
    }
  }
  if (next) {
    next->wake();
    return std::nullopt;
  }
  return Parting{std::move(gate), limit_reached};
}

void ClientState::raise_if_lost(const Hold& hold) {
  std::string why;
  {
    const std::lock_guard lock(table_.mutex);
    if (hold.state != Hold::State::Lost) return;
    why = hold.lost_because;
  }
  raise({errc::lost, "the lease was lost before it was released: " + why, {}}, hold.name);
}

void ClientState::release(const std::shared_ptr<Hold>& hold, bool wait) {
  if (fork_generation_ != forks) return;  // the parent's
  if (hold->shared) {
    release_reader(hold, wait);
    return;
  }
  const std::optional<Parting> parting = part_with(hold);
  if (!parting) {
    if (wait) raise_if_lost(*hold);
    return;
  }
  const std::shared_ptr<Gate>& gate = parting->gate;
  const bool limit_reached = parting->limit_reached;
  if (gate == nullptr) {
    if (wait) raise_if_lost(*hold);
    return;
  }
  const TimePoint until = hold->expires_at();
  const TimePoint answer_by = Clock::now() + options_.command_timeout;
  Released released = wait ? release_directly(*hold, answer_by) : Released::Unknown;
  if (released != Released::Unknown) {
    let_go(gate, limit_reached);
  } else {
    struct Done {
      Parker parker;
      std::atomic<Released> released{Released::Unknown};
    };
    const auto done = std::make_shared<Done>();
    under_way_ += 1;
    loop_.post([this, hold, until, gate, limit_reached, done] {
      release_at_server(hold->name, hold->value, until,
                        [this, gate, limit_reached, done](Released answer) {
                          done->released = answer;
                          done->parker.unpark();
                          under_way_ -= 1;
                          let_go(gate, limit_reached);
                        });
    });
    if (!wait) return;
    done->parker.park(answer_by);
    released = done->released;
  }
  if (released == Released::WasLost)
    raise({errc::lost,
           "the lease was lost before it was released: the key had another value or none",
           {}},
          hold->name);
}

bool ClientState::may_hand_over(const Gate& gate, const Hold& hold) const {
  if (gate.waiters.empty() || options_.fencing || gate.handovers >= gate.handover_limit)
    return false;
  const TimePoint expires = hold.expires_at();
  return expires - Clock::now() > options_.validity / 4;
}

// The same acquisition goes on under another owner: no word to the server.
std::shared_ptr<Waiter> ClientState::hand_over(Gate& gate, Hold& hold) {
  auto next = std::make_shared<Hold>();
  next->name = hold.name;
  next->value = hold.value;
  next->client = hold.client;
  next->expires_ns = hold.expires_ns.load();
  hold.state = Hold::State::Released;
  gate.handovers += 1;
  const TimePoint expires = hold.expires_at();
  table_.renew_at(next, expires + drift() - options_.validity + options_.extend_interval);
  return LockTable::grant_first(gate, std::move(next));
}

// The lock is free at the server, as far as this client knows: the next in the queue contends for
// it.
void ClientState::let_go(const std::shared_ptr<Gate>& gate, bool polite) {
  wake_other_kind(gate);
  {
    const std::lock_guard lock(table_.mutex);
    if (gate->hold || gate->waiters.empty()) {
      gate->claimed = false;
      table_.drop_if_idle(gate);
      return;
    }
  }
  loop_.post([this, gate, polite] {
    gate->contention.polite = polite;
    start_contending(gate, {});
  });
}

}  // namespace gordian::redis::detail
