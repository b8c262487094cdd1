// SPDX-License-Identifier: Apache-2.0
// How far long work has come, if somebody watches standard error.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <unistd.h>

namespace gordian::cli {

// A line on the terminal that is gone when the work is done.
class ProgressBar {
 public:
  explicit ProgressBar(bool quiet) : is_on_(!quiet && isatty(STDERR_FILENO) == 1) {}
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar() { clear(); }

  void show(const std::string& what, uint64_t done, uint64_t all) {
    using Clock = std::chrono::steady_clock;
    constexpr auto kPeriod = std::chrono::milliseconds(100);
    constexpr uint64_t kWidth = 30;
    if (!is_on_ || Clock::now() - last_ < kPeriod) return;
    last_ = Clock::now();
    const uint64_t part = all == 0 ? kWidth : std::min(kWidth, done * kWidth / all);
    const std::string bar = std::string(part, '#') + std::string(kWidth - part, '.');
    is_shown_ = true;
    std::fprintf(stderr, "\r\x1b[K%s [%s] %3llu %%", what.c_str(), bar.c_str(),
                 static_cast<unsigned long long>(all == 0 ? 100 : done * 100 / all));
    std::fflush(stderr);
  }

  void clear() {
    if (is_shown_) std::fputs("\r\x1b[K", stderr);
    is_shown_ = false;
  }

 private:
  bool is_on_;
  bool is_shown_ = false;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace gordian::cli
