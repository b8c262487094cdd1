// SPDX-License-Identifier: Apache-2.0
#include "watch/owner_gone.h"

#include "process/live.h"

#include <cerrno>
#include <csignal>
#include <optional>
#include <sys/syscall.h>
#include <unistd.h>

namespace gordian::watch {
namespace {

// A thread that has ended may stay for long, as a zombie: the first one of a process while others
// run, and a whole process until its parent asks. By then it has woken whoever waited for its end.
bool is_over(const std::optional<process::ThreadReading>& reading) {
  return reading && (reading->state == 'Z' || reading->state == 'X');
}

// Asked with a signal that is none, because /proc may hide what belongs to others.
bool has_ended(int pid, int tid) {
  if (syscall(SYS_tgkill, pid, tid, 0) != 0 && errno == ESRCH) return true;
  return is_over(process::read_thread(pid, tid));
}

bool has_ended(int tid) {
  if (kill(tid, 0) != 0 && errno == ESRCH) return true;
  // /proc shows every thread under its own number too.
  return is_over(process::read_thread(tid, tid));
}

}  // namespace

bool owner_has_gone(WatchedProcess& process, uint32_t owner, bool shared) {
  const int tid = process.outer_tid(owner);
  if (shared) return tid != 0 && has_ended(tid);
  return tid == 0 || has_ended(process.pid(), tid);
}

LeftLocks::LeftLocks(trace::BoardReader& board) {
  const format::BoardHeader& header = board.header();
  trustworthy_ =
      header.inexact_events == 0 && header.dropped_holds == 0 && header.dropped_threads == 0;
  if (!trustworthy_) return;
  for (const trace::ThreadEndEntry& end : board.read_log().thread_ends) {
    for (const format::Hold& hold : end.holds) {
      const bool is_sure = (hold.flags & (format::kUncertain | format::kSuspended)) == 0;
      if (is_sure) left_[{hold.kind, hold.address}] += hold.count;
    }
  }
}

bool LeftLocks::are_all(format::Kind kind, uint64_t address, uint32_t holders) const {
  if (holders == 0 || !trustworthy_) return false;
  const auto left = left_.find({kind, address});
  return left != left_.end() && left->second == holders;
}

}  // namespace gordian::watch
