// SPDX-License-Identifier: Apache-2.0
// The servers of a Redis Cluster: which of them has a key, and requests that find their way there.
//
// The map of slots is asked for at the beginning, and again whenever a server sends a request
// elsewhere or cannot be reached. Servers are connected to once they are needed, and kept: a thread
// may be about to use one. Those without slots rest.
//
// The I/O thread's, but for node_of().
#pragma once

#include "redis/node.h"
#include "redis/slot_map.h"
#include "redis/wire.h"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::redis {

class Cluster {
 public:
  struct Options {
    std::chrono::milliseconds command_timeout{};
    std::chrono::milliseconds retry_interval{};
  };
  struct Events {
    // Keys may live elsewhere than before.
    std::function<void()> moved;
    // The servers were asked for the map; an empty text or why none has given it.
    std::function<void(const std::string& failure)> asked;
  };
  using MakeNode = std::function<std::unique_ptr<Node>(const ServerPlace&)>;

  Cluster(EventLoop& loop, const std::vector<ServerPlace>& seeds, Options options,
          MakeNode make_node, Events events);

  // To the server that has the key; redirections are followed and failures that pass are waited
  // for, as long as a command may take. The reply, or null if there was none.
  void request(std::string bytes, std::string_view key, Connection::OnReply on_reply);
  void refresh();
  void flush();
  void shut_down();
  // To be told by whoever hears of a node that it settled.
  void settled(bool reachable);

  // The server that has this key, as far as is known; else null. From any thread.
  [[nodiscard]] Node* node_of(std::string_view key) const { return slots_[slot_of(key)]; }
  // Why the servers could not be asked for their slots the last time; empty if they could.
  [[nodiscard]] const std::string& failure() const { return failure_; }

 private:
  struct Request {
    std::string bytes;
    unsigned slot = 0;
    Connection::OnReply on_reply;
    TimePoint until;
    unsigned sent = 0;  // times
  };

  void send(const std::shared_ptr<Request>& request);
  void send_to(Node& node, const std::shared_ptr<Request>& request, bool asking);
  void answered(Node& node, const std::shared_ptr<Request>& request, const redisReply* reply);
  // Null for more servers than a cluster can have.
  Node* node_at(const ServerPlace& place);
  Node& any_node();
  void ask_for_map();
  void map_answered(uint64_t turn, Node& node, const redisReply* reply);
  void take(const std::vector<SlotRange>& ranges);

  EventLoop& loop_;
  const Options options_;
  const MakeNode make_node_;
  const Events events_;
  std::vector<std::atomic<Node*>> slots_;
  std::map<std::string, std::unique_ptr<Node>> nodes_;  // by label; never taken out
  std::vector<Node*> seeds_;
  bool moved_ = false;  // slots were moved one by one since the last map
  bool again_ = false;
  uint64_t turn_ = 0;     // counts the times the map was asked for
  unsigned missing_ = 0;  // answers
  TimePoint asked_at_{};
  EventLoop::TimerId refresh_timer_{};
  std::string failure_;
  bool ending_ = false;
};

}  // namespace gordian::redis
