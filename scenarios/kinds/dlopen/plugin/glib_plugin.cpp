// SPDX-License-Identifier: Apache-2.0
// A plug-in that brings GLib into a program that had none.
#include "support/steps.h"

#include <glib.h>

GMutex sessions, streams;
static scenario::Steps both_hold_one;

static gpointer left(gpointer meet) {
  g_mutex_lock(&sessions);
  if (meet != nullptr) both_hold_one.meet(2);
  g_mutex_lock(&streams);
  g_mutex_unlock(&streams);
  g_mutex_unlock(&sessions);
  return nullptr;
}

static gpointer right(gpointer meet) {
  g_mutex_lock(meet != nullptr ? &streams : &sessions);
  if (meet != nullptr) both_hold_one.meet(2);
  g_mutex_lock(meet != nullptr ? &sessions : &streams);
  g_mutex_unlock(&sessions);
  g_mutex_unlock(&streams);
  return nullptr;
}

extern "C" __attribute__((visibility("default"))) void plugin_run(bool broken) {
  gpointer meet = broken ? &both_hold_one : nullptr;
  GThread* one = g_thread_new("left", left, meet);
  GThread* two = g_thread_new("right", right, meet);
  g_thread_join(one);
  g_thread_join(two);
}
