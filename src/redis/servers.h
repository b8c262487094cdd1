// SPDX-License-Identifier: Apache-2.0
// Which server has which key, and how it is asked. Belongs to the I/O thread, but for
// direct_node().
#pragma once

#include "gordian/redis_lock.h"
#include "redis/node.h"
#include "redis/scripts.h"
#include "redis/sentinels.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::redis {

// A script with what it is to work on.
struct ScriptCall {
  const Script* script;
  std::vector<std::string> keys;
  std::vector<std::string> arguments;

  // EVALSHA, or EVAL for a server that has never seen it.
  [[nodiscard]] std::string bytes(bool with_text) const;
};

class Servers {
 public:
  // `changed`: see Node::Events.
  Servers(EventLoop& loop, const client_options& options, std::vector<Address> addresses,
          std::function<void(std::optional<std::string_view>)> changed,
          const std::string& connection_name);

  // Asks the server of key number `index`. Null if there was no answer.
  void run(unsigned index, ScriptCall call, Connection::OnReply on_reply);
  // The same with a plain command.
  void ask(unsigned index, std::vector<std::string> words, Connection::OnReply on_reply);
  // The same of a server by its own number, 0 .. count() - 1.
  void ask_server(unsigned server, std::vector<std::string> words, Connection::OnReply on_reply);
  // The first that can be reached, or 0.
  [[nodiscard]] unsigned first_ready() const;
  void flush();
  void shut_down();
  // Tells once whether enough of them answered, and else why not.
  void connect_then(std::function<void(bool reachable, const std::string& failure)> on_settled);

  [[nodiscard]] unsigned count() const { return static_cast<unsigned>(nodes_.size()); }
  [[nodiscard]] Node& node_of(unsigned index) { return *nodes_[index % nodes_.size()]; }
  [[nodiscard]] bool all_track() const;
  // More of them than a majority can spare cannot be reached.
  [[nodiscard]] bool is_unreachable() const;
  // The words of the last thing that went wrong anywhere.
  [[nodiscard]] std::string last_failure() const;
  // Where a thread may ask for this key itself; from any thread.
  [[nodiscard]] Node* direct_node(std::string_view key);
  // From any thread: another number once a key may live elsewhere than before, or in a server that
  // was started anew. What is known to be held then is verified after.
  [[nodiscard]] uint64_t epoch() const { return epoch_; }

 private:
  void settled(bool reachable);
  void add_master_of_sentinels(std::vector<Address> sentinels, const NodeOptions& node_options,
                               const Node::Events& events);

  EventLoop& loop_;
  const client_options& options_;
  std::atomic<uint64_t> epoch_{0};
  std::unique_ptr<Sentinels> sentinels_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::function<void(bool, const std::string&)> on_settled_;
};

}  // namespace gordian::redis
