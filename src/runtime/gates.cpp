// SPDX-License-Identifier: Apache-2.0
#include "runtime/gates.h"

#include "runtime/system_calls.h"

#include <linux/futex.h>
#include <time.h>

namespace gordian::runtime {

using format::Gate;
using format::GatePhase;
using format::SteerMode;
using format::SteerPage;

namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kNap = 20 * kMillisecond;  // between two looks at the judge's beat
constexpr uint64_t kJudgeIsDead = kSecond;
constexpr uint64_t kStartLimit = 10 * kSecond;
constexpr uint64_t kAskForJudge = 100 * kMillisecond;
constexpr uint32_t kLongestPatience = 60'000;

// Not FUTEX_PRIVATE: the judge is another process.
void sleep_on(const uint32_t* word, uint32_t value, uint64_t ns) {
  const timespec limit{.tv_sec = static_cast<time_t>(ns / kSecond),
                       .tv_nsec = static_cast<long>(ns % kSecond)};
  raw_call(SYS_futex, reinterpret_cast<long>(word), FUTEX_WAIT, value,
           reinterpret_cast<long>(&limit));
}

void wake(const uint32_t* word) {
  raw_call(SYS_futex, reinterpret_cast<long>(word), FUTEX_WAKE, 1 << 30);
}

// clang knows no atomic operations on enumerations.
using ModeWord __attribute__((may_alias)) = uint32_t;

SteerMode mode_of(const SteerPage& page) {
  // ORDER: pairs with the judge's store: who sees Listed sees the sites.
  return static_cast<SteerMode>(
      __atomic_load_n(reinterpret_cast<const ModeWord*>(&page.mode), __ATOMIC_ACQUIRE));
}

void open_all(SteerPage& page) {
  __atomic_store_n(reinterpret_cast<ModeWord*>(&page.mode), static_cast<uint32_t>(SteerMode::Open),
                   __ATOMIC_SEQ_CST);
}

bool is_listed(const SteerPage& page, uint64_t site) {
  const uint32_t count = __atomic_load_n(&page.site_count, __ATOMIC_RELAXED);
  for (uint32_t i = 0; i < count && i < format::kSteerSites; ++i) {
    if (__atomic_load_n(&page.sites[i], __ATOMIC_RELAXED) == site) return true;
  }
  return false;
}

bool stops(const SteerPage& page, const CallSite& site, GatePhase phase) {
  switch (mode_of(page)) {
    case SteerMode::All:
      return true;
    case SteerMode::Listed:
      return phase == GatePhase::Request && is_listed(page, site.pc);
    default:
      return false;
  }
}

void wait_until_opened(SteerPage& page, const Gate& gate, uint32_t number) {
  uint32_t patience = __atomic_load_n(&page.patience_ms, __ATOMIC_RELAXED);
  if (patience == 0) patience = 1000;
  if (patience > kLongestPatience) patience = kLongestPatience;
  const uint64_t start = now_ns();
  uint32_t beat = __atomic_load_n(&page.beat, __ATOMIC_RELAXED);
  uint64_t beat_seen = start;
  for (;;) {
    // ORDER: what the judge saw before it opened the gate happened before what we do now.
    const uint32_t opened = __atomic_load_n(&gate.opened, __ATOMIC_ACQUIRE);
    if (opened == number || mode_of(page) == SteerMode::Open) return;
    sleep_on(&gate.opened, opened, kNap);
    const uint64_t now = now_ns();
    const uint32_t beat_now = __atomic_load_n(&page.beat, __ATOMIC_RELAXED);
    if (beat_now != beat) {
      beat = beat_now;
      beat_seen = now;
    } else if (now - beat_seen > kJudgeIsDead) {
      open_all(page);
      count(page.gave_up);
      return;
    }
    if (now - start > patience * kMillisecond) {
      count(page.gave_up);
      return;
    }
  }
}

}  // namespace

void ring_for_judge() {
  if (board.steer == nullptr) return;
  __atomic_fetch_add(&board.steer->doorbell, 1, __ATOMIC_SEQ_CST);
  wake(&board.steer->doorbell);
}

void clear_gate(uint32_t card) {
  if (board.steer == nullptr) return;
  Gate& gate = board.gates[card];
  __atomic_store_n(&gate.passed, gate.arrived, __ATOMIC_SEQ_CST);
}

void wait_for_judge() {
  if (board.steer == nullptr) return;
  SteerPage& page = *board.steer;
  // ORDER: the judge that sees it sees the modules: it looks for its sites in them.
  __atomic_store_n(&page.started, 1, __ATOMIC_RELEASE);
  ring_for_judge();
  const uint64_t start = now_ns();
  uint64_t asked = start;
  while (mode_of(page) == SteerMode::Starting) {
    sleep_on(reinterpret_cast<const uint32_t*>(&page.mode),
             static_cast<uint32_t>(SteerMode::Starting), kNap);
    const uint64_t now = now_ns();
    // It has not taken the board yet, so there is no beat to go by.
    const bool asks = now - asked > kAskForJudge;
    if (asks) asked = now;
    if (now - start > kStartLimit || (asks && !judge_listens())) open_all(page);
  }
}

void wait_at_gate(const Request& request, const CallSite& site, GatePhase phase) {
  if (board.steer == nullptr || (request.flags & (format::kTimed | format::kTry)) != 0) return;
  SteerPage& page = *board.steer;
  if (!stops(page, site, phase)) return;
  Gate* gate = nullptr;
  if (HookScope log(site); log) {
    // One level more of a lock that is held already cannot block.
    if (request.recursive && log->find_hold(request.address) != nullptr) return;
    gate = &board.gates[log->card - board.cards];
    // A signal handler of a thread that stands at its gate already.
    if (gate->arrived != gate->passed) return;
    gate->uid = log->uid;
  }
  if (gate == nullptr) return;
  gate->address = request.address;
  gate->object = request.object;
  gate->site = site.pc;
  gate->frame = site.frame;
  gate->kind = request.kind;
  gate->flags = request.flags;
  gate->phase = phase;
  const uint32_t number = gate->arrived + 1;
  // ORDER: the judge that sees the arrival sees what it is for.
  __atomic_store_n(&gate->arrived, number, __ATOMIC_RELEASE);
  ring_for_judge();
  wait_until_opened(page, *gate, number);
  // ORDER: the judge that sees the gate passed may see what follows it.
  __atomic_store_n(&gate->passed, number, __ATOMIC_RELEASE);
}

}  // namespace gordian::runtime
