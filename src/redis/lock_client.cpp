// SPDX-License-Identifier: Apache-2.0
// The public face: everything behind it is ClientState's.
#include "gordian/annotate.h"
#include "redis/client_state.h"

#include <algorithm>
#include <pthread.h>

namespace gordian::redis {

using detail::ClientState;

lock_client::lock_client(client_options options)
    : state_(std::make_shared<ClientState>(std::move(options))) {
  state_->start();
}

lock_client::~lock_client() {
  if (state_->is_of_this_process()) {
    state_->close();
  } else {
    // Left alone in a forked child: the epoll instance is shared with the parent, which goes on.
    state_->keep_for_ever();
  }
}

lease lock_client::acquire(std::string_view name, const wait_limit& limit) {
  return lease(state_->acquire(name, limit, ClientState::Want::Wait));
}

lease lock_client::acquire_shared(std::string_view name, const wait_limit& limit) {
  return lease(state_->acquire_shared(name, limit));
}

namespace {

// In an order that is everybody's.
void sort_and_merge(std::vector<std::string>& names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

}  // namespace

std::vector<lease> lock_client::acquire_all(std::vector<std::string> names,
                                            const wait_limit& limit) {
  sort_and_merge(names);
  std::vector<lease> leases;
  leases.reserve(names.size());
  try {
    for (const std::string& name : names) leases.push_back(acquire(name, limit));
  } catch (...) {
    for (lease& one : leases) {
      try {
        one.release();
      } catch (const lock_error&) {
        // Lost already: as good as released.
      }
    }
    throw;
  }
  return leases;
}

std::optional<lease> lock_client::try_acquire(std::string_view name) {
  std::shared_ptr<Hold> hold = state_->acquire(name, {}, ClientState::Want::Once);
  if (hold == nullptr) return std::nullopt;
  return lease(std::move(hold));
}

lease lock_client::force_acquire(std::string_view name) {
  return lease(state_->acquire(name, {}, ClientState::Want::Force));
}

namespace {

std::error_code code_of(const std::exception_ptr& error) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const lock_error& one) {
    return one.code();
  }
  return {};
}

}  // namespace

void lock_client::ask_async(std::string name, on_acquired done, const wait_limit& limit, int kind) {
  if (!done) throw misuse_error("there is nobody to be called back");
  state_->acquire_async(std::move(name), limit, static_cast<ClientState::Kind>(kind),
                        [done = std::move(done)](std::vector<std::shared_ptr<Hold>> holds,
                                                 const std::exception_ptr& error) {
                          done({.held = holds.empty() ? lease() : lease(std::move(holds.front())),
                                .code = code_of(error),
                                .error = error});
                        });
}

void lock_client::async_acquire(std::string_view name, on_acquired done, const wait_limit& limit) {
  ask_async(std::string(name), std::move(done), limit,
            static_cast<int>(ClientState::Kind::Exclusive));
}

void lock_client::async_acquire_shared(std::string_view name, on_acquired done,
                                       const wait_limit& limit) {
  ask_async(std::string(name), std::move(done), limit, static_cast<int>(ClientState::Kind::Shared));
}

void lock_client::async_try_acquire(std::string_view name, on_acquired done) {
  ask_async(std::string(name), std::move(done), {}, static_cast<int>(ClientState::Kind::Once));
}

void lock_client::async_force_acquire(std::string_view name, on_acquired done) {
  ask_async(std::string(name), std::move(done), {}, static_cast<int>(ClientState::Kind::Force));
}

void lock_client::async_acquire_all(std::vector<std::string> names, on_all_acquired done,
                                    const wait_limit& limit) {
  if (!done) throw misuse_error("there is nobody to be called back");
  sort_and_merge(names);
  state_->acquire_all_async(std::move(names), limit,
                            [done = std::move(done)](std::vector<std::shared_ptr<Hold>> holds,
                                                     const std::exception_ptr& error) {
                              acquisitions got{.held = {}, .code = code_of(error), .error = error};
                              got.held.reserve(holds.size());
                              for (std::shared_ptr<Hold>& hold : holds)
                                got.held.push_back(lease(std::move(hold)));
                              done(std::move(got));
                            });
}

int lock_client::descriptor() const { return state_->descriptor(); }

void lock_client::run_ready() {
  const std::shared_ptr<ClientState> state = state_;  // a callback may destroy the client
  state->run_ready();
}

lease::lease() noexcept = default;

namespace {

struct Stack {
  uintptr_t low = 0;
  uintptr_t high = 0;
};

Stack find_own_stack() {
  Stack stack;
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return stack;
  void* low = nullptr;
  size_t size = 0;
  if (pthread_attr_getstack(&attributes, &low, &size) == 0)
    stack = {reinterpret_cast<uintptr_t>(low), reinterpret_cast<uintptr_t>(low) + size};
  pthread_attr_destroy(&attributes);
  return stack;
}

// A lease that does not lie in the stack of its thread may be released by another one.
void note_place(const std::shared_ptr<Hold>& hold, const lease* place) {
  if (!hold) return;
  thread_local const Stack stack = find_own_stack();
  const auto at = reinterpret_cast<uintptr_t>(place);
  if (at < stack.low || at >= stack.high || hold->owner != this_thread_id())
    hold->words.kept_elsewhere = 1;
  if (hold->resource != nullptr) GORDIAN_KEPT_AT(hold->resource, place);
}

}  // namespace

lease::lease(std::shared_ptr<Hold> hold) noexcept : hold_(std::move(hold)) {
  note_place(hold_, this);
}
lease::lease(lease&& other) noexcept : hold_(std::move(other.hold_)) { note_place(hold_, this); }

lease& lease::operator=(lease&& other) noexcept {
  if (this == &other) return *this;
  release_async();
  hold_ = std::move(other.hold_);
  note_place(hold_, this);
  return *this;
}

lease::~lease() { release_async(); }

const std::string& lease::name() const {
  static const std::string none;
  return hold_ ? hold_->name : none;
}

std::stop_token lease::lost() const { return hold_ ? hold_->lost.get_token() : std::stop_token(); }

bool lease::valid() const noexcept {
  // ORDER: acquire pairs with the store of whoever extends or loses it; nothing else is read
  // through it.
  if (!hold_ || hold_->state.load(std::memory_order_acquire) != Hold::State::Held ||
      Clock::now().time_since_epoch().count() >= hold_->expires_ns.load(std::memory_order_acquire))
    return false;
  // A forked child has a copy of it, and does not hold what its parent holds.
  const std::shared_ptr<ClientState> client = hold_->client.lock();
  return client && client->is_of_this_process();
}

uint64_t lease::fencing_token() const {
  if (!hold_) throw misuse_error("an empty lease has no fencing token");
  if (hold_->token == 0)
    throw misuse_error("fencing tokens are drawn only with client_options::fencing");
  return hold_->token;
}

void lease::release() {
  if (!hold_) return;
  const std::shared_ptr<ClientState> client = hold_->client.lock();
  if (client) client->check_may_wait();  // else it stays held
  const std::shared_ptr<Hold> hold = std::move(hold_);
  if (client) client->release(hold, true);
}

void lease::release_async() noexcept {
  const std::shared_ptr<Hold> hold = std::move(hold_);
  if (!hold) return;
  try {
    if (const std::shared_ptr<ClientState> client = hold->client.lock())
      client->release(hold, false);
  } catch (...) {
    // Out of memory: it is renewed no more only once the client ends. Nothing better is left.
  }
}

}  // namespace gordian::redis
