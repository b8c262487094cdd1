// SPDX-License-Identifier: Apache-2.0
// All parts of Gordian for C++20 programs. Each also has a header of its own.
#ifndef GORDIAN_SYNC_H
#define GORDIAN_SYNC_H

#include <gordian/bounded_queue.h>
#include <gordian/checks.h>
#include <gordian/condition_variable.h>
#include <gordian/deadlock_error.h>
#include <gordian/deferred.h>
#include <gordian/guarded.h>
#include <gordian/hold.h>
#include <gordian/level.h>
#include <gordian/lock_all.h>
#include <gordian/mutex.h>
#include <gordian/recursive_mutex.h>
#include <gordian/shared_mutex.h>
#include <gordian/strand.h>
#include <gordian/watch.h>
#include <gordian/with_lock.h>
#include <gordian/work_gate.h>
#include <gordian/worker.h>

#endif
