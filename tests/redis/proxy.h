// SPDX-License-Identifier: Apache-2.0
// A TCP proxy in front of a test's server: holds back, cuts and adds to what passes through it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace redis_test {

class Proxy {
 public:
  // Whoever connects before it is told where it leads is turned away.
  explicit Proxy(unsigned server_port = 0);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  void lead_to(unsigned server_port) { server_port_ = server_port; }
  [[nodiscard]] unsigned port() const { return port_; }
  [[nodiscard]] std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }

  // Replies stay in the proxy; commands still pass.
  void hold_replies(bool hold) { holds_replies_ = hold; }
  // The same, but what a server pushes passes.
  void hold_answers(bool hold) { holds_answers_ = hold; }
  // Every reply waits in the proxy for so long first.
  void slow_down_replies(std::chrono::milliseconds time) { reply_delay_ms_ = time.count(); }
  // Commands stay in the proxy.
  void hold_commands(bool hold) { holds_commands_ = hold; }
  // Ends all connections, as a network does that forgets them.
  void cut();
  // The bytes come over every connection that the server pushes to, as if it had sent them.
  void inject(const std::string& bytes);
  // Where a command says the one, the server hears the other.
  void change_commands(std::string from, std::string to);
  // All that has passed so far, over all connections.
  [[nodiscard]] std::string commands_seen() const;
  [[nodiscard]] std::string replies_seen() const;

 private:
  struct Pair {
    int client = -1;
    int server = -1;
    bool pushed_to = false;  // it has subscribed, or said hello in RESP3
    bool ended = false;
    std::string replies;  // held back
    std::chrono::steady_clock::time_point replies_since;
    std::string commands;
  };
  void run();
  void accept_one();

  std::atomic<unsigned> server_port_;
  unsigned port_ = 0;
  int listener_ = -1;
  std::atomic<bool> holds_replies_{false};
  std::atomic<bool> holds_answers_{false};
  std::atomic<bool> holds_commands_{false};
  std::atomic<int64_t> reply_delay_ms_{0};
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::vector<Pair> pairs_;  // under the mutex, as all below
  std::string change_from_;
  std::string change_to_;
  std::string commands_seen_;
  std::string replies_seen_;
  std::thread thread_;
};

}  // namespace redis_test
