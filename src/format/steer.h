// SPDX-License-Identifier: Apache-2.0
// The gates of a steered run as bytes: a region of the board that is there only if the program was
// started with kSteerVariable in its environment and a judge to open them.
//
//   page | Gate (64 B a card)
//
// A thread that is about to take a lock or to wait writes on its gate what it is about to do,
// counts its arrivals up and sleeps until `opened` says the same number. Each word has one writer.
#pragma once

#include "format/board.h"

#include <cstdint>

namespace gordian::format {

inline constexpr char kSteerVariable[] = "GORDIAN_STEER";  // "1": make gates

enum class SteerMode : uint32_t {
  Starting = 0,  // the program waits, at its start, for the judge to set another
  Open = 1,      // nobody stops
  All = 2,       // everybody stops, everywhere
  Listed = 3,    // who asks from one of SteerPage::sites stops
};

enum class GatePhase : uint8_t {
  Request = 0,  // about to take or to wait
  Woken = 1,    // back from a wait for a signal
  Born = 2,     // about to begin
};

inline constexpr uint32_t kSteerSites = 64;

struct SteerPage {
  SteerMode mode;        // the judge's, but for the runtime that gives up on a dead judge
  uint32_t site_count;   // the judge's
  uint32_t beat;         // the judge's: changes as long as it looks after the gates
  uint32_t patience_ms;  // the judge's: no thread waits longer at one gate; 0: one second
  uint32_t doorbell;     // the runtime's: changes at every arrival, wait and end of a thread
  uint32_t started;      // the runtime's: 1 when it waits for the mode, with its modules logged
  uint32_t reserved[8];
  uint64_t gave_up;             // the runtime's: gates passed because nobody opened them
  uint64_t sites[kSteerSites];  // return addresses, the judge's
};
static_assert(sizeof(SteerPage) <= 4096, "one page");

struct Gate {
  uint32_t arrived;  // the thread's: arrivals so far, stored last
  uint32_t passed;   // the thread's: the last arrival that is over
  uint32_t opened;   // the judge's: the arrival that may pass
  uint32_t uid;
  uint64_t address;  // as in WaitWord
  uint64_t object;
  uint64_t site;
  uint64_t frame;
  Kind kind;
  uint8_t flags;
  GatePhase phase;
  uint8_t reserved[13];
};
static_assert(sizeof(Gate) == 64, "wire layout: bump kBoardVersion");

}  // namespace gordian::format
