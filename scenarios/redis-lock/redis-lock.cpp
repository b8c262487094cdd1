// SPDX-License-Identifier: Apache-2.0
// The client of a distributed lock on a real Redis, after Rueidis (rueidislock).
//
// Threads that wait for one lock wait in this process at a gate: a queue with room for one token,
// "try again". Whoever releases the lock pushes a token, under `LockClient::mutex_`. If the queue
// is full, because a flush of the server just brought a token, the push waits for a taker. But the
// waiters have all been cancelled, and to sign off they need `LockClient::mutex_`; so does the
// thread that reads the server's pushes, and so does main. Half mutex, half queue: nobody owns the
// room in a queue, and whoever could make some is stuck behind the one who wants it.
//
// The repair: a full queue already says all that a second token could; the push does not wait.
//
// With N threads: the releaser, the reader, and N-2 waiters; main is one more. `idle-thread` has
// another one, which looks at the gate now and then: while it sleeps this is no deadlock, for in
// the end it takes the token, and the program ends.
//
// RUN(broken, broken-renamed): gordian run -- %program
// RUN(broken@3):               gordian run -- %program 3
// RUN(broken@5):               gordian run -- %program 5
// RUN(broken@8):               gordian run -- %program 8
// EXIT(broken*):               66
// EXPECT(broken*):             "releaser"
// EXPECT(broken):              DEADLOCK: 5 threads
// JSON(broken*):               findings=1
// JSON(broken*):               verdict=deadlock kind=queue|condition|mixed
// JSON(broken, broken@?):      locks=LockClient::mutex_
// JSON(broken-renamed):        locks=Porter::brass_
// JSON(broken@3):              verdict=deadlock knot=4
// JSON(broken@5):              verdict=deadlock knot=6
// JSON(broken@8):              verdict=deadlock knot=9
//
// RUN(idle-thread):    gordian run -- %program
// EXIT(idle-thread):   0
// EXPECT(idle-thread): STALL
// JSON(idle-thread):   verdict=stall kind=queue|condition|mixed locks=LockClient::mutex_
// JSON(idle-thread):   no verdict=deadlock
//
// RUN(repaired):                     gordian run --summary -- %program
// RUN(trylock, timed):               gordian run -- %program
// RUN(repaired@8):                   gordian run --summary -- %program 8
// REPEAT(repaired):                  200
// EXPECT(repaired*):                 with another lock held
// EXIT(repaired*, trylock, timed):   0
// REJECT(repaired*, trylock, timed): DEADLOCK
// JSON(repaired*, trylock, timed):   findings=0
#include "support/redis_server.h"
#include "support/steps.h"
#include "support/thread.h"
#include "support/twin.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <hiredis/hiredis.h>
#include <latch>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#ifdef SCENARIO_RENAMED
#define LockClient Porter
#define mutex_ brass_
#define BoundedQueue Drawer
#define queue_mutex_ copper_
#define not_full_ some_room_
#define not_empty_ some_thing_
#define Gate Hatch
#define sign_off hand_back
#define gates hatches
#define release_and_hand_over give
#define read_pushes overhear
#define on_invalidation hear
#define count_waiters count_guests
#define push put
#define try_push put_if_room
#define pop take
#define try_pop take_if_any
#endif

using scenario::kTwin;
using scenario::Twin;
using Reply = std::unique_ptr<redisReply, void (*)(void*)>;

constexpr char kLock[] = "orders";

// Puts the threads in the order of the story.
struct Story {
  scenario::Steps waiting;    // waiters that found the lock taken
  scenario::Steps cancelled;  // waiters that are about to sign off
  scenario::Steps delivered;  // tokens that the server's pushes brought
  std::latch releasing{1};    // the releaser holds the client's mutex
};
Story story;

// One connection to the server. Not for two threads at once.
class Connection {
 public:
  explicit Connection(const std::string& path) : context_(redisConnectUnix(path.c_str())) {
    if (context_ == nullptr || context_->err != 0) fail("connect");
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { redisFree(context_); }

  template <typename... Args>
  Reply command(const char* format, Args... arguments) {
    Reply reply(static_cast<redisReply*>(redisCommand(context_, format, arguments...)),
                freeReplyObject);
    if (reply == nullptr || reply->type == REDIS_REPLY_ERROR) fail(format);
    return reply;
  }

  // The next push, or null when the connection has ended.
  Reply read() {
    void* reply = nullptr;
    if (redisGetReply(context_, &reply) != REDIS_OK) reply = nullptr;
    return {static_cast<redisReply*>(reply), freeReplyObject};
  }

  // Makes a read in another thread return.
  void shut_down() const { shutdown(context_->fd, SHUT_RDWR); }

 private:
  [[noreturn]] void fail(const char* what) const {
    std::fprintf(stderr, "redis: %s: %s\n", what, context_ != nullptr ? context_->errstr : "?");
    std::_Exit(2);
  }

  redisContext* const context_;
};

struct Token {};

// A waiter's wish to give up.
using Cancellation = std::atomic<bool>;

template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  // Waits for room. False: there was none in time (which only the timed twin finds).
  bool push(T item) {
    std::unique_lock lock(queue_mutex_);
    const auto has_room = [this] { return items_.size() < capacity_; };
    if constexpr (kTwin == Twin::Timed) {
      if (!not_full_.wait_for(lock, std::chrono::milliseconds(50), has_room)) return false;
    } else {
      not_full_.wait(lock, has_room);
    }
    items_.push_back(std::move(item));
    not_empty_.notify_one();
    return true;
  }

  bool try_push(T item) {
    const std::lock_guard lock(queue_mutex_);
    if (items_.size() >= capacity_) return false;
    items_.push_back(std::move(item));
    not_empty_.notify_one();
    return true;
  }

  // Waits for an item. None: cancelled.
  std::optional<T> pop(const Cancellation& cancelled) {
    std::unique_lock lock(queue_mutex_);
    not_empty_.wait(lock, [&] { return cancelled || !items_.empty(); });
    if (cancelled) return std::nullopt;
    return take_front();
  }

  std::optional<T> try_pop() {
    const std::lock_guard lock(queue_mutex_);
    if (items_.empty()) return std::nullopt;
    return take_front();
  }

  // Lets the waiters see that they are cancelled.
  void cancel(Cancellation& cancelled) {
    const std::lock_guard lock(queue_mutex_);
    cancelled = true;
    not_empty_.notify_all();
  }

 private:
  std::optional<T> take_front() {
    std::optional<T> item = std::move(items_.front());
    items_.pop_front();
    not_full_.notify_one();
    return item;
  }

  const size_t capacity_;
  std::mutex queue_mutex_;
  std::condition_variable not_full_;
  std::condition_variable not_empty_;
  std::deque<T> items_;
};

// Where the threads of this process wait for one lock.
struct Gate {
  BoundedQueue<Token> tokens{1};
  int waiters = 0;
};

class LockClient {
 public:
  explicit LockClient(const std::string& path) : commands_(path), pushes_(path) {
    // RESP2: what other clients change is announced on a second connection.
    const long long id = pushes_.command("CLIENT ID")->integer;
    pushes_.command("SUBSCRIBE __redis__:invalidate");
    commands_.command("CLIENT TRACKING ON REDIRECT %lld OPTOUT NOLOOP", id);
  }

  // Takes the lock. False: given up.
  bool lock(const std::string& name, const Cancellation& cancelled);

  // Gives the lock back, and a waiter of this process its chance.
  void release_and_hand_over(const std::string& name);

  // The body of the reader thread.
  void read_pushes();

  int count_waiters();
  std::shared_ptr<Gate> find_gate(const std::string& name);
  void cancel(const std::string& name, Cancellation& cancelled) {
    if (const auto gate = find_gate(name)) gate->tokens.cancel(cancelled);
  }
  void shut_down() const { pushes_.shut_down(); }

 private:
  bool try_acquire(const std::string& name);
  std::unique_lock<std::mutex> gates(Gate* mine);
  void sign_off(Gate* gate);
  void on_invalidation(const redisReply* keys);

  std::mutex commands_mutex_;
  Connection commands_;
  Connection pushes_;
  std::mutex mutex_;  // the client's; for the gates
  std::map<std::string, std::shared_ptr<Gate>> gates_;
};

bool LockClient::try_acquire(const std::string& name) {
  const std::lock_guard lock(commands_mutex_);
  // The read makes the server tell us when the key changes.
  const Reply reply =
      commands_.command("EVAL %s 1 %s %d",
                        "local r = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', 60000)\n"
                        "redis.call('GET', KEYS[1])\n"
                        "return r and 1 or 0",
                        name.c_str(), static_cast<int>(getpid()));
  return reply->integer == 1;
}

SCENARIO_FRAME bool LockClient::lock(const std::string& name, const Cancellation& cancelled) {
  std::shared_ptr<Gate> gate;
  {
    const auto lock = gates(nullptr);
    auto& slot = gates_[name];
    if (slot == nullptr) slot = std::make_shared<Gate>();
    gate = slot;
    ++gate->waiters;
  }
  bool acquired = false;
  for (bool again = true; again;) {
    acquired = try_acquire(name);
    if (acquired) break;
    story.waiting.advance();
    again = gate->tokens.pop(cancelled).has_value();
  }
  if (!acquired) {
    story.cancelled.advance();
    story.releasing.wait();
  }
  sign_off(gate.get());
  return acquired;
}

// For those who wait at a gate.
std::unique_lock<std::mutex> LockClient::gates(Gate* mine) {
  if constexpr (kTwin == Twin::Trylock) {
    std::unique_lock lock(mutex_, std::defer_lock);
    while (!lock.try_lock()) {
      // Somebody is busy with the gates, perhaps handing us a token: make room for it.
      if (mine != nullptr) mine->tokens.try_pop();
      std::this_thread::yield();
    }
    return lock;
  }
  return std::unique_lock(mutex_);
}

SCENARIO_FRAME void LockClient::sign_off(Gate* gate) {
  const auto lock = gates(gate);
  --gate->waiters;
}

SCENARIO_FRAME void LockClient::release_and_hand_over(const std::string& name) {
  {
    const std::lock_guard lock(commands_mutex_);
    commands_.command("EVAL %s 1 %s %d",
                      "if redis.call('GET', KEYS[1]) == ARGV[1] then\n"
                      "  return redis.call('DEL', KEYS[1])\n"
                      "end\n"
                      "return 0",
                      name.c_str(), static_cast<int>(getpid()));
  }
  const std::lock_guard lock(mutex_);
  story.releasing.count_down();
  const auto found = gates_.find(name);
  if (found == gates_.end() || found->second->waiters == 0) return;
  BoundedQueue<Token>& tokens = found->second->tokens;
  const bool handed_over = kTwin == Twin::Repaired ? tokens.try_push({}) : tokens.push({});
  std::printf("token %s\n", handed_over ? "handed over" : "not needed");
}

// `keys` changed on the server; nil: everything did.
SCENARIO_FRAME void LockClient::on_invalidation(const redisReply* keys) {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, gate] : gates_) {
    bool concerned = keys->type == REDIS_REPLY_NIL;
    for (size_t i = 0; !concerned && i < keys->elements; ++i) {
      concerned = name == keys->element[i]->str;
    }
    if (concerned && gate->waiters > 0) gate->tokens.try_push({});
  }
  story.delivered.advance();
}

SCENARIO_FRAME void LockClient::read_pushes() {
  for (;;) {
    const Reply push = pushes_.read();
    if (push == nullptr || push->type != REDIS_REPLY_ARRAY || push->elements != 3) return;
    on_invalidation(push->element[2]);
  }
}

SCENARIO_FRAME int LockClient::count_waiters() {
  const std::lock_guard lock(mutex_);
  int count = 0;
  for (const auto& [name, gate] : gates_) count += gate->waiters;
  return count;
}

std::shared_ptr<Gate> LockClient::find_gate(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found = gates_.find(name);
  return found == gates_.end() ? nullptr : found->second;
}

int main(int argc, char** argv) {
  const int threads = scenario::thread_count(argc, argv, 4, 3);
  const int waiters = threads - 2;
  scenario::RedisServer server;
  const auto client = std::make_unique<LockClient>(server.socket_path());
  Connection operator_console(server.socket_path());
  server.forget_folder();

  Cancellation cancelled{false};
  Cancellation never{false};
  if (!client->lock(kLock, never)) return 1;
  {
    std::vector<scenario::Thread> started;
    started.emplace_back("redis-reader", [&] { client->read_pushes(); });
    for (int i = 1; i <= waiters; ++i) {
      started.emplace_back("waiter-" + std::to_string(i), [&] { client->lock(kLock, cancelled); });
    }
    story.waiting.wait_for(waiters);
    if (kTwin == Twin::IdleThread) {
      started.emplace_back("metrics", [gate = client->find_gate(kLock)] {
        story.releasing.wait();
        poll(nullptr, 0, 3000);  // its interval
        gate->tokens.try_pop();
      });
    }

    // Their patience is at its end; and the server loses all keys: everybody may try again.
    client->cancel(kLock, cancelled);
    story.cancelled.wait_for(waiters);
    operator_console.command("FLUSHDB");
    story.delivered.wait_for(1);

    started.emplace_back("releaser", [&] { client->release_and_hand_over(kLock); });
    story.releasing.wait();
    // The next push of the server meets the reader as it should: awake.
    operator_console.command("FLUSHDB");
    std::printf("%d waiters left\n", client->count_waiters());
    story.delivered.wait_for(2);
    client->shut_down();
  }
  std::printf("%d waiters at the end\n", client->count_waiters());
}
