// SPDX-License-Identifier: Apache-2.0
// A process of the soak: threads that take locks at random and check what they see.
#include "board.h"
#include "gordian/redis_lock.h"

#include <chrono>
#include <cstdio>
#include <ctime>
#include <optional>
#include <random>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace soak {
namespace {

std::atomic<const ProcessState*> own_state{nullptr};

}  // namespace
}  // namespace soak

// The process's time of day is what the driver wants it to be.
extern "C" int clock_gettime(clockid_t clock, timespec* time) {
  const int result = static_cast<int>(syscall(SYS_clock_gettime, clock, time));
  const soak::ProcessState* const state = soak::own_state;
  if (state != nullptr && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    time->tv_sec += state->clock_skew_s;
  return result;
}

namespace soak {
namespace {

using namespace std::chrono_literals;
using gordian::redis::client_options;
using gordian::redis::lease;
using gordian::redis::lock_client;
using Clock = std::chrono::steady_clock;

constexpr auto kLateBy = 100ms;

// How long the calling thread could have run and had no processor: not the client's doing.
std::chrono::nanoseconds waited_for_a_processor() {
  char path[64], text[128] = {};
  std::snprintf(path, sizeof path, "/proc/self/task/%d/schedstat", gettid());
  FILE* const file = std::fopen(path, "re");
  if (file == nullptr) return {};
  unsigned long long ran = 0, waited = 0;
  const size_t size = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  if (size == 0 || std::sscanf(text, "%llu %llu", &ran, &waited) != 2) return {};
  return std::chrono::nanoseconds(waited);
}

class Worker {
 public:
  Worker(Board& board, unsigned process)
      : board_(board), process_(process), state_(board.processes[process]) {}

  void run() {
    std::vector<std::thread> threads;
    const std::unique_ptr<lock_client> client = connect();
    if (!client) return;
    for (unsigned thread = 0; thread < board_.threads; ++thread)
      threads.emplace_back([this, thread, &client] { work(*client, thread); });
    for (std::thread& thread : threads) thread.join();
  }

 private:
  [[nodiscard]] client_options options() const {
    client_options options = options_for(board_, process_);
    if (board_.apart) options.key_prefix += std::to_string(process_);
    options.validity = std::chrono::milliseconds(board_.validity_ms);
    options.command_timeout = std::chrono::milliseconds(board_.command_timeout_ms);
    options.connect_timeout = options.command_timeout;
    if (process_ / 2 % 2 == 1)
      options.on_transport_error = gordian::redis::transport_policy::keep_trying;
    return options;
  }

  std::unique_ptr<lock_client> connect() {
    while (!board_.stop) {
      try {
        return std::make_unique<lock_client>(options());
      } catch (const gordian::redis::transport_error&) {
        ++board_.transport_errors;
        std::this_thread::sleep_for(20ms);  // a rate
      }
    }
    return nullptr;
  }

  void work(lock_client& client, unsigned thread) {
    std::mt19937 random(board_.seed * 1000 + process_ * 64 + thread +
                        static_cast<unsigned>(getpid()));
    while (!board_.stop) {
      try {
        one_round(client, random);
      } catch (const gordian::redis::deadline_error&) {
        ++board_.deadlines;
      } catch (const gordian::redis::transport_error&) {
        ++board_.transport_errors;
      } catch (const gordian::redis::lost_error&) {
        ++board_.lost;
      } catch (const std::exception& error) {
        board_.violation(std::string("an error nobody asked for: ") + error.what());
      }
    }
  }

  // A request that ends after its time, whatever it came to.
  class InTime {
   public:
    InTime(Board& board, const ProcessState& state, std::chrono::milliseconds limit,
           const char* what)
        : board_(board), what_(what), until_(Clock::now() + limit), not_stopped_(state.stops) {}
    InTime(const InTime&) = delete;
    InTime& operator=(const InTime&) = delete;
    ~InTime() {
      const auto late = Clock::now() - until_ - (waited_for_a_processor() - waited_before_);
      if (late <= 0ns || !not_stopped_) return;
      const auto us = std::chrono::duration_cast<std::chrono::microseconds>(late).count();
      raise_to(board_.latest_us, static_cast<uint64_t>(us));
      if (late > kLateBy)
        board_.violation(std::string(what_) + " ended " + std::to_string(us / 1000) +
                         " ms after its time");
    }
    [[nodiscard]] Clock::time_point until() const { return until_; }

   private:
    Board& board_;
    const char* what_;
    const Clock::time_point until_;
    const Unchanged not_stopped_;
    const std::chrono::nanoseconds waited_before_ = waited_for_a_processor();
  };

  void one_round(lock_client& client, std::mt19937& random) {
    const unsigned number = random() % board_.locks;
    LockCheck& check = board_.checks[number];
    const Unchanged nothing_forgotten(board_.losses);
    const uint64_t token_before = check.largest_token;
    lease held;
    {
      const InTime in_time(board_, state_, std::chrono::milliseconds(50 + random() % 1500),
                           "a request");
      held = client.acquire("soak-" + std::to_string(number), in_time.until());
    }
    ++board_.acquisitions;
    if (board_.fencing) {
      fenced_section(held, check, token_before, nothing_forgotten, random);
    } else {
      plain_section(held, check, nothing_forgotten, random);
    }
    if (random() % 2 == 0) {
      held.release_async();
      return;
    }
    const InTime in_time(board_, state_, std::chrono::milliseconds(board_.command_timeout_ms),
                         "a release");
    held.release();
  }

  static void stay(std::mt19937& random) {
    const unsigned choice = random() % 64;
    if (choice == 0) std::this_thread::sleep_for(20ms);  // work under the lock
    if (choice == 1) std::this_thread::yield();
  }

  // A lease that is valid at the end was valid all the time, and a section that began or ended
  // inside shows that two held the lock. Each shows itself, looks for the other, and is still valid
  // after that; one of the two sees it.
  uint64_t enter(const lease& held, LockCheck& check, const Unchanged& nothing_forgotten) {
    const uint64_t entry = ++check.entries;
    if (!held.valid() || !nothing_forgotten) return entry;
    raise_to(check.last_valid_entry, entry);
    if (check.entries_at_valid_exit >= entry) two_holders(held, nothing_forgotten);
    return entry;
  }
  void leave(const lease& held, LockCheck& check, const Unchanged& nothing_forgotten,
             uint64_t entry) {
    const uint64_t entries = check.entries;
    if (!held.valid() || !nothing_forgotten) return;
    ++board_.checked;
    raise_to(check.entries_at_valid_exit, entries);
    if (check.last_valid_entry > entry) two_holders(held, nothing_forgotten);
  }
  void two_holders(const lease& held, const Unchanged& nothing_forgotten) {
    if (held.valid() && nothing_forgotten) board_.violation("two holders of " + held.name());
  }

  void plain_section(const lease& held, LockCheck& check, const Unchanged& nothing_forgotten,
                     std::mt19937& random) {
    const uint64_t entry = enter(held, check, nothing_forgotten);
    const uint64_t count = check.plain_count;
    stay(random);
    ++check.plain_additions;
    check.plain_count = count + 1;
    leave(held, check, nothing_forgotten, entry);
  }

  void fenced_section(const lease& held, LockCheck& check, uint64_t token_before,
                      const Unchanged& nothing_forgotten, std::mt19937& random) {
    const uint64_t token = held.fencing_token();
    // One that was lost meanwhile, in a process that was stopped, may be older.
    if (token <= token_before && held.valid() && nothing_forgotten)
      board_.violation("token " + std::to_string(token) + " after token " +
                       std::to_string(token_before) + " was seen");
    raise_to(check.largest_token, token);
    const uint64_t entry = enter(held, check, nothing_forgotten);
    FencedStore store(board_, check, token);
    stay(random);
    if (!store.is_open() || !store.add_one()) ++board_.stale_refused;
    leave(held, check, nothing_forgotten, entry);
  }

  Board& board_;
  const unsigned process_;
  ProcessState& state_;
};

}  // namespace

int run_worker(int fd, unsigned process) {
  const SharedBoard board(fd);
  own_state = &board->processes[process];
  Worker(*board, process).run();
  own_state = nullptr;
  return 0;
}

}  // namespace soak
