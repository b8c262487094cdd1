// SPDX-License-Identifier: Apache-2.0
#include "redis/sentinels.h"

#include "redis/whole_number.h"

#include <algorithm>

namespace gordian::redis {
namespace {

constexpr auto kSentinelCare = std::chrono::milliseconds(1000);
constexpr auto kBetweenQuestions = std::chrono::milliseconds(100);
// For so long an answer of an earlier configuration is one of a sentinel that has not heard of the
// later one yet; after that somebody has set the sentinels up anew.
constexpr auto kEpochHolds = std::chrono::seconds(60);

}  // namespace

Result<ServerPlace> parse_master_place(const redisReply* reply) {
  if (is_error(reply)) return Error(std::string(text_of(reply)));
  if (reply == nullptr || reply->type == REDIS_REPLY_NIL)
    return Error("it watches no master of this name");
  const std::string_view host = text_of(element(reply, 0));
  const auto port = whole_number<unsigned>(text_of(element(reply, 1))).value_or(0);
  if (!can_be_a_host(host) || port == 0 || port > 65535)
    return Error("what it names as the master is no address");
  return ServerPlace{std::string(host), port};
}

uint64_t parse_config_epoch(const redisReply* reply) {
  for (size_t i = 0; element(reply, i + 1) != nullptr; i += 2)
    if (text_of(element(reply, i)) == "config-epoch")
      return whole_number<uint64_t>(text_of(element(reply, i + 1))).value_or(0);
  return 0;
}

Sentinels::Sentinels(EventLoop& loop, Resolver& resolver, std::vector<Address> addresses,
                     SentinelOptions options, std::function<void(const ServerPlace&)> on_switch)
    : loop_(loop),
      resolver_(resolver),
      options_(std::move(options)),
      on_switch_(std::move(on_switch)) {
  for (Address& address : addresses) {
    auto sentinel = std::make_unique<Sentinel>();
    Sentinel& one = *sentinel;
    one.address = std::move(address);
    one.connection = std::make_unique<Connection>(
        loop_, [this, &one] { opened(one); },
        [this, &one](const redisReply* message) { pushed(one, message); },
        [this, &one](const std::string& reason) { ended(one, reason); });
    sentinels_.push_back(std::move(sentinel));
  }
}

Sentinels::~Sentinels() { shut_down(); }

void Sentinels::shut_down() {
  ending_ = true;
  loop_.cancel(care_timer_);
  loop_.cancel(ask_timer_);
  for (const auto& sentinel : sentinels_) sentinel->connection->close();
  for (const OnAnswer& on_answer : std::exchange(asking_, {}))
    on_answer(Error("the client is being destroyed"));
}

void Sentinels::ask(OnAnswer on_answer) {
  if (ending_) {
    on_answer(Error("the client is being destroyed"));
    return;
  }
  asking_.push_back(std::move(on_answer));
  if (asking_.size() > 1) return;
  // While a master is gone everybody asks, again and again.
  if (const TimePoint next = asked_at_ + kBetweenQuestions; next > Clock::now()) {
    loop_.cancel(ask_timer_);
    ask_timer_ = loop_.at(next, [this] {
      ask_timer_ = {};
      ask_all();
    });
    return;
  }
  ask_all();
}

void Sentinels::ask_all() {
  asked_at_ = Clock::now();
  for (const auto& sentinel : sentinels_) sentinel->said = Said::NotYet;
  for (const auto& sentinel : sentinels_) open(*sentinel);
  look_after();
}

void Sentinels::open(Sentinel& sentinel) {
  sentinel.connection->close();
  sentinel.resolving = true;
  resolver_.resolve(sentinel.address, [this, &sentinel, turn = ++sentinel.opening](
                                          const Result<std::vector<SocketAddress>>& addresses) {
    if (ending_ || turn != sentinel.opening) return;
    sentinel.resolving = false;
    if (addresses)
      sentinel.connection->open(*addresses, sentinel.address, options_.connect_timeout);
    else
      ended(sentinel, addresses.error().message);
  });
}

void Sentinels::opened(Sentinel& sentinel) {
  Connection& connection = *sentinel.connection;
  const TimePoint answer_by = Clock::now() + options_.command_timeout;
  if (!sentinel.address.password.empty())
    connection.send_later(
        auth_command(sentinel.address.user, sentinel.address.password),
        [&sentinel](const redisReply* reply) {
          if (is_error(reply)) sentinel.connection->fail(std::string(text_of(reply)));
        },
        answer_by);
  connection.send_later(
      command({"CLIENT", "SETNAME", options_.connection_name}), [](const redisReply*) {},
      answer_by);
  connection.send_later(
      command({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", options_.master}),
      [&sentinel](const redisReply* reply) {
        if (reply == nullptr) return;
        Result<ServerPlace> place = parse_master_place(reply);
        if (place)
          sentinel.place = std::move(*place);
        else
          sentinel.connection->fail(place.error().message);
      },
      answer_by);
  connection.send_later(
      command({"SENTINEL", "MASTER", options_.master}),
      [&sentinel](const redisReply* reply) {
        if (reply != nullptr) sentinel.epoch = parse_config_epoch(reply);
      },
      answer_by);
  connection.subscribe(
      "+switch-master",
      [this, &sentinel](const redisReply* reply) {
        if (reply != nullptr && sentinel.connection->is_open()) answered(sentinel);
      },
      answer_by);
  look_after();
}

// "<name> <old host> <old port> <new host> <new port>". Asked anew, because it does not say of
// which epoch that is.
void Sentinels::pushed(Sentinel& sentinel, const redisReply* message) {
  const std::string_view text = text_of(element(message, 2));
  if (text.starts_with(options_.master + ' ')) open(sentinel);
}

void Sentinels::ended(Sentinel& sentinel, const std::string& reason) {
  sentinel.ended_at = Clock::now();
  sentinel.failure = "sentinel " + sentinel.address.label() + ": " + reason;
  if (sentinel.said != Said::NotYet) return;
  sentinel.said = Said::Failed;
  decide_if_possible();
}

void Sentinels::answered(Sentinel& sentinel) {
  const TimePoint now = Clock::now();
  const bool was_known = newest_until_ > now;
  const bool is_new = !was_known || sentinel.epoch > newest_epoch_;
  if (is_new || (sentinel.epoch == newest_epoch_ && sentinel.place == newest_)) {
    newest_ = sentinel.place;
    newest_epoch_ = sentinel.epoch;
    newest_until_ = now + kEpochHolds;
  }
  sentinel.said = Said::Master;
  if (!asking_.empty()) {
    decide_if_possible();
  } else if (is_new) {
    on_switch_(newest_);
  }
}

// Once more than half of them have said something, or all have said what they can.
void Sentinels::decide_if_possible() {
  if (asking_.empty() || ending_) return;
  size_t masters = 0, missing = 0;
  for (const auto& sentinel : sentinels_) {
    masters += sentinel->said == Said::Master ? 1 : 0;
    missing += sentinel->said == Said::NotYet ? 1 : 0;
  }
  if (masters <= sentinels_.size() / 2 && missing != 0) return;
  std::vector<OnAnswer> asking;
  asking.swap(asking_);
  for (const auto& sentinel : sentinels_)
    if (sentinel->said != Said::Master) sentinel->said = Said::Nothing;
  if (masters != 0) {
    for (const OnAnswer& on_answer : asking) on_answer(newest_);
    return;
  }
  std::string failures;
  for (const auto& sentinel : sentinels_)
    failures += (failures.empty() ? "" : "; ") + sentinel->failure;
  const Error error("no sentinel names a master \"" + options_.master + "\": " + failures);
  for (const OnAnswer& on_answer : asking) on_answer(error);
}

void Sentinels::look_after() {
  loop_.cancel(care_timer_);
  if (ending_) return;
  const TimePoint now = Clock::now();
  for (const auto& sentinel : sentinels_) {
    Connection& connection = *sentinel->connection;
    if (!connection.is_open()) {
      if (sentinel->said != Said::NotYet && sentinel->ended_at + kSentinelCare <= now &&
          !connection.is_connecting() && !sentinel->resolving)
        open(*sentinel);
      continue;
    }
    if (connection.late_at() <= now) {
      connection.fail("no answer in time");
    } else if (connection.late_at() == TimePoint::max() &&
               now - connection.last_heard() >= kSentinelCare) {
      connection.send(
          command({"PING"}), [](const redisReply*) {}, now + options_.command_timeout);
    }
  }
  TimePoint next = now + kSentinelCare;
  for (const auto& sentinel : sentinels_)
    next = std::min(next,
                    std::max(sentinel->connection->late_at(), now + std::chrono::milliseconds(1)));
  care_timer_ = loop_.at(next, [this] {
    care_timer_ = {};
    look_after();
  });
}

}  // namespace gordian::redis
