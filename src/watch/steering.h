// SPDX-License-Identifier: Apache-2.0
// What a strategy sees of a steered program at one moment, and what it says to it: whose gates to
// open. A strategy decides; the steersman (steersman.h) reads the board and opens the gates.
#pragma once

#include "format/board.h"
#include "format/steer.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace gordian::watch {

// A place in code that means the same in every run: load addresses change, offsets do not.
struct CodePlace {
  std::string module = {};  // path; empty: the program itself
  uint64_t offset = 0;      // without the load bias
  std::string words = {};   // function and line, for people

  // Without the words.
  friend bool operator==(const CodePlace& a, const CodePlace& b) {
    return a.offset == b.offset && a.module == b.module;
  }
};

struct SteeredHold {
  uint64_t address = 0;
  uint64_t site = 0;
  bool shared = false;
};

enum class Whereabouts : uint8_t {
  Running,
  Asleep,   // in a system call that is no wait of ours: input, sleep
  AtGate,   // and the gate is closed
  Waiting,  // in a wait that others end
  TimedWait,
};

struct SteeredThread {
  uint32_t card = 0;
  uint32_t uid = 0;  // in order of creation
  uint64_t pthread = 0;
  Whereabouts where = Whereabouts::Running;
  uint64_t moves = 0;  // changes whenever the thread came to a gate or a wait, or left one
  std::vector<SteeredHold> holds = {};
  // At its gate:
  uint32_t arrival = 0;
  format::GatePhase phase = format::GatePhase::Request;
  format::Kind kind = format::Kind::None;
  bool shared = false;
  uint64_t address = 0;
  uint64_t object = 0;
  uint64_t site = 0;
};

using SteerClock = std::chrono::steady_clock;

struct Decision {
  std::vector<uint32_t> open = {};  // cards whose gates are opened
  bool let_go = false;              // open everything, for good
  std::chrono::microseconds look_again{50'000};
};

// What came of it, for the report.
struct SteerAccount {
  uint64_t arrivals = 0;      // at gates
  uint64_t steps = 0;         // gates opened one by one
  uint64_t schedule = 0;      // hash of who was let go on in which order; equal: the same schedule
  uint64_t gave_up = 0;       // threads that waited too long and went on by themselves
  bool closed = false;        // all threads of the finding stood before their last request at once
  std::string diverged = {};  // why it did not come to that; empty: nothing to say
};

// Of one process. Used by one thread.
class Strategy {
 public:
  virtual ~Strategy() = default;
  // Do threads stop at every synchronisation point, or only where they ask from places()?
  [[nodiscard]] virtual bool stops_everywhere() const = 0;
  // What on_addresses() is to tell the addresses of.
  [[nodiscard]] virtual std::vector<CodePlace> places() const { return {}; }
  // The same places as addresses in this process, in the order of places(); 0: not loaded (yet).
  virtual void on_addresses(const std::vector<uint64_t>& /*sites*/) {}
  virtual Decision decide(std::span<const SteeredThread> threads, SteerClock::time_point now) = 0;
  [[nodiscard]] virtual SteerAccount account() const = 0;
};

// A number that looks random and depends on its arguments alone.
uint64_t mix(uint64_t seed, uint64_t a, uint64_t b = 0, uint64_t c = 0);

}  // namespace gordian::watch
