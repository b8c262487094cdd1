// SPDX-License-Identifier: Apache-2.0
#include "process/frame_variables.h"

#include <optional>
#include <vector>

namespace gordian::process {
namespace {

constexpr size_t kMaxSiblings = 2000;
constexpr int kMaxCallers = 4;  // entry values of entry values
constexpr size_t kMaxCallSites = 5000;

// One frame, and the frames behind it that know what it was called with.
class FrameContext {
 public:
  FrameContext(DebugInfo& info, const UnwoundStack& stack, size_t index, const MemoryReader& memory,
               int callers_left)
      : info_(info), stack_(stack), index_(index), memory_(memory), callers_left_(callers_left) {
    scopes_ = info.find_scopes(frame().lookup_pc());
    if (!scopes_ || scopes_->dies.empty()) return;
    base_ = evaluate_attribute(scopes_->dies.front(), DW_AT_frame_base);
  }

  [[nodiscard]] const UnwoundFrame& frame() const { return stack_.frames[index_]; }
  std::optional<Scopes>& scopes() { return scopes_; }

  // An attribute that yields a value: frame base, value at a call.
  std::optional<uint64_t> evaluate_attribute(Dwarf_Die& die, unsigned name) {
    Dwarf_Attribute attribute;
    std::optional<uint64_t> value;
    if (dwarf_attr(&die, name, &attribute) == nullptr) return value;
    with_expression(attribute,
                    [&](std::span<const Dwarf_Op> ops, const ExpressionContext& context) {
                      value = evaluate_value(ops, context);
                    });
    return value;
  }

  Location locate(Dwarf_Die& variable) {
    Dwarf_Attribute attribute;
    Location location;
    if (dwarf_attr(&variable, DW_AT_location, &attribute) == nullptr) return location;
    with_expression(attribute,
                    [&](std::span<const Dwarf_Op> ops, const ExpressionContext& context) {
                      location = evaluate_location(ops, context);
                    });
    return location;
  }

 private:
  template <typename Use>
  void with_expression(Dwarf_Attribute& attribute, const Use& use) {
    Dwarf_Op* ops = nullptr;
    size_t count = 0;
    const uint64_t pc = frame().lookup_pc() - scopes_->bias;
    if (dwarf_getlocation_addr(&attribute, pc, &ops, &count, 1) != 1) return;
    ExpressionContext context;
    context.registers = &frame().registers;
    context.memory = &memory_;
    context.bias = scopes_->bias;
    if (frame().cfa != 0) context.cfa = frame().cfa;
    context.frame_base = base_;
    context.entry_register = [this](int number) { return entry_register(number); };
    context.attribute = &attribute;
    use({ops, count}, context);
  }

  // What the caller put into a register for this very call, by its DW_TAG_call_site.
  std::optional<uint64_t> entry_register(int number) {
    if (callers_left_ <= 0 || index_ + 1 >= stack_.frames.size()) return std::nullopt;
    FrameContext caller(info_, stack_, index_ + 1, memory_, callers_left_ - 1);
    if (!caller.frame().is_return_address || !caller.scopes_) return std::nullopt;
    const uint64_t return_pc = caller.frame().pc - caller.scopes_->bias;
    for (size_t i = caller.scopes_->dies.size(); i-- > 0;) {
      Dwarf_Die call;
      if (!find_call(caller.scopes_->dies[i], return_pc, call)) continue;
      if (!calls_us(caller, call)) return std::nullopt;
      return call_value(caller, call, number);
    }
    return std::nullopt;
  }

  static bool find_call(Dwarf_Die& scope, uint64_t return_pc, Dwarf_Die& call) {
    if (dwarf_child(&scope, &call) != 0) return false;
    size_t steps = 0;
    do {
      const int tag = dwarf_tag(&call);
      if (tag != DW_TAG_call_site && tag != DW_TAG_GNU_call_site) continue;
      Dwarf_Attribute attribute;
      Dwarf_Addr at = 0;
      const unsigned name = tag == DW_TAG_call_site ? DW_AT_call_return_pc : DW_AT_low_pc;
      if (dwarf_attr(&call, name, &attribute) && dwarf_formaddr(&attribute, &at) == 0 &&
          at == return_pc)
        return true;
    } while (++steps < kMaxCallSites && dwarf_siblingof(&call, &call) == 0);
    return false;
  }

  // A tail call in between would have changed the registers, so the site must name this function,
  // or call through a pointer that leads to it.
  bool calls_us(FrameContext& caller, Dwarf_Die& call) {
    if (!scopes_ || scopes_->dies.empty()) return false;
    Dwarf_Die& us = scopes_->dies.front();
    Dwarf_Addr entry = 0;
    if (dwarf_entrypc(&us, &entry) != 0) return false;
    for (const unsigned name : {DW_AT_call_target, DW_AT_GNU_call_site_target})
      if (const auto target = caller.evaluate_attribute(call, name))
        return *target == entry + scopes_->bias;
    for (const unsigned name : {DW_AT_call_origin, DW_AT_abstract_origin}) {
      std::optional<Dwarf_Die> origin = direct_reference(call, name);
      if (!origin) continue;
      if (dwarf_dieoffset(&*origin) == dwarf_dieoffset(&us)) return true;
      const std::string called = info_.function_name(*origin);
      return !called.empty() && called == info_.function_name(us);
    }
    return false;
  }

  static std::optional<Dwarf_Die> direct_reference(Dwarf_Die& die, unsigned name) {
    Dwarf_Attribute attribute;
    Dwarf_Die target;
    if (dwarf_attr(&die, name, &attribute) == nullptr ||
        dwarf_formref_die(&attribute, &target) == nullptr)
      return std::nullopt;
    return target;
  }

  static std::optional<uint64_t> call_value(FrameContext& caller, Dwarf_Die& call, int number) {
    Dwarf_Die parameter;
    if (dwarf_child(&call, &parameter) != 0) return std::nullopt;
    size_t steps = 0;
    do {
      Dwarf_Attribute attribute;
      Dwarf_Op* ops = nullptr;
      size_t count = 0;
      if (dwarf_attr(&parameter, DW_AT_location, &attribute) == nullptr ||
          dwarf_getlocation(&attribute, &ops, &count) != 0 || count != 1 ||
          ops[0].atom != DW_OP_reg0 + static_cast<unsigned>(number))
        continue;
      for (const unsigned name : {DW_AT_call_value, DW_AT_GNU_call_site_value})
        if (const auto value = caller.evaluate_attribute(parameter, name)) return value;
    } while (++steps < kMaxCallSites && dwarf_siblingof(&parameter, &parameter) == 0);
    return std::nullopt;
  }

  DebugInfo& info_;
  const UnwoundStack& stack_;
  const size_t index_;
  const MemoryReader& memory_;
  const int callers_left_;
  std::optional<Scopes> scopes_;
  std::optional<uint64_t> base_;
};

bool visit_scope(FrameContext& frame, Dwarf_Die& scope, FrameVariable& variable,
                 const std::function<bool(const FrameVariable&)>& visit) {
  Dwarf_Die child;
  if (dwarf_child(&scope, &child) != 0) return true;
  size_t steps = 0;
  do {
    const int tag = dwarf_tag(&child);
    if (tag != DW_TAG_variable && tag != DW_TAG_formal_parameter) continue;
    variable.location = frame.locate(child);
    if (!variable.location.is_available()) continue;
    const std::optional<Dwarf_Die> type = die_reference(child, DW_AT_type);
    variable.name = die_name(child);
    if (!type || variable.name.empty()) continue;
    variable.type = *type;
    if (!visit(variable)) return false;
  } while (++steps < kMaxSiblings && dwarf_siblingof(&child, &child) == 0);
  return true;
}

}  // namespace

void each_variable(DebugInfo& info, const UnwoundStack& stack, size_t frame_index,
                   const MemoryReader& memory, int& depth,
                   const std::function<bool(const FrameVariable&)>& visit) {
  const Module* module = info.find_module(stack.frames[frame_index].lookup_pc());
  if (module == nullptr || is_plumbing("", module->path)) return;
  FrameContext frame(info, stack, frame_index, memory, kMaxCallers);
  if (!frame.scopes()) return;
  std::vector<Dwarf_Die>& dies = frame.scopes()->dies;
  // The blocks of one function stand between its own DIE and that of the function inlined into it.
  for (size_t end = dies.size(); end > 0;) {
    size_t begin = end - 1;
    while (begin > 0 && dwarf_tag(&dies[begin]) != DW_TAG_inlined_subroutine) --begin;
    FrameVariable variable;
    variable.function = info.function_name(dies[begin]);
    variable.plumbing = is_plumbing(variable.function, module->path) ||
                        is_system_header(declaration_file(dies[begin]));
    variable.depth = depth;
    if (!variable.plumbing) ++depth;
    for (size_t i = end; i-- > begin;)
      if (!visit_scope(frame, dies[i], variable, visit)) return;
    end = begin;
  }
}

}  // namespace gordian::process
