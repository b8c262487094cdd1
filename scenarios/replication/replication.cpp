// SPDX-License-Identifier: Apache-2.0
// A replicating key-value server on libstdc++, after Kvrocks.
//
// Commands run under the shared side of `Server::works_concurrency_rw_lock_`; what must be alone
// takes the exclusive side. Switching masters is exclusive, and joins the replication thread. While
// it joins, the old master asks for a full synchronisation, for which the replication thread wants
// to be alone too. The thread had never touched the guard before: nothing could be seen when the
// join began. Every other worker queues up as a reader.
//
// The repair: the switch lets go of the guard before it joins.
//
// With N threads: worker-1 (switches), replication, and N-2 more workers. The `lucky` twin is the
// broken program in a run in which the full synchronisation came before the switch.
//
// RUN(broken, broken-renamed): gordian run -- %program
// RUN(broken@3):               gordian run -- %program 3
// RUN(broken@5):               gordian run -- %program 5
// RUN(broken@8):               gordian run -- %program 8
// EXIT(broken*):               66
// EXPECT(broken):              DEADLOCK: 2 threads
// JSON(broken*):               findings=1
// JSON(broken*):               verdict=deadlock kind=join|mixed knot=worker-1,replication
// JSON(broken, broken@?):      locks=Server::works_concurrency_rw_lock_
// JSON(broken-renamed):        locks=Lighthouse::umber_
// JSON(broken@3):              verdict=deadlock victims=2
// JSON(broken@5):              verdict=deadlock victims=4
// JSON(broken@8):              verdict=deadlock victims=7
// REJECT(broken-renamed):      works_concurrency
//
// RUN(repaired):                     gordian run --summary -- %program
// RUN(trylock, timed):               gordian run -- %program
// RUN(repaired@8):                   gordian run --summary -- %program 8
// REPEAT(repaired):                  200
// EXPECT(repaired*):                 with another lock held
// EXIT(repaired*, trylock, timed):   0
// REJECT(repaired*, trylock, timed): DEADLOCK
// JSON(repaired*, trylock, timed):   findings=0
//
// RUN(lucky):  gordian run -- %program
// EXIT(lucky): 0
// JSON(lucky): verdict=possible kind=join|mixed locks=Server::works_concurrency_rw_lock_
#include "support/blocked.h"
#include "support/steps.h"
#include "support/thread.h"
#include "support/twin.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <latch>
#include <map>
#include <memory>
#include <mutex>
#include <pthread.h>
#include <shared_mutex>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <type_traits>
#include <unistd.h>
#include <vector>

#ifdef SCENARIO_RENAMED
#define Server Lighthouse
#define works_concurrency_rw_lock_ umber_
#define db_mutex_ ochre_
#define slaveof_mutex_ sienna_
#define work_exclusivity_guard lamp_alone
#define work_concurrency_guard lamp_shared
#define slave_of turn_lamp
#define look_up peer
#define apply shine
#define restore relight
#define ReplicationThread Keeper
#define stop dismiss
#define run keep
#define full_sync polish
#define read_line listen_once
#define master signal_mast
#define worker visitor
#endif

using scenario::kThreadsMeetHoldingLocks;
using scenario::kTwin;
using scenario::Twin;

// A timed request needs the timed type; otherwise the two are the same pthread_rwlock_t.
using RwLock = std::conditional_t<kTwin == Twin::Timed, std::shared_timed_mutex, std::shared_mutex>;

// Enough for the threads of the twins that end to overlap many times.
constexpr int kRounds = 200;
constexpr int kWrites = 100;

// Puts the threads in the order of the story.
struct Story {
  explicit Story(int readers) : workers(readers) {}

  std::vector<scenario::Tid> workers;  // those that only read
  std::latch switch_began{1};  // worker-1 has the exclusive guard, in twins in which it keeps it
  scenario::Tid joiner;        // worker-1, about to join
  scenario::Tid joined;        // the replication thread
  scenario::Steps applied;     // writes of the master
};

class Server;

// Follows one master. A new one is made at every switch.
class ReplicationThread {
 public:
  ReplicationThread(Server* server, int connection, Story* story)
      : server_(server), connection_(connection), story_(story), thread_([this] { run(); }) {}
  ReplicationThread(const ReplicationThread&) = delete;
  ReplicationThread& operator=(const ReplicationThread&) = delete;
  ~ReplicationThread() { close(connection_); }

  // Returns when the thread has ended.
  void stop();

 private:
  void run();
  bool read_line(std::string* line) const;
  void full_sync();

  Server* const server_;
  const int connection_;
  Story* const story_;
  std::atomic<bool> stop_flag_{false};
  std::thread thread_;
};

class Server {
 public:
  void follow(int connection, Story* story) {
    replication_ = std::make_unique<ReplicationThread>(this, connection, story);
  }

  // SLAVEOF: leaves the master we follow.
  void slave_of(Story* story);

  // GET.
  std::string look_up(const std::string& key);

  // Applies one write of the master.
  void apply(const std::string& key, const std::string& value);

  // Takes over the master's whole data. False: not now.
  bool restore(const std::map<std::string, std::string>& data);

 private:
  auto work_concurrency_guard() { return std::shared_lock(works_concurrency_rw_lock_); }
  auto work_exclusivity_guard() { return std::unique_lock(works_concurrency_rw_lock_); }

  std::mutex slaveof_mutex_;
  RwLock works_concurrency_rw_lock_;
  std::mutex db_mutex_;
  std::map<std::string, std::string> db_;
  bool switching_ = false;  // under the guard
  std::unique_ptr<ReplicationThread> replication_;
};

SCENARIO_FRAME void Server::slave_of(Story* story) {
  const std::lock_guard one_switch(slaveof_mutex_);
  auto exclusivity = work_exclusivity_guard();
  switching_ = true;
  if (kTwin == Twin::Repaired) exclusivity.unlock();
  story->switch_began.count_down();
  replication_->stop();
  if (kTwin == Twin::Repaired) exclusivity.lock();
  switching_ = false;
}

SCENARIO_FRAME std::string Server::look_up(const std::string& key) {
  const auto concurrency = work_concurrency_guard();
  if (switching_) return "LOADING";
  const std::lock_guard lock(db_mutex_);
  const auto found = db_.find(key);
  return found == db_.end() ? "(nil)" : found->second;
}

SCENARIO_FRAME void Server::apply(const std::string& key, const std::string& value) {
  const std::lock_guard lock(db_mutex_);
  db_[key] = value;
}

SCENARIO_FRAME bool Server::restore(const std::map<std::string, std::string>& data) {
  std::unique_lock exclusivity(works_concurrency_rw_lock_, std::defer_lock);
  if constexpr (kTwin == Twin::Trylock) {
    if (!exclusivity.try_lock()) return false;
  } else if constexpr (kTwin == Twin::Timed) {
    if (!exclusivity.try_lock_for(std::chrono::milliseconds(50))) return false;
  } else {
    exclusivity.lock();
  }
  const std::lock_guard lock(db_mutex_);
  db_ = data;
  return true;
}

SCENARIO_FRAME void ReplicationThread::stop() {
  stop_flag_ = true;
  story_->joiner.set(gettid());
  thread_.join();
}

bool ReplicationThread::read_line(std::string* line) const {
  line->clear();
  char c = 0;
  while (read(connection_, &c, 1) == 1) {
    if (c == '\n') return true;
    line->push_back(c);
  }
  return false;
}

SCENARIO_FRAME void ReplicationThread::run() {
  pthread_setname_np(pthread_self(), "replication");
  story_->joined.set(gettid());
  std::string line;
  while (read_line(&line)) {
    if (line == "FULLRESYNC") {
      full_sync();
    } else if (stop_flag_) {
      break;
    } else {
      server_->apply(line, "replicated");
      story_->applied.advance();
    }
  }
}

SCENARIO_FRAME void ReplicationThread::full_sync() {
  const std::map<std::string, std::string> data = {{"colour", "blue"}, {"shape", "round"}};
  const bool done = server_->restore(data);
  std::printf("full synchronisation %s\n", done ? "done" : "put off");
}

// The old master at the other end of `connection`. Its request arrives while the switch joins.
void master(int connection, Story* story) {
  const auto say = [connection](const std::string& line) {
    if (write(connection, line.data(), line.size()) < 0) std::perror("write");
  };
  for (int i = 0; i < kWrites; ++i) say("key" + std::to_string(i) + "\n");
  if (kTwin != Twin::Lucky) {
    scenario::wait_until_joining(story->joiner.get(), story->joined.get());
  }
  if (kTwin == Twin::Broken) {
    // By then every other worker has queued up.
    for (const scenario::Tid& tid : story->workers) scenario::wait_until_blocked(tid.get());
  }
  say("FULLRESYNC\n");
  close(connection);
}

void worker(Server* server, Story* story, int number) {
  if (kThreadsMeetHoldingLocks) story->switch_began.wait();
  story->workers[number].set(gettid());
  size_t length = 0;
  for (int round = 0; round < kRounds; ++round) length += server->look_up("colour").size();
  std::printf("%zu bytes read\n", length);
}

int main(int argc, char** argv) {
  const int threads = scenario::thread_count(argc, argv, 4, 3);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
    std::perror("socketpair");
    return 1;
  }
  Story story(threads - 2);
  const auto server = std::make_unique<Server>();
  server->follow(ends[0], &story);

  std::vector<scenario::Thread> started;
  started.emplace_back("worker-1", [&] {
    story.applied.wait_for(kWrites);
    if (kTwin == Twin::Lucky) scenario::let_end(story.joined.get());
    server->slave_of(&story);
  });
  for (int i = 2; i < threads; ++i) {
    started.emplace_back("worker-" + std::to_string(i),
                         [&, i] { worker(server.get(), &story, i - 2); });
  }
  started.emplace_back("master", [&] { master(ends[1], &story); });
}
