// SPDX-License-Identifier: Apache-2.0
// Locks that libc and the dynamic loader take for themselves, past all hooks.
//
// RUN(stream, loader): gordian run -- %program %case
// EXIT(stream, loader): 66
// JSON(stream, loader): findings=1
// JSON(stream): verdict=deadlock kind=lock-order knot=lister,changer "locks=stdout's lock,table"
// JSON(loader): verdict=deadlock kind=lock-order knot=plugins,codecs "locks=the dynamic loader's lock,table"
//
// The same waits, long enough to be looked at, and then they end.
// RUN(stream-ends, loader-ends): gordian run -- %program %case
// EXIT(stream-ends, loader-ends): 0
// JSON(stream-ends, loader-ends): findings=0
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"

#include <chrono>
#include <climits>
#include <cstdio>
#include <dlfcn.h>
#include <libgen.h>
#include <mutex>
#include <stdlib.h>
#include <string>
#include <thread>
#include <unistd.h>

std::mutex table;

namespace {

scenario::Steps both;

// Longer than the judge takes to look past the boards, and to look again.
void stay_for_two_looks() { std::this_thread::sleep_for(std::chrono::seconds(4)); }

void lists(bool broken) {
  flockfile(stdout);
  both.meet(2);
  if (broken) {
    const std::lock_guard lock(table);
    std::puts("listed");
  } else {
    stay_for_two_looks();
  }
  funlockfile(stdout);
}

void changes() {
  const std::lock_guard lock(table);
  both.meet(2);
  std::puts("changed");
}

void stream(bool broken) {
  scenario::Thread lister("lister", [=] { lists(broken); });
  scenario::Thread changer("changer", changes);
}

void load(const std::string& path) {
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    std::exit(1);
  }
}

std::string plugin_path() {
  char path[PATH_MAX] = {};
  if (readlink("/proc/self/exe", path, sizeof path - 1) < 0) std::exit(1);
  return std::string(dirname(path)) + "/libconstructor_plugin.so";
}

void load_codec(bool broken) {
  const std::lock_guard lock(table);
  both.meet(2);
  if (broken) {
    load("libm.so.6");
  } else {
    stay_for_two_looks();
  }
}

void loader(bool broken) {
  scenario::Thread plugins("plugins", [path = plugin_path()] { load(path); });
  scenario::Thread codecs("codecs", [=] { load_codec(broken); });
}

}  // namespace

extern "C" void register_plugin() {
  both.meet(2);
  const std::lock_guard lock(table);
}

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"stream", [] { stream(true); }},
                             {"stream-ends", [] { stream(false); }},
                             {"loader", [] { loader(true); }},
                             {"loader-ends", [] { loader(false); }}});
}
