// SPDX-License-Identifier: Apache-2.0
// The memory that the processes of a soak share, and the checks that are made through it.
//
// Everything in it is an atomic word, so a process may be killed at any instruction and the others
// go on. Times are of CLOCK_MONOTONIC, which all processes of a machine share.
#pragma once

#include "gordian/redis_lock.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

namespace soak {

constexpr unsigned kMaxProcesses = 16;
constexpr unsigned kMaxLocks = 16;
constexpr unsigned kMaxServers = 8;
constexpr unsigned kMaxWords = 32;  // of violations that are kept

// One lock, as the processes see it that hold it.
struct LockCheck {
  // Two sections of one lock overlap if each finds the other inside while its own lease is valid.
  // A section is known by the number of its entry.
  std::atomic<uint64_t> entries{0};
  std::atomic<uint64_t> last_valid_entry{0};
  std::atomic<uint64_t> entries_at_valid_exit{0};

  // Whoever asks for the lock after a token was seen gets a larger one.
  std::atomic<uint64_t> largest_token{0};

  // What the lock protects. It refuses a token smaller than one it has seen, and knows nothing
  // else: the token (less Board::first_token) and the value are one word, so that a write is one
  // step.
  std::atomic<uint64_t> stored{0};

  // The same without tokens: a count that is right only if nobody else is inside.
  std::atomic<uint64_t> plain_count{0};
  std::atomic<uint64_t> plain_additions{0};
};

struct ProcessState {
  // Odd while the process is stopped by us; changes whenever it was.
  std::atomic<uint32_t> stops{0};
  std::atomic<int64_t> clock_skew_s{0};  // of its time of day
};

struct Board {
  // --- how to run: written before a process starts
  bool fencing = true;
  bool faults = true;
  bool apart = false;  // each process takes locks of its own, to see that the checks see that
  unsigned locks = 4;
  unsigned threads = 8;
  uint32_t seed = 1;
  int64_t validity_ms = 1000;
  int64_t command_timeout_ms = 400;
  char topology[16] = {};
  // For even processes, then for odd ones: these go through a proxy. Of sentinels: what they name
  // is one.
  std::array<std::array<char[64], kMaxServers>, 2> urls{};
  uint64_t first_token = 0;

  // --- what happens
  std::atomic<bool> stop{false};
  // Odd while a server forgets: changes whenever one did. Leases from before then prove nothing.
  std::atomic<uint32_t> losses{0};
  std::array<ProcessState, kMaxProcesses> processes;
  std::array<LockCheck, kMaxLocks> checks;

  std::atomic<uint64_t> acquisitions{0};
  std::atomic<uint64_t> checked{0};    // of them: nothing was forgotten, and valid to their end
  std::atomic<uint64_t> deadlines{0};  // requests that ended so
  std::atomic<uint64_t> transport_errors{0};
  std::atomic<uint64_t> lost{0};
  std::atomic<uint64_t> stale_refused{0};
  std::atomic<uint64_t> latest_us{0};  // how long after its deadline a request ended
  std::atomic<uint64_t> violations{0};
  std::array<std::array<char, 200>, kMaxWords> words{};

  void violation(const std::string& what);
};

// Anonymous memory with a descriptor that a started program inherits.
class SharedBoard {
 public:
  SharedBoard();                 // a new one
  explicit SharedBoard(int fd);  // another process's
  SharedBoard(const SharedBoard&) = delete;
  SharedBoard& operator=(const SharedBoard&) = delete;

  [[nodiscard]] Board& operator*() const { return *board_; }
  [[nodiscard]] Board* operator->() const { return board_; }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
  Board* board_;
};

// --- the checks ---------------------------------------------------------------------------------

// A word that was even and has not changed since.
class Unchanged {
 public:
  explicit Unchanged(const std::atomic<uint32_t>& word) : word_(word), before_(word) {}
  explicit operator bool() const { return before_ % 2 == 0 && word_ == before_; }

 private:
  const std::atomic<uint32_t>& word_;
  const uint32_t before_;
};

// For a client of the servers of a process.
gordian::redis::client_options options_for(const Board& board, unsigned process);

// Under which the sentinels of a soak watch their master.
inline constexpr char kSentinelMaster[] = "shop";

// Raises an atomic to at least `value`.
void raise_to(std::atomic<uint64_t>& word, uint64_t value);

// The protected store: opened with a token, read, written. False: refused, the token is stale.
class FencedStore {
 public:
  FencedStore(Board& board, LockCheck& check, uint64_t token);
  [[nodiscard]] bool is_open() const { return open_; }
  bool add_one();

 private:
  Board& board_;
  LockCheck& check_;
  uint64_t token_;
  uint64_t read_ = 0;
  bool open_ = false;
};

int run_worker(int fd, unsigned process);

}  // namespace soak
