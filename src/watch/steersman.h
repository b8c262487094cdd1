// SPDX-License-Identifier: Apache-2.0
// Opens the gates of one steered process, on a thread of its own: the judge's looks are far apart.
//
// It reads the board like any judge (the process may be hostile), and writes three things only: the
// page's words, the list of sites, and the number on each gate. When it goes away all gates open.
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "trace/board_reader.h"
#include "watch/program_clock.h"
#include "watch/steering.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace gordian::watch {

class Steersman {
 public:
  // `board`: the memfd, not consumed. Null: the board has no gates. `exe` is the path of the
  // program that modules without a path stand for; `patience` ends every stay at a gate.
  static Result<std::unique_ptr<Steersman>> start(int pid, const FileDescriptor& board,
                                                  std::string exe,
                                                  std::unique_ptr<Strategy> strategy,
                                                  std::chrono::milliseconds patience);
  ~Steersman();
  Steersman(const Steersman&) = delete;
  Steersman& operator=(const Steersman&) = delete;

  [[nodiscard]] int pid() const { return pid_; }
  // Opens all gates and ends; then the account is final.
  SteerAccount stop();

 private:
  Steersman(int pid, std::string exe, std::unique_ptr<Strategy> strategy)
      : pid_(pid), exe_(std::move(exe)), strategy_(std::move(strategy)), clock_(pid) {}

  struct GateRegion {  // our own mapping, the only one we write to
    GateRegion(std::byte* bytes, uint64_t size) : bytes(bytes), size(size) {}
    GateRegion(const GateRegion&) = delete;
    GateRegion& operator=(const GateRegion&) = delete;
    ~GateRegion();
    std::byte* bytes;
    uint64_t size;
  };

  void loop();
  void wait_for_start();
  void find_sites();
  std::vector<SteeredThread> look(SteerClock::time_point now);
  Whereabouts running_or_asleep(uint32_t uid, uint32_t tid, uint64_t moves,
                                SteerClock::time_point now);
  void ask_kernel(std::vector<SteeredThread>& threads,
                  const std::vector<std::pair<size_t, int>>& sleepers) const;
  void open(uint32_t card);
  void open_all();
  format::SteerPage& page() { return *reinterpret_cast<format::SteerPage*>(region_->bytes); }
  format::Gate& gate(uint32_t card) {
    return reinterpret_cast<format::Gate*>(region_->bytes + sizeof_page)[card];
  }
  static constexpr uint64_t sizeof_page = 4096;

  struct Motion {
    uint64_t moves = 0;
    SteerClock::time_point since;
  };

  int pid_;
  std::string exe_;
  std::unique_ptr<Strategy> strategy_;
  ProgramClock clock_;
  std::unique_ptr<GateRegion> region_;
  std::unique_ptr<trace::BoardReader> board_;
  std::vector<CodePlace> places_;
  std::vector<uint64_t> sites_;
  size_t modules_seen_ = 0;
  std::map<uint32_t, Motion> motions_;  // by uid
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace gordian::watch
