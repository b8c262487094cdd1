// SPDX-License-Identifier: Apache-2.0
// What only Clang's analysis of thread safety refuses.
// REFUSED: writing variable 'count' requires holding mutex 'lock' exclusively
// REFUSED: mutex 'handles' must be acquired before 'streams'
// REFUSED: mutex 'guard' is not held on every path through here
#include <gordian/hold.h>
#include <gordian/mutex.h>
#include <gordian/shared_mutex.h>

gordian::mutex lock("lock");
int count GORDIAN_GUARDED_BY(lock) = 0;

void add() {
#ifndef MISUSE
  gordian::hold held(lock);
#endif
  ++count;
}

struct room {
  gordian::mutex handles{"handles"};
  gordian::mutex streams GORDIAN_ACQUIRED_AFTER(handles){"streams"};

  void list() {
#ifdef MISUSE
    gordian::hold outer(streams);
    gordian::hold inner(handles);
#else
    gordian::hold outer(handles);
    gordian::hold inner(streams);
#endif
  }
};

gordian::shared_mutex guard("guard");

void read(const gordian::stop_token& stop) {
  if (!guard.lock_shared(stop)) return;
#ifndef MISUSE
  guard.unlock_shared();
#endif
}

int main() {
  add();
  room().list();
  read(gordian::stop_source().get_token());
}
