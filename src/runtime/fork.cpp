// SPDX-License-Identifier: Apache-2.0
#include "runtime/fork.h"

#include "runtime/board.h"
#include "runtime/threads.h"

// What pthread_atfork is made of. Its list lies in libc and holds dozens of entries without malloc.
extern "C" int __register_atfork(void (*prepare)(), void (*parent)(), void (*child)(),
                                 void* object);

namespace gordian::runtime {

namespace {

void before_fork() {
  if (is_alive()) save_for_fork();
}

void after_fork_in_parent() { drop_saved_for_fork(); }

// Where the kernel knows no MADV_WIPEONFORK, this is how the child is told.
void after_fork_in_child() {
  alive_page.alive = 0;
  start();
}

}  // namespace

void watch_forks() {
  __register_atfork(before_fork, after_fork_in_parent, after_fork_in_child, nullptr);
}

}  // namespace gordian::runtime
