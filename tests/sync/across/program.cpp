// SPDX-License-Identifier: Apache-2.0
// A program and a library loaded by it, both with their symbols hidden, know the same threads,
// holds and orders. Each step that fails names itself, or hangs until the test's time is up.
#include <gordian/sync.h>

#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>

namespace {

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "across libraries: %s\n", what);
  std::exit(1);
}

template <typename Function>
Function* find(void* library, const char* name) {
  void* found = dlsym(library, name);
  require(found != nullptr, name);
  return reinterpret_cast<Function*>(found);
}

bool ran = false;

}  // namespace

int main(int, char** argv) {
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  require(library != nullptr, "cannot load the library");

  gordian::recursive_mutex recursive("recursive");
  gordian::hold outer(recursive);
  find<void(gordian::recursive_mutex&)>(library, "lock_again")(recursive);

  gordian::work_gate gate("gate");
  auto closed = gate.close();
  const auto may_enter = find<bool(gordian::work_gate&)>(library, "may_enter");
  require(may_enter(gate), "who closed a gate may enter");

  gordian::worker worker;
  std::atomic<bool> started{false};
  worker = gordian::worker("worker", [&] {
    while (!started) std::this_thread::yield();
    find<void(gordian::worker&)>(library, "stop")(worker);
  });
  started = true;
  worker.stop();

  gordian::deferred later;
  gordian::mutex mutex("mutex");
  {
    auto lock = later.hold(mutex);
    find<void(gordian::deferred&, void (*)())>(library, "post")(later, [] { ran = true; });
    later.run();
    require(!ran, "a call posted under a lock waits for its release");
  }

  gordian::enable_checks();
  gordian::mutex first("first"), second("second");
  find<void(gordian::mutex&, gordian::mutex&)>(library, "take_both")(first, second);
  bool refused = false;
  try {
    gordian::hold two(second);
    gordian::hold one(first);
  } catch (const gordian::deadlock_error&) {
    refused = true;
  }
  require(refused, "an order seen in the library");
}
