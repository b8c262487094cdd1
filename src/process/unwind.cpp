// SPDX-License-Identifier: Apache-2.0
#include "process/unwind.h"

#include "process/debug_info.h"
#include "process/dwarf_expression.h"

namespace gordian::process {
namespace {

// A frame larger than this is a wrong unwind, not a large array.
constexpr uint64_t kMaxFrameBytes = uint64_t{1} << 30;

struct Step {
  bool ok = false;
  bool outermost = false;
  bool from_signal = false;  // the frame's caller was interrupted, it did not call
  uint64_t cfa = 0;
  RegisterSet caller;
  std::string note;
};

// The caller's register by the rule of this frame.
void recover_register(Dwarf_Frame* frame, int number, const ExpressionContext& context,
                      RegisterSet& caller) {
  Dwarf_Op memory[3];
  Dwarf_Op* ops = nullptr;
  size_t count = 0;
  caller.forget(number);
  if (dwarf_frame_register(frame, number, memory, &ops, &count) != 0) return;
  if (count == 0) {
    // "Same value" is a null pointer, "undefined" is not.
    const std::optional<uint64_t> same = context.registers->get(number);
    if (ops == nullptr && same) caller.set(number, *same);
    return;
  }
  const Location location = evaluate_location({ops, count}, context);
  if (const std::optional<uint64_t> word = location.read_word(*context.memory, 0, 8))
    caller.set(number, *word);
}

Step step_by_rules(Dwarf_Frame* frame, const UnwoundFrame& at, const MemoryReader& memory) {
  Step step;
  Dwarf_Addr start = 0;
  Dwarf_Addr end = 0;
  bool is_signal = false;
  const int return_register = dwarf_frame_info(frame, &start, &end, &is_signal);
  step.from_signal = is_signal;

  ExpressionContext context;
  context.registers = &at.registers;
  context.memory = &memory;
  Dwarf_Op* ops = nullptr;
  size_t count = 0;
  std::optional<uint64_t> cfa;
  if (dwarf_frame_cfa(frame, &ops, &count) == 0 && count != 0)
    cfa = evaluate_value({ops, count}, context);
  if (!cfa) {
    step.note = "the frame's place depends on a register that nobody saved";
    return step;
  }
  step.cfa = *cfa;
  context.cfa = cfa;
  for (int number = 0; number < kRegisterCount; ++number)
    recover_register(frame, number, context, step.caller);

  // An undefined return address marks the first frame of a thread.
  Dwarf_Op place[3];
  if (return_register == kRegisterPc &&
      dwarf_frame_register(frame, kRegisterPc, place, &ops, &count) == 0 && count == 0 &&
      ops == place) {
    step.outermost = true;
    return step;
  }
  // By definition the caller's stack pointer is the CFA, unless a rule says otherwise (signals).
  if (!is_signal) step.caller.set(kRegisterRsp, *cfa);
  const std::optional<uint64_t> pc = step.caller.get(kRegisterPc);
  if (!pc) {
    step.note = "the stack ends here: its memory is out of reach";
    return step;
  }
  step.ok = true;
  return step;
}

// Code without unwind tables (generated at run time): only a frame pointer that leads to a return
// address inside known code is believed.
Step step_by_frame_pointer(const DebugInfo& info, const UnwoundFrame& at,
                           const MemoryReader& memory) {
  Step step;
  step.note = "no unwind tables for this code";
  const std::optional<uint64_t> rbp = at.registers.get(kRegisterRbp);
  if (!rbp || *rbp < at.sp || *rbp - at.sp > kMaxFrameBytes || *rbp % 8 != 0) return step;
  const std::optional<uint64_t> saved = memory.read_word(*rbp);
  const std::optional<uint64_t> pc = memory.read_word(*rbp + 8);
  if (!saved || !pc || info.find_module(*pc) == nullptr) return step;
  step.cfa = *rbp + 16;
  step.caller.set(kRegisterRbp, *saved);
  step.caller.set(kRegisterRsp, step.cfa);
  step.caller.set(kRegisterPc, *pc);
  step.ok = true;
  return step;
}

// "foo" and "foo.cold" are one function in two places.
std::string function_identity(DebugInfo& info, uint64_t pc) {
  const std::optional<ElfSymbol> symbol = info.find_symbol_everywhere(pc);
  if (!symbol) return {};
  return symbol->name.substr(0, symbol->name.find('.', 1));
}

bool same_function(DebugInfo& info, uint64_t a, uint64_t b) {
  const std::string name = function_identity(info, a);
  if (!name.empty()) return name == function_identity(info, b);
  // Stripped: the nearest thing to a function is a module.
  const Module* module = info.find_module(a);
  return module != nullptr && module == info.find_module(b);
}

}  // namespace

RegisterSet::RegisterSet(const model::Registers& registers) {
  set(kRegisterPc, registers.rip);
  set(kRegisterRsp, registers.rsp);
  set(kRegisterRbp, registers.rbp);
  set(kRegisterRbx, registers.rbx);
  set(12, registers.r12);
  set(13, registers.r13);
  set(14, registers.r14);
  set(15, registers.r15);
}

std::optional<uint64_t> RegisterSet::get(int number) const {
  if (number < 0 || number >= kRegisterCount || (known_ >> number & 1) == 0) return std::nullopt;
  return value_[static_cast<size_t>(number)];
}

void RegisterSet::set(int number, uint64_t value) {
  if (number < 0 || number >= kRegisterCount) return;
  value_[static_cast<size_t>(number)] = value;
  known_ |= 1u << number;
}

void RegisterSet::forget(int number) {
  if (number >= 0 && number < kRegisterCount) known_ &= ~(1u << number);
}

bool is_same_code(const Symbols& symbols, uint64_t start, uint64_t pc) {
  constexpr int kMaxRows = 256;
  DebugInfo& info = symbols.debug_info();
  const std::optional<CallFrameInfo> cfi = info.find_cfi(pc);
  for (int row = 0; cfi && row < kMaxRows && pc >= start; ++row) {
    Dwarf_Frame* const rules = info.find_frame_rules(pc);
    Dwarf_Addr row_start = 0;
    Dwarf_Addr row_end = 0;
    bool is_signal = false;
    if (!rules || dwarf_frame_info(rules, &row_start, &row_end, &is_signal) < 0) return false;
    if (row_start + cfi->bias <= start) return row_start + cfi->bias == start;
    pc = row_start + cfi->bias - 1;
  }
  return false;
}

UnwoundStack unwind(const Symbols& symbols, const RegisterSet& registers,
                    const MemoryReader& memory, size_t max_frames, const LastFrame& is_last) {
  UnwoundStack stack;
  DebugInfo& info = symbols.debug_info();
  UnwoundFrame frame;
  frame.registers = registers;
  while (true) {
    frame.pc = frame.registers.get(kRegisterPc).value_or(0);
    frame.sp = frame.registers.get(kRegisterRsp).value_or(0);
    frame.cfa = 0;
    if (frame.pc == 0 || frame.sp == 0) {
      stack.complete = !stack.frames.empty() && frame.pc == 0;
      break;
    }
    if (stack.frames.size() >= max_frames) {
      stack.note = "more than " + std::to_string(max_frames) + " frames";
      break;
    }
    Dwarf_Frame* const rules = info.find_frame_rules(frame.lookup_pc());
    const Step step =
        rules ? step_by_rules(rules, frame, memory) : step_by_frame_pointer(info, frame, memory);
    frame.cfa = step.cfa;
    stack.frames.push_back(frame);
    if (is_last && is_last(frame)) break;
    if (!rules && step.ok) stack.note = "in part by frame pointers: code without unwind tables";
    if (step.outermost) {
      stack.complete = true;
      break;
    }
    if (!step.ok) {
      stack.note = step.note;
      break;
    }
    // Stacks grow down, so callers lie above; only a signal may have come from another stack.
    const uint64_t caller_sp = step.caller.get(kRegisterRsp).value_or(0);
    if (!step.from_signal && (caller_sp <= frame.sp || caller_sp - frame.sp > kMaxFrameBytes)) {
      stack.note = "the stack is damaged";
      break;
    }
    frame = UnwoundFrame{.is_return_address = !step.from_signal, .registers = step.caller};
  }
  return stack;
}

UnwoundStack acquisition_stack(const Symbols& symbols, const UnwoundStack& thread_stack,
                               uint64_t site, uint64_t frame) {
  UnwoundStack result;
  UnwoundFrame at_site{.pc = site, .sp = frame, .is_return_address = true};
  size_t index = 0;
  while (index < thread_stack.frames.size() && thread_stack.frames[index].sp <= frame &&
         thread_stack.frames[index].cfa <= frame)
    ++index;
  const bool found =
      index < thread_stack.frames.size() && thread_stack.frames[index].sp <= frame &&
      same_function(symbols.debug_info(), site - 1, thread_stack.frames[index].lookup_pc());
  if (found) {
    at_site.cfa = thread_stack.frames[index].cfa;
    at_site.registers = thread_stack.frames[index].registers;
    at_site.registers.set(kRegisterPc, site);
    ++index;
  } else {
    // The frames outside were there already, if they begin above it.
    while (index < thread_stack.frames.size() && thread_stack.frames[index].sp <= frame) ++index;
    result.note = index < thread_stack.frames.size()
                      ? "the function that took it has returned; its callers are shown as they "
                        "stand now"
                      : "only the call site is known";
  }
  result.frames.push_back(at_site);
  for (; index < thread_stack.frames.size(); ++index)
    result.frames.push_back(thread_stack.frames[index]);
  result.complete = found && thread_stack.complete;
  if (result.note.empty()) result.note = thread_stack.note;
  return result;
}

model::Stack to_stack(const UnwoundStack& stack) {
  model::Stack result;
  result.complete = stack.complete;
  result.note = stack.note;
  result.frames.reserve(stack.frames.size());
  for (const UnwoundFrame& frame : stack.frames) {
    model::Frame words;
    words.pc = frame.pc;
    words.sp = frame.sp;
    words.cfa = frame.cfa;
    words.is_return_address = frame.is_return_address;
    result.frames.push_back(std::move(words));
  }
  return result;
}

}  // namespace gordian::process
