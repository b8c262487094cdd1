// SPDX-License-Identifier: Apache-2.0
// <gordian/redis_lock.h> beside a plain hiredis loop of SET and DEL, the floor of any such lock.
// `tools/bench redis` runs it: redis PORT ROW prints one JSON object.
#include <gordian/redis_lock.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <hiredis/hiredis.h>
#include <memory>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using namespace std::chrono_literals;
using gordian::redis::client_options;
using gordian::redis::deadlock_mode;
using gordian::redis::lease;
using gordian::redis::lock_client;
using Clock = std::chrono::steady_clock;

int port = 0;

client_options options(deadlock_mode mode = deadlock_mode::report) {
  client_options options;
  options.servers = {"redis://127.0.0.1:" + std::to_string(port)};
  options.deadlocks = mode;
  return options;
}

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

template <typename Round>
double per_second(std::chrono::milliseconds time, Round round) {
  const auto begin = Clock::now();
  size_t rounds = 0;
  while (Clock::now() - begin < time) {
    for (int i = 0; i < 64; ++i) round();
    rounds += 64;
  }
  return static_cast<double>(rounds) / seconds_since(begin);
}

double middle(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// All variants in turn. A share is of neighbouring turns, so that what disturbs the machine for a
// while disturbs both; the middle of the shares counts.
void uncontended() {
  redisContext* const plain = redisConnect("127.0.0.1", port);
  if (plain == nullptr || plain->err != 0) std::exit(2);
  lock_client detecting(options()), not_detecting(options(deadlock_mode::off));
  const auto run = [plain](const char* format) { freeReplyObject(redisCommand(plain, format)); };
  const auto lock = [](lock_client& client) { client.acquire("bench").release(); };
  std::vector<double> floor, ours, share, cost;
  for (int turn = 0; turn < 31; ++turn) {
    floor.push_back(per_second(50ms, [&] {
      run("SET floor xxxxxxxxxxxxxxxxxxxxxxxx NX PX 5000");
      run("DEL floor");
    }));
    ours.push_back(per_second(50ms, [&] { lock(detecting); }));
    const double without = per_second(50ms, [&] { lock(not_detecting); });
    share.push_back(ours.back() / floor.back());
    cost.push_back(100 * (1 - ours.back() / without));
  }
  redisFree(plain);
  std::printf(R"({"floor": %.0f, "pairs": %.0f, "share": %.4f, "cost": %.3f})", middle(floor),
              middle(ours), middle(share), middle(cost));
}

// Each with a lock of its own.
void callers(unsigned count) {
  lock_client client(options());
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> pairs{0};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < count; ++i)
    threads.emplace_back([&, name = "own-" + std::to_string(i)] {
      uint64_t own = 0;
      for (; !stop; ++own) client.acquire(name).release();
      pairs += own;
    });
  const auto begin = Clock::now();
  std::this_thread::sleep_for(2s);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  std::printf(R"({"pairs": %.0f})", static_cast<double>(pairs) / seconds_since(begin));
}

struct Shared {
  std::atomic<int> holder{-1};
  std::atomic<int> waits[2];
  std::atomic<int64_t> released_ns{0};
};

// One side of a hand-off: a lock of ours, or what hand-off takes at least where a server pushes:
// DEL and PUBLISH in one, in the other the message and SET.
class Side {
 public:
  virtual ~Side() = default;
  virtual void take() = 0;
  virtual void let_go() = 0;
};

class OurSide : public Side {
 public:
  void take() override { held_ = client_.acquire("hand-off"); }
  void let_go() override { held_.release(); }

 private:
  lock_client client_{options()};
  lease held_;
};

class PlainSide : public Side {
 public:
  PlainSide() { freeReplyObject(redisCommand(listener_, "SUBSCRIBE hand-off-floor")); }
  void take() override {
    while (!is_set()) {
      void* message = nullptr;
      if (redisGetReply(listener_, &message) != REDIS_OK) _exit(3);
      freeReplyObject(message);
    }
  }
  void let_go() override {
    redisAppendCommand(data_, "DEL hand-off-floor");
    redisAppendCommand(data_, "PUBLISH hand-off-floor x");
    for (int i = 0; i < 2; ++i) {
      void* reply = nullptr;
      if (redisGetReply(data_, &reply) != REDIS_OK) _exit(3);
      freeReplyObject(reply);
    }
  }

 private:
  bool is_set() {
    auto* const reply = static_cast<redisReply*>(
        redisCommand(data_, "SET hand-off-floor xxxxxxxxxxxxxxxxxxxxxxxx NX PX 5000"));
    if (reply == nullptr) _exit(3);
    const bool is_status = reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    return is_status;
  }
  redisContext* const data_ = redisConnect("127.0.0.1", port);
  redisContext* const listener_ = redisConnect("127.0.0.1", port);
};

// From the call of release() in one process to the return of acquire() in the other, which waits.
template <typename OneSide>
std::vector<int64_t> hand_over() {
  constexpr int kRounds = 600;
  void* const memory =
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::exit(2);
  Shared& shared = *new (memory) Shared;
  int results[2];
  if (pipe(results) != 0) std::exit(2);
  for (int own = 0; own < 2; ++own) {
    if (fork() != 0) continue;
    OneSide side;
    for (int round = 0; round < kRounds; ++round) {
      while (shared.holder == own) std::this_thread::sleep_for(20us);  // the other comes first
      shared.waits[own] = gettid();
      side.take();
      const int64_t now = Clock::now().time_since_epoch().count();
      const int64_t us = round == 0 ? -1 : (now - shared.released_ns) / 1000;
      shared.waits[own] = 0;
      shared.holder = own;
      if (us >= 0 && write(results[1], &us, sizeof us) != sizeof us) _exit(3);
      if (round == kRounds - 1) {
        side.let_go();
        break;
      }
      while (shared.waits[1 - own] == 0) std::this_thread::sleep_for(20us);
      std::this_thread::sleep_for(300us);  // until the other waits, as far as its server knows
      shared.released_ns = Clock::now().time_since_epoch().count();
      side.let_go();
    }
    _exit(0);
  }
  close(results[1]);
  std::vector<int64_t> us;
  for (int64_t one = 0; read(results[0], &one, sizeof one) == sizeof one;) us.push_back(one);
  close(results[0]);
  munmap(memory, sizeof(Shared));
  while (wait(nullptr) > 0) {
  }
  std::sort(us.begin(), us.end());
  if (us.empty()) std::exit(2);
  return us;
}

// By turns, as above.
void hand_off() {
  std::vector<double> floor, ours, share;
  for (int turn = 0; turn < 5; ++turn) {
    const auto p50 = [](const std::vector<int64_t>& us) {
      return static_cast<double>(us[us.size() / 2]);
    };
    floor.push_back(p50(hand_over<PlainSide>()));
    ours.push_back(p50(hand_over<OurSide>()));
    share.push_back(ours.back() / floor.back());
  }
  std::printf(R"({"floor": %.0f, "p50": %.0f, "ratio": %.2f})", middle(floor), middle(ours),
              middle(share));
}

void fairness() {
  constexpr size_t kThreads = 64;
  lock_client client(options());
  std::vector<uint64_t> acquisitions(kThreads);
  std::atomic<size_t> ready{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] {
      ++ready;
      while (ready < kThreads) std::this_thread::yield();
      while (!stop) {
        client.acquire("fair").release();
        ++acquisitions[i];
      }
    });
  const auto begin = Clock::now();
  std::this_thread::sleep_for(3s);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  const double time = seconds_since(begin);
  uint64_t total = 0;
  for (const uint64_t count : acquisitions) total += count;
  const auto [least, most] = std::minmax_element(acquisitions.begin(), acquisitions.end());
  std::printf(R"({"least": %llu, "most": %llu, "ratio": %.3f, "pairs": %.0f})",
              static_cast<unsigned long long>(*least), static_cast<unsigned long long>(*most),
              static_cast<double>(*most) / static_cast<double>(std::max<uint64_t>(*least, 1)),
              static_cast<double>(total) / time);
}

// Two clients for one lock, so that somebody always waits.
void contended() {
  const auto rate = [](deadlock_mode mode) {
    lock_client one(options(mode)), other(options(mode));
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> pairs{0};
    std::vector<std::thread> threads;
    for (lock_client* const client : {&one, &other})
      for (int i = 0; i < 4; ++i)
        threads.emplace_back([&stop, &pairs, client] {
          for (; !stop; ++pairs) client->acquire("contended").release();
        });
    const auto begin = Clock::now();
    std::this_thread::sleep_for(400ms);
    const double result = static_cast<double>(pairs) / seconds_since(begin);
    stop = true;
    for (std::thread& thread : threads) thread.join();
    return result;
  };
  std::vector<double> with, cost;
  for (int turn = 0; turn < 15; ++turn) {
    with.push_back(rate(deadlock_mode::report));
    cost.push_back(100 * (1 - with.back() / rate(deadlock_mode::off)));
  }
  std::printf(R"({"pairs": %.0f, "cost": %.3f})", middle(with), middle(cost));
}

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void renewed() {
  lock_client client(options());
  std::vector<lease> leases;
  leases.reserve(10'000);
  for (int i = 0; i < 10'000; ++i) leases.push_back(client.acquire("held-" + std::to_string(i)));
  std::this_thread::sleep_for(3s);  // past the first renewals
  const double before = processor_seconds();
  const auto begin = Clock::now();
  std::this_thread::sleep_for(15s);
  const double percent = 100 * (processor_seconds() - before) / seconds_since(begin);
  const auto lost =
      std::count_if(leases.begin(), leases.end(), [](const lease& one) { return !one.valid(); });
  std::printf(R"({"percent": %.2f, "lost": %lld})", percent, static_cast<long long>(lost));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  port = std::atoi(argv[1]);
  const std::string_view row = argv[2];
  if (row == "uncontended") uncontended();
  if (row == "8 callers") callers(8);
  if (row == "64 callers") callers(64);
  if (row == "hand-off") hand_off();
  if (row == "fairness") fairness();
  if (row == "contended") contended();
  if (row == "renewed") renewed();
  std::puts("");
  return 0;
}
