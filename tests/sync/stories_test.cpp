// SPDX-License-Identifier: Apache-2.0
// The five stories of scenarios/, rebuilt with the parts that rule them out: many randomised runs
// without a hang, and, with the levels swapped, an error in one thread. `tools/stories` runs each
// 10,000 times.
#include "blocked.h"
#include <gordian/sync.h>

#include <cstdlib>
#include <gtest/gtest.h>
#include <mutex>
#include <random>
#include <vector>

namespace {

using namespace std::chrono_literals;
using gordian::hold;
using sync_test::Checked;
using sync_test::error_of;

int runs() {
  const char* wish = std::getenv("GORDIAN_STORY_RUNS");
  return wish != nullptr ? std::atoi(wish) : 200;
}

// Lets other threads in at random places.
class Jitter {
 public:
  explicit Jitter(unsigned seed) : random_(seed) {}
  void operator()() {
    const unsigned wish = random_() % 16;
    if (wish == 0) std::this_thread::yield();
    for (unsigned i = 0; i < wish * 40; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  bool coin() { return random_() % 2 == 0; }

 private:
  std::minstd_rand random_;
};

// Each story has its levels in the right order, and swapped.
enum class right { outer, inner };
enum class swapped { inner, outer };

template <typename Story>
void run_many() {
  for (int seed = 1; seed <= runs(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    // Every fourth run checked: the right order must be no error either.
    std::optional<Checked> checked;
    if (seed % 4 == 0) checked.emplace();
    Story story;
    story.run(static_cast<unsigned>(seed));
    ASSERT_TRUE(story.is_done());
  }
}

// --- videoroom: streams and handle, and an admin query in between ------------------------------

template <typename Level>
struct Videoroom {
  gordian::mutex handle{"handle", Level::outer};
  gordian::guarded<std::vector<int>> streams{"streams", Level::inner};
  std::atomic<int> answers{0};

  void publish(Jitter& jitter) {
    hold outer(handle);
    jitter();
    streams.lock()->push_back(1);
  }
  // Needs both, and waits for one.
  void query(Jitter& jitter) {
    hold outer(handle);
    jitter();
    answers += static_cast<int>(streams.snapshot()->size()) >= 0;
  }
  void tidy(Jitter& jitter) {
    auto all = streams.lock();
    jitter();
    all->clear();
  }
  void run(unsigned seed) {
    std::thread a([&] {
      Jitter j(seed), k(seed + 1);
      publish(j);
      tidy(k);
    });
    std::thread b([&] {
      Jitter j(seed + 2);
      query(j);
      publish(j);
    });
    Jitter j(seed + 3);
    query(j);
    a.join();
    b.join();
  }
  bool is_done() const { return answers == 2; }
};

TEST(Stories, VideoroomRuns) { run_many<Videoroom<right>>(); }
TEST(Stories, VideoroomSwapped) {
  const Checked checked;
  Videoroom<swapped> story;
  Jitter jitter(1);
  EXPECT_NE(error_of([&] { story.publish(jitter); }), nullptr);
}

// --- dtls-clock: two stoppers, one inside the clock's own callback, both with locks held -------

template <typename Level>
struct DtlsClock {
  gordian::mutex session{"session", Level::outer};
  gordian::mutex media{"media", Level::inner};
  std::atomic<int> stopped{0};
  gordian::worker clock;

  void tick(const gordian::stop_token& stop, Jitter& jitter) {
    while (!stop.stop_requested()) {
      if (!session.lock(stop)) return;
      {
        const std::lock_guard outer(session, std::adopt_lock);
        jitter();
        hold inner(media);
        jitter();
      }
      if (jitter.coin()) {
        clock.stop();
        ++stopped;
        return;
      }
    }
  }
  void hang_up() {
    hold outer(session);
    clock.stop();
    ++stopped;
  }
  void run(unsigned seed) {
    std::atomic<bool> ready{false};
    clock = gordian::worker("clock", [&, jitter = Jitter(seed)](const auto& stop) mutable {
      while (!ready) std::this_thread::yield();
      tick(stop, jitter);
    });
    ready = true;
    std::thread other([&] { hang_up(); });
    hang_up();
    other.join();
  }
  bool is_done() const { return stopped >= 2 && !clock.running(); }
};

TEST(Stories, DtlsClockRuns) { run_many<DtlsClock<right>>(); }
TEST(Stories, DtlsClockSwapped) {
  const Checked checked;
  DtlsClock<swapped> story;
  Jitter jitter(1);
  EXPECT_NE(error_of([&] { story.tick(gordian::stop_source().get_token(), jitter); }), nullptr);
}

// --- websocket-ping: a callback of the receive path sends --------------------------------------

template <typename Level>
struct WebsocketPing {
  gordian::mutex connection{"connection", Level::outer};
  gordian::mutex tls{"tls", Level::inner};
  gordian::deferred later;
  std::atomic<int> sent{0};

  void send(Jitter& jitter) {
    hold outer(connection);
    hold inner(tls);
    jitter();
    ++sent;
  }
  void receive(Jitter& jitter) {
    auto lock = later.hold(tls);
    jitter();
    later.post([this, own = jitter]() mutable { send(own); });
  }
  void run(unsigned seed) {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 3; ++i) {
      threads.emplace_back([&, i] {
        Jitter jitter(seed + i);
        receive(jitter);
        send(jitter);
      });
    }
    for (auto& thread : threads) thread.join();
  }
  bool is_done() const { return sent == 6; }
};

TEST(Stories, WebsocketPingRuns) { run_many<WebsocketPing<right>>(); }
TEST(Stories, WebsocketPingSwapped) {
  const Checked checked;
  WebsocketPing<swapped> story;
  Jitter jitter(1);
  EXPECT_NE(error_of([&] { story.send(jitter); }), nullptr);
}

// --- replication: the master is switched under traffic -----------------------------------------

template <typename Level>
struct Replication {
  gordian::work_gate guard{"works_concurrency", Level::outer};
  gordian::mutex database{"database", Level::inner};
  gordian::worker replication;
  std::atomic<int> served{0};
  bool switched = false;

  void start() {
    replication = gordian::worker("replication", [this](const gordian::stop_token& stop) {
      while (auto pass = guard.enter(stop)) {
        hold inner(database);
        if (stop.stop_requested()) return;
      }
    });
  }
  void serve(Jitter& jitter) {
    auto pass = guard.enter();
    jitter();
    hold inner(database);
    ++served;
  }
  void switch_master() {
    auto closed = guard.close();
    replication.stop();
    start();
    switched = true;
  }
  void run(unsigned seed) {
    start();
    std::vector<std::thread> workers;
    for (unsigned i = 0; i < 3; ++i) {
      workers.emplace_back([&, i] {
        Jitter jitter(seed + i);
        for (int j = 0; j < 3; ++j) serve(jitter);
      });
    }
    switch_master();
    for (auto& worker : workers) worker.join();
    replication.stop();
  }
  bool is_done() const { return switched && served == 9 && !replication.running(); }
};

TEST(Stories, ReplicationRuns) { run_many<Replication<right>>(); }
TEST(Stories, ReplicationSwapped) {
  const Checked checked;
  Replication<swapped> story;
  Jitter jitter(1);
  EXPECT_NE(error_of([&] { story.serve(jitter); }), nullptr);
}

// --- redis-lock: a token is handed over under the lock that cancelled waiters need -------------

template <typename Level>
struct RedisLock {
  gordian::mutex process{"process", Level::outer};
  gordian::bounded_queue<int> tokens{1, "tokens", Level::inner};
  std::atomic<int> released{0};

  void release(Jitter& jitter) {
    hold lock(process);
    jitter();
    // Full: a token is there already, which wakes a waiter just as well.
    (void)tokens.try_push(1);
    ++released;
  }
  void wait(Jitter& jitter, const gordian::stop_token& stop) {
    (void)tokens.pop(stop);
    jitter();
    hold sign_off(process);
  }
  // As it was: the push that waits.
  void release_by_pushing() {
    hold lock(process);
    tokens.push(1);
  }
  void run(unsigned seed) {
    gordian::stop_source cancel;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 2; ++i) {
      threads.emplace_back([&, i] {
        Jitter jitter(seed + i);
        wait(jitter, cancel.get_token());
      });
      threads.emplace_back([&, i] {
        Jitter jitter(seed + 7 + i);
        for (int j = 0; j < 3; ++j) release(jitter);
      });
    }
    Jitter jitter(seed + 99);
    jitter();
    cancel.request_stop();
    for (auto& thread : threads) thread.join();
  }
  bool is_done() const { return released == 6; }
};

TEST(Stories, RedisLockRuns) { run_many<RedisLock<right>>(); }
TEST(Stories, RedisLockSwapped) {
  const Checked checked;
  RedisLock<swapped> story;
  EXPECT_NE(error_of([&] { story.release_by_pushing(); }), nullptr);
}

}  // namespace
