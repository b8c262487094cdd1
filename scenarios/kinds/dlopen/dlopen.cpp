// SPDX-License-Identifier: Apache-2.0
// GLib that comes by dlopen, and a program that has none and must not see any.
//
// RUN(cycle): gordian run -- %program %case
// EXIT(cycle): 66
// JSON(cycle): findings=1
// JSON(cycle): verdict=deadlock kind=lock-order knot=left,right locks=sessions,streams
//
// RUN(consistent, without, unloaded): gordian run -- %program %case
// EXIT(consistent, without, unloaded): 0
// JSON(consistent, without, unloaded): findings=0
// STDOUT(without): no GLib here
#include "support/cases.h"

#include <climits>
#include <cstdio>
#include <dlfcn.h>
#include <libgen.h>
#include <stdlib.h>
#include <string>
#include <unistd.h>

namespace {

void* load() {
  char path[PATH_MAX] = {};
  if (readlink("/proc/self/exe", path, sizeof path - 1) < 0) std::exit(1);
  const std::string plugin = std::string(dirname(path)) + "/libglib_plugin.so";
  void* handle = dlopen(plugin.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::exit(1);
  }
  return handle;
}

void run(bool broken) {
  void* handle = load();
  reinterpret_cast<void (*)(bool)>(dlsym(handle, "plugin_run"))(broken);
  dlclose(handle);
}

void cycle() { run(true); }
void consistent() { run(false); }

void unloaded() {
  for (int i = 0; i < 10; ++i) run(false);
}

// Programs ask in this way whether GLib is there, and then call what they were told.
void without() {
  for (const char* name :
       {"g_mutex_lock", "g_mutex_unlock", "g_mutex_trylock", "g_cond_wait", "g_cond_wait_until",
        "g_rec_mutex_lock", "g_rw_lock_reader_lock", "g_rw_lock_writer_lock", "g_thread_join",
        "g_once_init_enter", "g_bit_lock", "g_async_queue_pop", "g_async_queue_push"}) {
    if (dlsym(RTLD_DEFAULT, name) == nullptr) continue;
    std::printf("there is a %s\n", name);
    std::exit(1);
  }
  std::puts("no GLib here");
}

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(
      argc, argv,
      {{"cycle", cycle}, {"consistent", consistent}, {"without", without}, {"unloaded", unloaded}});
}
