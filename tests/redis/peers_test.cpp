// SPDX-License-Identifier: Apache-2.0
// What went wrong in other clients, each as a test that such a client fails.
#include "gordian/redis_lock.h"
#include "proxy.h"
#include "redis_server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace {

std::atomic<bool> clock_is_behind{false};

}  // namespace

// Every clock of this program that tells the time of day, an hour late on request.
extern "C" int clock_gettime(clockid_t clock, timespec* time) {
  const int result = static_cast<int>(syscall(SYS_clock_gettime, clock, time));
  if (clock_is_behind && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    time->tv_sec -= 3600;
  return result;
}

namespace {

using namespace std::chrono_literals;
using gordian::redis::client_options;
using gordian::redis::lease;
using gordian::redis::lock_client;
using gordian::redis::transport_policy;
using redis_test::Proxy;
using redis_test::RedisServer;
using Clock = std::chrono::steady_clock;

client_options options_for(const std::string& url) {
  client_options options;
  options.servers = {url};
  return options;
}

// Waits until it is so; the test's own time limit ends it otherwise.
template <typename Condition>
void until(Condition condition) {
  while (!condition()) std::this_thread::sleep_for(1ms);  // a rate, not a synchronisation
}

// Blocked inside the client: its thread sleeps in the kernel.
bool sleeps(pid_t thread) {
  char path[64], text[512] = {};
  std::snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
  FILE* const file = std::fopen(path, "re");
  if (file == nullptr) return false;
  const size_t size = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  const std::string_view line(text, size);
  const size_t paren = line.rfind(')');
  return paren != std::string_view::npos && line.substr(paren + 2, 1) == "S";
}

// rueidislock: a try that times out in the client takes the lock on the server all the same, and
// the clean-up on the same connection wakes nobody.
TEST(Peers, H2ATryThatLandsTooLateIsNotSleptOn) {
  RedisServer server;
  client_options options = options_for(server.url());
  options.command_timeout = 40ms;
  options.on_transport_error = transport_policy::keep_trying;
  lock_client client(options), other(options_for(server.url()));
  server.pause();
  std::atomic<int> acquired{0};
  std::thread waiter([&] {
    lease mine = client.acquire("a", Clock::now() + 10s);
    ++acquired;
    mine.release();
  });
  std::this_thread::sleep_for(100ms);  // the stall itself, longer than two timeouts
  server.resume();
  const auto resumed = Clock::now();
  waiter.join();
  EXPECT_EQ(acquired, 1);
  EXPECT_LT(Clock::now() - resumed, 1500ms);
  // Nor does the late try keep others out.
  const lease next = other.acquire("a", Clock::now() + 2s);
  EXPECT_TRUE(next.valid());
}

// The same with replies that are lost on the way.
TEST(Peers, H2ALostReplyIsAskedForAgain) {
  RedisServer server;
  Proxy proxy(server.port());
  client_options options = options_for(proxy.url());
  options.command_timeout = 60ms;
  options.on_transport_error = transport_policy::keep_trying;
  lock_client client(options);
  client.acquire("first").release();  // the server knows the scripts
  proxy.hold_replies(true);
  std::thread waiter([&] { EXPECT_TRUE(client.acquire("a", Clock::now() + 10s).valid()); });
  until([&] { return server.number({"EXISTS", "rueidislock:0:a"}) == 1; });
  proxy.cut();
  proxy.hold_replies(false);
  waiter.join();
}

// Two connections have no common order: that the lock is free again may be told before that it was
// not.
TEST(Peers, H2APushThatOvertakesTheRefusalIsNotMissed) {
  RedisServer server;
  Proxy proxy(server.port());
  lock_client client(options_for(proxy.url())), other(options_for(server.url()));
  client.acquire("first").release();  // its connections are there
  lease held = other.acquire("a");
  proxy.hold_answers(true);
  Clock::time_point answered;
  std::thread waiter([&] {
    EXPECT_TRUE(client.acquire("a").valid());
    EXPECT_LT(Clock::now() - answered, 500ms);
  });
  until([&] {
    return server.text({"INFO", "commandstats"}).find("cmdstat_pttl:calls=1,") != std::string::npos;
  });
  held.release();
  const auto released = Clock::now();
  until([&] { return Clock::now() - released > 100ms; });
  answered = Clock::now();
  proxy.hold_answers(false);
  waiter.join();
}

// An answer that comes when the lease is over grants nothing: others may have had the lock since.
TEST(Peers, H2AnAnswerAfterTheEndOfTheLeaseGrantsNothing) {
  RedisServer server;
  Proxy proxy(server.port());
  client_options options = options_for(proxy.url());
  options.validity = 100ms;
  lock_client client(options);
  client.acquire("first").release();
  const auto begin = Clock::now();
  proxy.hold_replies(true);
  std::thread waiter([&] {
    EXPECT_TRUE(client.acquire("a", begin + 10s).valid());
    EXPECT_TRUE(client.acquire("a", begin + 10s).valid());
  });
  until([&] { return Clock::now() - begin > 200ms; });
  proxy.hold_replies(false);
  waiter.join();
}

// The deadline is one of all that has to be asked for, also of the connection that is not there
// yet.
TEST(Peers, H6ADeadlineIsKeptHoweverSlowTheServerIs) {
  RedisServer server;
  Proxy proxy(server.port());
  lock_client client(options_for(proxy.url()));
  proxy.slow_down_replies(60ms);
  const auto begin = Clock::now();
  EXPECT_THROW((void)client.acquire("a", begin + 100ms), gordian::redis::deadline_error);
  EXPECT_LT(Clock::now() - begin, 100ms + 50ms);
}

// rueidislock: the expiry is a time of day of the client.
TEST(Peers, H3AClockThatIsBehindMakesNoSecondOwner) {
  RedisServer server;
  clock_is_behind = true;
  lock_client behind(options_for(server.url())), right(options_for(server.url()));
  const lease held = behind.acquire("a");
  clock_is_behind = false;
  EXPECT_GT(server.number({"PTTL", "rueidislock:0:a"}), 4000);
  EXPECT_FALSE(right.try_acquire("a"));
}

// rueidislock: a push with a key it does not expect ends the process.
void unexpected_pushes(bool resp3) {
  RedisServer server;
  Proxy proxy(server.port());
  client_options options = options_for(proxy.url());
  options.resp3 = resp3;
  lock_client client(options), other(options_for(server.url()));
  lease held = other.acquire("a");
  std::atomic<bool> has_it{false};
  std::thread waiter([&] {
    const lease mine = client.acquire("a", Clock::now() + 10s);
    has_it = true;
  });
  const std::string begin = resp3 ? ">2\r\n$10\r\ninvalidate\r\n"
                                  : "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n";
  for (const std::string key :
       {"rueidislock", "rueidislock:", "rueidislock:99:a", "rueidislock:-1:a",
        "rueidislock:4294967296:a", "rueidislock:x:a", "rueidislock::a", "", "other"})
    proxy.inject(begin + "*1\r\n$" + std::to_string(key.size()) + "\r\n" + key + "\r\n");
  proxy.inject(begin + (resp3 ? "_\r\n" : "*-1\r\n"));
  proxy.inject(begin + "$1\r\nx\r\n");
  proxy.inject(begin + "*1\r\n:1\r\n");
  proxy.inject(resp3 ? ">1\r\n$10\r\ninvalidate\r\n" : "*1\r\n$7\r\nmessage\r\n");
  if (resp3) proxy.inject(">0\r\n>1\r\n%0\r\n>2\r\n+other\r\n$0\r\n\r\n");
  EXPECT_FALSE(has_it);
  held.release();
  waiter.join();
  EXPECT_TRUE(has_it);
}

TEST(Peers, H4H5UnexpectedKeysInAPushAreHarmless) {
  unexpected_pushes(false);
#ifdef GORDIAN_HAS_RESP3
  unexpected_pushes(true);
#endif
}

// rueidislock: the server is dead and the caller blocks to its deadline, or for ever.
TEST(Peers, H6ADeadServerIsToldToTheWaiter) {
  RedisServer server;
  lock_client client(options_for(server.url()));
  server.run({"SET", "rueidislock:0:a", "somebody else's", "PX", "60000"});
  std::atomic<pid_t> thread{0};
  std::thread waiter([&] {
    thread = gettid();
    EXPECT_THROW((void)client.acquire("a"), gordian::redis::transport_error);
  });
  until([&] { return thread != 0 && sleeps(thread); });
  server.kill();
  waiter.join();
  EXPECT_THROW((void)client.acquire("b"), gordian::redis::transport_error);
  EXPECT_THROW(lock_client{options_for(server.url())}, gordian::redis::transport_error);
  // Back again, without a new client.
  server.start();
  EXPECT_TRUE(client.acquire("b").valid());
}

// rueidislock: of 64 waiters one got the lock once, another 3,161 times.
TEST(Peers, H7WaitersOfOneClientAreServedInTurn) {
  RedisServer server;
  lock_client client(options_for(server.url()));
  constexpr int kThreads = 64;
  std::vector<int> acquisitions(kThreads);
  std::atomic<int> total{0};
  std::atomic<int> ready{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] {
      ++ready;
      until([&] { return ready == kThreads; });
      while (!stop) {
        lease mine = client.acquire("a");
        ++acquisitions[static_cast<size_t>(i)];
        ++total;
        mine.release();
      }
    });
  until([&] { return total >= kThreads * 250; });
  stop = true;
  for (std::thread& thread : threads) thread.join();
  const auto [least, most] = std::minmax_element(acquisitions.begin(), acquisitions.end());
  // Not one round apart: a thread the kernel has put aside between release and acquire is not in
  // the queue.
  EXPECT_LE(*most, *least * 3 / 2) << *least << " to " << *most;
}

// rueidislock: that a holder has crashed is noticed when the server gets round to expiring the key.
TEST(Peers, H8ACrashedHolderIsNoticedWhenItsLeaseEnds) {
  RedisServer server({"--enable-debug-command", "yes"});
  server.run({"DEBUG", "SET-ACTIVE-EXPIRE", "0"});  // it never gets round to it
  lock_client client(options_for(server.url()));
  server.run({"SET", "rueidislock:0:a", "a holder that has crashed", "PX", "300"});
  const auto set_at = Clock::now();
  EXPECT_TRUE(client.acquire("a", Clock::now() + 5s).valid());
  EXPECT_LT(Clock::now() - set_at, 300ms + 100ms);
}

// rueidislock: unlocking blocks on the network for up to the lease.
TEST(Peers, H9ReleasingInTheBackgroundDoesNotWaitForTheServer) {
  RedisServer server;
  client_options options = options_for(server.url());
  options.command_timeout = 200ms;
  options.on_transport_error = transport_policy::keep_trying;
  lock_client client(options);
  lease held = client.acquire("a"), second = client.acquire("b");
  server.pause();
  const auto begin = Clock::now();
  held.release_async();
  EXPECT_LT(Clock::now() - begin, 100ms);
  second.release();  // waits, but not for longer than a command may take
  EXPECT_LT(Clock::now() - begin, 350ms);
  server.resume();
  until([&] { return server.number({"EXISTS", "rueidislock:0:a", "rueidislock:0:b"}) == 0; });
}

// rueidislock: taking a lock twice waits for itself, for ever renewed.
TEST(Peers, H10ReentryIsAnErrorThatSaysSo) {
  RedisServer server;
  lock_client client(options_for(server.url()));
  const lease held = client.acquire("a");
  try {
    (void)client.acquire("a");
    FAIL() << "acquired twice";
  } catch (const gordian::redis::reentry_error& error) {
    EXPECT_EQ(error.code(), gordian::redis::errc::reentry);
    EXPECT_NE(std::string(error.what()).find("\"a\": the calling thread holds it already"),
              std::string::npos)
        << error.what();
  }
}

TEST(Peers, H10ReentryIsCountedOnRequest) {
  RedisServer server;
  client_options options = options_for(server.url());
  options.allow_reentry = true;
  lock_client client(options);
  lease outer = client.acquire("a"), inner = client.acquire("a");
  inner.release();
  EXPECT_EQ(server.number({"EXISTS", "rueidislock:0:a"}), 1);
  outer.release();
  EXPECT_EQ(server.number({"EXISTS", "rueidislock:0:a"}), 0);
}

// Redisson: a lock whose request was given up goes on being renewed for nobody.
TEST(Peers, R1NothingRenewsALockThatNobodyGot) {
  RedisServer server;
  client_options options = options_for(server.url());
  options.validity = 400ms;
  options.on_transport_error = transport_policy::keep_trying;
  lock_client client(options);
  server.pause();
  const auto begin = Clock::now();
  EXPECT_THROW((void)client.acquire("a", begin + 50ms), gordian::redis::deadline_error);
  EXPECT_LT(Clock::now() - begin, 150ms) << "the deadline holds also while the server is silent";
  server.resume();
  // What was on its way may still take it; it must not last.
  until([&] { return Clock::now() - begin > 600ms; });
  EXPECT_EQ(server.number({"EXISTS", "rueidislock:0:a"}), 0);
}

// Redisson: sets of locks taken in both orders wait for each other, or are left half taken.
TEST(Peers, R2SetsOfLocksAreTakenInOneOrderAndGivenBackWhole) {
  RedisServer server;
  lock_client one(options_for(server.url())), two(options_for(server.url()));
  std::thread left([&] {
    for (int i = 0; i < 50; ++i) EXPECT_EQ(one.acquire_all({"a", "b", "c", "b"}).size(), 3U);
  });
  for (int i = 0; i < 50; ++i) EXPECT_EQ(two.acquire_all({"c", "b", "a"}).size(), 3U);
  left.join();
  lease held = one.acquire("b");
  EXPECT_THROW((void)two.acquire_all({"c", "b", "a"}, Clock::now() + 30ms),
               gordian::redis::deadline_error);
  EXPECT_EQ(server.number({"EXISTS", "rueidislock:0:a", "rueidislock:0:c"}), 0);
}

// redis-plus-plus: extends a key that is somebody else's.
TEST(Peers, C1AForcedLockIsNotExtendedByItsFormerHolder) {
  RedisServer server;
  client_options options = options_for(server.url());
  options.validity = 200ms;
  lock_client client(options);
  const lease held = client.acquire("a");
  server.run({"SET", "rueidislock:0:a", "another", "PX", "60000"});
  until([&] { return !held.valid(); });
  EXPECT_EQ(server.text({"GET", "rueidislock:0:a"}), "another");
  EXPECT_GT(server.number({"PTTL", "rueidislock:0:a"}), 50'000);
}

// redis-plus-plus: the user is called back under the client's mutex.
TEST(Peers, C1ACallbackMayUseTheClient) {
  RedisServer server;
  lock_client client(options_for(server.url()));
  const lease held = client.acquire("a");
  std::atomic<bool> called{false};
  const std::stop_callback on_loss(held.lost(), [&] {
    EXPECT_TRUE(client.acquire("b").valid());
    EXPECT_TRUE(client.try_acquire("c"));
    called = true;
    called.notify_one();
  });
  server.run({"FLUSHDB"});
  called.wait(false);
}

// The story behind it all, rueidislock #457: a flush, waiters that give up, and nobody gets it any
// more.
TEST(Peers, S1AFlushWhileWaitersGiveUpLeavesTheLockUsable) {
  RedisServer server;
  lock_client client(options_for(server.url()));
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      while (!stop) {
        try {
          const lease mine = client.acquire("a", Clock::now() + 2ms);
        } catch (const gordian::redis::lock_error&) {
        }
      }
    });
  for (int i = 0; i < 50; ++i) server.run({"FLUSHDB"});
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(client.acquire("a", Clock::now() + 2s).valid());
}

struct Masters {
  RedisServer servers[3];
  [[nodiscard]] client_options options() const {
    client_options options;
    options.kind = gordian::redis::topology::independent;
    options.servers = {servers[0].url(), servers[1].url(), servers[2].url()};
    return options;
  }
};

TEST(Majority, SeveralServersMustBeSaidToBeIndependent) {
  client_options options;
  options.servers = {"redis://127.0.0.1:1", "redis://127.0.0.1:2", "redis://127.0.0.1:3"};
  EXPECT_THROW(lock_client{options}, gordian::redis::misuse_error);
  options.kind = gordian::redis::topology::independent;
  options.servers.pop_back();
  EXPECT_THROW(lock_client{options}, gordian::redis::misuse_error);
}

TEST(Majority, WorksWithOneOfThreeServersGoneAndNotWithTwo) {
  Masters masters;
  lock_client one(masters.options()), two(masters.options());
  masters.servers[0].kill();
  lease held = one.acquire("a", Clock::now() + 5s);
  EXPECT_FALSE(two.try_acquire("a"));
  held.release();
  EXPECT_EQ(masters.servers[1].number({"DBSIZE"}) + masters.servers[2].number({"DBSIZE"}), 0);
  masters.servers[1].kill();
  EXPECT_THROW((void)two.acquire("a"), gordian::redis::transport_error);
  until([&] { return masters.servers[2].number({"DBSIZE"}) == 0; });
}

TEST(Majority, IsLostWithTwoOfThreeKeys) {
  Masters masters;
  lock_client client(masters.options());
  const lease held = client.acquire("a");
  until([&] { return masters.servers[2].number({"EXISTS", "rueidislock:2:a"}) == 1; });
  masters.servers[0].number({"DEL", "rueidislock:0:a"});
  EXPECT_TRUE(held.valid());
  masters.servers[1].number({"DEL", "rueidislock:1:a"});
  until([&] { return !held.valid(); });
}

TEST(Majority, ExcludesUnderContention) {
  Masters masters;
  lock_client one(masters.options()), two(masters.options());
  std::atomic<int> inside{0}, most{0};
  const auto work = [&](lock_client& client) {
    for (int i = 0; i < 25; ++i) {
      lease mine = client.acquire("a", Clock::now() + 20s);
      most = std::max(most.load(), ++inside);
      --inside;
      mine.release();
    }
  };
  std::thread other([&] { work(two); });
  work(one);
  other.join();
  EXPECT_EQ(most, 1);
}

}  // namespace
