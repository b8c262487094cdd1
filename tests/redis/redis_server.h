// SPDX-License-Identifier: Apache-2.0
// A real redis-server for a test: on loopback, on a free port, its data in a temporary folder,
// stopped and removed at the end. No test shares one.
#pragma once

#include "gordian/redis_lock.h"

#include <functional>
#include <hiredis/hiredis.h>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace redis_test {

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};
struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

// A port nobody listens on now, and none of our tests will choose before this process ends.
unsigned free_port();

class RedisServer {
 public:
  // More words for its command line, and what stands in its configuration file, such as a
  // sentinel's.
  explicit RedisServer(const std::vector<std::string>& more = {}, const std::string& config = {});
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  [[nodiscard]] unsigned port() const { return port_; }
  [[nodiscard]] std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::string port_text() const { return std::to_string(port_); }
  [[nodiscard]] const std::string& folder() const { return folder_; }
  [[nodiscard]] std::string socket_path() const { return folder_ + "/redis.sock"; }

  void pause();   // SIGSTOP, and waits until it has stopped
  void resume();  // SIGCONT
  void kill();    // SIGKILL
  void start();   // again, on the same port

  // A command over a connection of its own.
  Reply run(std::initializer_list<std::string_view> words);
  std::string text(std::initializer_list<std::string_view> words);  // of a string or status reply
  long long number(std::initializer_list<std::string_view> words);
  // A field of what INFO says, such as "role"; empty if there is none.
  std::string info(std::string_view field);
  // How often it has answered with an error of this kind, such as "MOVED".
  long long number_of_errors(std::string_view kind);

 private:
  void stop();

  unsigned port_;
  std::string folder_;
  std::string config_file_;
  std::vector<std::string> more_;
  pid_t pid_ = -1;
  std::unique_ptr<redisContext, FreeContext> context_;
};

// What a client library makes of these bytes.
Reply parsed(std::string_view bytes);

// Asks until it is so; servers tell nobody when they have changed their mind. Throws after 20 s.
void wait_until(const std::function<bool()>& it_is_so);

// For a client of this server alone.
gordian::redis::client_options options_for(const RedisServer& server);

}  // namespace redis_test
