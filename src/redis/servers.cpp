// SPDX-License-Identifier: Apache-2.0
#include "redis/servers.h"

#include <algorithm>

namespace gordian::redis {

std::string ScriptCall::bytes(bool with_text) const {
  std::vector<std::string_view> words;
  words.reserve(3 + keys.size() + arguments.size());
  words.emplace_back(with_text ? "EVAL" : "EVALSHA");
  words.push_back(with_text ? script->text : script->sha1);
  const std::string key_count = std::to_string(keys.size());
  words.push_back(key_count);
  words.insert(words.end(), keys.begin(), keys.end());
  words.insert(words.end(), arguments.begin(), arguments.end());
  return command(words);
}

Servers::Servers(EventLoop& loop, const client_options& options, std::vector<Address> addresses,
                 std::function<void(std::optional<std::string_view>)> changed,
                 const std::string& connection_name)
    : loop_(loop), options_(options) {
  NodeOptions node_options{.connect_timeout = options.connect_timeout,
                           .command_timeout = options.command_timeout,
                           .tracking = options.tracking,
                           .no_loop = options.no_loop,
                           .name = connection_name};
  const Node::Events events{.changed = std::move(changed),
                            .settled = [this](Node&, bool reachable) { settled(reachable); }};
  if (options.kind == topology::sentinel) {
    node_options.only_master = true;
    add_master_of_sentinels(std::move(addresses), node_options, events);
    return;
  }
  for (Address& address : addresses)
    nodes_.push_back(std::make_unique<Node>(loop, std::move(address), node_options, events));
}

void Servers::add_master_of_sentinels(std::vector<Address> sentinels,
                                      const NodeOptions& node_options, const Node::Events& events) {
  sentinels_ =
      std::make_unique<Sentinels>(loop_, std::move(sentinels),
                                  SentinelOptions{.master = options_.sentinel_master,
                                                  .connection_name = node_options.name,
                                                  .connect_timeout = node_options.connect_timeout,
                                                  .command_timeout = node_options.command_timeout},
                                  [this](const MasterPlace& place) {
                                    const Address& at = nodes_.front()->address();
                                    if (place != MasterPlace{at.host, at.port})
                                      nodes_.front()->leave("the sentinels name another master");
                                  });
  const auto locate = [this](const std::function<void(const Result<Address>&)>& found) {
    sentinels_->ask([this, found](const Result<MasterPlace>& place) {
      if (!place) return found(place.error());
      Address address;
      address.host = place->host;
      address.port = place->port;
      address.user = options_.user;
      address.password = options_.password;
      address.database = options_.database;
      found(address);
    });
  };
  nodes_.push_back(std::make_unique<Node>(loop_, Address{}, node_options, events, locate));
}

void Servers::run(unsigned index, ScriptCall call, Connection::OnReply on_reply) {
  Node& node = node_of(index);
  std::string bytes = call.bytes(false);
  node.request(std::move(bytes), [&node, call = std::move(call),
                                  on_reply = std::move(on_reply)](const redisReply* reply) {
    if (is_error(reply) && text_of(reply).starts_with("NOSCRIPT")) {
      node.request(call.bytes(true), on_reply);
      return;
    }
    on_reply(reply);
  });
}

void Servers::ask(unsigned index, std::vector<std::string> words, Connection::OnReply on_reply) {
  const std::vector<std::string_view> views(words.begin(), words.end());
  node_of(index).request(command(views), std::move(on_reply));
}

void Servers::ask_server(unsigned server, std::vector<std::string> words,
                         Connection::OnReply on_reply) {
  const std::vector<std::string_view> views(words.begin(), words.end());
  nodes_[server]->request(command(views), std::move(on_reply));
}

unsigned Servers::first_ready() const {
  for (unsigned server = 0; server < count(); ++server)
    if (nodes_[server]->is_ready()) return server;
  return 0;
}

bool Servers::is_unreachable() const {
  const auto down = std::count_if(nodes_.begin(), nodes_.end(),
                                  [](const auto& node) { return node->is_unreachable(); });
  return static_cast<size_t>(down) > (nodes_.size() - 1) / 2;
}

std::string Servers::last_failure() const {
  for (const auto& node : nodes_)
    if (!node->last_failure().empty()) return node->last_failure();
  return "no answer";
}

void Servers::flush() {
  for (const auto& node : nodes_) node->flush();
}

void Servers::shut_down() {
  if (sentinels_) sentinels_->shut_down();
  for (const auto& node : nodes_) node->shut_down();
}

void Servers::connect_then(std::function<void(bool, const std::string&)> on_settled) {
  on_settled_ = std::move(on_settled);
  for (const auto& node : nodes_) node->connect();
}

void Servers::settled(bool reachable) {
  if (reachable) epoch_ += 1;
  if (!on_settled_) return;
  size_t ready = 0, down = 0;
  std::string failure;
  for (const auto& node : nodes_) {
    ready += node->is_ready() ? 1 : 0;
    if (!node->is_unreachable()) continue;
    down += 1;
    failure = node->last_failure();
  }
  const size_t needed = nodes_.size() / 2 + 1;
  if (ready < needed && down <= nodes_.size() - needed) return;
  std::exchange(on_settled_, nullptr)(ready >= needed, failure);
}

bool Servers::all_track() const {
  return std::all_of(nodes_.begin(), nodes_.end(), [](const auto& node) { return node->tracks(); });
}

Node* Servers::direct_node(std::string_view /*key*/) {
  return nodes_.size() == 1 ? nodes_.front().get() : nullptr;
}

}  // namespace gordian::redis
