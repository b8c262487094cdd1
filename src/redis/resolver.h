// SPDX-License-Identifier: Apache-2.0
// Addresses of hosts, without holding up the I/O thread.
//
// getaddrinfo() may ask the network for half a minute and cannot be interrupted: every lease would
// go unrenewed meanwhile. So what is more than a number is looked up by a short-lived thread of its
// own, one for each name at a time. One that nobody waits for any more ends by itself, perhaps
// after its client.
//
// The addresses a name had are kept: a server can be reached while its name cannot be looked up.
//
// The I/O thread's alone.
#pragma once

#include "redis/address.h"
#include "redis/event_loop.h"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace gordian::redis {

class Resolver {
 public:
  using OnResolved = std::function<void(const Result<std::vector<SocketAddress>>&)>;

  // A name that is not found by the time limit is not found.
  Resolver(EventLoop& loop, std::chrono::milliseconds time_limit);
  ~Resolver();

  // Called back once: inside the call for an address in numbers or a path, else from the loop.
  void resolve(const Address& address, OnResolved on_resolved);
  // Nobody is called back any more.
  void shut_down();

 private:
  struct Answers;  // shared with the threads
  struct Name {
    std::vector<OnResolved> waiting;
    EventLoop::TimerId timer{};
    bool under_way = false;  // a thread looks it up
    std::vector<SocketAddress> last_known;
  };
  bool start_looking_up(const std::string& label, const Address& address);
  void take_answers();
  void answer(const std::string& label, const Result<std::vector<SocketAddress>>& found);

  EventLoop& loop_;
  const std::chrono::milliseconds time_limit_;
  const std::shared_ptr<Answers> answers_;
  std::map<std::string, Name> names_;  // by label
  unsigned under_way_ = 0;
  bool ending_ = false;
};

}  // namespace gordian::redis
