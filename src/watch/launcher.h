// SPDX-License-Identifier: Apache-2.0
// Starts the program and stands between it and whoever started us: same terminal, same signals,
// same end. To the outside `gordian run -- x` is x.
#pragma once

#include "base/file.h"
#include "base/result.h"

#include <csignal>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace gordian::watch {

// The signals of this process while a program runs: all that could end or stop us come as reads
// from a descriptor, and the program gets the mask and dispositions that we inherited. Made before
// any thread; undone on destruction.
class SignalPort {
 public:
  static Result<SignalPort> open();
  SignalPort(SignalPort&&) = default;
  SignalPort& operator=(SignalPort&& other) noexcept;
  ~SignalPort();

  [[nodiscard]] int descriptor() const { return fd_.get(); }

  struct Signal {
    int number = 0;
    bool from_process =
        false;  // sent by kill(); false: by the terminal, which told the program too
  };
  std::vector<Signal> receive();

  // In the child, before exec.
  void restore_in_child() const;

 private:
  explicit SignalPort(FileDescriptor fd) : fd_(std::move(fd)) {}

  void restore() const;

  FileDescriptor fd_;
  sigset_t inherited_mask_{};
  std::vector<std::pair<int, struct sigaction>> inherited_;
  std::vector<std::pair<int, struct sigaction>> only_in_child_;
};

struct Launch {
  std::string path;
  std::vector<std::string> arguments;  // argv, with argv[0]
  std::vector<std::string> environment;
  bool silent = false;  // its standard output and error go to /dev/null
};

// Forks and executes; returns once exec has succeeded. Error: it has not, with errno's words.
Result<pid_t> launch(const Launch& launch, const SignalPort& signals);

// The environment of the program: ours, our library first in LD_PRELOAD, the judge's name.
struct PreloadOptions {
  std::string runtime;  // empty: do not preload
  std::string judge;
  bool children = true;
  std::string record = {};  // "drop", "block"; empty: nothing is recorded
  bool steered = false;     // its threads stop at gates (format/steer.h)
};
std::vector<std::string> environment_with(const char* const* environment,
                                          const PreloadOptions& options);

// Whether LD_PRELOAD can carry this path: spaces and colons separate, and nothing quotes them.
bool can_be_preloaded(const std::string& path);

// The library beside our own file (../lib), else GORDIAN_RUNTIME.
Result<std::string> find_runtime();

struct ChildState {
  bool stopped = false;
  int stop_signal = 0;
  bool ended = false;
  int code = 0;    // exit status, or
  int signal = 0;  // the signal that killed it
};
// What has become of the child since the last call; nullopt: nothing.
std::optional<ChildState> poll_child(pid_t pid);

// Stops ourselves as the program was stopped, so that the shell sees it; returns on SIGCONT.
void stop_with(pid_t child, int stop_signal);

// Ends this process by the signal the program died of, without a second core file.
[[noreturn]] void die_by(int signal);

}  // namespace gordian::watch
