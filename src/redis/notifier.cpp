// SPDX-License-Identifier: Apache-2.0
#include "redis/notifier.h"

#include "gordian/annotate.h"

#include <utility>

namespace gordian::redis {

Notifier::~Notifier() { stop(); }

void Notifier::run(const std::shared_ptr<State>& state) {
  while (true) {
    std::function<void()> work;
    {
      std::unique_lock lock(state->mutex);
      state->changed.wait(lock, [&state] { return state->stopping || !state->work.empty(); });
      if (state->work.empty()) return;
      work = std::move(state->work.front());
      state->work.pop_front();
    }
    GORDIAN_ASSERT_NONE_HELD();
    work();
  }
}

void Notifier::call(std::function<void()> work) {
  const std::lock_guard lock(state_->mutex);
  if (state_->stopping) return;
  state_->work.push_back(std::move(work));
  if (!thread_.joinable()) thread_ = std::thread([state = state_] { run(state); });
  state_->changed.notify_one();
}

void Notifier::stop() {
  std::thread thread;
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    state_->changed.notify_one();
    thread.swap(thread_);
  }
  if (!thread.joinable()) return;
  if (thread.get_id() == std::this_thread::get_id()) {
    thread.detach();
  } else {
    thread.join();
  }
}

}  // namespace gordian::redis
