// SPDX-License-Identifier: Apache-2.0
#include "redis/servers.h"

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
    : loop_(loop), options_(options), resolver_(loop, options.connect_timeout) {
  NodeOptions node_options{.connect_timeout = options.connect_timeout,
                           .command_timeout = options.command_timeout,
                           .tracking = options.tracking,
                           .no_loop = options.no_loop,
                           .resp3 = options.resp3,
                           .name = connection_name};
  const Node::Events events{.changed = std::move(changed),
                            .settled = [this](Node&, bool reachable) { settled(reachable); }};
  if (options.kind == topology::sentinel) {
    node_options.only_master = true;
    add_master_of_sentinels(std::move(addresses), node_options, events);
    return;
  }
  if (options.kind == topology::cluster) {
    make_cluster(addresses, node_options, events);
    return;
  }
  for (Address& address : addresses)
    nodes_.push_back(
        std::make_unique<Node>(loop, resolver_, std::move(address), node_options, events));
}

void Servers::add_master_of_sentinels(std::vector<Address> sentinels,
                                      const NodeOptions& node_options, const Node::Events& events) {
  const auto tls = sentinels.front().tls;
  sentinels_ =
      std::make_unique<Sentinels>(loop_, resolver_, std::move(sentinels),
                                  SentinelOptions{.master = options_.sentinel_master,
                                                  .connection_name = node_options.name,
                                                  .connect_timeout = node_options.connect_timeout,
                                                  .command_timeout = node_options.command_timeout},
                                  [this](const ServerPlace& place) {
                                    const Address& at = nodes_.front()->address();
                                    if (place != ServerPlace{at.host, at.port})
                                      nodes_.front()->leave("the sentinels name another master");
                                  });
  const auto locate = [this, tls](const std::function<void(const Result<Address>&)>& found) {
    sentinels_->ask([this, tls, found](const Result<ServerPlace>& place) {
      if (!place) return found(place.error());
      Address address;
      address.host = place->host;
      address.port = place->port;
      address.user = options_.user;
      address.password = options_.password;
      address.database = options_.database;
      address.tls = tls;
      found(address);
    });
  };
  nodes_.push_back(
      std::make_unique<Node>(loop_, resolver_, Address{}, node_options, events, locate));
}

void Servers::make_cluster(const std::vector<Address>& seeds, const NodeOptions& node_options,
                           const Node::Events& events) {
  std::vector<ServerPlace> places;
  places.reserve(seeds.size());
  for (const Address& seed : seeds) places.push_back({seed.host, seed.port});
  const auto make_node = [this, node_options, events, like = seeds.front()](const ServerPlace& at) {
    Address address = like;
    address.host = at.host;
    address.port = at.port;
    return std::make_unique<Node>(loop_, resolver_, std::move(address), node_options, events);
  };
  cluster_ = std::make_unique<Cluster>(loop_, places,
                                       Cluster::Options{.command_timeout = options_.command_timeout,
                                                        .retry_interval = options_.retry_interval},
                                       make_node,
                                       Cluster::Events{.moved =
                                                           [this, changed = events.changed] {
                                                             epoch_ += 1;
                                                             changed(std::nullopt);
                                                           },
                                                       .asked =
                                                           [this](const std::string& failure) {
                                                             if (on_settled_)
                                                               std::exchange(on_settled_, nullptr)(
                                                                   failure.empty(), failure);
                                                           }});
}

void Servers::request(unsigned index, const std::string& key, std::string bytes,
                      Connection::OnReply on_reply) {
  if (cluster_)
    cluster_->request(std::move(bytes), key, std::move(on_reply));
  else
    nodes_[index % nodes_.size()]->request(std::move(bytes), std::move(on_reply));
}

void Servers::run(unsigned index, ScriptCall call, Connection::OnReply on_reply) {
  const std::string key = call.keys.front();
  std::string bytes = call.bytes(false);
  request(index, key, std::move(bytes),
          [this, index, key, call = std::move(call),
           on_reply = std::move(on_reply)](const redisReply* reply) {
            if (is_error(reply) && text_of(reply).starts_with("NOSCRIPT"))
              request(index, key, call.bytes(true), on_reply);
            else
              on_reply(reply);
          });
}

void Servers::ask(unsigned index, std::vector<std::string> words, Connection::OnReply on_reply) {
  const std::vector<std::string_view> views(words.begin(), words.end());
  request(index, words[1], command(views), std::move(on_reply));
}

void Servers::ask_server(unsigned server, std::vector<std::string> words,
                         Connection::OnReply on_reply) {
  ask(server, std::move(words), std::move(on_reply));
}

Node* Servers::node_of(std::string_view name, unsigned index) const {
  if (cluster_) return cluster_->node_of(lock_key(options_.key_prefix, index, name));
  return nodes_[index % nodes_.size()].get();
}

unsigned Servers::first_ready() const {
  for (unsigned server = 0; server < nodes_.size(); ++server)
    if (nodes_[server]->is_ready()) return server;
  return 0;
}

bool Servers::on_one_server(std::string_view name, unsigned one, unsigned other) const {
  return one == other || node_of(name, one) == node_of(name, other);
}

bool Servers::all_track(std::string_view name, unsigned keys) const {
  for (unsigned index = 0; index < keys; ++index) {
    const Node* const node = node_of(name, index);
    if (node == nullptr || !node->tracks()) return false;
  }
  return true;
}

bool Servers::is_unreachable(std::string_view name, unsigned keys) const {
  unsigned down = 0;
  for (unsigned index = 0; index < keys; ++index) {
    const Node* const node = node_of(name, index);
    down += (node == nullptr ? !cluster_->failure().empty() : node->is_unreachable()) ? 1 : 0;
  }
  return down > (keys - 1) / 2;
}

std::string Servers::last_failure(std::string_view name, unsigned index) const {
  const Node* const node = node_of(name, index);
  return node == nullptr ? cluster_->failure() : node->last_failure();
}

std::string Servers::last_failure() const {
  for (const auto& node : nodes_)
    if (!node->last_failure().empty()) return node->last_failure();
  if (cluster_ && !cluster_->failure().empty()) return cluster_->failure();
  return "no answer";
}

void Servers::flush() {
  for (const auto& node : nodes_) node->flush();
  if (cluster_) cluster_->flush();
}

void Servers::shut_down() {
  if (sentinels_) sentinels_->shut_down();
  if (cluster_) cluster_->shut_down();
  for (const auto& node : nodes_) node->shut_down();
  resolver_.shut_down();
}

void Servers::connect_then(std::function<void(bool, const std::string&)> on_settled) {
  on_settled_ = std::move(on_settled);
  if (cluster_) cluster_->refresh();
  for (const auto& node : nodes_) node->connect();
}

void Servers::settled(bool reachable) {
  if (reachable) epoch_ += 1;
  if (cluster_) {
    cluster_->settled(reachable);
    return;
  }
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

Node* Servers::direct_node(std::string_view key) const {
  if (cluster_) return cluster_->node_of(key);
  return nodes_.size() == 1 ? nodes_.front().get() : nullptr;
}

}  // namespace gordian::redis
