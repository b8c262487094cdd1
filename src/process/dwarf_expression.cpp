// SPDX-License-Identifier: Apache-2.0
#include "process/dwarf_expression.h"

#include <algorithm>
#include <dwarf.h>

namespace gordian::process {
namespace {

constexpr size_t kMaxStack = 256;
constexpr size_t kMaxSteps = 20000;
constexpr size_t kMaxPieces = 64;

// One run over an expression. `ok_` goes false at the first thing that cannot be known.
class Machine {
 public:
  Machine(std::span<const Dwarf_Op> ops, const ExpressionContext& context)
      : ops_(ops), context_(context) {}

  Location run();
  // What is left on the stack when there was no location operation.
  [[nodiscard]] std::optional<uint64_t> result() const {
    if (!ok_ || stack_.empty()) return std::nullopt;
    return stack_.back();
  }
  [[nodiscard]] bool has_location() const { return has_location_; }

 private:
  using Kind = LocationPiece::Kind;

  void step(const Dwarf_Op& op);
  bool step_constant(const Dwarf_Op& op);
  bool step_stack(const Dwarf_Op& op);
  bool step_arithmetic(const Dwarf_Op& op);
  bool step_location(const Dwarf_Op& op);
  void step_register(int number, int64_t offset);
  void step_entry_value(const Dwarf_Op& op);
  void step_address_index(const Dwarf_Op& op);
  void step_implicit_value(const Dwarf_Op& op);
  void jump(const Dwarf_Op& op);
  void finish_piece(uint64_t size);

  void push(uint64_t value) {
    if (stack_.size() >= kMaxStack) ok_ = false;
    if (ok_) stack_.push_back(value);
  }
  void push(std::optional<uint64_t> value) {
    if (!value) ok_ = false;
    if (ok_) stack_.push_back(*value);
  }
  uint64_t pop() {
    if (stack_.empty()) {
      ok_ = false;
      return 0;
    }
    const uint64_t value = stack_.back();
    stack_.pop_back();
    return value;
  }

  std::span<const Dwarf_Op> ops_;
  const ExpressionContext& context_;
  std::vector<uint64_t> stack_;
  size_t next_ = 0;
  bool ok_ = true;
  bool has_location_ = false;
  bool is_value_ = false;  // the top of the stack is the value, not its address
  Location location_;
};

bool Machine::step_constant(const Dwarf_Op& op) {
  if (op.atom >= DW_OP_lit0 && op.atom <= DW_OP_lit31) {
    push(uint64_t{op.atom} - DW_OP_lit0);
    return true;
  }
  switch (op.atom) {
    case DW_OP_addr:
      push(op.number + context_.bias);
      return true;
    case DW_OP_const1u:
    case DW_OP_const2u:
    case DW_OP_const4u:
    case DW_OP_const8u:
    case DW_OP_constu:
    case DW_OP_const8s:
    case DW_OP_consts:
      push(op.number);
      return true;
    // libdw sign-extends these already; doing it again changes nothing.
    case DW_OP_const1s:
      push(static_cast<uint64_t>(static_cast<int64_t>(static_cast<int8_t>(op.number))));
      return true;
    case DW_OP_const2s:
      push(static_cast<uint64_t>(static_cast<int64_t>(static_cast<int16_t>(op.number))));
      return true;
    case DW_OP_const4s:
      push(static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(op.number))));
      return true;
    case DW_OP_addrx:
    case DW_OP_constx:
    case DW_OP_GNU_addr_index:
    case DW_OP_GNU_const_index:
      step_address_index(op);
      return true;
    default:
      return false;
  }
}

void Machine::step_address_index(const Dwarf_Op& op) {
  Dwarf_Attribute target;
  Dwarf_Addr address = 0;
  ok_ = context_.attribute != nullptr &&
        dwarf_getlocation_attr(context_.attribute, &op, &target) == 0 &&
        dwarf_formaddr(&target, &address) == 0;
  const bool is_address = op.atom == DW_OP_addrx || op.atom == DW_OP_GNU_addr_index;
  push(address + (is_address ? context_.bias : 0));
}

bool Machine::step_stack(const Dwarf_Op& op) {
  switch (op.atom) {
    case DW_OP_dup:
      if (stack_.empty()) ok_ = false;
      if (ok_) push(stack_.back());
      return true;
    case DW_OP_drop:
      pop();
      return true;
    case DW_OP_over:
    case DW_OP_pick: {
      const uint64_t depth = op.atom == DW_OP_over ? 1 : op.number;
      if (depth >= stack_.size()) ok_ = false;
      if (ok_) push(stack_[stack_.size() - 1 - depth]);
      return true;
    }
    case DW_OP_swap:
      if (stack_.size() < 2) ok_ = false;
      if (ok_) std::swap(stack_.end()[-1], stack_.end()[-2]);
      return true;
    case DW_OP_rot:
      if (stack_.size() < 3) ok_ = false;
      if (ok_) std::rotate(stack_.end() - 3, stack_.end() - 1, stack_.end());
      return true;
    case DW_OP_deref:
      push(context_.memory->read_word(pop(), 8));
      return true;
    case DW_OP_deref_size:
      push(context_.memory->read_word(pop(), op.number));
      return true;
    case DW_OP_nop:
      return true;
    case DW_OP_bra:
      if (pop() != 0) jump(op);
      return true;
    case DW_OP_skip:
      jump(op);
      return true;
    default:
      return false;
  }
}

bool Machine::step_arithmetic(const Dwarf_Op& op) {
  switch (op.atom) {
    case DW_OP_abs: {
      const int64_t value = static_cast<int64_t>(pop());
      push(value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value));
      return true;
    }
    case DW_OP_neg:
      push(uint64_t{0} - pop());
      return true;
    case DW_OP_not:
      push(~pop());
      return true;
    case DW_OP_plus_uconst:
      push(pop() + op.number);
      return true;
    default:
      break;
  }
  switch (op.atom) {
    case DW_OP_and:
    case DW_OP_or:
    case DW_OP_xor:
    case DW_OP_plus:
    case DW_OP_minus:
    case DW_OP_mul:
    case DW_OP_div:
    case DW_OP_mod:
    case DW_OP_shl:
    case DW_OP_shr:
    case DW_OP_shra:
    case DW_OP_eq:
    case DW_OP_ne:
    case DW_OP_lt:
    case DW_OP_le:
    case DW_OP_gt:
    case DW_OP_ge:
      break;
    default:
      return false;
  }
  const uint64_t b = pop();
  const uint64_t a = pop();
  const int64_t sa = static_cast<int64_t>(a);
  const int64_t sb = static_cast<int64_t>(b);
  switch (op.atom) {
    case DW_OP_and:
      push(a & b);
      break;
    case DW_OP_or:
      push(a | b);
      break;
    case DW_OP_xor:
      push(a ^ b);
      break;
    case DW_OP_plus:
      push(a + b);
      break;
    case DW_OP_minus:
      push(a - b);
      break;
    case DW_OP_mul:
      push(a * b);
      break;
    case DW_OP_div:
      if (b == 0 || (sa == INT64_MIN && sb == -1)) ok_ = false;
      if (ok_) push(static_cast<uint64_t>(sa / sb));
      break;
    case DW_OP_mod:
      if (b == 0) ok_ = false;
      if (ok_) push(a % b);
      break;
    case DW_OP_shl:
      push(b < 64 ? a << b : 0);
      break;
    case DW_OP_shr:
      push(b < 64 ? a >> b : 0);
      break;
    case DW_OP_shra:
      push(static_cast<uint64_t>(sa >> std::min<uint64_t>(b, 63)));
      break;
    case DW_OP_eq:
      push(uint64_t{sa == sb});
      break;
    case DW_OP_ne:
      push(uint64_t{sa != sb});
      break;
    case DW_OP_lt:
      push(uint64_t{sa < sb});
      break;
    case DW_OP_le:
      push(uint64_t{sa <= sb});
      break;
    case DW_OP_gt:
      push(uint64_t{sa > sb});
      break;
    default:
      push(uint64_t{sa >= sb});
      break;
  }
  return true;
}

bool Machine::step_location(const Dwarf_Op& op) {
  if (op.atom >= DW_OP_reg0 && op.atom <= DW_OP_reg31) {
    step_register(op.atom - DW_OP_reg0, 0);
    is_value_ = true;
    return true;
  }
  if (op.atom >= DW_OP_breg0 && op.atom <= DW_OP_breg31) {
    step_register(op.atom - DW_OP_breg0, static_cast<int64_t>(op.number));
    return true;
  }
  switch (op.atom) {
    case DW_OP_regx:
      step_register(op.number < kRegisterCount ? static_cast<int>(op.number) : -1, 0);
      is_value_ = true;
      return true;
    case DW_OP_bregx:
      step_register(op.number < kRegisterCount ? static_cast<int>(op.number) : -1,
                    static_cast<int64_t>(op.number2));
      return true;
    case DW_OP_fbreg:
      push(context_.frame_base);
      if (ok_) push(pop() + op.number);
      return true;
    case DW_OP_call_frame_cfa:
      push(context_.cfa);
      return true;
    case DW_OP_entry_value:
    case DW_OP_GNU_entry_value:
      step_entry_value(op);
      return true;
    case DW_OP_stack_value:
      is_value_ = true;
      return true;
    case DW_OP_implicit_value:
      step_implicit_value(op);
      return true;
    case DW_OP_piece:
      finish_piece(op.number);
      return true;
    default:
      return false;  // among them typed operations, implicit pointers and thread-locals
  }
}

void Machine::step_register(int number, int64_t offset) {
  std::optional<uint64_t> value = context_.registers->get(number);
  if (value) *value += static_cast<uint64_t>(offset);
  push(value);
}

// Only "the contents of a register at entry": what gcc writes for parameters.
void Machine::step_entry_value(const Dwarf_Op& op) {
  Dwarf_Attribute inner;
  Dwarf_Op* ops = nullptr;
  size_t count = 0;
  ok_ = context_.attribute != nullptr && context_.entry_register &&
        dwarf_getlocation_attr(context_.attribute, &op, &inner) == 0 &&
        dwarf_getlocation(&inner, &ops, &count) == 0 && count == 1 && ops[0].atom >= DW_OP_reg0 &&
        ops[0].atom <= DW_OP_reg31;
  if (ok_) push(context_.entry_register(ops[0].atom - DW_OP_reg0));
}

void Machine::step_implicit_value(const Dwarf_Op& op) {
  Dwarf_Block block;
  ok_ = context_.attribute != nullptr &&
        dwarf_getlocation_implicit_value(context_.attribute, &op, &block) == 0 && block.length <= 8;
  uint64_t word = 0;
  if (ok_) std::copy_n(block.data, block.length, reinterpret_cast<unsigned char*>(&word));
  push(word);
  is_value_ = true;
}

// libdw keeps the distance as written: from behind the three bytes of the operation.
void Machine::jump(const Dwarf_Op& op) {
  const uint64_t target =
      op.offset + 3 + static_cast<uint64_t>(static_cast<int64_t>(static_cast<int16_t>(op.number)));
  const auto found = std::lower_bound(
      ops_.begin(), ops_.end(), target,
      [](const Dwarf_Op& other, uint64_t offset) { return other.offset < offset; });
  if (found != ops_.end() && found->offset != target) ok_ = false;
  next_ = static_cast<size_t>(found - ops_.begin());
}

// An operation that cannot be known spoils its own piece only.
void Machine::finish_piece(uint64_t size) {
  has_location_ = true;
  if (!ok_ || stack_.empty())
    location_.add(Kind::Unavailable, size, 0);
  else
    location_.add(is_value_ ? Kind::Value : Kind::Memory, size, stack_.back());
  stack_.clear();
  ok_ = true;
  is_value_ = false;
}

void Machine::step(const Dwarf_Op& op) {
  if (!step_constant(op) && !step_stack(op) && !step_arithmetic(op) && !step_location(op))
    ok_ = false;
}

Location Machine::run() {
  size_t pieces = 0;
  for (size_t steps = 0; next_ < ops_.size(); ++steps) {
    if (steps >= kMaxSteps || pieces > kMaxPieces) return {};
    const Dwarf_Op& op = ops_[next_++];
    if (op.atom == DW_OP_piece) ++pieces;
    if (ok_ || op.atom == DW_OP_piece) step(op);
  }
  if (!has_location_ && ok_ && !stack_.empty())
    location_.add(is_value_ ? Kind::Value : Kind::Memory, kWholeVariable, stack_.back());
  return location_;
}

}  // namespace

void Location::add(LocationPiece::Kind kind, uint64_t size, uint64_t word) {
  const uint64_t offset = pieces_.empty() ? 0 : pieces_.back().offset + pieces_.back().size;
  if (size > kWholeVariable - offset) size = kWholeVariable - offset;
  pieces_.push_back({.kind = kind, .offset = offset, .size = size, .word = word});
}

bool Location::is_available() const {
  return std::any_of(pieces_.begin(), pieces_.end(), [](const LocationPiece& piece) {
    return piece.kind != LocationPiece::Kind::Unavailable;
  });
}

const LocationPiece* Location::find(uint64_t offset) const {
  for (const LocationPiece& piece : pieces_)
    if (offset >= piece.offset && offset - piece.offset < piece.size) return &piece;
  return nullptr;
}

std::optional<uint64_t> Location::value() const {
  if (pieces_.size() != 1 || pieces_[0].kind != LocationPiece::Kind::Value) return std::nullopt;
  return pieces_[0].word;
}

std::optional<uint64_t> Location::address_of(uint64_t offset) const {
  const LocationPiece* piece = find(offset);
  if (piece == nullptr || piece->kind != LocationPiece::Kind::Memory) return std::nullopt;
  return piece->word + (offset - piece->offset);
}

std::optional<uint64_t> Location::read_word(const MemoryReader& memory, uint64_t offset,
                                            size_t size) const {
  const LocationPiece* piece = find(offset);
  if (piece == nullptr || size == 0 || size > 8) return std::nullopt;
  const uint64_t inside = offset - piece->offset;
  if (size > piece->size - inside) return std::nullopt;
  switch (piece->kind) {
    case LocationPiece::Kind::Memory:
      return memory.read_word(piece->word + inside, size);
    case LocationPiece::Kind::Value: {
      if (inside >= 8 || size > 8 - inside) return std::nullopt;
      const uint64_t word = piece->word >> (8 * inside);
      return size == 8 ? word : word & ((uint64_t{1} << (8 * size)) - 1);
    }
    case LocationPiece::Kind::Unavailable:
      break;
  }
  return std::nullopt;
}

Location evaluate_location(std::span<const Dwarf_Op> ops, const ExpressionContext& context) {
  return Machine(ops, context).run();
}

std::optional<uint64_t> evaluate_value(std::span<const Dwarf_Op> ops,
                                       const ExpressionContext& context) {
  Machine machine(ops, context);
  machine.run();
  if (machine.has_location()) return std::nullopt;
  return machine.result();
}

}  // namespace gordian::process
