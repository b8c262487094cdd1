// SPDX-License-Identifier: Apache-2.0
// Many processes take locks of the same servers while things go wrong, and check that no two ever
// hold one. `tools/soak` is how people call it.
#include "deadlocks.h"
#include "faults.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr char kUsage[] =
    "redis_soak [--time SECONDS] [--faults all|none|apart]\n"
    "           [--topology one|independent|sentinel|cluster]\n"
    "           [--processes N] [--threads N] [--locks N] [--seed N]\n"
    "redis_soak deadlocks [--runs N] [--seed N]\n"
    "redis_soak claims [--time SECONDS] [--seed N]\n";

struct Options {
  unsigned time = 600;
  unsigned runs = 200;
  unsigned processes = 8;
  unsigned threads = 8;
  unsigned locks = 4;
  uint32_t seed = static_cast<uint32_t>(getpid());
  std::string faults = "all";
  std::string topology = "one";
};

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  const std::map<std::string_view, unsigned*> numbers{
      {"--time", &options.time},           {"--runs", &options.runs},
      {"--processes", &options.processes}, {"--threads", &options.threads},
      {"--locks", &options.locks},         {"--seed", &options.seed}};
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return std::nullopt;
    if (const auto found = numbers.find(argv[i]); found != numbers.end()) {
      char* end = nullptr;
      *found->second = static_cast<unsigned>(std::strtoul(argv[i + 1], &end, 10));
      if (*end != 0 || *found->second == 0) return std::nullopt;
    } else if (std::strcmp(argv[i], "--faults") == 0) {
      options.faults = argv[i + 1];
    } else if (std::strcmp(argv[i], "--topology") == 0) {
      options.topology = argv[i + 1];
    } else {
      return std::nullopt;
    }
  }
  const auto is_one_of = [](const std::string& word, std::initializer_list<const char*> all) {
    return std::find(all.begin(), all.end(), word) != all.end();
  };
  if (!is_one_of(options.topology, {"one", "independent", "sentinel", "cluster"}) ||
      !is_one_of(options.faults, {"all", "none", "apart"}))
    return std::nullopt;
  if (options.processes > soak::kMaxProcesses || options.locks > soak::kMaxLocks)
    return std::nullopt;
  return options;
}

// Whatever has happened, nothing of it stays.
void check_that_locks_are_usable(soak::SharedBoard& board) {
  gordian::redis::lock_client client(options_for(*board, 0));
  for (unsigned lock = 0; lock < board->locks; ++lock) {
    try {
      client
          .acquire("soak-" + std::to_string(lock),
                   std::chrono::milliseconds(board->validity_ms) + 1s)
          .release();
    } catch (const gordian::redis::lock_error& error) {
      board->violation(std::string("a lock is not free at the end: ") + error.what());
    }
  }
}

void check_counts(soak::SharedBoard& board) {
  for (unsigned lock = 0; lock < board->locks; ++lock) {
    const soak::LockCheck& check = board->checks[lock];
    if (check.plain_count != check.plain_additions)
      board->violation("an unprotected count has " + std::to_string(check.plain_count) +
                       " instead of " + std::to_string(check.plain_additions));
  }
}

int soak_locks(const Options& options) {
  soak::SharedBoard board;
  board->faults = options.faults == "all";
  board->fencing = board->faults;
  board->apart = options.faults == "apart";
  board->locks = options.locks;
  board->threads = options.threads;
  board->seed = options.seed;
  std::snprintf(board->topology, sizeof board->topology, "%s", options.topology.c_str());
  soak::Servers servers(options.topology);
  servers.write_urls(*board);
  if (board->fencing) {
    gordian::redis::lock_client client(options_for(*board, 0));
    board->first_token = client.acquire("the first token").fencing_token() - 1;
  }
  std::mt19937 random(options.seed);
  unsigned faults = 0;
  {
    soak::Fleet fleet(board, options.processes);
    const auto until = Clock::now() + std::chrono::seconds(options.time);
    if (board->faults)
      faults = run_faults(board, servers, fleet, random, until);
    else
      std::this_thread::sleep_until(until);
    board->stop = true;
    if (const unsigned left = fleet.wait_for_end(20s); left != 0)
      board->violation(std::to_string(left) + " processes do not come to their end");
  }
  servers.settle();
  check_that_locks_are_usable(board);
  check_counts(board);
  for (const auto& words : board->words)
    if (words[0] != 0) std::printf("VIOLATION: %s\n", words.data());
  const auto number = [](const std::atomic<uint64_t>& word) {
    return static_cast<unsigned long long>(word);
  };
  std::printf(
      "%llu acquisitions, %llu violations, %llu checked to their end, %u faults, %u failovers, "
      "%llu requests at their deadline, %llu transport errors, %llu leases lost, "
      "%llu stale writes refused, none later than %llu ms (seed %u)\n",
      number(board->acquisitions), number(board->violations), number(board->checked), faults,
      servers.failovers(), number(board->deadlines), number(board->transport_errors),
      number(board->lost), number(board->stale_refused), number(board->latest_us) / 1000,
      options.seed);
  return board->violations == 0 && board->acquisitions != 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view role = argc > 1 ? argv[1] : "";
  if (argc == 4) {  // started by another one of us
    const int fd = std::atoi(argv[2]);
    const auto number = static_cast<unsigned>(std::atoi(argv[3]));
    if (role == "worker") return soak::run_worker(fd, number);
    if (role == "ring") return soak::run_ring_member(fd, number);
    if (role == "traffic") return soak::run_traffic(fd, number);
  }
  if (role == "deadlocks" || role == "claims") {
    argv += 1;
    argc -= 1;
  }
  const std::optional<Options> options = parse(argc, argv);
  if (!options) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  if (role == "deadlocks") return soak::make_deadlocks(options->runs, options->seed);
  if (role == "claims") return soak::make_traffic(options->time, options->seed);
  return soak_locks(*options);
}
