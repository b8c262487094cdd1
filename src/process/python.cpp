// SPDX-License-Identifier: Apache-2.0
#include "process/python.h"

#include "base/text.h"
#include "process/call_site.h"
#include "process/debug_info.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

namespace gordian::process {
namespace {

constexpr size_t kMaxThreadStates = 1 << 16;
constexpr size_t kMaxPythonFrames = 512;
constexpr size_t kMaxName = 512;  // characters
constexpr size_t kMaxLineTable = 1 << 20;

// Offsets of 3.11.
constexpr uint64_t kVersion311 = 0x030b;  // the upper half of Py_Version
constexpr uint64_t kRuntimeMainInterpreter = 48;
constexpr uint64_t kRuntimeGil = 360;
constexpr uint64_t kGilLastHolder = 8;
constexpr uint64_t kGilLocked = 16;
constexpr uint64_t kGilCondition = 32;
constexpr uint64_t kGilMutexEnd = 120;  // the mutex follows the condition
constexpr uint64_t kInterpreterThreads = 16;
constexpr uint64_t kInterpreterRuntime = 40;
constexpr uint64_t kStateNext = 8;
constexpr uint64_t kStateInterpreter = 16;
constexpr uint64_t kStateCFrame = 56;
constexpr uint64_t kStateTid = 160;
constexpr uint64_t kCFrameCurrent = 8;
constexpr uint64_t kFrameCode = 32;
constexpr uint64_t kFramePrevious = 48;
constexpr uint64_t kFrameInstruction = 56;
constexpr uint64_t kFrameIsEntry = 68;
constexpr uint64_t kCodeFirstLine = 72;
constexpr uint64_t kCodeFile = 112;
constexpr uint64_t kCodeQualifiedName = 128;
constexpr uint64_t kCodeLineTable = 136;
constexpr uint64_t kCodeInstructions = 184;
constexpr uint64_t kObjectType = 8;
constexpr uint64_t kObjectSize = 16;
constexpr uint64_t kBytesText = 32;
constexpr uint64_t kStringState = 32;
constexpr uint64_t kAsciiText = 48;
constexpr uint64_t kWideText = 72;
constexpr uint64_t kUnitSize = 2;  // of its instructions

constexpr uint8_t kCallInstruction = 0xe8;  // call rel32
constexpr size_t kCallSize = 5;

bool is_interpreter_file(std::string_view path) {
  const std::string_view name = base_name(path);
  return name.find("python") != std::string_view::npos &&
         (name.starts_with("python") || name.starts_with("libpython"));
}

void append_utf8(std::string& text, uint32_t character) {
  if (character < 0x80) {
    text += static_cast<char>(character);
  } else if (character < 0x800) {
    text += static_cast<char>(0xc0 | character >> 6);
    text += static_cast<char>(0x80 | (character & 0x3f));
  } else if (character < 0x10000) {
    text += static_cast<char>(0xe0 | character >> 12);
    text += static_cast<char>(0x80 | (character >> 6 & 0x3f));
    text += static_cast<char>(0x80 | (character & 0x3f));
  } else if (character < 0x110000) {
    text += static_cast<char>(0xf0 | character >> 18);
    text += static_cast<char>(0x80 | (character >> 12 & 0x3f));
    text += static_cast<char>(0x80 | (character >> 6 & 0x3f));
    text += static_cast<char>(0x80 | (character & 0x3f));
  }
}

// The numbers of a location table: six bits a byte, lowest first, bit 6 says that more follow.
class TableReader {
 public:
  explicit TableReader(std::string_view table) : table_(table) {}

  [[nodiscard]] bool at_end() const { return at_ >= table_.size(); }
  uint8_t byte() { return at_end() ? 0 : static_cast<uint8_t>(table_[at_++]); }
  void skip(size_t count) { at_ = std::min(table_.size(), at_ + count); }
  uint32_t number() {
    uint32_t value = 0;
    for (int shift = 0; shift < 30; shift += 6) {
      const uint8_t next = byte();
      value |= uint32_t{next & 0x3fu} << shift;
      if ((next & 0x40) == 0) break;
    }
    return value;
  }
  int signed_number() {
    const uint32_t value = number();
    const int half = static_cast<int>(value >> 1);
    return (value & 1) != 0 ? -half : half;
  }

 private:
  std::string_view table_;
  size_t at_ = 0;
};

}  // namespace

int line_in_table(std::string_view table, int first_line, uint64_t index) {
  constexpr int kOneLine = 10;  // 10, 11, 12: so many lines on, and two columns
  constexpr int kNoColumns = 13;
  constexpr int kLong = 14;
  constexpr int kNoLocation = 15;
  TableReader reader(table);
  int line = first_line;
  uint64_t begin = 0;
  while (!reader.at_end()) {
    const uint8_t head = reader.byte();
    if ((head & 0x80) == 0) return 0;  // damaged
    const int form = head >> 3 & 15;
    const uint64_t end = begin + (head & 7) + 1;
    if (form < kOneLine) {
      reader.skip(1);
    } else if (form < kNoColumns) {
      line += form - kOneLine;
      reader.skip(2);
    } else if (form != kNoLocation) {
      line += reader.signed_number();
      for (int i = 0; form == kLong && i < 3; ++i) reader.number();
    }
    if (index < end) return form == kNoLocation ? 0 : std::max(line, 0);
    begin = end;
  }
  return 0;
}

std::optional<Python> Python::find(const Symbols& symbols, const MemoryReader& memory) {
  DebugInfo& info = symbols.debug_info();
  for (const Module& module : symbols.modules()) {
    if (!is_interpreter_file(module.path)) continue;
    const auto runtime = info.find_address(module.start, "_PyRuntime");
    if (!runtime) continue;
    Python python(symbols, memory, *runtime);
    python.module_ = module.start;
    const auto version = info.find_address(module.start, "Py_Version");  // since 3.11
    const uint64_t number = version ? memory.read_word(*version).value_or(0) : 0;
    if (number != 0)
      python.version_ = std::to_string(number >> 24 & 0xff) + "." +
                        std::to_string(number >> 16 & 0xff) + "." +
                        std::to_string(number >> 8 & 0xff);
    python.code_type_ = info.find_address(module.start, "PyCode_Type").value_or(0);
    python.string_type_ = info.find_address(module.start, "PyUnicode_Type").value_or(0);
    python.known_ = number >> 16 == kVersion311 && python.check();
    return python;
  }
  return std::nullopt;
}

// The main interpreter points back to the runtime, and whoever had the GIL last belongs to an
// interpreter that does.
bool Python::check() const {
  if (code_type_ == 0 || string_type_ == 0) return false;
  const auto interpreter = memory_->read_word(runtime_ + kRuntimeMainInterpreter);
  if (!interpreter || memory_->read_word(*interpreter + kInterpreterRuntime) != runtime_)
    return false;
  const auto locked = memory_->read_word(gil() + kGilLocked, 4);
  const auto last = memory_->read_word(gil() + kGilLastHolder);
  return locked && *locked <= 1 && last && (*last == 0 || is_thread_state(*last));
}

bool Python::is_thread_state(uint64_t state) const {
  const auto interpreter = memory_->read_word(state + kStateInterpreter);
  return interpreter && memory_->read_word(*interpreter + kInterpreterRuntime) == runtime_;
}

uint64_t Python::gil() const { return runtime_ + kRuntimeGil; }

bool Python::is_gil_word(uint64_t futex) const {
  return futex >= gil() + kGilCondition && futex < gil() + kGilMutexEnd;
}

// The one function that waits for a time on a condition variable; static, and in most builds
// without a symbol.
bool Python::waits_on_condition(uint64_t function) const {
  constexpr uint64_t kMaxCode = 4096;
  std::vector<uint8_t> code(kMaxCode);
  if (!memory_->read(function, std::as_writable_bytes(std::span(code)))) return false;
  for (size_t at = 0; at + kCallSize <= code.size(); ++at) {
    if (code[at] != kCallInstruction) continue;
    const uint64_t return_address = function + at + kCallSize;
    if (called_function(*symbols_, *memory_, return_address) != "pthread_cond_timedwait") continue;
    return is_same_code(*symbols_, function, return_address - 1);
  }
  return false;
}

// Found through a function that has a symbol and calls it.
uint64_t Python::find_take_gil() const {
  constexpr uint64_t kMaxCode = 1024;
  DebugInfo& info = symbols_->debug_info();
  const auto caller = info.find_address(module_, "PyEval_RestoreThread");
  const auto symbol = caller ? info.find_symbol(*caller) : std::nullopt;
  if (!symbol || symbol->start != *caller) return 0;
  if (waits_on_condition(*caller)) return *caller;  // it contains it
  std::vector<uint8_t> code(std::min(symbol->size, kMaxCode));
  if (!memory_->read(*caller, std::as_writable_bytes(std::span(code)))) return 0;
  for (size_t at = 0; at + kCallSize <= code.size(); ++at) {
    if (code[at] != kCallInstruction) continue;
    const auto target = call_target(*memory_, *caller + at + kCallSize);
    if (target && is_same_code(*symbols_, *target, *target) && waits_on_condition(*target))
      return *target;
  }
  return 0;
}

// Whoever is in it is inside libc at most below it.
bool Python::is_taking_gil(const UnwoundStack& stack) {
  DebugInfo& info = symbols_->debug_info();
  const Module* const interpreter = info.find_module(module_);
  for (const UnwoundFrame& frame : stack.frames) {
    const Module* const module = info.find_module(frame.lookup_pc());
    if (module == nullptr || interpreter == nullptr) return false;
    if (module->path != interpreter->path) {
      if (is_plumbing("", module->path)) continue;
      return false;
    }
    if (!take_gil_) take_gil_ = find_take_gil();
    if (*take_gil_ == 0) return false;
    if (is_same_code(*symbols_, *take_gil_, frame.lookup_pc())) return true;
    // Its own helpers may lie below it, as _PyThread_cond_after does.
  }
  return false;
}

std::optional<uint32_t> Python::gil_owner() const {
  if (memory_->read_word(gil() + kGilLocked, 4) != 1) return std::nullopt;
  const auto last = memory_->read_word(gil() + kGilLastHolder);
  if (!last || *last == 0 || !is_thread_state(*last)) return std::nullopt;
  const auto tid = memory_->read_word(*last + kStateTid);
  if (!tid || *tid == 0 || *tid > UINT32_MAX) return std::nullopt;
  return static_cast<uint32_t>(*tid);
}

std::optional<uint64_t> Python::find_thread_state(uint32_t own_tid) const {
  const auto interpreter = memory_->read_word(runtime_ + kRuntimeMainInterpreter);
  if (!interpreter) return std::nullopt;
  auto state = memory_->read_word(*interpreter + kInterpreterThreads);
  for (size_t i = 0; i < kMaxThreadStates && state && *state != 0; ++i) {
    if (!is_thread_state(*state)) return std::nullopt;
    if (memory_->read_word(*state + kStateTid) == own_tid) return state;
    state = memory_->read_word(*state + kStateNext);
  }
  return std::nullopt;
}

std::string Python::read_string(uint64_t object) const {
  if (memory_->read_word(object + kObjectType) != string_type_) return {};
  const auto length = memory_->read_word(object + kObjectSize);
  const auto state = memory_->read_word(object + kStringState, 4);
  if (!length || !state) return {};
  const size_t width = *state >> 2 & 7;
  const bool compact = (*state >> 5 & 1) != 0;
  const bool ascii = (*state >> 6 & 1) != 0;
  if (!compact || (width != 1 && width != 2 && width != 4)) return {};
  const size_t count = std::min<uint64_t>(*length, kMaxName);
  std::string bytes(count * width, '\0');
  if (!memory_->read(object + (ascii ? kAsciiText : kWideText),
                     std::as_writable_bytes(std::span(bytes))))
    return {};
  if (ascii) return bytes;
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    uint32_t character = 0;
    for (size_t j = 0; j < width; ++j)
      character |= uint32_t{static_cast<uint8_t>(bytes[i * width + j])} << (8 * j);
    append_utf8(text, character);
  }
  return text;
}

int Python::line_of(uint64_t code, uint64_t instruction) const {
  const auto first = memory_->read_word(code + kCodeFirstLine, 4);
  const auto table = memory_->read_word(code + kCodeLineTable);
  if (!first || !table) return 0;
  const auto size = memory_->read_word(*table + kObjectSize);
  if (!size || *size > kMaxLineTable) return 0;
  // Before its first instruction a frame stands one in front of it.
  if (instruction < code + kCodeInstructions) return static_cast<int>(*first);
  std::string bytes(*size, '\0');
  if (!memory_->read(*table + kBytesText, std::as_writable_bytes(std::span(bytes)))) return 0;
  return line_in_table(bytes, static_cast<int>(*first),
                       (instruction - code - kCodeInstructions) / kUnitSize);
}

std::optional<PythonFrame> Python::read_frame(uint64_t frame) const {
  const auto code = memory_->read_word(frame + kFrameCode);
  const auto instruction = memory_->read_word(frame + kFrameInstruction);
  const auto is_entry = memory_->read_word(frame + kFrameIsEntry, 1);
  if (!code || !instruction || !is_entry || *is_entry > 1 ||
      memory_->read_word(*code + kObjectType) != code_type_)
    return std::nullopt;
  PythonFrame result;
  result.is_entry = *is_entry != 0;
  if (const auto name = memory_->read_word(*code + kCodeQualifiedName))
    result.function = read_string(*name);
  if (const auto file = memory_->read_word(*code + kCodeFile)) result.file = read_string(*file);
  if (result.function.empty()) return std::nullopt;
  result.line = line_of(*code, *instruction);
  return result;
}

std::vector<PythonFrame> Python::frames(uint32_t own_tid, uint64_t low, uint64_t high) const {
  std::vector<PythonFrame> frames;
  const auto state = find_thread_state(own_tid);
  const auto cframe = state ? memory_->read_word(*state + kStateCFrame) : std::nullopt;
  // Elsewhere: the thread has left the interpreter, or is another one of the same number.
  if (!cframe || *cframe < low || *cframe >= high) return frames;
  auto frame = memory_->read_word(*cframe + kCFrameCurrent);
  while (frame && *frame != 0 && frames.size() < kMaxPythonFrames) {
    std::optional<PythonFrame> words = read_frame(*frame);
    if (!words) break;
    frames.push_back(*std::move(words));
    frame = memory_->read_word(*frame + kFramePrevious);
  }
  return frames;
}

void Python::add_frames(uint32_t own_tid, model::Stack& stack) const {
  if (!known_ || stack.frames.empty()) return;
  uint64_t end = 0;
  for (const model::Frame& native : stack.frames) end = std::max(end, native.cfa);
  const std::vector<PythonFrame> frames = this->frames(own_tid, stack.frames.front().sp, end);
  size_t next = 0;
  std::vector<model::Frame> merged;
  for (model::Frame& native : stack.frames) {
    const bool runs_python = native.function.starts_with("_PyEval_EvalFrameDefault");
    bool more = runs_python;
    while (more && next < frames.size()) {
      const PythonFrame& frame = frames[next++];
      model::Frame words;
      words.pc = native.pc;
      words.sp = native.sp;
      words.cfa = native.cfa;
      words.is_return_address = native.is_return_address;
      words.inlined = true;
      words.function = frame.function;
      words.file = frame.file;
      words.line = frame.line;
      words.module = native.module;
      words.module_offset = native.module_offset;
      merged.push_back(std::move(words));
      more = !frame.is_entry;
    }
    merged.push_back(std::move(native));
  }
  stack.frames = std::move(merged);
}

}  // namespace gordian::process
