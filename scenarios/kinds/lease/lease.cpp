// SPDX-License-Identifier: Apache-2.0
// Locks on a real Redis server in cycles with the locks of the process.
//
// RUN(hybrid, two-leases, self): gordian run -- %program %case
// EXIT(hybrid, two-leases, self): 66
// JSON(hybrid, two-leases, self): findings=1
// JSON(hybrid): verdict=deadlock kind=lease|mixed knot=left,right locks=invoices,ledger
// JSON(two-leases): verdict=deadlock kind=lease knot=left,right locks=invoices,orders
// JSON(self): verdict=deadlock kind=self-lock locks=invoices
// EXPECT(hybrid, two-leases, self): Nobody deletes or forces the key of a lease
//
// From outside each client is seen by itself.
// ATTACH(self): skip
//
// RUN(consistent, deadline, raises, other-server): gordian run -- %program %case
// EXIT(consistent, deadline, raises, other-server): 0
// JSON(consistent, deadline, raises, other-server): findings=0
//
// Whoever has the lease now may release it: no deadlock, though it looks like one.
// RUN(moves-on): gordian run -- %program %case
// EXIT(moves-on): 0
// JSON(moves-on): no verdict=deadlock
#include "support/blocked.h"
#include "support/cases.h"
#include "support/redis_server.h"
#include "support/steps.h"
#include "support/thread.h"
#include <gordian/redis_lock.h>

#include <chrono>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

namespace {

using gordian::redis::client_options;
using gordian::redis::deadlock_mode;
using gordian::redis::lease;
using gordian::redis::lock_client;
using namespace std::chrono_literals;
using scenario::Steps;
using scenario::Thread;
using scenario::Tid;

std::string url_of(const scenario::RedisServer& server) { return "unix://" + server.socket_path(); }

client_options options_for(const std::string& url) {
  client_options options;
  std::istringstream words(url);
  options.servers.assign(std::istream_iterator<std::string>(words), {});
  const char* const named = std::getenv("SCENARIO_REDIS_TOPOLOGY");
  const std::string kind = named == nullptr ? "" : named;
  using gordian::redis::topology;
  if (kind == "cluster") options.kind = topology::cluster;
  if (kind == "independent") options.kind = topology::independent;
  if (kind == "sentinel") options.kind = topology::sentinel;
  if (!kind.empty()) options.on_transport_error = gordian::redis::transport_policy::keep_trying;
  return options;
}

scenario::RedisServer* own_server = nullptr;
std::string url;

std::unique_ptr<lock_client> make_client(client_options options) {
  return std::make_unique<lock_client>(std::move(options));
}
std::unique_ptr<lock_client> make_client() { return make_client(options_for(url)); }

// The program will hang, and be killed.
void forget_server() {
  if (own_server != nullptr) own_server->forget_folder();
}

}  // namespace

std::mutex ledger;

namespace {

// One thread holds a mutex and waits for the lease, the other the reverse: no server can know.
void hybrid() {
  const auto client = make_client();
  Steps both_hold_one;
  Thread left("left", [&] {
    std::lock_guard hold(ledger);
    both_hold_one.meet(2);
    forget_server();
    const lease want = client->acquire("invoices");
  });
  Thread right("right", [&] {
    const lease hold = client->acquire("invoices");
    both_hold_one.meet(2);
    std::lock_guard want(ledger);
  });
}

void two_leases() {
  const auto client = make_client();
  Steps both_hold_one;
  const auto body = [&](const char* first, const char* second) {
    const lease hold = client->acquire(first);
    both_hold_one.meet(2);
    forget_server();
    const lease want = client->acquire(second);
  };
  Thread left("left", [&] { body("invoices", "orders"); });
  Thread right("right", [&] { body("orders", "invoices"); });
}

// Through two clients: the error for a re-entry is a client's own.
void self() {
  const auto one = make_client(), other = make_client();
  const lease hold = one->acquire("invoices");
  forget_server();
  const lease want = other->acquire("invoices");
}

void consistent() {
  const auto client = make_client();
  const auto body = [&] {
    for (int i = 0; i < 100; ++i) {
      std::lock_guard hold(ledger);
      const lease want = client->acquire("invoices");
    }
  };
  Thread left("left", body);
  Thread right("right", body);
}

// As hybrid, but one request gives up.
void deadline() {
  const auto client = make_client();
  Steps both_hold_one;
  Thread left("left", [&] {
    std::lock_guard hold(ledger);
    both_hold_one.meet(2);
    try {
      const lease want = client->acquire("invoices", 1s);
    } catch (const gordian::redis::deadline_error&) {
    }
  });
  Thread right("right", [&] {
    const lease hold = client->acquire("invoices");
    both_hold_one.meet(2);
    std::lock_guard want(ledger);
  });
}

// As two_leases, but the clients break it themselves.
void raises() {
  client_options options = options_for(url);
  options.deadlocks = deadlock_mode::raise;
  const auto client = make_client(std::move(options));
  Steps both_hold_one;
  const auto body = [&](const char* first, const char* second) {
    const lease hold = client->acquire(first);
    both_hold_one.meet(2);
    try {
      const lease want = client->acquire(second);
    } catch (const gordian::redis::deadlock_error&) {
    }
  };
  Thread left("left", [&] { body("invoices", "orders"); });
  Thread right("right", [&] { body("orders", "invoices"); });
}

// As hybrid, but the lease of the holder is another thread's by the time it blocks.
void moves_on() {
  const auto client = make_client();
  Steps both_hold_one, handed_over;
  lease moved;
  Thread left("left", [&] {
    std::lock_guard hold(ledger);
    both_hold_one.meet(2);
    const lease want = client->acquire("invoices");
  });
  Thread right("right", [&] {
    lease hold = client->acquire("invoices");
    moved = std::move(hold);
    handed_over.advance();
    both_hold_one.meet(2);
    std::lock_guard want(ledger);
  });
  Thread third("third", [&] {
    handed_over.wait_for(1);
    std::this_thread::sleep_for(1s);  // work under the lease
    moved.release();
  });
}

// As hybrid, but the two speak of different servers.
void other_server() {
  scenario::RedisServer another;
  const auto here = make_client(), there = make_client(options_for(url_of(another)));
  Steps all_hold_one;
  Thread left("left", [&] {
    std::lock_guard hold(ledger);
    all_hold_one.meet(3);
    const lease want = here->acquire("invoices");
  });
  Thread right("right", [&] {
    const lease hold = there->acquire("invoices");
    all_hold_one.meet(3);
    std::lock_guard want(ledger);
  });
  Thread third("third", [&] {
    const lease hold = here->acquire("invoices");
    all_hold_one.meet(3);
    std::this_thread::sleep_for(1s);  // work under the lease
  });
}

}  // namespace

int main(int argc, char** argv) {
  // Other servers than one of its own: SCENARIO_REDIS="URL ..." SCENARIO_REDIS_TOPOLOGY=cluster,
  // independent or sentinel; there the master is "mymaster".
  std::optional<scenario::RedisServer> server;
  if (const char* const named = std::getenv("SCENARIO_REDIS")) {
    url = named;
  } else {
    own_server = &server.emplace();
    url = url_of(*server);
  }
  return scenario::run_case(argc, argv,
                            {{"hybrid", hybrid},
                             {"two-leases", two_leases},
                             {"self", self},
                             {"consistent", consistent},
                             {"deadline", deadline},
                             {"raises", raises},
                             {"moves-on", moves_on},
                             {"other-server", other_server}});
}
