// SPDX-License-Identifier: Apache-2.0
// Whether the threads of a trace act between their creation and their join. If not, the order that
// was observed cannot have been, and nothing can be proved from it.
#pragma once

#include <cstdint>
#include <vector>

namespace gordian::trace {

class ThreadRules {
 public:
  // It has acted before, and may again.
  [[nodiscard]] bool is_acting(uint32_t thread) const {
    return thread < lives_.size() && lives_[thread] == Life::Acting;
  }

  // False: it was joined.
  [[nodiscard]] bool act(uint32_t thread) {
    Life& life = at(thread);
    if (life == Life::New) life = Life::Acting;
    return life == Life::Acting;
  }

  void join(uint32_t thread) { at(thread) = Life::Joined; }

 private:
  enum class Life : uint8_t { New, Acting, Joined };

  Life& at(uint32_t thread) {
    if (thread >= lives_.size()) lives_.resize(thread + 1 + thread / 2);
    return lives_[thread];
  }

  std::vector<Life> lives_;  // by thread
};

}  // namespace gordian::trace
