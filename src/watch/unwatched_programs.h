// SPDX-License-Identifier: Apache-2.0
// Programs that watched ones have started, and that sent no board: the loader of a static, 32-bit
// or setuid program preloads nothing, and a seccomp filter or a limit may forbid the board.
#pragma once

#include "watch/judge.h"

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace gordian::watch {

// Where the program itself gives no reason.
inline constexpr char kNoBoardCame[] =
    "no board came from it (its loader did not preload the runtime, or a limit or seccomp filter "
    "forbade the board)";

class UnwatchedPrograms {
 public:
  static constexpr std::chrono::seconds kInterval{2};

  struct Program {
    int pid = 0;
    std::string exe;
    std::string why;
  };

  // Descendants of `root`, and itself, whose board would have come by now; every file once. One
  // that lives for less than some seconds may go unseen: it has nothing to hang. However often it
  // is called, it looks around once in kInterval, and seldom enough to use less than a thousandth
  // of a processor: a program's children are found through each of its threads.
  std::vector<Program> find(int root, const Judge& judge);

 private:
  std::chrono::steady_clock::time_point next_look_{};
  struct Seen {
    std::string exe;
    int looks = 0;  // in a row
  };
  std::map<int, Seen> seen_;     // by pid, at the last look
  std::set<std::string> named_;  // exe
};

}  // namespace gordian::watch
