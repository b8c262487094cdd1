// SPDX-License-Identifier: Apache-2.0
// getenv, only to hear GLib arrive: see glib_presence.h.
#include "runtime/glib_presence.h"
#include "runtime/hook.h"

using namespace gordian::runtime;  // NOLINT(google-build-using-namespace): a file of hooks

namespace {

// Read by GLib's constructor, before anybody can call GLib.
bool is_glib_variable(const char* name) {
  constexpr char kName[] = "G_DEBUG";
  for (unsigned i = 0; i < sizeof kName; ++i) {
    if (name[i] != kName[i]) return false;
  }
  return true;
}

}  // namespace

GORDIAN_HOOK char* getenv(const char* name) noexcept {
  ensure_started();
  if (__builtin_expect(is_glib_variable(name), 0)) glib_has_arrived();
  return real.getenv(name);
}
