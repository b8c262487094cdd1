// SPDX-License-Identifier: Apache-2.0
// What the tests of the sync headers share: running threads to the point where the kernel shows
// them blocked, and checks switched on for the scope of a test.
#pragma once

#include <gordian/checks.h>

#include <atomic>
#include <cstdio>
#include <functional>
#include <string>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace sync_test {

// A thread whose blocking can be waited for. Joins at its end.
class Blocker {
 public:
  explicit Blocker(std::function<void()> body)
      : thread_([this, body = std::move(body)] {
          tid_.store(gettid());
          body();
          tid_.store(-1);
        }) {}
  ~Blocker() { join(); }

  // Until the kernel shows the thread in futex(2), where a blocked thread of these tests is; false
  // if it ended instead.
  bool wait_until_blocked() {
    for (;;) {
      const int tid = tid_.load();
      if (tid == -1) return false;
      if (tid > 0 && in_futex(tid)) return true;
      std::this_thread::yield();
    }
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  static bool in_futex(int tid) {
    const std::string path = "/proc/self/task/" + std::to_string(tid) + "/syscall";
    std::FILE* file = std::fopen(path.c_str(), "r");
    if (file == nullptr) return false;
    char text[32] = {};
    const bool read = std::fgets(text, sizeof text, file) != nullptr;
    std::fclose(file);
    return read && std::string(text).rfind(std::to_string(SYS_futex) + " ", 0) == 0;
  }

  std::atomic<int> tid_{0};
  std::thread thread_;
};

// Checked mode for one test. Errors are thrown, whatever a test before set.
class Checked {
 public:
  explicit Checked(gordian::check_options options = {}) {
    gordian::set_error_handler(nullptr);
    gordian::enable_checks(options);
  }
  ~Checked() {
    gordian::disable_checks();
    gordian::set_error_handler(nullptr);
  }
};

// The error that `action` throws, or none.
template <typename Action>
std::unique_ptr<gordian::deadlock_error> error_of(Action action) {
  try {
    action();
  } catch (const gordian::deadlock_error& error) {
    return std::make_unique<gordian::deadlock_error>(error);
  }
  return nullptr;
}

}  // namespace sync_test
