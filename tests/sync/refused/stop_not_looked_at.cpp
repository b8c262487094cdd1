// SPDX-License-Identifier: Apache-2.0
// REFUSED: nodiscard
#include <gordian/mutex.h>

gordian::mutex lock("lock");

int main() {
  const gordian::stop_source stop;
#ifdef MISUSE
  lock.lock(stop.get_token());  // perhaps it is not locked
#else
  if (!lock.lock(stop.get_token())) return 1;
#endif
  lock.unlock();
}
