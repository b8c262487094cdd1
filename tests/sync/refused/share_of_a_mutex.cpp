// SPDX-License-Identifier: Apache-2.0
// REFUSED: shared() needs a lock with lock_shared()
#include <gordian/lock_all.h>
#include <gordian/mutex.h>
#include <gordian/shared_mutex.h>

gordian::mutex one("one");
#ifdef MISUSE
gordian::mutex two("two");
#else
gordian::shared_mutex two("two");
#endif

int main() { auto locks = gordian::lock_all(one, gordian::shared(two)); }
