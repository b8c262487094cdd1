// SPDX-License-Identifier: Apache-2.0
// A plug-in that registers itself while it is loaded, as many do.
extern "C" void register_plugin();  // of the program

namespace {
struct Registration {
  Registration() { register_plugin(); }
} registration;
}  // namespace
