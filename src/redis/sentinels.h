// SPDX-License-Identifier: Apache-2.0
// What Redis Sentinels say: which server is the master now, and when another one takes its place.
//
// Each sentinel is asked and then listened to over one connection: the question and the
// subscription to its messages go out together, so no change falls between them. To ask again is to
// connect again. Sentinels may differ for a while after a failover; of their answers the one of the
// latest configuration (epoch) counts, also over those of sentinels that are asked later.
//
// The I/O thread's alone.
#pragma once

#include "redis/connection.h"
#include "redis/resolver.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace gordian::redis {

struct SentinelOptions {
  std::string master;  // the name under which the sentinels watch it
  std::string connection_name;
  std::chrono::milliseconds connect_timeout{};
  std::chrono::milliseconds command_timeout{};
};

// The place in a sentinel's answer to SENTINEL GET-MASTER-ADDR-BY-NAME. Error: it knows none, or it
// is nothing that could be one.
Result<ServerPlace> parse_master_place(const redisReply* reply);
// "config-epoch" in its answer to SENTINEL MASTER; 0 without one.
uint64_t parse_config_epoch(const redisReply* reply);

class Sentinels {
 public:
  using OnAnswer = std::function<void(const Result<ServerPlace>&)>;

  // `on_switch`: a later configuration than any before names this master; not told while a question
  // is under way, whose answer says the same.
  Sentinels(EventLoop& loop, Resolver& resolver, std::vector<Address> addresses,
            SentinelOptions options, std::function<void(const ServerPlace&)> on_switch);
  ~Sentinels();

  // Answered once, within the connect and the command timeout. Error: none of them could be asked,
  // or none knows the master.
  void ask(OnAnswer on_answer);
  void shut_down();

 private:
  enum class Said { Nothing, NotYet, Failed, Master };
  struct Sentinel {
    Address address;
    std::unique_ptr<Connection> connection;
    uint64_t opening = 0;  // counts the times it was opened
    bool resolving = false;
    Said said = Said::Nothing;
    ServerPlace place;
    uint64_t epoch = 0;
    std::string failure;
    TimePoint ended_at{};
  };

  void ask_all();
  void open(Sentinel& sentinel);
  void opened(Sentinel& sentinel);
  void pushed(Sentinel& sentinel, const redisReply* message);
  void ended(Sentinel& sentinel, const std::string& reason);
  void answered(Sentinel& sentinel);
  void decide_if_possible();
  void look_after();

  EventLoop& loop_;
  Resolver& resolver_;
  const SentinelOptions options_;
  const std::function<void(const ServerPlace&)> on_switch_;
  std::vector<std::unique_ptr<Sentinel>> sentinels_;
  std::vector<OnAnswer> asking_;  // a question is under way while there are any
  EventLoop::TimerId care_timer_{};
  EventLoop::TimerId ask_timer_{};
  TimePoint asked_at_{};
  // The latest configuration heard of, and until when it outweighs what says otherwise.
  ServerPlace newest_;
  uint64_t newest_epoch_ = 0;
  TimePoint newest_until_{};
  bool ending_ = false;
};

}  // namespace gordian::redis
