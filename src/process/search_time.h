// SPDX-License-Identifier: Apache-2.0
// How long a search for names may take.
//
// It counts the processor time of the thread that searches: a machine that is busy with other
// things must not find other names than an idle one. Waiting counts too, but only what no busy
// machine explains: a file system that does not answer ends the search as well.
#pragma once

#include <chrono>

namespace gordian::process {

class SearchTime {
 public:
  explicit SearchTime(std::chrono::milliseconds limit);

  // For the thread that made it. Costs a system call.
  [[nodiscard]] bool is_over() const;

 private:
  std::chrono::nanoseconds processor_end_;
  std::chrono::steady_clock::time_point wall_end_;
};

}  // namespace gordian::process
