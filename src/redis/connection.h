// SPDX-License-Identifier: Apache-2.0
// One connection of the I/O thread to a server: commands out, replies in the same order.
#pragma once

#include "redis/address.h"
#include "redis/event_loop.h"
#include "redis/reply.h"

#include <deque>
#include <functional>
#include <string>
#include <vector>

namespace gordian::redis {

class Connection {
 public:
  // The reply, or null if the connection ended before there was one: then what became of the
  // command is not known.
  using OnReply = std::function<void(const redisReply*)>;
  // What comes without a command: to a subscriber, and as a push of RESP3.
  using OnPush = std::function<void(const redisReply*)>;
  using OnOpen = std::function<void()>;
  // Why it ended; every command's OnReply was called before. May destroy nothing, may open() again.
  using OnEnd = std::function<void(const std::string& reason)>;

  Connection(EventLoop& loop, OnOpen on_open, OnPush on_push, OnEnd on_end);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Tries the addresses of the server one after the other.
  void open(std::vector<SocketAddress> addresses, const Address& server,
            std::chrono::milliseconds timeout);
  [[nodiscard]] bool is_open() const { return state_ == State::Open; }
  [[nodiscard]] bool is_connecting() const {
    return state_ == State::Connecting || state_ == State::Greeting;
  }

  // Only while open. Bytes leave at once where the socket takes them; send_later() leaves that to
  // flush().
  void send(std::string_view bytes, OnReply on_reply, TimePoint answer_by);
  void send_later(std::string_view bytes, OnReply on_reply, TimePoint answer_by);
  // From now on nothing else is sent but PING. In RESP2 a message is an array like others: it is
  // told from an answer by nothing but that.
  void subscribe(std::string_view channel, OnReply on_reply, TimePoint answer_by);
  void flush();
  // Ends it; OnEnd is called with the reason.
  void fail(const std::string& reason);
  // Ends it without a word to anybody but the commands under way.
  void close();

  [[nodiscard]] TimePoint last_heard() const { return last_heard_; }
  // From when on the oldest unanswered command is late; max without one.
  [[nodiscard]] TimePoint late_at() const;

 private:
  enum class State { Closed, Connecting, Greeting, Open };
  struct Pending {
    OnReply on_reply;
    TimePoint answer_by;
  };

  void try_next(const std::string& failure);
  void ready(uint32_t events);
  void greet();
  void read_replies();
  void finish(const std::string& reason, bool tell);

  EventLoop& loop_;
  const OnOpen on_open_;
  const OnPush on_push_;
  const OnEnd on_end_;
  State state_ = State::Closed;
  std::vector<SocketAddress> addresses_;
  size_t next_address_ = 0;
  std::chrono::milliseconds connect_timeout_{};
  EventLoop::TimerId connect_timer_{};
  std::shared_ptr<const TlsContext> tls_;
  std::string host_;
  Stream stream_;
  bool wants_write_ = false;
  bool subscribes_ = false;
  std::string out_;
  std::deque<Pending> pending_;
  Reader reader_;
  size_t unparsed_ = 0;
  uint64_t life_ = 0;  // counts openings: a callback may have ended and reopened it
  TimePoint last_heard_{};
};

}  // namespace gordian::redis
