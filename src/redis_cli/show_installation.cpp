// SPDX-License-Identifier: Apache-2.0
#include "redis_cli/show_installation.h"

#include "base/exit.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/parse_options.h"
#include "process/live.h"
#include "redis/client_place.h"
#include "redis/installation.h"
#include "redis_cli/redis_words.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <unistd.h>
#include <utility>

namespace gordian::redis_cli {
namespace {

using namespace std::chrono_literals;
using redis::Installation;
using Clock = std::chrono::steady_clock;

constexpr auto kTimeout = 5s;
constexpr auto kBetweenReadings = 150ms;
constexpr auto kPatience = 3s;  // for publishers that are slow
constexpr auto kRedisWatchInterval = 1s;

// How often the thread was given a processor, or nullopt: it does not exist.
std::optional<uint64_t> switches_of(int64_t pid, uint32_t thread) {
  if (!std::in_range<int>(pid) || !std::in_range<int>(thread)) return std::nullopt;
  const auto reading = process::read_thread(static_cast<int>(pid), static_cast<int>(thread));
  return reading ? std::optional(reading->switches()) : std::nullopt;
}

// Leases that are held for nobody, as it seems.
class Suspicions {
 public:
  explicit Suspicions(std::chrono::nanoseconds idle) : idle_(idle) {}

  std::map<std::string, std::string> look(const Installation& all) {
    std::map<std::string, std::string> found;
    std::map<std::string, Seen> seen;
    for (const redis::InstalledLock& lock : all.locks) {
      if (!lock.holder || lock.holder->shared) continue;
      const auto client = all.clients.find(lock.holder->incarnation);
      if (client == all.clients.end()) {
        if (all.clients_known)
          found[lock.value] = "its client is not connected any more, nobody renews it";
        continue;
      }
      const uint32_t thread = lock.holder->thread;
      if (client->second.host != host_ || thread == 0) continue;
      const auto switches = switches_of(client->second.pid, thread);
      if (!switches) {
        if (switches_of(client->second.pid, static_cast<uint32_t>(client->second.pid)))
          found[lock.value] = "it is renewed, but the thread that took it has ended";
        continue;
      }
      Seen now{.switches = *switches, .since = Clock::now()};
      const auto before = seen_.find(lock.value);
      if (before != seen_.end() && before->second.switches == now.switches)
        now.since = before->second.since;
      const auto idle = Clock::now() - now.since;
      if (idle >= idle_)
        found[lock.value] =
            "it is renewed, but the thread that took it has not run for " + to_text(idle);
      seen[lock.value] = now;
    }
    seen_ = std::move(seen);
    return found;
  }

 private:
  struct Seen {
    uint64_t switches = 0;
    Clock::time_point since;
  };
  const std::chrono::nanoseconds idle_;
  const std::string host_ = redis::own_place().host;
  std::map<std::string, Seen> seen_;  // by lock value
};

std::set<std::string> signatures(const Installation& all,
                                 const std::vector<std::vector<size_t>>& rings) {
  std::set<std::string> result;
  for (const auto& ring : rings) result.insert(ring_signature(all, ring));
  return result;
}

// By server, client and thread.
std::map<std::tuple<std::string, uint64_t, uint32_t>, uint64_t> editions(const Installation& all) {
  std::map<std::tuple<std::string, uint64_t, uint32_t>, uint64_t> result;
  for (const auto& wait : all.waits)
    result[{wait.server, wait.incarnation, wait.owner.thread}] = wait.edition;
  return result;
}

// A ring is believed when three readings show it, one after the other, and all that the third one
// reads was published two editions later than in the second. src/redis/deadlock_watch.h says why.
Result<RedisReport> read_report(const std::vector<redis::NamedServer>& servers,
                                std::string_view prefix) {
  GORDIAN_TRY(const Installation first, redis::read_installation(servers, prefix, kTimeout));
  std::set<std::string> candidates = signatures(first, find_rings(first));
  if (candidates.empty()) return RedisReport{.installation = first, .rings = {}, .suspicions = {}};
  std::this_thread::sleep_for(kBetweenReadings);
  GORDIAN_TRY(const Installation second, redis::read_installation(servers, prefix, kTimeout));
  const std::set<std::string> again = signatures(second, find_rings(second));
  std::erase_if(candidates, [&](const std::string& one) { return again.count(one) == 0; });
  const auto before = editions(second);
  const auto until = Clock::now() + kPatience;
  while (true) {
    if (!candidates.empty()) std::this_thread::sleep_for(kBetweenReadings);
    GORDIAN_TRY(Installation third, redis::read_installation(servers, prefix, kTimeout));
    RedisReport report{.installation = std::move(third), .rings = {}, .suspicions = {}};
    const Installation& all = report.installation;
    bool too_early = false;
    std::set<std::string> still;
    for (const auto& ring : find_rings(all)) {
      const std::string signature = ring_signature(all, ring);
      if (candidates.count(signature) == 0) continue;
      still.insert(signature);
      const bool is_later = std::all_of(ring.begin(), ring.end(), [&](size_t index) {
        const auto& wait = all.waits[index];
        const auto old = before.find({wait.server, wait.incarnation, wait.owner.thread});
        return old != before.end() && wait.edition >= old->second + 2;
      });
      if (is_later)
        report.rings.push_back(ring);
      else
        too_early = true;
    }
    candidates = std::move(still);
    if (!too_early || Clock::now() >= until) return report;
  }
}

struct RedisCommandLine {
  std::vector<std::string> servers;
  std::string prefix = "rueidislock";
  std::string idle = "10s";
  bool watch = false;
  bool json = false;
  bool dot = false;
  redis::tls_options tls;
};

void show(const RedisReport& report, const RedisCommandLine& options, bool is_first) {
  const std::string text = options.json  ? redis_json(report, options.prefix)
                           : options.dot ? redis_dot(report)
                                         : redis_text(report);
  if (options.watch && !options.json && !options.dot) {
    if (isatty(STDOUT_FILENO) != 0)
      std::fputs("\x1b[H\x1b[2J", stdout);
    else if (!is_first)
      std::fputs("\n", stdout);
  }
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

Result<int> look(const RedisCommandLine& options) {
  if (options.json && options.dot) return Error("--json and --dot are two forms of one answer");
  std::vector<redis::NamedServer> servers;
  std::shared_ptr<const redis::TlsContext> tls;
  for (const std::string& text : options.servers) {
    GORDIAN_TRY(redis::NamedServer server, redis::parse_named_server(text));
    if (server.address.secure) {
      if (!tls) {
        GORDIAN_TRY(auto made, redis::TlsContext::make(options.tls));
        tls = std::move(made);
      }
      server.address.tls = server.master_login.tls = tls;
    }
    servers.push_back(std::move(server));
  }
  GORDIAN_TRY(const std::chrono::nanoseconds idle, parse_duration(options.idle).in("--idle"));
  Suspicions suspicions(idle);
  for (bool is_first = true;; is_first = false) {
    Result<RedisReport> report = read_report(servers, options.prefix);
    if (report) {
      report->suspicions = suspicions.look(report->installation);
      show(*report, options, is_first);
      // Whoever watches a cluster goes on when the server that was named has gone.
      servers = redis::with_remembered(servers, report->installation.servers);
    } else if (!options.watch || is_first) {
      return std::move(report).error();
    } else {
      // Servers are started again, and whoever watches wants to see what is left then.
      std::fprintf(stderr, "gordian: %s; still watching\n",
                   escape_for_terminal(report.error().message).c_str());
    }
    if (!options.watch || std::ferror(stdout) != 0)
      return static_cast<int>(report->rings.empty() ? Exit::Clean : Exit::Found);
    std::this_thread::sleep_for(kRedisWatchInterval);
  }
}

}  // namespace

Result<int> show_installation(const std::vector<std::string>& arguments) {
  RedisCommandLine options;
  CLI::App app("Says who holds which lock on Redis servers, who waits, and who for ever.");
  app.add_option("--prefix", options.prefix, "Of the keys of the locks (default rueidislock)")
      ->option_text("TEXT");
  app.add_flag("--watch", options.watch, "Again every second, until interrupted");
  app.add_flag("--json", options.json, "As JSON");
  app.add_flag("--dot", options.dot, "As a graph for Graphviz");
  app.add_option("--idle", options.idle,
                 "With --watch: a holder that has not run for so long is suspicious (default 10s)")
      ->option_text("DURATION");
  app.add_option("--cacert", options.tls.ca_file, "With rediss://: authorities whose word counts")
      ->option_text("FILE");
  app.add_option("--cacertdir", options.tls.ca_directory, "The same, a directory of them")
      ->option_text("DIR");
  app.add_option("--cert", options.tls.certificate_file, "The certificate to show to servers")
      ->option_text("FILE");
  app.add_option("--key", options.tls.key_file, "Its key")->option_text("FILE");
  app.add_option("--sni", options.tls.server_name, "The servers' name in their certificates")
      ->option_text("NAME");
  app.add_flag_callback(
      "--insecure", [&options] { options.tls.verify = false; }, "Believe whoever answers");
  app.add_option(
         "URL", options.servers,
         "redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE] or unix:///PATH: all independent "
         "servers, or any of a cluster; redis+sentinel://HOST[:PORT]/MASTER for what "
         "sentinels watch")
      ->required()
      ->option_text(" ");
  GORDIAN_TRY(const std::string help,
              cli::parse_options(app, arguments,
                                 {.name = "gordian redis", .usage = cli::kRedisCommand.usage}));
  if (!help.empty()) {
    std::fputs(help.c_str(), stdout);
    return static_cast<int>(Exit::Clean);
  }
  return look(options);
}

}  // namespace gordian::redis_cli
