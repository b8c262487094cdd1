// SPDX-License-Identifier: Apache-2.0
// A thread with a name, joined at the end of its scope.
#pragma once

#include "support/luck.h"

#include <atomic>
#include <pthread.h>
#include <string>
#include <thread>
#include <utility>

namespace scenario {

class Thread {
 public:
  // `name` is cut to the 15 characters the kernel keeps. It is set before `body` begins, so it
  // stands in every report.
  template <typename Body>
  Thread(const std::string& name, Body body) {
    if (one_by_one) wait_until([] { return running.load() == 0; });
    running.fetch_add(1);
    thread_ = std::thread([name = name.substr(0, 15), body = std::move(body)]() mutable {
      pthread_setname_np(pthread_self(), name.c_str());
      body();
      running.fetch_sub(1);
    });
  }
  Thread(Thread&&) = default;
  ~Thread() {
    if (thread_.joinable()) thread_.join();
  }

  void join() { thread_.join(); }

 private:
  static inline std::atomic<int> running{0};

  std::thread thread_;
};

}  // namespace scenario
