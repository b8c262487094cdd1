/* SPDX-License-Identifier: Apache-2.0
 *
 * A lock that Gordian cannot know: a ticket lock made of two counters. Announced, it is as good as
 * any other. `ticket inverted` takes two of them the wrong way round: in one thread, so nothing
 * hangs.
 */
#include <gordian/annotate.h>

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

struct ticket_lock {
  atomic_uint next, serving;
};

static void ticket_lock(struct ticket_lock* lock) {
  const unsigned mine = atomic_fetch_add(&lock->next, 1);
  if (atomic_load(&lock->serving) != mine) {
    GORDIAN_WANTS(lock);
    while (atomic_load(&lock->serving) != mine) sched_yield();
  }
  GORDIAN_ACQUIRED(lock);
}

static void ticket_unlock(struct ticket_lock* lock) {
  GORDIAN_RELEASED(lock);
  atomic_fetch_add(&lock->serving, 1);
}

static struct ticket_lock queue_lock;
static struct ticket_lock table_lock;

static void take(struct ticket_lock* first, struct ticket_lock* second) {
  ticket_lock(first);
  ticket_lock(second);
  ticket_unlock(second);
  ticket_unlock(first);
}

int main(int count, char** words) {
  if (count > 1 && strcmp(words[1], "inverted") == 0) {
    take(&table_lock, &queue_lock);
  } else {
    take(&queue_lock, &table_lock);
  }
  return 0;
}
