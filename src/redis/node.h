// SPDX-License-Identifier: Apache-2.0
// One server as the client sees it: a connection for commands, one that listens to what the server
// pushes, and a few that threads borrow to ask without a detour through the I/O thread.
//
// The listener is a connection of its own because RESP2 has no place for a push between replies:
// the others redirect their tracking to it. Two sockets have no common order, so a push is only
// ever a hint to look again. When the listener dies the server does not tell the others; so both
// are pinged.
//
// Thread-safety: the I/O thread's, but for borrow() and give_back().
#pragma once

#include "redis/connection.h"
#include "redis/direct_connection.h"

#include <atomic>
#include <memory>
#include <mutex>

namespace gordian::redis {

struct NodeOptions {
  std::chrono::milliseconds connect_timeout{};
  std::chrono::milliseconds command_timeout{};
  bool tracking = true;
  bool no_loop = true;
  unsigned max_direct = 4;
  std::string name;  // of its connections, for people who list them
};

class Node {
 public:
  struct Events {
    // A key was changed, or (without one) anything may have: a flush, or pushes were lost.
    std::function<void(std::optional<std::string_view> key)> changed;
    // The connection is there, or is not; called once for every try to connect.
    std::function<void(Node&, bool reachable)> settled;
  };

  Node(EventLoop& loop, Address address, NodeOptions options, Events events);
  ~Node();
  // Answers whoever still waits, for the last time: while those can still take it.
  void shut_down();

  // The reply, or null if none came in time or the server cannot be reached; then last_failure()
  // says why, and refused() whether nothing can have been sent. Connects first if need be.
  void request(std::string bytes, Connection::OnReply on_reply);
  void flush() { data_.flush(); }
  void connect();

  [[nodiscard]] const Address& address() const { return address_; }
  [[nodiscard]] bool is_ready() const { return phase_ == Phase::Ready; }
  [[nodiscard]] bool tracks() const { return tracks_; }
  [[nodiscard]] const std::string& last_failure() const { return last_failure_; }
  [[nodiscard]] bool is_unreachable() const { return unreachable_; }

  // A connection for the calling thread alone; null when all are lent or the server is not ready.
  std::unique_ptr<DirectConnection> borrow(std::chrono::milliseconds at_most);
  void give_back(std::unique_ptr<DirectConnection> connection);

 private:
  enum class Phase { Down, Listening, Greeting, Ready };
  struct Waiting {
    std::string bytes;
    Connection::OnReply on_reply;
  };

  void listener_open();
  void listener_pushed(const redisReply* message);
  void begin_data();
  void data_open();
  void greeted();
  void down(const std::string& reason);
  void look_after();
  void kill_broken();
  void greet(Connection& connection, const std::function<void(const std::string&)>& refused);

  EventLoop& loop_;
  const Address address_;
  const NodeOptions options_;
  const Events events_;
  Phase phase_ = Phase::Down;
  Connection listener_;
  Connection data_;
  std::vector<Waiting> waiting_;
  std::vector<SocketAddress> resolved_;
  EventLoop::TimerId care_timer_{};
  bool tracks_ = false;
  bool unreachable_ = false;
  bool ending_ = false;
  uint64_t listener_id_ = 0;
  std::string last_failure_;
  std::string killed_id_;  // the server's id of the last data connection

  std::mutex direct_mutex_;
  DirectSetup direct_setup_;  // under direct_mutex_, as all below
  bool direct_allowed_ = false;
  unsigned direct_count_ = 0;
  std::vector<std::unique_ptr<DirectConnection>> direct_free_;
  // Of borrowed connections that broke: what they sent last may still be unread.
  std::vector<uint64_t> broken_ids_;
  std::atomic<bool> has_broken_{false};
};

}  // namespace gordian::redis
