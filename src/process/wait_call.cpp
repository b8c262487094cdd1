// SPDX-License-Identifier: Apache-2.0
#include "process/wait_call.h"

#include "process/call_site.h"
#include "process/debug_info.h"

namespace gordian::process {
namespace {

constexpr size_t kNearFrames = 10;  // between the system call and the function that waits

// In a static program libc's inner functions stand beside the program's own.
bool is_internal(const std::string& name) {
  return find_wait_target(name).has_value() || name.starts_with("lll_lock_wait") ||
         name.starts_with("futex_") || name == "syscall";
}

bool wraps(WaitTarget outer, WaitTarget inner) {
  return (outer == WaitTarget::RecMutex && inner == WaitTarget::Mutex) ||
         (outer == WaitTarget::GlibReadLock && inner == WaitTarget::ReadLock) ||
         (outer == WaitTarget::GlibWriteLock && inner == WaitTarget::WriteLock) ||
         (outer == WaitTarget::GlibOnce && inner == WaitTarget::GlibCondition) ||
         (outer == WaitTarget::GlibQueue && inner == WaitTarget::GlibCondition);
}

void consider(const std::string& name, WaitCall& call) {
  if (name.empty()) return;
  const auto target = find_wait_target(name);
  if (!target) {
    if (call.name.empty() && name != "syscall") call.name = name;
    return;
  }
  if (call.target && !wraps(*target, *call.target)) return;
  call.target = target;
  call.name = name;
}

}  // namespace

bool is_wait_wrapper(WaitTarget target) {
  switch (target) {
    case WaitTarget::RecMutex:
    case WaitTarget::GlibReadLock:
    case WaitTarget::GlibWriteLock:
    case WaitTarget::GlibOnce:
    case WaitTarget::GlibQueue:
      return true;
    default:
      return false;
  }
}

const WaitCalls::FunctionAt& WaitCalls::function_at(uint64_t pc) {
  const auto [place, is_new] = functions_.try_emplace(pc);
  if (is_new) {
    DebugInfo& info = symbols_.debug_info();
    if (const auto symbol = info.find_symbol(pc)) place->second.name = plain_name(symbol->name);
    const Module* const module = info.find_module(pc);
    place->second.is_plumbing = module != nullptr && is_plumbing("", module->path);
    if (place->second.name.empty() && place->second.is_plumbing)
      place->second.name = name_of_half(pc);
  }
  return place->second;
}

// glibc splits these in two: the part that waits has no symbol, and the caller may have jumped
// there.
std::string WaitCalls::name_of_half(uint64_t pc) const {
  for (const auto& function : symbols_.debug_info().find_named(pc, wait_functions())) {
    if (function && is_half_of(symbols_, memory_, *function, pc)) return function->name;
  }
  return {};
}

const std::string& WaitCalls::called_before(uint64_t return_address) {
  const auto [place, is_new] = called_.try_emplace(return_address);
  if (is_new) {
    const auto symbol = called_function(symbols_, memory_, return_address);
    if (symbol) place->second = plain_name(*symbol);
  }
  return place->second;
}

// Not past the first frame of the program's own: a callback of pthread_once that sleeps does not
// wait for the once.
WaitCall WaitCalls::find(const RegisterSet& registers) {
  WaitCall call;
  const uint64_t innermost = registers.get(kRegisterRsp).value_or(0);
  const auto is_programs_own = [&](const UnwoundFrame& frame) {
    if (frame.sp == innermost) return false;  // in the system call, wherever that stands
    const FunctionAt& at = function_at(frame.lookup_pc());
    return !at.is_plumbing && !is_internal(at.name);
  };
  const UnwoundStack stack = unwind(symbols_, registers, memory_, kNearFrames, is_programs_own);
  for (size_t i = 0; i < stack.frames.size(); ++i) {
    const UnwoundFrame& frame = stack.frames[i];
    const FunctionAt& at = function_at(frame.lookup_pc());
    if (is_programs_own(frame)) {
      if (call.target && is_wait_wrapper(*call.target))
        call.argument = taken_locks_.argument(frame);
      call.caller = frame;
      break;
    }
    call.inner_frames.push_back(frame);
    consider(at.name, call);
    if (i + 1 < stack.frames.size() && stack.frames[i + 1].is_return_address)
      consider(called_before(stack.frames[i + 1].pc), call);
  }
  return call;
}

std::optional<uint64_t> WaitCalls::mutex_argument(const WaitCall& call) {
  if (!call.caller || !find_wait_target(called_before(call.caller->pc))) return std::nullopt;
  return call.target == WaitTarget::Condition ? taken_locks_.second_argument(*call.caller)
                                              : taken_locks_.argument(*call.caller);
}

}  // namespace gordian::process
