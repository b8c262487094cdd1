// SPDX-License-Identifier: Apache-2.0
// The I/O thread's part: keeping locks, seeing that they are lost, and letting go of them.
#include "gordian/annotate.h"
#include "redis/client_state.h"

#include <algorithm>

namespace gordian::redis::detail {

using namespace std::chrono_literals;

namespace {

// With the first that is due, those that soon will be: one write to the server is for all of them,
// and it answers others between two of these.
constexpr size_t kRenewalsAtOnce = 64;

}  // namespace

std::vector<std::shared_ptr<Hold>> ClientState::take_due(TimePoint now) {
  const TimePoint soon = now + options_.extend_interval / 16;
  std::vector<std::shared_ptr<Hold>> due;
  const std::lock_guard lock(table_.mutex);
  for (const auto& [time, hold] : table_.renewals) {
    // Not what is looked at for its end: that has been asked for, and ends no sooner.
    const bool may_come_early = time <= soon && time < hold->expires_at();
    if ((time > now && !may_come_early) || due.size() == kRenewalsAtOnce) break;
    due.push_back(hold);
  }
  // Unless it is renewed before: again soon, and at its end.
  const TimePoint again = now + std::max<Clock::duration>(options_.validity / 8, 1ms);
  for (const auto& hold : due)
    table_.renew_at(hold, std::clamp(hold->expires_at(), now + 1ms, again));
  return due;
}

void ClientState::renew_due() {
  const TimePoint now = Clock::now();
  for (const auto& hold : take_due(now)) {
    if (hold->expires_at() <= now) {
      lose(hold, "it could not be renewed in time: " + servers_->last_failure());
    } else {
      extend(hold);
    }
  }
}

void ClientState::extend(const std::shared_ptr<Hold>& hold) {
  struct Votes {
    unsigned ours = 0;
    unsigned others = 0;
  };
  const auto votes = std::make_shared<Votes>();
  const TimePoint asked_at = Clock::now();
  for (unsigned index = 0; index < keys_; ++index) {
    const std::string key = lock_key(options_.key_prefix, index, hold->name);
    std::vector<std::string> keys{key};
    if (hold->shared) keys.push_back(*side_key("readers", key));
    servers_->run(
        index,
        {.script = hold->shared ? &kExtendShared : &kExtend,
         .keys = std::move(keys),
         .arguments = {std::string(view(hold->value)), validity_ms_}},
        [this, hold, votes, asked_at](const redisReply* reply) {
          if (reply == nullptr || reply->type != REDIS_REPLY_INTEGER) return;
          votes->ours += reply->integer == 1 ? 1 : 0;
          votes->others += reply->integer == 1 ? 0 : 1;
          if (votes->ours == majority_) {
            {
              const std::lock_guard lock(table_.mutex);
              if (hold->state != Hold::State::Held || !hold->has_renewal) return;
              if (Clock::now() < hold->expires_at()) {
                hold->expires_ns =
                    (asked_at + options_.validity - drift()).time_since_epoch().count();
                table_.renew_at(hold, asked_at + options_.extend_interval);
                return;
              }
            }
            // It was over by the clock, which who asked valid() was told: it does not come back.
            lose(hold, "the answer that renews it was looked at too late");
          } else if (votes->others == keys_ - majority_ + 1) {
            lose(hold, "the key has another value or none: it was deleted, forced or forgotten");
          }
        });
  }
}

// Somebody touched a key of ours: is it still ours? A read alone, which changes nothing and makes
// the server tell us of the next change.
void ClientState::verify(const std::shared_ptr<Hold>& hold) {
  if (hold->shared) {
    verify_reader(hold);
    return;
  }
  const auto others = std::make_shared<unsigned>(0);
  for (unsigned index = 0; index < keys_; ++index) {
    servers_->ask(index, {"GET", lock_key(options_.key_prefix, index, hold->name)},
                  [this, hold, others](const redisReply* reply) {
                    if (reply == nullptr || is_error(reply)) return;
                    if (text_of(reply) == view(hold->value)) return;
                    *others += 1;
                    if (*others == keys_ - majority_ + 1)
                      lose(hold, "the key was deleted, forced or forgotten");
                  });
  }
}

void ClientState::lose(std::shared_ptr<Hold> hold, std::string why) {
  std::shared_ptr<Gate> gate;
  bool contend = false;
  {
    const std::lock_guard lock(table_.mutex);
    if (hold->state == Hold::State::Released && !hold->shared) {
      // Handed over while the server was asked: it is the next owner's by now.
      const std::shared_ptr<Gate> now = table_.find(hold->name);
      if (now && now->hold && now->hold->value == hold->value) hold = now->hold;
    }
    if (hold->state != Hold::State::Held) return;
    hold->state = Hold::State::Lost;
    hold->lost_because = std::move(why);
    // By another thread than its holder: from now on Gordian's runtime takes nobody for the owner
    // who alone could end a wait for this lock.
    if (hold->resource != nullptr) GORDIAN_RELEASED(hold->resource);
    table_.renew_never(hold);
    gate = table_.take_out(hold);
    if (gate) {
      gate->handovers = 0;
      if (!gate->shared && !gate->claimed && !gate->waiters.empty()) contend = gate->claimed = true;
      table_.drop_if_idle(gate);
    }
  }
  tell_program([hold] { hold->lost.request_stop(); });
  loop_.post([this, hold, gate, contend] {
    // What is left of it on the servers (a minority, or a lease we could not renew) helps nobody.
    for (unsigned index = 0; index < keys_; ++index)
      servers_->run(index, release_call(index, hold->name, hold->value), [](const redisReply*) {});
    if (contend) start_contending(gate, {});
  });
}

void ClientState::release_unwanted(const std::shared_ptr<Gate>& gate, const Value& value,
                                   TimePoint until) {
  under_way_ += 1;
  release_at_server(gate->name, value, until, [this, gate](Released) {
    under_way_ -= 1;
    let_go(gate, false);
  });
}

void ClientState::release_at_server(const std::string& name, const Value& value, TimePoint until,
                                    const std::function<void(Released)>& done) {
  struct Answers {
    unsigned missing = 0;
    unsigned deleted = 0;
    unsigned unknown = 0;
  };
  const auto answers = std::make_shared<Answers>();
  answers->missing = keys_;
  for (unsigned index = 0; index < keys_; ++index) {
    servers_->run(
        index, release_call(index, name, value),
        [this, name, value, until, done, answers](const redisReply* reply) {
          answers->missing -= 1;
          answers->deleted += is_integer(reply, 1) ? 1 : 0;
          answers->unknown += reply == nullptr || reply->type != REDIS_REPLY_INTEGER ? 1 : 0;
          if (answers->missing != 0) return;
          if (answers->unknown < majority_) {
            done(answers->deleted + answers->unknown >= majority_ ? Released::Yes
                                                                  : Released::WasLost);
          } else if (Clock::now() >= until) {
            done(Released::Unknown);  // by now it has expired
          } else {
            loop_.at(
                Clock::now() + std::chrono::milliseconds(20),
                [this, name, value, until, done] { release_at_server(name, value, until, done); });
          }
        });
  }
}

}  // namespace gordian::redis::detail
