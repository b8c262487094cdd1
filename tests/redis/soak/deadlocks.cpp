// SPDX-License-Identifier: Apache-2.0
#include "deadlocks.h"

#include "board.h"
#include "faults.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <mutex>
#include <numeric>
#include <pthread.h>
#include <random>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace soak {
namespace {

using namespace std::chrono_literals;
using gordian::redis::client_options;
using gordian::redis::deadlock_member;
using gordian::redis::lease;
using gordian::redis::lock_client;
using Clock = std::chrono::steady_clock;

constexpr unsigned kMembers = 8;
constexpr auto kSoonEnough = 1s;
// A ring that is never broken ends no thread of it: then the members are killed.
constexpr auto kTooLong = 30s;

struct Ring {
  unsigned members = 0;
  unsigned runs = 0;
  bool hybrid = false;
  uint32_t seed = 0;
  char url[64] = {};
  pthread_barrier_t meeting{};
  std::atomic<int64_t> asked_ns{0};   // when the last of them did
  std::atomic<int64_t> victim_ns{0};  // when it was told
  std::atomic<unsigned> victims{0};
  std::atomic<unsigned> served{0};      // members that got the lock they asked for
  std::atomic<unsigned> bystanders{0};  // threads behind the ring that asked,
  std::atomic<unsigned> bystanders_served{0};
  std::atomic<uint64_t> slowest_us{0};
  std::atomic<unsigned> deadlocks{0};
  std::atomic<unsigned> violations{0};

  void meet() { pthread_barrier_wait(&meeting); }
  void violation(const char* what) {
    ++violations;
    std::printf("VIOLATION: %s\n", what);
    std::fflush(stdout);
  }
};

Ring* map_ring(int fd) {
  void* const memory = mmap(nullptr, sizeof(Ring), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("no memory to share");
  return static_cast<Ring*>(memory);
}

int64_t now_ns() { return Clock::now().time_since_epoch().count(); }

void raise_to(std::atomic<int64_t>& word, int64_t value) {
  int64_t now = word;
  while (now < value && !word.compare_exchange_weak(now, value)) {
  }
}

// What one member does in one run. All draw the same numbers, so each knows its place.
struct Part {
  std::string own;
  std::string next;
  bool hybrid = false;
  std::chrono::milliseconds pause{};  // before it asks: any member may be the one who closes it
  unsigned more_locks = 0;            // that it holds as well
  bool bystander = false;             // another thread of it asks for the same lock
};

Part draw_part(const Ring& ring, unsigned run, unsigned member) {
  std::mt19937 random(ring.seed + run * 64 + ring.members * 8 + (ring.hybrid ? 1 : 0));
  std::vector<unsigned> places(ring.members);
  std::iota(places.begin(), places.end(), 0U);
  std::shuffle(places.begin(), places.end(), random);
  const unsigned one_hybrid = random() % ring.members;
  std::vector<Part> parts(ring.members);
  const auto name = [&](unsigned place) {
    return "ring-" + std::to_string(ring.members) + (ring.hybrid ? "h-" : "-") +
           std::to_string(run) + "-" + std::to_string(place % ring.members);
  };
  for (unsigned i = 0; i < ring.members; ++i)
    parts[i] = {.own = name(places[i]),
                .next = name(places[i] + 1),
                .hybrid = ring.hybrid && (i == one_hybrid || random() % 2 == 0),
                .pause = std::chrono::milliseconds(random() % 3 == 0 ? random() % 150 : 0),
                .more_locks = static_cast<unsigned>(random() % 3),
                .bystander = random() % 4 == 0};
  return parts[member];
}

// The lock of the next member, as the last edge of the ring or one of the others. The bystander, if
// there is one: it is served once the member's own lock is released.
[[nodiscard]] std::thread ask_for_next(lock_client& client, Ring& ring, const Part& part) {
  std::this_thread::sleep_for(part.pause);
  std::thread bystander;
  if (part.bystander) {
    ++ring.bystanders;
    bystander = std::thread([&] {
      client.acquire(part.next).release();
      ++ring.bystanders_served;
    });
  }
  raise_to(ring.asked_ns, now_ns());
  try {
    client.acquire(part.next).release();
    ++ring.served;
  } catch (const gordian::redis::deadlock_error& error) {
    ring.victim_ns = now_ns();
    ++ring.victims;
    if (error.cycle().size() != ring.members) ring.violation("a cycle of another size");
    if (part.hybrid && error.cycle().front().local_waits.size() != 1)
      ring.violation("the mutex is not named");
    if (error.cycle().front().stack.empty()) ring.violation("no stack");
  }
  return bystander;
}

void until_it_sleeps_in_futex(pid_t thread) {
  const std::string path = "/proc/self/task/" + std::to_string(thread) + "/syscall";
  std::string line;
  do {
    std::ifstream file(path);
    std::getline(file, line);
  } while (!line.starts_with("202 "));
}

void one_ring(lock_client& client, Ring& ring, const Part& part) {
  lease held = client.acquire(part.own);
  ring.meet();
  std::thread bystander = ask_for_next(client, ring, part);
  held.release();
  if (bystander.joinable()) bystander.join();
}

// One thread holds the lease and waits for the mutex of another, which waits for the next lease.
void one_hybrid(lock_client& client, Ring& ring, const Part& part) {
  std::mutex mutex;
  std::unique_lock hold(mutex);
  std::atomic<pid_t> holder{0};
  std::atomic<bool> has_lease{false};
  std::thread holds_lease([&] {
    lease held = client.acquire(part.own);
    holder = gettid();
    has_lease = true;
    has_lease.notify_one();
    const std::lock_guard want(mutex);
    held.release();
  });
  has_lease.wait(false);
  until_it_sleeps_in_futex(holder);
  ring.meet();
  std::thread bystander = ask_for_next(client, ring, part);
  hold.unlock();
  holds_lease.join();
  if (bystander.joinable()) bystander.join();
}

void judge(Ring& ring) {
  if (ring.victims != 1) ring.violation(ring.victims == 0 ? "no victim" : "more than one victim");
  if (ring.victims + ring.served != ring.members) ring.violation("a member was not served");
  if (ring.bystanders != ring.bystanders_served) ring.violation("a bystander was not served");
  const std::chrono::nanoseconds took(ring.victim_ns - ring.asked_ns);
  if (took > kSoonEnough) ring.violation("it took more than a second");
  soak::raise_to(ring.slowest_us, static_cast<uint64_t>(took.count() / 1000));
  ++ring.deadlocks;
  ring.victims = 0;
  ring.served = 0;
  ring.asked_ns = 0;
}

pid_t start_self(const char* role, int fd, unsigned number) {
  const std::string descriptor = std::to_string(fd), text = std::to_string(number);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  execl("/proc/self/exe", "redis_soak", role, descriptor.c_str(), text.c_str(), nullptr);
  _exit(127);
}

// Until all have ended, or no ring has been broken for too long. The number of those that ended
// well.
unsigned wait_for_members(Ring& ring, const std::vector<pid_t>& pids) {
  std::vector<pid_t> left = pids;
  unsigned broken = 0, well = 0;
  auto since = Clock::now();
  while (!left.empty()) {
    std::erase_if(left, [&well](pid_t pid) {
      int status = 0;
      if (waitpid(pid, &status, WNOHANG) != pid) return false;
      well += status == 0 ? 1 : 0;
      return true;
    });
    if (const unsigned now = ring.deadlocks; now != broken) {
      broken = now;
      since = Clock::now();
    }
    if (Clock::now() - since > kTooLong) {
      ring.violation("a ring stands still for ever");
      for (const pid_t pid : left) kill(pid, SIGKILL);
      since = Clock::now();
    }
    if (!left.empty()) std::this_thread::sleep_for(5ms);  // a rate
  }
  return well;
}

struct Outcome {
  unsigned deadlocks = 0;
  unsigned violations = 0;
};

Outcome make_rings(const redis_test::RedisServer& server, unsigned members, bool hybrid,
                   unsigned runs, uint32_t seed) {
  const int fd = memfd_create("soak-ring", 0);
  if (fd < 0 || ftruncate(fd, sizeof(Ring)) != 0) throw std::runtime_error("no memory to share");
  Ring& ring = *new (map_ring(fd)) Ring;
  ring.members = members;
  ring.runs = runs;
  ring.hybrid = hybrid;
  ring.seed = seed;
  std::snprintf(ring.url, sizeof ring.url, "%s", server.url().c_str());
  pthread_barrierattr_t shared;
  pthread_barrierattr_init(&shared);
  pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
  pthread_barrier_init(&ring.meeting, &shared, members);
  std::vector<pid_t> pids;
  for (unsigned member = 0; member < members; ++member)
    pids.push_back(start_self("ring", fd, member));
  if (wait_for_members(ring, pids) != members) ring.violation("a member ended otherwise");
  std::printf("%s of %u: %u deadlocks, %u violations, the slowest told after %llu ms\n",
              hybrid ? "hybrid ring" : "ring", members, ring.deadlocks.load(),
              ring.violations.load(), static_cast<unsigned long long>(ring.slowest_us / 1000));
  std::fflush(stdout);
  const Outcome outcome{.deadlocks = ring.deadlocks,
                        .violations = ring.violations + (ring.deadlocks == runs ? 0U : 1U)};
  munmap(&ring, sizeof ring);
  close(fd);
  return outcome;
}

// --- traffic ------------------------------------------------------------------------------------

class Traffic {
 public:
  Traffic(Board& board, unsigned process) : board_(board), process_(process) {}

  void run() {
    client_options options;
    options.servers = {board_.urls[0][0]};
    options.validity = 1000ms;
    options.deadlock_delay = 20ms;
    options.deadlocks = gordian::redis::deadlock_mode::raise;
    options.on_deadlock = [this](const std::vector<deadlock_member>&) {
      board_.violation("a deadlock is claimed, and there is none");
    };
    lock_client client(options);
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < board_.threads; ++thread)
      threads.emplace_back([this, &client, thread] {
        std::mt19937 random(board_.seed + process_ * 64 + thread + static_cast<unsigned>(getpid()));
        while (!board_.stop) one_round(client, random);
      });
    for (std::thread& thread : threads) thread.join();
  }

 private:
  static std::string lock(unsigned number) { return "traffic-" + std::to_string(number); }

  // Without a limit only upwards, and the mutexes come last; the other way round with a limit.
  void one_round(lock_client& client, std::mt19937& random) {
    try {
      const unsigned low = random() % 5, high = low + 1 + random() % 3;
      const bool upwards = random() % 4 != 0;
      const lease one = client.acquire(lock(upwards ? low : high), 5s);
      const gordian::redis::wait_limit limit =
          upwards ? gordian::redis::wait_limit()
                  : gordian::redis::wait_limit(std::chrono::milliseconds(random() % 200));
      const lease other = client.acquire(lock(upwards ? high : low), limit);
      std::unique_lock<std::mutex> local;
      if (random() % 2 == 0) local = std::unique_lock(mutexes_[random() % 2]);
      ++board_.acquisitions;
      if (random() % 3 == 0) std::this_thread::sleep_for(random() % 60 * 1ms);  // work
    } catch (const gordian::redis::deadlock_error&) {
      board_.violation("a thread was made a victim, and there is no deadlock");
    } catch (const gordian::redis::lock_error&) {
      ++board_.deadlines;
    }
  }

  Board& board_;
  const unsigned process_;
  std::mutex mutexes_[2];
};

}  // namespace

int make_deadlocks(unsigned runs, uint32_t seed) {
  const redis_test::RedisServer server;
  Outcome all;
  const auto add = [&](unsigned members, bool hybrid) {
    const Outcome outcome = make_rings(server, members, hybrid, runs, seed);
    all.deadlocks += outcome.deadlocks;
    all.violations += outcome.violations;
  };
  for (const unsigned members : {2U, 3U, kMembers}) add(members, false);
  add(2, true);
  std::printf("%u deadlocks, %u violations (seed %u)\n", all.deadlocks, all.violations, seed);
  return all.violations == 0 ? 0 : 1;
}

int run_ring_member(int fd, unsigned member) {
  Ring& ring = *map_ring(fd);
  client_options options;
  options.servers = {ring.url};
  options.deadlocks = gordian::redis::deadlock_mode::raise;
  lock_client client(options);
  for (unsigned run = 0; run < ring.runs; ++run) {
    const Part part = draw_part(ring, run, member);
    std::vector<lease> more;
    for (unsigned i = 0; i < part.more_locks; ++i)
      more.push_back(client.acquire(part.own + "-more-" + std::to_string(i)));
    (part.hybrid ? one_hybrid : one_ring)(client, ring, part);
    more.clear();
    ring.meet();
    if (member == 0) judge(ring);
    ring.meet();
  }
  return 0;
}

int make_traffic(unsigned seconds, uint32_t seed) {
  SharedBoard board;
  board->seed = seed;
  board->threads = 4;
  const redis_test::RedisServer server;
  std::snprintf(board->urls[0][0], sizeof board->urls[0][0], "%s", server.url().c_str());
  std::mt19937 random(seed);
  Fleet fleet(board, 3, "traffic");
  const auto until = Clock::now() + std::chrono::seconds(seconds);
  unsigned crashes = 0;
  while (Clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200 + random() % 600));  // the pace
    if (++crashes % 3 == 0)
      fleet.stop_for(random() % fleet.count(), std::chrono::milliseconds(random() % 1500));
    else
      fleet.kill_and_start(random() % fleet.count());
  }
  board->stop = true;
  if (fleet.wait_for_end(20s) != 0) board->violation("a process does not come to its end");
  for (const auto& words : board->words)
    if (words[0] != 0) std::printf("VIOLATION: %s\n", words.data());
  std::printf(
      "%llu rounds, %llu violations, %u crashes and stops, %llu requests refused (seed %u)\n",
      static_cast<unsigned long long>(board->acquisitions),
      static_cast<unsigned long long>(board->violations), crashes,
      static_cast<unsigned long long>(board->deadlines), seed);
  return board->violations == 0 && board->acquisitions != 0 ? 0 : 1;
}

int run_traffic(int fd, unsigned process) {
  const SharedBoard board(fd);
  Traffic(*board, process).run();
  return 0;
}

}  // namespace soak
