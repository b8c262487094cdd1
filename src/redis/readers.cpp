// SPDX-License-Identifier: Apache-2.0
// Readers: queued and kept apart from those who want the lock for themselves. Each reader is one at
// the server, too; the contender of their queue asks for one after the other.
#include "gordian/annotate.h"
#include "redis/client_state.h"
#include "redis/failure.h"

namespace gordian::redis::detail {
namespace {

// For longer than until it tries again; a writer that dies keeps readers out no longer.
constexpr auto kWriterWaits = std::chrono::milliseconds(2000);

}  // namespace

std::shared_ptr<Hold> ClientState::acquire_shared(std::string_view name, const wait_limit& limit) {
  check_usable(name);
  check_may_wait();
  check_has_readers(name);
  const std::shared_ptr<Waiter> waiter = make_waiter(name, limit, false);
  std::shared_ptr<Gate> gate;
  bool first = false;
  {
    const std::lock_guard lock(table_.mutex);
    if (table_.closing) raise({errc::closed, "the client is being destroyed", {}}, name);
    if (const auto writers = table_.find(name);
        writers && writers->hold && writers->hold->owner == waiter->owner)
      raise({errc::reentry,
             "the calling thread holds it exclusively and would wait for itself; release it first",
             {}},
            name);
    gate = table_.find_or_make(name, options_.handover_limit, true);
    if (auto own = LockTable::find_reader(gate, waiter->owner)) {
      if (!options_.allow_reentry)
        raise({errc::reentry,
               "the calling thread is a reader already, and could wait behind a writer that waits "
               "for it; release it first, or set client_options::allow_reentry",
               {}},
              name);
      own->depth += 1;
      return own;
    }
    first = !gate->claimed;
    gate->claimed = true;
    waiter->parker.announce(gate->words, ends_by_itself(*waiter));
    gate->waiters.push_back(waiter);
  }
  if (first) loop_.post([this, gate] { start_contending(gate, {}); });
  return wait_for(gate, waiter, limit);
}

void ClientState::release_reader(const std::shared_ptr<Hold>& hold, bool wait) {
  std::shared_ptr<Gate> gate;
  bool ends = false;
  {
    const std::lock_guard lock(table_.mutex);
    const bool is_last = hold->depth == 1;
    if (!is_last) hold->depth -= 1;
    if (is_last && hold->resource != nullptr) GORDIAN_RELEASED(hold->resource);
    ends = is_last && hold->state == Hold::State::Held;
    if (ends) {
      hold->state = Hold::State::Releasing;
      table_.renew_never(hold);
      gate = table_.take_out(hold);
      if (gate) table_.drop_if_idle(gate);
    }
  }
  if (!ends) {
    if (wait) raise_if_lost(*hold);
    return;
  }
  struct Done {
    Parker parker;
    std::atomic<Released> released{Released::Unknown};
  };
  const auto done = std::make_shared<Done>();
  const TimePoint until = hold->expires_at();
  under_way_ += 1;
  loop_.post([this, hold, gate, until, done] {
    release_at_server(hold->name, hold->value, until, [this, gate, done](Released answer) {
      done->released = answer;
      done->parker.unpark();
      under_way_ -= 1;
      if (gate) wake_other_kind(gate);
    });
  });
  if (!wait) return;
  done->parker.park(Clock::now() + options_.command_timeout);
  if (done->released == Released::WasLost)
    raise({errc::lost,
           "the lease was lost before it was released: the key had another value or none",
           {}},
          hold->name);
}

// A read, as verify(): an extension by each reader that is told of another one's would never end.
void ClientState::verify_reader(const std::shared_ptr<Hold>& hold) {
  const auto others = std::make_shared<unsigned>(0);
  const auto is_missing = [this, hold, others] {
    *others += 1;
    if (*others == keys_ - majority_ + 1) lose(hold, "the key was deleted, forced or forgotten");
  };
  for (unsigned index = 0; index < keys_; ++index) {
    const std::string key = lock_key(options_.key_prefix, index, hold->name);
    servers_->ask(
        index, {"GET", key}, [this, hold, index, key, is_missing](const redisReply* value) {
          if (value == nullptr || is_error(value)) return;
          if (!is_shared(text_of(value))) {
            is_missing();
            return;
          }
          servers_->ask(index,
                        {"ZSCORE", *side_key("readers", key), std::string(view(hold->value))},
                        [is_missing](const redisReply* score) {
                          if (score != nullptr && score->type == REDIS_REPLY_NIL) is_missing();
                        });
        });
  }
}

void ClientState::say_that_a_writer_waits(const std::shared_ptr<Gate>& gate) {
  std::optional<Value>& writer = gate->contention.writer;
  if (!writer) writer = new_value(0);
  const std::string ms = std::to_string(kWriterWaits.count());
  for (unsigned index = 0; index < keys_; ++index)
    if (auto key = side_key("writer", lock_key(options_.key_prefix, index, gate->name)))
      servers_->ask(index, {"SET", std::move(*key), std::string(view(*writer)), "PX", ms},
                    [](const redisReply*) {});
}

void ClientState::no_writer_waits(const std::shared_ptr<Gate>& gate) {
  const std::optional<Value> writer = std::exchange(gate->contention.writer, std::nullopt);
  if (!writer) return;
  for (unsigned index = 0; index < keys_; ++index)
    if (auto key = side_key("writer", lock_key(options_.key_prefix, index, gate->name))) {
      under_way_ += 1;
      servers_->run(index,
                    {.script = &kRelease,
                     .keys = {std::move(*key)},
                     .arguments = {std::string(view(*writer))}},
                    [this](const redisReply*) { under_way_ -= 1; });
    }
  wake_other_kind(gate);
}

void ClientState::wake_other_kind(const std::shared_ptr<Gate>& gate) {
  std::shared_ptr<Gate> other;
  {
    const std::lock_guard lock(table_.mutex);
    other = table_.find(gate->name, !gate->shared);
    if (!other || other->waiters.empty()) return;
  }
  loop_.post([this, other] { contend(other); });
}

}  // namespace gordian::redis::detail
