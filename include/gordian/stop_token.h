// SPDX-License-Identifier: Apache-2.0
// gordian::stop_token, stop_source, stop_callback: those of std where the library has them, else
// (libc++ before 20) our own with the same interface, as far as the parts of Gordian need it.
#ifndef GORDIAN_STOP_TOKEN_H
#define GORDIAN_STOP_TOKEN_H

#include <version>
#if defined(__cpp_lib_jthread)
#include <stop_token>

namespace gordian {
using std::nostopstate;
using std::nostopstate_t;
using std::stop_callback;
using std::stop_source;
using std::stop_token;
}  // namespace gordian

#else
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>

namespace gordian {

struct nostopstate_t {
  explicit nostopstate_t() = default;
};
inline constexpr nostopstate_t nostopstate{};

namespace detail {

struct stop_entry {
  stop_entry* next = nullptr;
  stop_entry* previous = nullptr;
  virtual void call() noexcept = 0;

 protected:
  ~stop_entry() = default;
};

// Callbacks run in the requesting thread, without the lock. A callback that is destroyed while it
// runs in another thread waits for its end; in its own thread it does not.
class stop_state {
 public:
  bool requested() const noexcept { return requested_.load(); }

  bool request() {
    std::unique_lock hold(lock_);
    if (requested_.exchange(true)) return false;
    caller_ = std::this_thread::get_id();
    while (stop_entry* entry = first_) {
      unlink(*entry);
      running_ = entry;
      hold.unlock();
      entry->call();
      hold.lock();
      running_ = nullptr;
      ended_.notify_all();
    }
    return true;
  }

  // False: already requested, and the caller runs the callback itself.
  bool add(stop_entry& entry) {
    std::lock_guard hold(lock_);
    if (requested()) return false;
    entry.next = first_;
    if (first_ != nullptr) first_->previous = &entry;
    first_ = &entry;
    return true;
  }

  void remove(stop_entry& entry) {
    std::unique_lock hold(lock_);
    if (&entry == first_ || entry.previous != nullptr) {
      unlink(entry);
    } else if (caller_ != std::this_thread::get_id()) {
      ended_.wait(hold, [&] { return running_ != &entry; });
    }
  }

  std::atomic<int> sources{0};

 private:
  void unlink(stop_entry& entry) {
    if (entry.previous != nullptr) entry.previous->next = entry.next;
    if (entry.next != nullptr) entry.next->previous = entry.previous;
    if (first_ == &entry) first_ = entry.next;
    entry.next = entry.previous = nullptr;
  }

  std::atomic<bool> requested_{false};
  std::mutex lock_;
  std::condition_variable ended_;
  stop_entry* first_ = nullptr;
  stop_entry* running_ = nullptr;
  std::thread::id caller_;
};

}  // namespace detail

class stop_token {
 public:
  stop_token() noexcept = default;
  bool stop_requested() const noexcept { return state_ && state_->requested(); }
  bool stop_possible() const noexcept {
    return state_ && (state_->requested() || state_->sources.load() != 0);
  }
  void swap(stop_token& other) noexcept { state_.swap(other.state_); }
  friend bool operator==(const stop_token& a, const stop_token& b) noexcept {
    return a.state_ == b.state_;
  }

 private:
  friend class stop_source;
  template <typename>
  friend class stop_callback;
  explicit stop_token(std::shared_ptr<detail::stop_state> state) : state_(std::move(state)) {}
  std::shared_ptr<detail::stop_state> state_;
};

class stop_source {
 public:
  stop_source() : state_(std::make_shared<detail::stop_state>()) { ++state_->sources; }
  explicit stop_source(nostopstate_t) noexcept {}
  stop_source(const stop_source& other) noexcept : state_(other.state_) {
    if (state_) ++state_->sources;
  }
  stop_source(stop_source&& other) noexcept = default;
  stop_source& operator=(stop_source other) noexcept {
    state_.swap(other.state_);
    return *this;
  }
  ~stop_source() {
    if (state_) --state_->sources;
  }
  stop_token get_token() const noexcept { return stop_token(state_); }
  bool stop_possible() const noexcept { return state_ != nullptr; }
  bool stop_requested() const noexcept { return state_ && state_->requested(); }
  bool request_stop() noexcept { return state_ && state_->request(); }
  void swap(stop_source& other) noexcept { state_.swap(other.state_); }

 private:
  std::shared_ptr<detail::stop_state> state_;
};

template <typename Callback>
class [[nodiscard]] stop_callback final : detail::stop_entry {
 public:
  using callback_type = Callback;

  template <typename C>
  explicit stop_callback(const stop_token& token, C&& callback)
      : callback_(std::forward<C>(callback)) {
    if (!token.state_) return;
    if (token.stop_possible() && token.state_->add(*this)) {
      state_ = token.state_;
    } else if (token.stop_requested()) {
      callback_();
    }
  }
  ~stop_callback() {
    if (state_) state_->remove(*this);
  }
  stop_callback(const stop_callback&) = delete;
  stop_callback& operator=(const stop_callback&) = delete;

 private:
  void call() noexcept override { callback_(); }
  Callback callback_;
  std::shared_ptr<detail::stop_state> state_;
};

template <typename Callback>
stop_callback(stop_token, Callback) -> stop_callback<Callback>;

}  // namespace gordian
#endif

#endif
