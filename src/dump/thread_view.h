// SPDX-License-Identifier: Apache-2.0
// A thread of the text with the names of its frames made plain, and what its stack shows by itself.
#pragma once

#include "dump/dump.h"
#include "dump/waits.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::dump {

struct ThreadView {
  const Thread* thread = nullptr;
  WaitFact wait;
  std::vector<std::string> plain;  // plain names, by frame
  std::vector<size_t> own;         // frames of the program's own, from the wait outwards
};

// The views point into `dump`.
std::vector<ThreadView> view_threads(const Dump& dump);

// "f" of "ns::f".
std::string_view last_part(std::string_view plain);

// "util::ThreadJoin", "pj_thread_join": what stops the thread is further out.
bool is_join_wrapper(std::string_view plain);

// The frames in which a lock is asked for: wrappers, up to the first function that is none. Given
// as positions in ThreadView::own.
size_t count_asking(const ThreadView& view);
bool is_asking(const ThreadView& view, size_t frame);

// The innermost frame, further out than those, that is given the lock or the object around it.
inline constexpr uint64_t kObjectBytes = 0x2000;  // how far inside an object a lock may be
std::optional<size_t> find_work_on(const ThreadView& view, uint64_t lock);

// The text shows the thread from its start to its wait.
bool is_whole(const ThreadView& view);

// The frame interrupted by a handler that came in the middle of malloc (or stdio, localtime,
// syslog) and calls it again.
std::optional<size_t> find_interrupted(const ThreadView& view);

// The signal came while the thread waited for a lock: then somebody else has that.
bool is_interrupted_wait(const ThreadView& view);

// The same as find_interrupted() for a function of the program: a signal came in the middle of it,
// and its handler asks for a lock in the same function. The frame that was interrupted in it.
std::optional<size_t> find_interrupted_asking(const ThreadView& view);

// The dynamic loader's lock: its address if this thread asks for it in dlopen, dlclose or dlsym, 0
// if not. And the frame of dlopen or dlclose that has it while plug-ins' constructors or
// destructors run, further in.
uint64_t wanted_loader_lock(const ThreadView& view);
std::optional<size_t> find_loading(const ThreadView& view);

// The same function asks for a lock, further out in the same stack, with other work in between.
std::optional<size_t> find_recursion(const ThreadView& view);

}  // namespace gordian::dump
