// SPDX-License-Identifier: Apache-2.0
// One worked example a part. The reference shows what stands between the //! marks.
#include "blocked.h"
#include <gordian/sync.h>

#include <gtest/gtest.h>
#include <map>
#include <string>
#include <vector>

namespace {

//! [level]
enum class level { rooms, handles, streams };  // taken from top to bottom

gordian::mutex rooms{"rooms", level::rooms};
gordian::mutex streams{"streams", level::streams};
//! [level]

TEST(Examples, Checks) {
  //! [checks]
  gordian::enable_checks();  // in the first line of the tests' main, say
  try {
    gordian::hold inner(streams);
    gordian::hold outer(rooms);  // not blocked, and never reached
    FAIL();
  } catch (const gordian::deadlock_error& error) {
    EXPECT_FALSE(error.certain());  // it could deadlock, but did not yet
    std::puts(error.what());        // what is wanted, what is held, and where both
  }
  //! [checks]
  gordian::disable_checks();
}

TEST(Examples, Mutex) {
  //! [mutex]
  gordian::timed_mutex cache{"cache"};
  gordian::stop_source shutdown;
  {
    std::scoped_lock hold(cache);  // as any mutex
  }
  if (cache.lock(shutdown.get_token())) cache.unlock();  // false: asked to stop
  if (cache.try_lock_for(std::chrono::milliseconds(5))) cache.unlock();
  //! [mutex]
  EXPECT_TRUE(cache.try_lock());
  cache.unlock();
}

TEST(Examples, SharedMutex) {
  //! [shared_mutex]
  gordian::shared_mutex table{"table"};
  std::map<std::string, int> entries;
  {
    gordian::hold write(table);
    entries["one"] = 1;
  }
  gordian::hold_shared read(table);
  //! [shared_mutex]
  EXPECT_EQ(entries.at("one"), 1);
}

TEST(Examples, RecursiveMutex) {
  //! [recursive_mutex]
  gordian::recursive_mutex parser{"parser"};
  gordian::hold once(parser);
  gordian::hold again(parser);  // the same thread
  //! [recursive_mutex]
  EXPECT_TRUE(parser.try_lock());
  parser.unlock();
}

TEST(Examples, LockAll) {
  //! [lock_all]
  gordian::mutex from{"from"}, to{"to"};
  gordian::shared_mutex rates{"rates"};
  auto locks = gordian::lock_all(from, gordian::shared(rates), to);  // in no order
  //! [lock_all]
  EXPECT_TRUE(locks.owns_lock());
}

TEST(Examples, WithLock) {
  //! [with_lock]
  gordian::at_level<level::rooms> all_rooms{"rooms"};
  gordian::at_level<level::streams> all_streams{"streams"};
  gordian::order_token<> nothing_held;
  const int answer = gordian::with_lock(nothing_held, all_rooms, [&](auto& token) {
    // The other way round does not compile.
    return gordian::with_lock(token, all_streams, [] { return 42; });
  });
  //! [with_lock]
  EXPECT_EQ(answer, 42);
}

TEST(Examples, ConditionVariable) {
  //! [condition_variable]
  gordian::mutex inbox{"inbox"};
  gordian::condition_variable arrived;
  std::vector<int> messages;
  gordian::worker reader{"reader", [&](const gordian::stop_token& stop) {
                           std::unique_lock lock(inbox);
                           // Ends at once when asked to stop; no polling.
                           while (arrived.wait(lock, stop, [&] { return !messages.empty(); })) {
                             messages.clear();
                           }
                         }};
  reader.stop();
  //! [condition_variable]
  EXPECT_FALSE(reader.running());
}

TEST(Examples, Worker) {
  //! [worker]
  gordian::mutex session{"session"};
  gordian::worker clock{"clock", [&](const gordian::stop_token& stop) {
                          while (session.lock(stop)) session.unlock();  // tick
                        }};
  gordian::hold under(session);
  clock.stop();  // the worker's wait ends, so this returns
  clock.stop();  // again: fine
  //! [worker]
  EXPECT_FALSE(clock.running());
}

TEST(Examples, Deferred) {
  std::vector<std::string> heard;
  //! [deferred]
  gordian::mutex connection{"connection"};
  gordian::deferred later;
  const auto receive = [&](const std::string& text) {
    auto lock = later.hold(connection);
    later.post([&heard, text] { heard.push_back(text); });  // user code, after the unlock
  };
  receive("ping");
  //! [deferred]
  EXPECT_EQ(heard, std::vector<std::string>{"ping"});
}

TEST(Examples, Strand) {
  //! [strand]
  gordian::strand io;
  int state = 0;  // touched by calls of the strand alone, so it needs no lock
  io.dispatch([&] {
    io.dispatch([&] { state *= 2; });  // re-entered: queued, runs next
    state += 21;
  });
  //! [strand]
  EXPECT_EQ(state, 42);
}

TEST(Examples, WorkGate) {
  bool served = false;
  bool switched = false;
  //! [work_gate]
  gordian::work_gate traffic{"traffic"};
  if (auto pass = traffic.enter()) served = true;     // many at a time
  if (auto alone = traffic.close()) switched = true;  // nobody else inside
  //! [work_gate]
  EXPECT_TRUE(served && switched);
}

TEST(Examples, BoundedQueue) {
  int sum = 0;
  //! [bounded_queue]
  gordian::bounded_queue<int> jobs{8, "jobs"};
  gordian::worker consumer{"consumer", [&] {
                             while (const auto job = jobs.pop()) sum += *job;
                           }};
  for (int i = 1; i <= 10; ++i) jobs.push(i);  // waits while it is full
  jobs.close();                                // what is in it is still popped
  consumer.stop();
  //! [bounded_queue]
  EXPECT_EQ(sum, 55);
}

TEST(Examples, Guarded) {
  //! [guarded]
  gordian::guarded<std::vector<std::string>> names{"names"};
  names.lock()->push_back("one");  // locked for the statement
  auto view = names.lock();        // locked for the scope
  view->push_back("two");
  const auto seen = names.snapshot();  // takes no lock: as last unlocked
  //! [guarded]
  EXPECT_EQ(seen->size(), 1U);
}

TEST(Examples, Watch) {
  //! [watch]
  gordian::start_watching({.sample_every = 1,
                           .limit = std::chrono::seconds(1),
                           .on_long_wait = [](const gordian::long_wait& wait) {
                             std::fprintf(stderr, "%s waits for %s\n", wait.waiter.c_str(),
                                          wait.lock.c_str());
                           }});
  { gordian::hold once(streams); }
  const std::string metrics = gordian::prometheus_text();
  gordian::stop_watching();
  //! [watch]
  EXPECT_NE(metrics.find("lock=\"streams\""), std::string::npos);
}

}  // namespace
