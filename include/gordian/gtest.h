// SPDX-License-Identifier: Apache-2.0
// Fails the very GoogleTest test in which locks were taken against their order.
//
//   int main(int argc, char** argv) {
//     ::testing::InitGoogleTest(&argc, argv);
//     gordian::testing::watch_tests("gordian.order");   // or without a file
//     return RUN_ALL_TESTS();
//   }
//
// and `gordian run -- ./tests`. After each test the program `gordian` looks at this process from
// outside, some 50 ms a test, and says what is new: an order against the file, or (also without a
// file) one that contradicts what this or an earlier test did, by whichever thread. Nothing needs
// to hang. A test that does hang is ended and reported by `gordian run` itself.
//
// Not under Gordian it does nothing. One header, nothing to link but GoogleTest.
#pragma once

#include <gordian/annotate.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace gordian::testing {

class LockOrderListener : public ::testing::EmptyTestEventListener {
 public:
  // `order_file`: as of `gordian order learn`; empty: none. `gordian`: the program; empty: the one
  // that belongs to the library in this process, else the one in PATH.
  explicit LockOrderListener(std::string order_file = {}, std::string gordian = {})
      : order_file_(std::move(order_file)), gordian_(std::move(gordian)) {}

  void OnTestProgramStart(const ::testing::UnitTest&) override {
    if (gordian_annotations_in_use == nullptr) return;
    if (gordian_.empty()) gordian_ = find_gordian();
    char state[] = "/tmp/gordian-gtest-XXXXXX";
    const int file = mkstemp(state);
    if (file < 0) return;
    const bool begun = write(file, "0\n", 2) == 2;
    close(file);
    if (begun) state_ = state;
  }

  void OnTestEnd(const ::testing::TestInfo&) override {
    if (state_.empty()) return;
    const Answer answer = ask();
    if (answer.status == 66) {
      ADD_FAILURE() << answer.text;
    } else if (answer.status != 0 && !complained_) {
      complained_ = true;
      ADD_FAILURE() << "gordian could not look at this process (status " << answer.status << ")\n"
                    << answer.text;
    }
  }

  void OnTestProgramEnd(const ::testing::UnitTest&) override {
    if (!state_.empty()) unlink(state_.c_str());
    state_.clear();
  }

 private:
  struct Answer {
    int status = -1;
    std::string text;
  };

  // PREFIX/lib/libgordian.so and PREFIX/bin/gordian belong together.
  static std::string find_gordian() {
    Dl_info library{};
    const auto* const inside = reinterpret_cast<const void*>(gordian_annotations_in_use);
    if (dladdr(inside, &library) != 0 && library.dli_fname != nullptr) {
      std::string path = library.dli_fname;
      for (int i = 0; i < 2; ++i)
        path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
      path += "/bin/gordian";
      if (access(path.c_str(), X_OK) == 0) return path;
    }
    return "gordian";
  }

  Answer ask() const {
    std::vector<std::string> words{gordian_, "order", "check"};
    if (!order_file_.empty()) words.push_back(order_file_);
    words.push_back("--pid=" + std::to_string(getpid()));
    words.push_back("--state=" + state_);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    // It must not be watched itself.
    std::vector<char*> environment;
    for (char** entry = environ; *entry != nullptr; ++entry)
      if (std::strncmp(*entry, "LD_PRELOAD=", 11) != 0) environment.push_back(*entry);
    environment.push_back(nullptr);

    Answer answer;
    int ends[2];
    if (pipe(ends) != 0) return answer;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    pid_t child = 0;
    const int error = posix_spawnp(&child, gordian_.c_str(), &actions, nullptr, arguments.data(),
                                   environment.data());
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (error == 0) {
      char bytes[4096];
      for (ssize_t count = 0; (count = read(ends[0], bytes, sizeof bytes)) > 0;)
        answer.text.append(bytes, static_cast<size_t>(count));
      int status = 0;
      if (waitpid(child, &status, 0) == child && WIFEXITED(status))
        answer.status = WEXITSTATUS(status);
    } else {
      answer.text = "cannot start " + gordian_ + ": " + std::strerror(error);
    }
    close(ends[0]);
    return answer;
  }

  std::string order_file_;
  std::string gordian_;
  std::string state_;
  bool complained_ = false;
};

// Before RUN_ALL_TESTS(). GoogleTest owns the listener.
inline void watch_tests(std::string order_file = {}) {
  // Ends are told in reverse: what we add belongs to the test whose result is printed then.
  ::testing::UnitTest::GetInstance()->listeners().Append(
      new LockOrderListener(std::move(order_file)));
}

}  // namespace gordian::testing
