// SPDX-License-Identifier: Apache-2.0
// The thread that calls the user's code: whoever is slow there must not stop the renewals.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace gordian::redis {

// Thread-safety: any thread. The thread is started by the first call.
class Notifier {
 public:
  ~Notifier();
  // Calls it soon, in order, with no lock held.
  void call(std::function<void()> work);
  // Calls what is left and ends the thread. From the notifier's own thread it only lets go of it.
  void stop();

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::function<void()>> work;
    bool stopping = false;
  };
  static void run(const std::shared_ptr<State>& state);

  const std::shared_ptr<State> state_ = std::make_shared<State>();
  std::thread thread_;  // under the state's mutex
};

}  // namespace gordian::redis
