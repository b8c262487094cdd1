// SPDX-License-Identifier: Apache-2.0
// Runs the plan of a seed on real threads and locks; or says of a run what its oracle says.
//
//   random_program SEED STATE          run; the state goes to the file STATE
//   random_program SEED STATE oracle   prints "ended" or "running", then who is stuck in truth,
//   then
//                                      who is stuck as far as ownership shows
//   random_program SEED - plan         prints the plan
#include "oracle.h"
#include "plan.h"
#include "state.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <errno.h>
#include <fcntl.h>
#include <new>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace generated {
namespace {

// All locks lie in memory that the processes share.
struct Locks {
  pthread_mutex_t mutex[2 * kMaxLocks];  // the upper half: those of the conditions
  pthread_rwlock_t rwlock[kMaxLocks];
  pthread_spinlock_t spin[kMaxLocks];
  sem_t semaphore[kMaxLocks];
  pthread_cond_t condition[kMaxLocks];
};

Plan plan;
State* state;
Locks* locks;
pthread_t handles[kMaxThreads];

void make_locks() {
  const int shared = plan.two_processes ? PTHREAD_PROCESS_SHARED : PTHREAD_PROCESS_PRIVATE;
  pthread_mutexattr_t mutex_attributes;
  pthread_rwlockattr_t rwlock_attributes;
  pthread_condattr_t condition_attributes;
  for (size_t i = 0; i < 2 * kMaxLocks; ++i) {
    pthread_mutexattr_init(&mutex_attributes);
    pthread_mutexattr_setpshared(&mutex_attributes, shared);
    if (i < plan.locks.size() && plan.locks[i] == LockKind::Recursive) {
      pthread_mutexattr_settype(&mutex_attributes, PTHREAD_MUTEX_RECURSIVE);
    }
    pthread_mutex_init(&locks->mutex[i], &mutex_attributes);
  }
  pthread_rwlockattr_init(&rwlock_attributes);
  pthread_rwlockattr_setpshared(&rwlock_attributes, shared);
  pthread_condattr_init(&condition_attributes);
  pthread_condattr_setpshared(&condition_attributes, shared);
  for (int i = 0; i < kMaxLocks; ++i) {
    pthread_rwlock_init(&locks->rwlock[i], &rwlock_attributes);
    pthread_spin_init(&locks->spin[i], shared);
    sem_init(&locks->semaphore[i], plan.two_processes, 1);
    pthread_cond_init(&locks->condition[i], &condition_attributes);
  }
}

timespec soon() {
  timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += 20'000'000;
  if (until.tv_nsec >= 1'000'000'000) {
    until.tv_nsec -= 1'000'000'000;
    ++until.tv_sec;
  }
  return until;
}

// The request itself: 0 when it is ours.
int ask(const Action& action) {
  const timespec until = soon();
  const int i = action.lock;
  switch (plan.locks[i]) {
    case LockKind::Mutex:
    case LockKind::Recursive:
      if (action.how == How::Try) return pthread_mutex_trylock(&locks->mutex[i]);
      if (action.how == How::Timed) return pthread_mutex_timedlock(&locks->mutex[i], &until);
      return pthread_mutex_lock(&locks->mutex[i]);
    case LockKind::RwLock:
      if (action.shared) {
        if (action.how == How::Try) return pthread_rwlock_tryrdlock(&locks->rwlock[i]);
        if (action.how == How::Timed) return pthread_rwlock_timedrdlock(&locks->rwlock[i], &until);
        return pthread_rwlock_rdlock(&locks->rwlock[i]);
      }
      if (action.how == How::Try) return pthread_rwlock_trywrlock(&locks->rwlock[i]);
      if (action.how == How::Timed) return pthread_rwlock_timedwrlock(&locks->rwlock[i], &until);
      return pthread_rwlock_wrlock(&locks->rwlock[i]);
    case LockKind::Semaphore:
      if (action.how == How::Try) return sem_trywait(&locks->semaphore[i]);
      if (action.how == How::Timed) return sem_timedwait(&locks->semaphore[i], &until);
      return sem_wait(&locks->semaphore[i]);
    case LockKind::Spin:
      if (action.how == How::Try) return pthread_spin_trylock(&locks->spin[i]);
      return pthread_spin_lock(&locks->spin[i]);
    case LockKind::Condition:
      break;
  }
  return EINVAL;
}

void give_back(int lock) {
  switch (plan.locks[lock]) {
    case LockKind::Mutex:
    case LockKind::Recursive:
      pthread_mutex_unlock(&locks->mutex[lock]);
      break;
    case LockKind::RwLock:
      pthread_rwlock_unlock(&locks->rwlock[lock]);
      break;
    case LockKind::Semaphore:
      sem_post(&locks->semaphore[lock]);
      break;
    case LockKind::Spin:
      pthread_spin_unlock(&locks->spin[lock]);
      break;
    case LockKind::Condition:
      break;
  }
}

void want(ActorState& self, Want what, int object) {
  self.object = object;
  self.want = static_cast<int>(what);
}

void want_nothing(ActorState& self) { self.want = static_cast<int>(Want::Nothing); }

void enter(ActorState& self, int condition) {
  want(self, Want::Lock, kMaxLocks + condition);
  pthread_mutex_lock(&locks->mutex[kMaxLocks + condition]);
  self.exclusive[kMaxLocks + condition] = 1;
  want_nothing(self);
}

void leave(ActorState& self, int condition) {
  self.exclusive[kMaxLocks + condition] = 0;
  pthread_mutex_unlock(&locks->mutex[kMaxLocks + condition]);
}

void await(ActorState& self, int condition) {
  enter(self, condition);
  while (state->announced[condition] == 0) {
    self.exclusive[kMaxLocks + condition] = 0;
    want(self, Want::Condition, condition);
    pthread_cond_wait(&locks->condition[condition], &locks->mutex[kMaxLocks + condition]);
    self.exclusive[kMaxLocks + condition] = 1;
    want_nothing(self);
  }
  leave(self, condition);
}

void announce(ActorState& self, int condition) {
  enter(self, condition);
  state->announced[condition] = 1;
  pthread_cond_broadcast(&locks->condition[condition]);
  leave(self, condition);
}

void join(ActorState& self, int thread) {
  want(self, Want::Join, thread);
  pthread_join(handles[thread], nullptr);
  want_nothing(self);
}

void perform(int me) {
  ActorState& self = state->actors[me];
  const auto& actions = plan.actions[me];
  bool got[64] = {};
  for (size_t i = 0; i < actions.size(); ++i) {
    self.position = static_cast<int>(i);
    const Action& action = actions[i];
    switch (action.act) {
      case Act::Lock: {
        if (action.how == How::Blocking) {
          want(self, action.shared ? Want::SharedLock : Want::Lock, action.lock);
        }
        got[i] = ask(action) == 0;
        if (got[i]) ++(action.shared ? self.shared : self.exclusive)[action.lock];
        want_nothing(self);
        break;
      }
      case Act::Unlock:
        if (!got[action.of]) break;
        --(actions[action.of].shared ? self.shared : self.exclusive)[action.lock];
        give_back(action.lock);
        break;
      case Act::Join:
        join(self, action.lock);
        break;
      case Act::Await:
        await(self, action.lock);
        break;
      case Act::Announce:
        announce(self, action.lock);
        break;
      case Act::Yield:
        for (int n = 0; n < action.lock; ++n) sched_yield();
        break;
    }
  }
  self.position = static_cast<int>(actions.size());
  self.finished = 1;
}

std::atomic<int> ready{0};

// A thread's first step waits until all of its process are there: pthread_create is slow, and the
// first would be through before the second is born. Nothing is held here, and nobody can be stuck.
void* run_thread(void* number) {
  const int me = static_cast<int>(reinterpret_cast<intptr_t>(number));
  pthread_setname_np(pthread_self(), ("t" + std::to_string(me)).c_str());
  while (ready == 0) sched_yield();
  perform(me);
  return nullptr;
}

void run_process(int process) {
  const int me = kMaxThreads + process;
  pthread_setname_np(pthread_self(), ("main" + std::to_string(process)).c_str());
  ActorState& self = state->actors[me];
  self.started = 1;
  const int threads = static_cast<int>(plan.actions.size());
  for (int i = 0; i < threads; ++i) {
    if (plan.process_of[i] != process) continue;
    state->actors[i].started = 1;
    if (pthread_create(&handles[i], nullptr, run_thread, reinterpret_cast<void*>(intptr_t{i})) !=
        0) {
      std::perror("pthread_create");
      std::exit(1);
    }
  }
  ready = 1;
  for (int i = 0; i < threads; ++i) {
    if (plan.process_of[i] == process && plan.joiner[i] < 0) join(self, i);
  }
}

template <typename T>
T* map(const char* path, bool fresh) {
  int descriptor = -1;
  if (path != nullptr) {
    descriptor = open(path, O_RDWR | O_CLOEXEC | (fresh ? O_CREAT | O_TRUNC : 0), 0600);
    if (descriptor < 0 || (fresh && ftruncate(descriptor, sizeof(T)) != 0)) {
      std::perror(path);
      std::exit(2);
    }
  }
  void* place = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE,
                     MAP_SHARED | (path == nullptr ? MAP_ANONYMOUS : 0), descriptor, 0);
  if (place == MAP_FAILED) std::exit(2);
  if (descriptor >= 0) close(descriptor);
  return static_cast<T*>(place);
}

int run(const char* path) {
  state = map<State>(path, true);
  locks = map<Locks>(nullptr, true);
  make_locks();
  pid_t child = 0;
  if (plan.two_processes) {
    child = fork();
    if (child == 0) {
      run_process(1);
      state->actors[kMaxThreads + 1].finished = 1;
      _exit(0);
    }
  }
  run_process(0);
  int status = 0;
  if (child != 0) waitpid(child, &status, 0);
  state->actors[kMaxThreads].finished = 1;
  state->ended = 1;
  std::puts("ended");
  return status == 0 ? 0 : 1;
}

void print_names(const std::set<int>& actors) {
  for (const int actor : actors) {
    if (actor < kMaxThreads) {
      std::printf(" t%d", actor);
    } else {
      std::printf(" main%d", actor - kMaxThreads);
    }
  }
  std::printf("\n");
}

void print_plan() {
  const char* kinds[] = {"mutex", "recursive", "rwlock", "semaphore", "spin", "condition"};
  const char* acts[] = {"lock", "unlock", "join", "await", "announce", "yield"};
  const char* hows[] = {"", " (try)", " (timed)"};
  std::printf("%s\n", plan.two_processes ? "two processes" : "one process");
  for (size_t i = 0; i < plan.locks.size(); ++i) {
    std::printf("lock %zu: %s\n", i, kinds[static_cast<int>(plan.locks[i])]);
  }
  for (size_t t = 0; t < plan.actions.size(); ++t) {
    std::printf("t%zu in process %d:", t, plan.process_of[t]);
    for (const Action& action : plan.actions[t]) {
      std::printf(" %s%s %d%s;", acts[static_cast<int>(action.act)], action.shared ? " shared" : "",
                  action.lock, hows[static_cast<int>(action.how)]);
    }
    std::printf("\n");
  }
}

int main_of(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "random_program SEED STATE [oracle|plan]\n");
    return 2;
  }
  plan = make_plan(std::strtoull(argv[1], nullptr, 10));
  const std::string mode = argc > 3 ? argv[3] : "";
  if (mode == "plan") {
    print_plan();
    return 0;
  }
  if (mode != "oracle") return run(argv[2]);
  state = map<State>(argv[2], false);
  std::printf("%s\n", state->ended != 0 ? "ended" : "running");
  std::printf("truth:");
  print_names(find_stuck(plan, *state));
  std::printf("ownership:");
  print_names(find_stuck_by_ownership(plan, *state));
  return 0;
}

}  // namespace
}  // namespace generated

int main(int argc, char** argv) { return generated::main_of(argc, argv); }
