// SPDX-License-Identifier: Apache-2.0
#include "redis/cluster.h"

#include <algorithm>

namespace gordian::redis {
namespace {

constexpr auto kBetweenMaps = std::chrono::milliseconds(100);
constexpr auto kBetweenFailures = std::chrono::milliseconds(500);
constexpr unsigned kMostSends = 16;
constexpr size_t kMostServers = 1000;

}  // namespace

Cluster::Cluster(EventLoop& loop, const std::vector<ServerPlace>& seeds, Options options,
                 MakeNode make_node, Events events)
    : loop_(loop),
      options_(options),
      make_node_(std::move(make_node)),
      events_(std::move(events)),
      slots_(kSlots) {
  for (const ServerPlace& seed : seeds)
    if (Node* const node = node_at(seed)) seeds_.push_back(node);
}

Node* Cluster::node_at(const ServerPlace& place) {
  const std::string label = place.label();
  if (const auto found = nodes_.find(label); found != nodes_.end()) return found->second.get();
  if (nodes_.size() >= kMostServers) return nullptr;
  return nodes_.emplace(label, make_node_(place)).first->second.get();
}

// One that can answer at once, if there is any.
Node& Cluster::any_node() {
  for (const auto& [label, node] : nodes_)
    if (node->is_ready()) return *node;
  return *seeds_[turn_ % seeds_.size()];
}

void Cluster::shut_down() {
  ending_ = true;
  loop_.cancel(refresh_timer_);
  for (const auto& [label, node] : nodes_) node->shut_down();
}

void Cluster::flush() {
  for (const auto& [label, node] : nodes_) node->flush();
}

void Cluster::settled(bool reachable) {
  if (!reachable) refresh();
}

void Cluster::request(std::string bytes, std::string_view key, Connection::OnReply on_reply) {
  auto request = std::make_shared<Request>();
  request->bytes = std::move(bytes);
  request->slot = slot_of(key);
  request->on_reply = std::move(on_reply);
  request->until = Clock::now() + options_.command_timeout;
  send(request);
}

void Cluster::send(const std::shared_ptr<Request>& request) {
  Node* const node = slots_[request->slot];
  send_to(node != nullptr ? *node : any_node(), request, false);
}

void Cluster::send_to(Node& node, const std::shared_ptr<Request>& request, bool asking) {
  if (request->sent++ >= kMostSends) {
    request->on_reply(nullptr);  // in a circle
    return;
  }
  node.request(
      request->bytes,
      [this, &node, request](const redisReply* reply) { answered(node, request, reply); }, asking);
}

void Cluster::answered(Node& node, const std::shared_ptr<Request>& request,
                       const redisReply* reply) {
  if (reply == nullptr) {
    refresh();
    request->on_reply(nullptr);
    return;
  }
  if (!is_error(reply) || ending_) {
    request->on_reply(reply);
    return;
  }
  const std::string_view error = text_of(reply);
  if (const auto redirection = parse_redirection(error, node.address().host)) {
    Node* const next = node_at(redirection->to);
    if (next == nullptr) {
      request->on_reply(reply);
    } else if (redirection->for_good) {
      slots_[redirection->slot] = next;
      moved_ = true;
      refresh();
      send_to(*next, request, false);
    } else {
      send_to(*next, request, true);
    }
    return;
  }
  if (is_for_a_moment(error)) {
    refresh();
    const TimePoint next = Clock::now() + options_.retry_interval;
    if (next < request->until) {
      request->sent = 0;  // it goes in no circle: time is its limit
      loop_.at(next, [this, request] { send(request); });
      return;
    }
  }
  request->on_reply(reply);
}

void Cluster::refresh() {
  if (ending_) return;
  if (missing_ != 0) {
    again_ = true;
    return;
  }
  if (refresh_timer_.second != 0) return;
  // The first one at once; a cluster that is down altogether is asked now and then.
  const auto pause = failure_.empty() ? kBetweenMaps : kBetweenFailures;
  refresh_timer_ = loop_.at(std::max(Clock::now(), asked_at_ + pause), [this] {
    refresh_timer_ = {};
    ask_for_map();
  });
}

// One that answers requests anyway, else all.
void Cluster::ask_for_map() {
  again_ = false;
  asked_at_ = Clock::now();
  const uint64_t turn = ++turn_;
  std::vector<Node*> asked;
  for (const auto& [label, node] : nodes_)
    if (node->is_ready()) asked.push_back(node.get());
  if (!asked.empty()) {
    asked = {asked[turn % asked.size()]};
  } else {
    for (const auto& [label, node] : nodes_) asked.push_back(node.get());
  }
  missing_ = static_cast<unsigned>(asked.size());
  for (Node* const node : asked)
    node->request(command({"CLUSTER", "SLOTS"}), [this, turn, node](const redisReply* reply) {
      map_answered(turn, *node, reply);
    });
}

void Cluster::map_answered(uint64_t turn, Node& node, const redisReply* reply) {
  if (turn != turn_ || missing_ == 0 || ending_) return;
  missing_ -= 1;
  if (reply == nullptr) {
    failure_ = node.last_failure();
  } else if (auto ranges =
                 parse_cluster_slots(reply, node.address().host).in(node.address().label());
             !ranges) {
    failure_ = ranges.error().message;
  } else if (ranges->empty()) {
    failure_ = node.address().label() + ": it has no slots yet";
  } else {
    missing_ = 0;
    failure_.clear();
    take(*ranges);
  }
  if (missing_ != 0) return;
  if (!failure_.empty()) again_ = true;
  const bool again = again_;
  if (events_.asked) events_.asked(failure_);
  if (again) refresh();
}

void Cluster::take(const std::vector<SlotRange>& ranges) {
  std::vector<Node*> owners(kSlots, nullptr);
  for (const SlotRange& range : ranges) {
    Node* const node = node_at(range.master);
    std::fill(owners.begin() + range.first, owners.begin() + range.last + 1, node);
  }
  bool moved = std::exchange(moved_, false);
  for (unsigned slot = 0; slot < kSlots; ++slot)
    if (slots_[slot].exchange(owners[slot]) != owners[slot]) moved = true;
  std::sort(owners.begin(), owners.end());
  for (const auto& [label, node] : nodes_)
    if (!std::binary_search(owners.begin(), owners.end(), node.get())) node->rest();
  if (moved) events_.moved();
}

}  // namespace gordian::redis
