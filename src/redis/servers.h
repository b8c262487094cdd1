// SPDX-License-Identifier: Apache-2.0
// Which server has which key, and how it is asked. Belongs to the I/O thread, but for
// direct_node().
#pragma once

#include "gordian/redis_lock.h"
#include "redis/cluster.h"
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
  // The same with a plain command, whose first argument is the key.
  void ask(unsigned index, std::vector<std::string> words, Connection::OnReply on_reply);
  // The same of a server by its own number, 0 .. count() - 1. A cluster counts as one.
  void ask_server(unsigned server, std::vector<std::string> words, Connection::OnReply on_reply);
  // The first that can be reached, or 0.
  [[nodiscard]] unsigned first_ready() const;
  void flush();
  void shut_down();
  // Tells once whether enough of them answered, and else why not.
  void connect_then(std::function<void(bool reachable, const std::string& failure)> on_settled);

  [[nodiscard]] unsigned count() const {
    return cluster_ ? 1 : static_cast<unsigned>(nodes_.size());
  }
  // Whether two keys of a lock live on one server.
  [[nodiscard]] bool on_one_server(std::string_view name, unsigned one, unsigned other) const;
  // Whether all servers tell of changes to the lock's keys.
  [[nodiscard]] bool all_track(std::string_view name, unsigned keys) const;
  // More of the lock's keys than a majority can spare are on servers that cannot be reached.
  [[nodiscard]] bool is_unreachable(std::string_view name, unsigned keys) const;
  // The words of the last thing that went wrong at the server of a key,
  [[nodiscard]] std::string last_failure(std::string_view name, unsigned index) const;
  // or anywhere.
  [[nodiscard]] std::string last_failure() const;
  // Where a thread may ask for this key itself; from any thread.
  [[nodiscard]] Node* direct_node(std::string_view key) const;
  // From any thread: another number once a key may live elsewhere than before, or in a server that
  // was started anew. What is known to be held then is verified after.
  [[nodiscard]] uint64_t epoch() const { return epoch_; }

 private:
  void settled(bool reachable);
  void add_master_of_sentinels(std::vector<Address> sentinels, const NodeOptions& node_options,
                               const Node::Events& events);

  void make_cluster(const std::vector<Address>& seeds, const NodeOptions& node_options,
                    const Node::Events& events);
  void request(unsigned index, const std::string& key, std::string bytes,
               Connection::OnReply on_reply);
  // Null while it is not known where the key lives.
  [[nodiscard]] Node* node_of(std::string_view name, unsigned index) const;

  EventLoop& loop_;
  const client_options& options_;
  Resolver resolver_;
  std::atomic<uint64_t> epoch_{0};
  std::unique_ptr<Sentinels> sentinels_;
  std::unique_ptr<Cluster> cluster_;  // then there are no others
  std::vector<std::unique_ptr<Node>> nodes_;
  std::function<void(bool, const std::string&)> on_settled_;
};

}  // namespace gordian::redis
