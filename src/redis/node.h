// SPDX-License-Identifier: Apache-2.0
// One server as the client sees it: a connection for commands, in RESP2 one more that listens to
// what the server pushes, and a few that threads borrow to ask without a detour through the I/O
// thread.
//
// In RESP3 the server pushes between the replies to commands. RESP2 has no place for that, so the
// listener is a connection of its own there. The others redirect their tracking to whichever of the
// two is pushed to: those that threads borrow nobody reads while they are not lent. Sockets have no
// common order, so a push is only ever a hint to look again. When the listener dies the server does
// not tell the others; so both are pinged.
//
// Where it is depends: a fixed address, or whatever the sentinels name each time it connects. Then
// it must be a master, and is left when it says that it is none any more.
//
// Thread-safety: the I/O thread's, but for borrow() and give_back().
#pragma once

#include "redis/connection.h"
#include "redis/direct_connection.h"
#include "redis/resolver.h"

#include <atomic>
#include <memory>
#include <mutex>

namespace gordian::redis {

struct NodeOptions {
  std::chrono::milliseconds connect_timeout{};
  std::chrono::milliseconds command_timeout{};
  bool tracking = true;
  bool no_loop = true;
  bool resp3 = true;  // if it can be read here and the server knows it; only with tracking
  unsigned max_direct = 4;
  std::string name;          // of its connections, for people who list them
  bool only_master = false;  // a server that says it is a replica is none
};

class Node {
 public:
  struct Events {
    // A key was changed, or (without one) anything may have: a flush, or pushes were lost.
    std::function<void(std::optional<std::string_view> key)> changed;
    // The connection is there, or is not; called once for every try to connect.
    std::function<void(Node&, bool reachable)> settled;
  };

  // Asks somebody else for the address; the answer may come at once or later, also never.
  using Locate = std::function<void(std::function<void(const Result<Address>&)>)>;

  Node(EventLoop& loop, Resolver& resolver, Address address, NodeOptions options, Events events,
       Locate locate = nullptr);
  ~Node();
  // Answers whoever still waits, for the last time: while those can still take it.
  void shut_down();

  // The reply, or null if none came in time or the server cannot be reached; then last_failure()
  // says why, and refused() whether nothing can have been sent. Connects first if need be.
  // `asking`: a cluster's server shall answer for a slot that is about to become its own.
  void request(std::string bytes, Connection::OnReply on_reply, bool asking = false);
  void flush() { data_.flush(); }
  void connect();
  // It is not to be used any more as it stands: it turned into a replica, or another one is named.
  // Connects anew.
  void leave(const std::string& reason);
  // It is of no use until it is asked for something again.
  void rest();

  [[nodiscard]] const Address& address() const { return address_; }
  [[nodiscard]] bool is_ready() const { return phase_ == Phase::Ready; }
  [[nodiscard]] bool tracks() const { return tracks_; }
  [[nodiscard]] const std::string& last_failure() const { return last_failure_; }
  [[nodiscard]] bool is_unreachable() const { return unreachable_; }

  // A connection for the calling thread alone; null when all are lent or the server is not ready.
  std::unique_ptr<DirectConnection> borrow(std::chrono::milliseconds at_most);
  void give_back(std::unique_ptr<DirectConnection> connection);

 private:
  enum class Phase { Down, Locating, Resolving, Listening, Greeting, Ready };
  struct Waiting {
    std::string bytes;
    Connection::OnReply on_reply;
    bool asking = false;
  };

  void located(const Result<Address>& address);
  void resolved(const Result<std::vector<SocketAddress>>& addresses);
  void send(Waiting request, TimePoint answer_by);
  void disconnect();
  // Whether it may be asked for locks, by its answer to check_command().
  bool accept(Connection& connection, const redisReply* reply);
  [[nodiscard]] std::string check_command() const;
  void listener_open();
  void listener_pushed(const redisReply* message);
  void data_pushed(const redisReply* push);
  void keys_changed(const redisReply* keys);
  void begin_data();
  void data_open();
  void fall_back();  // to RESP2
  void greeted();
  void down(const std::string& reason);
  void look_after();
  void kill_broken();
  void greet(Connection& connection, const std::function<void(const std::string&)>& refused);

  EventLoop& loop_;
  Resolver& resolver_;
  Address address_;
  const NodeOptions options_;
  const Events events_;
  const Locate locate_;
  // Counts the times it, or what it is in numbers, was asked for: an answer to an earlier one is
  // none.
  uint64_t locating_ = 0;
  Phase phase_ = Phase::Down;
  Connection listener_;
  Connection data_;
  std::vector<Waiting> waiting_;
  std::vector<SocketAddress> resolved_;
  EventLoop::TimerId care_timer_{};
  bool tracks_ = false;
  bool unreachable_ = false;
  bool ending_ = false;
  bool speaks_resp3_ = false;  // of the data connection, as it is tried now
  uint64_t pushed_to_ = 0;     // the server's id of the connection that it pushes to; 0: none
  uint64_t data_id_ = 0;       // and of the last data connection
  std::string last_failure_;

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
