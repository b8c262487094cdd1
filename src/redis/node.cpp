// SPDX-License-Identifier: Apache-2.0
#include "redis/node.h"

#include <algorithm>

namespace gordian::redis {
namespace {

constexpr auto kCareInterval = std::chrono::milliseconds(1000);
constexpr auto kPingAfter = std::chrono::milliseconds(1000);

}  // namespace

Node::Node(EventLoop& loop, Resolver& resolver, Address address, NodeOptions options, Events events,
           Locate locate)
    : loop_(loop),
      resolver_(resolver),
      address_(std::move(address)),
      options_(std::move(options)),
      events_(std::move(events)),
      locate_(std::move(locate)),
      listener_(
          loop, [this] { listener_open(); },
          [this](const redisReply* message) { listener_pushed(message); },
          [this](const std::string& reason) { down(reason); }),
      data_(
          loop, [this] { data_open(); }, [this](const redisReply* push) { data_pushed(push); },
          [this](const std::string& reason) { down(reason); }) {}

Node::~Node() { shut_down(); }

void Node::shut_down() {
  ending_ = true;
  loop_.cancel(care_timer_);
  listener_.close();
  data_.close();
  for (const Waiting& one : std::exchange(waiting_, {})) one.on_reply(nullptr);
}

void Node::connect() {
  if (phase_ != Phase::Down || ending_) return;
  if (!locate_) {
    located(address_);
    return;
  }
  phase_ = Phase::Locating;
  locate_([this, turn = ++locating_](const Result<Address>& address) {
    if (turn == locating_ && phase_ == Phase::Locating) located(address);
  });
}

void Node::located(const Result<Address>& address) {
  loop_.cancel(care_timer_);
  phase_ = Phase::Resolving;
  if (!address) {
    address_ = {};
    down(address.error().message);
    return;
  }
  if (address->label() != address_.label()) {
    // Another server has other connections under these numbers.
    data_id_ = 0;
    const std::lock_guard lock(direct_mutex_);
    direct_setup_.server += 1;
    broken_ids_.clear();
  }
  address_ = *address;
  resolver_.resolve(
      address_, [this, turn = ++locating_](const Result<std::vector<SocketAddress>>& addresses) {
        if (turn == locating_ && phase_ == Phase::Resolving) resolved(addresses);
      });
}

void Node::resolved(const Result<std::vector<SocketAddress>>& addresses) {
  phase_ = Phase::Listening;
  if (!addresses) {
    down(addresses.error().message);
    return;
  }
  resolved_ = *addresses;
  pushed_to_ = 0;
  speaks_resp3_ = kHasResp3 && options_.resp3 && options_.tracking;
  if (options_.tracking && !speaks_resp3_) {
    listener_.open(resolved_, address_, options_.connect_timeout);
  } else {
    begin_data();
  }
}

// AUTH and SELECT, whose refusal ends the connection with the server's own words.
void Node::greet(Connection& connection, const std::function<void(const std::string&)>& refused) {
  const TimePoint answer_by = Clock::now() + options_.command_timeout;
  const auto check = [refused](const redisReply* reply) {
    if (is_error(reply)) refused(std::string(text_of(reply)));
  };
  if (!address_.password.empty())
    connection.send_later(auth_command(address_.user, address_.password), check, answer_by);
  // Where it is not allowed it is not needed.
  if (!options_.name.empty())
    connection.send_later(
        command({"CLIENT", "SETNAME", options_.name}), [](const redisReply*) {}, answer_by);
  if (address_.database != 0)
    connection.send_later(command({"SELECT", std::to_string(address_.database)}), check, answer_by);
}

void Node::listener_open() {
  const TimePoint answer_by = Clock::now() + options_.command_timeout;
  greet(listener_, [this](const std::string& words) { listener_.fail(words); });
  listener_.send_later(
      command({"CLIENT", "ID"}),
      [this](const redisReply* reply) {
        if (reply == nullptr) return;
        // Before Redis 5 there is no such command, and no tracking.
        pushed_to_ = reply->type == REDIS_REPLY_INTEGER ? static_cast<uint64_t>(reply->integer) : 0;
      },
      answer_by);
  listener_.subscribe(
      "__redis__:invalidate",
      [this](const redisReply* reply) {
        if (reply == nullptr || !listener_.is_open()) return;
        if (is_error(reply)) {
          listener_.fail(std::string(text_of(reply)));
        } else {
          begin_data();
        }
      },
      answer_by);
  look_after();
}

void Node::listener_pushed(const redisReply* message) {
  if (text_of(element(message, 1)) != "__redis__:invalidate") return;
  keys_changed(element(message, 2));
}

void Node::data_pushed(const redisReply* push) {
  if (text_of(element(push, 0)) == "invalidate") keys_changed(element(push, 1));
}

void Node::keys_changed(const redisReply* keys) {
  if (keys == nullptr || keys->type != REDIS_REPLY_ARRAY) {
    events_.changed(std::nullopt);
    return;
  }
  for (size_t i = 0; i < keys->elements; ++i)
    if (const redisReply* const key = keys->element[i];
        key != nullptr && key->type == REDIS_REPLY_STRING)
      events_.changed(text_of(key));
}

void Node::begin_data() {
  phase_ = Phase::Greeting;
  data_.open(resolved_, address_, options_.connect_timeout);
}

void Node::data_open() {
  const TimePoint answer_by = Clock::now() + options_.command_timeout;
  greet(data_, [this](const std::string& words) { data_.fail(words); });
  if (speaks_resp3_)
    data_.send_later(
        command({"HELLO", "3"}),
        [this](const redisReply* reply) {
          if (is_error(reply)) fall_back();
        },
        answer_by);
  // What an earlier connection sent and the server has not read yet shall not happen any more: its
  // requests are repeated, and a late one could take a lock nobody wants.
  if (data_id_ != 0)
    data_.send_later(
        command({"CLIENT", "KILL", "ID", std::to_string(data_id_)}), [](const redisReply*) {},
        answer_by);
  data_.send_later(
      command({"CLIENT", "ID"}),
      [this](const redisReply* reply) {
        if (reply == nullptr || reply->type != REDIS_REPLY_INTEGER) return;
        data_id_ = static_cast<uint64_t>(reply->integer);
        if (speaks_resp3_) pushed_to_ = data_id_;
      },
      answer_by);
  tracks_ = false;
  if (speaks_resp3_ || pushed_to_ != 0)
    data_.send_later(
        tracking_command(speaks_resp3_ ? 0 : pushed_to_, options_.no_loop),
        [this](const redisReply* reply) { tracks_ = reply != nullptr && !is_error(reply); },
        answer_by);
  data_.send(
      check_command(),
      [this](const redisReply* reply) {
        if (reply != nullptr && data_.is_open() && accept(data_, reply)) greeted();
      },
      answer_by);
  look_after();
}

// Whatever it says: those before 6 do not know the command, others not the protocol. What was sent
// with it did no harm.
void Node::fall_back() {
  data_.close();
  speaks_resp3_ = false;
  phase_ = Phase::Listening;
  listener_.open(resolved_, address_, options_.connect_timeout);
}

std::string Node::check_command() const {
  return command({options_.only_master ? "ROLE" : "PING"});
}

bool Node::accept(Connection& connection, const redisReply* reply) {
  if (is_error(reply)) {
    connection.fail(std::string(text_of(reply)));
  } else if (options_.only_master && text_of(element(reply, 0)) != "master") {
    connection.fail("it is a replica and no master");
  } else {
    return true;
  }
  return false;
}

void Node::leave(const std::string& reason) {
  if (phase_ != Phase::Locating) down(reason);  // the answer names the new one
  connect();
}

void Node::greeted() {
  phase_ = Phase::Ready;
  unreachable_ = false;
  {
    const std::lock_guard lock(direct_mutex_);
    const uint64_t generation = direct_setup_.generation + 1;
    direct_setup_ = {.to = resolved_.front(),
                     .user = address_.user,
                     .password = address_.password,
                     .database = address_.database,
                     .tls = address_.tls,
                     .host = address_.host,
                     .pushed_to = tracks_ ? pushed_to_ : 0,
                     .no_loop = options_.no_loop,
                     .timeout = options_.command_timeout,
                     .generation = generation,
                     .server = direct_setup_.server};
    direct_allowed_ = resolved_.size() == 1;
  }
  const TimePoint answer_by = Clock::now() + options_.command_timeout;
  for (Waiting& one : std::exchange(waiting_, {})) send(std::move(one), answer_by);
  data_.flush();
  events_.settled(*this, true);
  // Whatever was pushed while nobody listened is lost.
  events_.changed(std::nullopt);
}

void Node::down(const std::string& reason) {
  if (phase_ == Phase::Down) return;
  const bool was_ready = phase_ == Phase::Ready;
  phase_ = Phase::Down;
  unreachable_ = !was_ready;
  last_failure_ = address_.is_empty() ? reason : address_.label() + ": " + reason;
  disconnect();
  if (ending_) return;
  events_.settled(*this, false);
  if (was_ready) connect();
  // Also where nobody asks: what is held may be gone, and who holds it wants to know.
  if (phase_ == Phase::Down)
    care_timer_ = loop_.at(Clock::now() + kCareInterval, [this] {
      care_timer_ = {};
      connect();
    });
}

void Node::rest() {
  phase_ = Phase::Down;
  unreachable_ = false;
  disconnect();
}

void Node::disconnect() {
  std::vector<std::unique_ptr<DirectConnection>> unused;
  {
    const std::lock_guard lock(direct_mutex_);
    direct_allowed_ = false;
    unused.swap(direct_free_);
    direct_count_ -= static_cast<unsigned>(unused.size());
  }
  // Without the listener the others track for nobody; without the others it has nothing to say.
  listener_.close();
  data_.close();
  loop_.cancel(care_timer_);
  for (const Waiting& one : std::exchange(waiting_, {})) one.on_reply(nullptr);
}

// Late replies and silent deaths.
void Node::look_after() {
  loop_.cancel(care_timer_);
  const TimePoint now = Clock::now();
  for (Connection* const connection : {&listener_, &data_}) {
    if (!connection->is_open()) continue;
    if (connection->late_at() <= now) {
      connection->fail("no answer within " + std::to_string(options_.command_timeout.count()) +
                       " ms");
      return;
    }
    if (phase_ != Phase::Ready || connection->late_at() != TimePoint::max()) continue;
    // The role changes while replies come, too; PING is all that a subscriber may say.
    if (connection == &data_ && options_.only_master) {
      data_.send(
          check_command(),
          [this](const redisReply* reply) {
            if (reply != nullptr && data_.is_open()) accept(data_, reply);
          },
          now + options_.command_timeout);
    } else if (now - connection->last_heard() >= kPingAfter) {
      connection->send(
          command({"PING"}), [](const redisReply*) {}, now + options_.command_timeout);
    }
  }
  TimePoint next = now + kCareInterval;
  for (const Connection* const connection : {&listener_, &data_})
    next = std::min(next, std::max(connection->late_at(), now + std::chrono::milliseconds(1)));
  care_timer_ = loop_.at(next, [this] {
    care_timer_ = {};
    look_after();
  });
}

// The server closes them without reading what is left in them, as in data_open().
void Node::kill_broken() {
  std::vector<uint64_t> ids;
  {
    const std::lock_guard lock(direct_mutex_);
    ids.swap(broken_ids_);
    has_broken_ = false;
  }
  for (const uint64_t id : ids)
    data_.send_later(
        command({"CLIENT", "KILL", "ID", std::to_string(id)}), [](const redisReply*) {},
        Clock::now() + options_.command_timeout);
}

void Node::send(Waiting request, TimePoint answer_by) {
  if (request.asking)
    data_.send_later(
        command({"ASKING"}), [](const redisReply*) {}, answer_by);
  if (!options_.only_master) {
    data_.send_later(request.bytes, std::move(request.on_reply), answer_by);
    return;
  }
  // A replica refuses to write; what it was asked to do it has not done, and the master will be
  // asked.
  data_.send_later(
      request.bytes,
      [this, on_reply = std::move(request.on_reply)](const redisReply* reply) {
        if (is_error(reply) && text_of(reply).find("READONLY") != std::string_view::npos) {
          leave("it is a replica and no master");
          on_reply(nullptr);
        } else {
          on_reply(reply);
        }
      },
      answer_by);
}

void Node::request(std::string bytes, Connection::OnReply on_reply, bool asking) {
  Waiting request{.bytes = std::move(bytes), .on_reply = std::move(on_reply), .asking = asking};
  if (phase_ == Phase::Ready) {
    if (has_broken_) kill_broken();
    send(std::move(request), Clock::now() + options_.command_timeout);
    if (care_timer_.first > Clock::now() + options_.command_timeout) look_after();
    return;
  }
  if (ending_) {
    request.on_reply(nullptr);
    return;
  }
  waiting_.push_back(std::move(request));
  connect();
}

std::unique_ptr<DirectConnection> Node::borrow(std::chrono::milliseconds at_most) {
  DirectSetup setup;
  std::vector<std::unique_ptr<DirectConnection>> stale;  // closed after the mutex
  {
    const std::lock_guard lock(direct_mutex_);
    if (!direct_allowed_) return nullptr;
    while (!direct_free_.empty()) {
      std::unique_ptr<DirectConnection> connection = std::move(direct_free_.back());
      direct_free_.pop_back();
      if (connection->generation() == direct_setup_.generation) return connection;
      direct_count_ -= 1;
      stale.push_back(std::move(connection));
    }
    if (direct_count_ >= options_.max_direct) return nullptr;
    direct_count_ += 1;
    setup = direct_setup_;
  }
  setup.timeout = std::min(setup.timeout, at_most);
  std::unique_ptr<DirectConnection> connection = DirectConnection::open(setup);
  if (connection == nullptr) {
    const std::lock_guard lock(direct_mutex_);
    direct_count_ -= 1;
  }
  return connection;
}

void Node::give_back(std::unique_ptr<DirectConnection> connection) {
  std::unique_ptr<DirectConnection> unused;  // closed after the mutex
  const std::lock_guard lock(direct_mutex_);
  if (!connection->usable() || !direct_allowed_ ||
      connection->generation() != direct_setup_.generation) {
    direct_count_ -= 1;
    if (!connection->usable() && connection->id() != 0 &&
        connection->server() == direct_setup_.server) {
      broken_ids_.push_back(connection->id());
      has_broken_ = true;
    }
    unused = std::move(connection);
    return;
  }
  direct_free_.push_back(std::move(connection));
}

}  // namespace gordian::redis
