// SPDX-License-Identifier: Apache-2.0
// Our stand-ins for GLib's functions exist only while GLib does.
//
// A library in LD_PRELOAD is searched first, so a g_mutex_lock exported there would appear in every
// program, and programs that probe for GLib would find half of it. The build therefore hides our
// g_* symbols in the file (cmake/hide_symbols.cpp: value zero, which the dynamic linker skips).
// GLib announces itself: its constructor reads $G_DEBUG before any user of GLib can run, whether it
// was linked or came by dlopen. Our getenv hook hears that and calls glib_has_arrived(), which
//   1. finds the real functions in GLib's own symbol table,
//   2. gives our symbols their values back, for everything bound from now on,
//   3. rewrites the slots of objects that were bound to GLib already (BIND_NOW, and pointers in
//   data).
// The loader's lock is held by the calling thread then (it is running a constructor), so the list
// of loaded objects stands still.
#pragma once

namespace gordian::runtime {

struct GlibStandIn {
  const char* name;
  void* hook;   // ours
  void** real;  // where the hook finds GLib's
};

// Idempotent. Does nothing when libglib is not loaded, or when the kernel refuses (seccomp): GLib
// is then unwatched.
void glib_has_arrived();

// True once the real functions are known.
bool glib_is_here();

}  // namespace gordian::runtime
