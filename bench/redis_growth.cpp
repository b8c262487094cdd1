// SPDX-License-Identifier: Apache-2.0
// <gordian/redis_lock.h> on a Redis Cluster: what grows with the number of its nodes and what does
// not. `tools/bench redis` runs it: redis_growth PORT... prints one JSON object; the ports are
// those of all nodes.
//
// A machine with few cores does not show what many nodes could do. So besides pairs/s it is
// counted, at the servers, what a pair of acquire and release takes, and how evenly the nodes share
// it.
#include <gordian/redis_lock.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <hiredis/hiredis.h>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using gordian::redis::client_options;
using gordian::redis::lock_client;
using Clock = std::chrono::steady_clock;

constexpr unsigned kCallers = 64;
constexpr unsigned kNamesPerCaller = 256;  // so that the slots get about the same, whoever has them

[[noreturn]] void give_up(const char* why) {
  std::fprintf(stderr, "redis_growth: %s\n", why);
  std::exit(2);
}

// What a node has done so far.
struct Count {
  double requests = 0;  // calls of a script: what the client asks a server for a lock
  double commands = 0;  // those, what the scripts do, and whatever else is asked
  double processor_us = 0;
};

double number_after(std::string_view text, std::string_view word) {
  const size_t at = text.find(word);
  return at == std::string_view::npos ? 0 : std::strtod(text.data() + at + word.size(), nullptr);
}

std::string_view line_of(std::string_view text, std::string_view begin) {
  const size_t at = text.find(begin);
  return at == std::string_view::npos ? std::string_view()
                                      : text.substr(at, text.find('\r', at) - at);
}

class Node {
 public:
  explicit Node(int port) : context_(redisConnect("127.0.0.1", port)) {
    if (context_ == nullptr || context_->err != 0) give_up("a node cannot be connected to");
  }
  // What it refuses, because the slot is another's, is a request too.
  [[nodiscard]] Count count() const {
    auto* const reply = static_cast<redisReply*>(redisCommand(context_, "INFO everything"));
    if (reply == nullptr || reply->str == nullptr) give_up("a node does not answer INFO");
    const std::string text(reply->str, reply->len);
    freeReplyObject(reply);
    Count count;
    for (const std::string_view name : {"cmdstat_evalsha:", "cmdstat_eval:"}) {
      const std::string_view line = line_of(text, name);
      const double refused = number_after(line, "rejected_calls=");
      count.requests += number_after(line, ":calls=") + refused;
      count.commands += refused;
    }
    count.commands += number_after(text, "total_commands_processed:");
    count.processor_us =
        1e6 * (number_after(text, "used_cpu_user:") + number_after(text, "used_cpu_sys:"));
    return count;
  }

 private:
  redisContext* context_;
};

// Of the client's one thread; 0 if it cannot be read.
double io_thread_us() {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    double ns = 0;
    if (name == "gordian-redis" && std::ifstream(task.path() / "schedstat") >> ns) return ns / 1e3;
  }
  return 0;
}

struct Load {
  double pairs = 0;
  double seconds = 0;
};

// Nobody wants what another one has. Returns when all is released.
Load take_and_release(lock_client& client, std::chrono::milliseconds time) {
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> pairs{0};
  std::vector<std::thread> threads;
  const auto begin = Clock::now();
  for (unsigned i = 0; i < kCallers; ++i)
    threads.emplace_back([&client, &stop, &pairs, i] {
      std::vector<std::string> names;
      for (unsigned name = 0; name < kNamesPerCaller; ++name)
        names.push_back("own-" + std::to_string(i) + "-" + std::to_string(name));
      uint64_t own = 0;
      for (; !stop; ++own) client.acquire(names[own % kNamesPerCaller]).release();
      pairs += own;
    });
  std::this_thread::sleep_for(time);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  return {static_cast<double>(pairs), std::chrono::duration<double>(Clock::now() - begin).count()};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) give_up("no ports are named");
  std::vector<Node> nodes;
  for (int i = 1; i < argc; ++i) nodes.emplace_back(std::atoi(argv[i]));
  client_options options;
  options.servers = {"redis://127.0.0.1:" + std::string(argv[1])};
  options.kind = gordian::redis::topology::cluster;
  lock_client client(options);
  take_and_release(client, 500ms);  // connected, the slots and the scripts known

  std::vector<Count> counts;
  for (const Node& node : nodes) counts.push_back(node.count());
  const double io_before = io_thread_us();
  const Load load = take_and_release(client, 2s);
  const double io = io_thread_us() - io_before;
  Count all, busiest;
  for (size_t i = 0; i < nodes.size(); ++i) {
    Count count = nodes[i].count();
    count.requests -= counts[i].requests;
    count.commands -= counts[i].commands + 1;  // the INFO before
    count.processor_us -= counts[i].processor_us;
    all.requests += count.requests;
    all.commands += count.commands;
    busiest.requests = std::max(busiest.requests, count.requests);
    busiest.processor_us = std::max(busiest.processor_us, count.processor_us);
  }
  if (load.pairs == 0 || all.requests == 0) give_up("no lock was taken");
  std::printf(R"({"pairs": %.0f, "requests": %.4f, "commands": %.4f, "busiest": %.4f, )"
              R"("busiest_us": %.3f, "io_us": %.3f})"
              "\n",
              load.pairs / load.seconds, all.requests / load.pairs, all.commands / load.pairs,
              busiest.requests / all.requests, busiest.processor_us / load.pairs, io / load.pairs);
  return 0;
}
