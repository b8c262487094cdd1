// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "dump/frame_text.h"
#include "dump/lines.h"
#include "dump/readers.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

namespace gordian::dump {

namespace {

struct Header {
  int64_t tid = 0;
  uint64_t pthread = 0;
  std::string_view name;
  int64_t number = 0;      // gdb's own
  int64_t inferior = 0;    // of several, which one's
  bool is_switch = false;  // "[Switching to thread ...": may come again and again
  std::string_view rest;   // of an `info threads` row: its frame
};

std::string_view quoted_name(std::string_view text) {
  const size_t open = text.find('"');
  if (open == std::string_view::npos) return {};
  const size_t close = text.find('"', open + 1);
  return close == std::string_view::npos ? std::string_view()
                                         : text.substr(open + 1, close - open - 1);
}

// "Thread 0x7f12 (LWP 34) "name"", "LWP 34", "process 34", "Thread 34": what gdb calls a target id.
bool parse_target(std::string_view text, Header& header) {
  Cursor cursor(text);
  bool known = false;
  if (cursor.skip("Thread ")) {
    if (const auto pthread = cursor.address()) {
      header.pthread = *pthread;
      known = true;
    } else if (const auto number = cursor.number()) {
      header.tid = *number;
      known = true;
    }
  } else if (cursor.skip("process ") || cursor.skip("LWP ")) {
    const auto number = cursor.number();
    if (!number) return false;
    header.tid = *number;
    known = true;
  }
  if (!known) return false;
  cursor.skip_blanks();
  if (cursor.skip("(LWP ")) {
    if (const auto number = cursor.number()) header.tid = *number;
    cursor.skip(")");
    cursor.skip_blanks();
  }
  header.name = cursor.rest().starts_with("\"") ? quoted_name(cursor.rest()) : std::string_view();
  if (!header.name.empty()) {
    cursor.skip("\"");
    cursor.skip(header.name);
    cursor.skip("\"");
  }
  header.rest = trimmed(cursor.rest());
  return true;
}

// "3", "2.3" where gdb has several processes.
bool read_number(Cursor& cursor, Header& header) {
  const auto number = cursor.number();
  if (!number) return false;
  header.number = *number;
  if (!cursor.skip(".")) return true;
  header.inferior = *number;
  header.number = cursor.number().value_or(0);
  return true;
}

std::optional<Header> parse_header(std::string_view line) {
  Header header;
  Cursor cursor(line);
  if (cursor.skip("[Switching to ")) {
    header.is_switch = true;
    if (cursor.skip("thread ")) {
      read_number(cursor, header);
      cursor.skip_blanks();
      cursor.skip("(");
    }
    if (!parse_target(cursor.rest(), header)) return std::nullopt;
    return header;
  }
  if (cursor.skip("Stack trace of thread ")) {
    const auto tid = cursor.number();
    if (!tid || !cursor.skip(":")) return std::nullopt;
    header.tid = *tid;
    return header;
  }
  if (cursor.skip("TID ")) {
    const auto tid = cursor.number();
    if (!tid) return std::nullopt;
    header.tid = *tid;
    header.name = quoted_name(cursor.rest());
    return cursor.rest().find(':') == std::string_view::npos ? std::nullopt : std::optional(header);
  }
  if (cursor.skip("* ")) cursor.skip_blanks();
  if (cursor.skip("thread #")) {  // lldb
    const auto number = cursor.number();
    if (!number) return std::nullopt;
    header.number = *number;
    std::string_view rest = cursor.rest();
    if (const size_t at = rest.find("tid = "); at != std::string_view::npos) {
      Cursor tid(rest.substr(at + 6));
      if (const auto hex = tid.address())
        header.tid = static_cast<int64_t>(*hex);
      else if (const auto decimal = tid.number())
        header.tid = *decimal;
    }
    if (const size_t at = rest.find("name = '"); at != std::string_view::npos) {
      const std::string_view name = rest.substr(at + 8);
      header.name = name.substr(0, name.find('\''));
    }
    return header;
  }
  if (!cursor.skip("Thread ")) return std::nullopt;
  if (!read_number(cursor, header)) return std::nullopt;
  cursor.skip_blanks();
  header.name = quoted_name(cursor.rest().substr(0, cursor.rest().find('(')));
  const std::string_view inside = cursor.rest();
  const size_t open = inside.find('(');
  if (open == std::string_view::npos || open > 64) return std::nullopt;
  const std::string_view name = header.name;
  if (!parse_target(inside.substr(open + 1), header)) return std::nullopt;
  if (header.name.empty()) header.name = name;
  return header;
}

// "* 3    Thread 0x7f12 (LWP 34) "name" f (a=1) at x.c:1".
std::optional<Header> parse_row(std::string_view line) {
  Cursor cursor(line);
  if (cursor.skip("*")) cursor.skip_blanks();
  Header header;
  if (!read_number(cursor, header)) return std::nullopt;
  if (cursor.empty() || !Cursor::is_blank(cursor.rest().front())) return std::nullopt;
  cursor.skip_blanks();
  if (!parse_target(cursor.rest(), header)) return std::nullopt;
  return header;
}

// "thread 3", "t 3": the number.
int64_t selected_thread(std::string_view command) {
  Cursor cursor(command);
  if (!cursor.skip("thread ") && !cursor.skip("t ")) return 0;
  const auto number = cursor.number();
  return number && cursor.empty() ? *number : 0;
}

// The program ran on: what is shown behind this is of another moment.
bool is_continued(std::string_view line) {
  if (line == "Continuing.") return true;
  return line.starts_with("Thread ") &&
         (line.find("\" hit ") != std::string_view::npos ||
          line.find("\" received signal ") != std::string_view::npos);
}

// A value gdb printed, until its owner field.
std::optional<int64_t> find_field(std::string_view value, std::string_view name) {
  const size_t at = value.find(name);
  if (at == std::string_view::npos) return std::nullopt;
  if (value.find(name, at + 1) != std::string_view::npos) return std::nullopt;  // of which one?
  return Cursor(value.substr(at + name.size())).number();
}

class NativeReader {
 public:
  explicit NativeReader(Text text) : text_(std::move(text)) { begin_dump(); }

  std::vector<Dump> read() {
    std::string_view rest = *text_;
    while (!rest.empty()) {
      const std::string_view line = take_line(rest);
      add_line(line, trimmed(line));
    }
    end_print();
    end_thread();
    note_holes();
    std::erase_if(dumps_, [](const Dump& dump) { return dump.threads.empty(); });
    return std::move(dumps_);
  }

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);

  Dump& dump() { return dumps_.back(); }
  Thread& thread() { return dump().threads[current_]; }

  // gdb numbers threads from 1, without gaps but for those that have ended.
  void note_holes() {
    if (dumps_.empty() || by_number_.empty()) return;
    dump().has_hole = by_number_.rbegin()->first != static_cast<int64_t>(by_number_.size());
  }

  void begin_dump() {
    end_thread();
    note_holes();
    Dump next;
    next.text = text_;
    if (!dumps_.empty()) next.pid = dumps_.back().pid;
    dumps_.push_back(std::move(next));
    by_tid_.clear();
    by_number_.clear();
    current_ = kNone;
  }

  [[nodiscard]] bool has_stacks() const {
    return std::any_of(dumps_.back().threads.begin(), dumps_.back().threads.end(),
                       [](const Thread& thread) { return !thread.frames.empty(); });
  }

  // The same process, later; another process.
  void begin_moment() {
    end_print();
    end_thread();
    if (has_stacks()) begin_dump();
  }
  void begin_process(int64_t pid) {
    begin_moment();
    if (dump().threads.empty()) dump().pid = 0;
    process_ = dumps_.size() - 1;
    if (dump().pid == 0) dump().pid = pid;
  }

  void select_thread(int64_t number) {
    end_print();
    end_thread();
    const auto known = by_number_.find(number);
    Header header;
    header.number = number;
    current_ = known != by_number_.end() ? known->second : add_thread(header);
    if (current_ == kNone) return;
    has_header_ = true;
    switched_[current_] = true;
  }

  void add_line(std::string_view line, std::string_view plain) {
    if (plain.empty()) return;
    if (const std::optional<int64_t> number = frame_number(plain)) {
      if (begin_frame(*number, plain)) return;
    }
    if (const std::optional<Header> header = parse_header(plain)) {
      begin_thread(*header);
      // Old versions of gdb print the frame in the same line.
      const size_t frame = header->is_switch ? plain.find("]#") : std::string_view::npos;
      if (frame != std::string_view::npos) add_line(line, plain.substr(frame + 1));
      return;
    }
    if (plain.starts_with("(gdb)")) return add_command(trimmed(plain.substr(5)));
    if (const int64_t number = selected_thread(plain)) return select_thread(number);
    if (is_continued(plain)) return begin_moment();
    if (plain.starts_with("$") && plain.find(" = ") != std::string_view::npos)
      return begin_print(plain);
    if (print_.data() != nullptr) {
      extend(print_, line);
      return;
    }
    // In arguments anything may stand; between threads only what is known is of interest.
    if (frame_.data() != nullptr && continues_frame(plain)) {
      extend(frame_, line);
      frame_end_.add(line);
      return;
    }
    if (const std::optional<Header> row = parse_row(plain)) return add_row(*row);
    if (read_pid(plain)) return;
    end_frame();
    if (locals_.data() != nullptr) {
      extend(locals_, line);
    } else if (in_stack_ && current_ != kNone && plain.find(" = ") != std::string_view::npos) {
      locals_ = line;
    }
  }

  // Views into the text that grow by whole lines.
  static void extend(std::string_view& view, std::string_view line) {
    view =
        std::string_view(view.data(), static_cast<size_t>(line.data() + line.size() - view.data()));
  }

  [[nodiscard]] bool continues_frame(std::string_view plain) const {
    constexpr size_t kLongestFrame = 1 << 16;
    if (frame_.size() > kLongestFrame) return false;
    if (frame_end_.is_open()) return true;
    if (plain.starts_with("at ") || plain.starts_with("from ")) return true;
    const std::string_view last = trimmed(frame_);
    if (last.ends_with(" at") || last.ends_with(" from") || last.ends_with(" in")) return true;
    const bool has_arguments = last.find('(') != std::string_view::npos;
    if (!has_arguments && last.find(" in ") != std::string_view::npos) return true;
    // eu-stack -s: the place in a line of its own. gdb would say " in " or " at ".
    const bool is_gdb = last.find(" in ") != std::string_view::npos ||
                        last.find(" at ") != std::string_view::npos ||
                        last.find('\n') != std::string_view::npos;
    if ((!has_arguments || !is_gdb) && plain.find(' ') == std::string_view::npos) {
      const size_t colon = plain.rfind(':');
      return colon != std::string_view::npos && colon + 1 < plain.size() &&
             std::isdigit(static_cast<unsigned char>(plain[colon + 1])) != 0;
    }
    return false;
  }

  bool begin_frame(int64_t number, std::string_view plain) {
    if (number != 0 && current_ == kNone) return false;  // "#12 in prose"
    if (number != 0 && number <= last_number_) {         // `frame 3` shows one again
      end_locals();
      selected_ = plain;
      return true;
    }
    if (number > last_number_ + 10'000) return false;
    end_print();
    end_locals();
    if (number == 0) {
      if (current_ == kNone || !has_header_) add_anonymous();
      if (!thread().frames.empty()) earlier_ = std::exchange(thread().frames, {});
      thread().only_top = false;
    }
    if (number != 0 && number != last_number_ + 1) thread().has_gap = true;
    last_number_ = number;
    selected_ = plain;
    frame_ = plain;
    frame_end_ = {};
    frame_end_.add(plain);
    return true;
  }

  // Lines of `bt full` behind it still belong to it: see end_locals().
  void end_frame() {
    const std::string_view text = std::exchange(frame_, {});
    if (text.data() == nullptr || current_ == kNone) return;
    if (++frames_ > kMaxFrames) {
      dump().cut = true;
      return;
    }
    thread().frames.push_back(parse_frame(text));
    in_stack_ = true;
  }

  void end_locals() {
    end_frame();
    if (locals_.data() != nullptr && current_ != kNone && !thread().frames.empty())
      thread().frames.back().locals = locals_;
    locals_ = {};
    in_stack_ = false;
  }

  void end_thread() {
    end_locals();
    if (current_ != kNone && earlier_.size() > thread().frames.size())
      thread().frames = std::move(earlier_);
    earlier_.clear();
    last_number_ = -1;
  }

  void begin_thread(const Header& header) {
    end_print();
    end_thread();
    if (is_of_other_process(header)) begin_listed_process(header.number);
    inferior_ = header.inferior;
    size_t found = find_thread(header);
    if (found != kNone && !header.is_switch) {
      const Thread& known = dump().threads[found];
      // Seen with its stack already: the next dump begins.
      if (!known.only_top && !known.frames.empty() && !switched_[found]) {
        begin_dump();
        found = kNone;
      }
    }
    if (found == kNone) found = add_thread(header);
    if (found == kNone) return;
    current_ = found;
    has_header_ = true;
    switched_[found] = header.is_switch;
    Thread& thread = this->thread();
    if (thread.only_top && !header.is_switch) {
      thread.frames.clear();
      thread.only_top = false;
    }
    if (thread.name.empty()) thread.name = header.name;
  }

  // gdb gives every thread of a process one number, and lists them downwards: 3, 2, 1.
  [[nodiscard]] bool is_of_other_process(const Header& header) const {
    const std::vector<Thread>& threads = dumps_.back().threads;
    if (threads.empty() || header.number == 0) return false;
    if (header.inferior != inferior_) return true;
    const auto known = by_number_.find(header.number);
    if (known != by_number_.end()) {
      const Thread& thread = threads[known->second];
      return header.tid != 0 && thread.tid != 0 && thread.tid != header.tid;
    }
    return false;
  }

  // Downwards, the other process's threads with higher numbers have come before the first that
  // this one has, too.
  void begin_listed_process(int64_t number) {
    current_ = kNone;
    std::vector<Thread>& threads = dump().threads;
    size_t first = threads.size();
    for (; first > 0; --first) {
      const auto known = by_number_.find(++number);
      if (known == by_number_.end() || known->second != first - 1) break;
      by_number_.erase(known);
    }
    std::vector<Thread> moved(
        std::make_move_iterator(threads.begin() + static_cast<ptrdiff_t>(first)),
        std::make_move_iterator(threads.end()));
    threads.resize(first);
    begin_process(0);
    for (Thread& thread : moved) {
      Header header;
      header.tid = thread.tid;
      header.number = --number;
      if (const size_t index = add_thread(header); index != kNone)
        dump().threads[index] = std::move(thread);
    }
  }

  size_t find_thread(const Header& header) {
    if (header.tid != 0) {
      const auto it = by_tid_.find(header.tid);
      if (it != by_tid_.end()) return it->second;
      // Selected before by its number alone.
      const auto numbered = by_number_.find(header.number);
      if (numbered == by_number_.end() || dump().threads[numbered->second].tid != 0) return kNone;
      dump().threads[numbered->second].tid = header.tid;
      dump().threads[numbered->second].pthread = header.pthread;
      by_tid_[header.tid] = numbered->second;
      return numbered->second;
    }
    if (header.number == 0) return kNone;
    const auto it = by_number_.find(header.number);
    return it == by_number_.end() ? kNone : it->second;
  }

  size_t add_thread(const Header& header) {
    if (dump().threads.size() >= kMaxThreads) {
      dump().cut = true;
      current_ = kNone;
      return kNone;
    }
    const size_t index = dump().threads.size();
    Thread thread;
    thread.tid = header.tid;
    thread.pthread = header.pthread;
    thread.name = header.name;
    dump().threads.push_back(std::move(thread));
    switched_.resize(index + 1);
    switched_[index] = false;
    if (header.tid != 0) by_tid_[header.tid] = index;
    if (header.number != 0) by_number_[header.number] = index;
    // gdb numbers from the first thread on, and that one's LWP is the process.
    if (header.number == 1 && header.tid != 0 && dump().pid == 0) dump().pid = header.tid;
    return index;
  }

  void add_anonymous() {
    end_thread();
    const size_t index = add_thread({});
    current_ = index;
    has_header_ = false;
  }

  void add_row(const Header& row) {
    end_locals();
    if (is_of_other_process(row)) begin_process(0);
    inferior_ = row.inferior;
    size_t index = find_thread(row);
    if (index == kNone) index = add_thread(row);
    if (index == kNone) return;
    current_ = kNone;
    has_header_ = false;
    Thread& thread = dump().threads[index];
    if (thread.name.empty()) thread.name = row.name;
    if (thread.frames.empty() && !row.rest.empty()) {
      thread.frames.push_back(parse_frame(row.rest));
      thread.only_top = true;
    }
  }

  bool read_pid(std::string_view plain) {
    // At its end gdb says which process it was.
    if (const size_t at = plain.find("(process "); at != std::string_view::npos) {
      const auto number = Cursor(plain.substr(at + 9)).number();
      if (!number) return false;
      for (size_t i = process_; i < dumps_.size(); ++i) dumps_[i].pid = *number;
      return true;
    }
    for (const std::string_view word : {"PID ", "Attaching to process ", "Process "}) {
      if (!plain.starts_with(word)) continue;
      if (word == "Process " && plain.find("dumped core") == std::string_view::npos) continue;
      const auto number = Cursor(plain.substr(word.size())).number();
      if (!number) continue;
      begin_process(*number);
      return true;
    }
    return false;
  }

  void add_command(std::string_view command) {
    end_print();
    end_locals();
    if (const int64_t number = selected_thread(command)) return select_thread(number);
    Cursor cursor(command);
    if (!cursor.skip("print ") && !cursor.skip("p ") && !cursor.skip("p/d ")) {
      expression_ = {};
      return;
    }
    expression_ = trimmed(cursor.rest());
  }

  void begin_print(std::string_view plain) {
    end_print();
    end_locals();
    print_ = plain;
  }

  void end_print() {
    const std::string_view value = std::exchange(print_, {}).substr(0, 1 << 16);
    if (value.empty()) return;
    const std::string_view expression = std::exchange(expression_, {});
    remember(value);
    OwnerFact fact;
    std::optional<int64_t> owner = find_field(value, "__owner = ");
    if (const auto kind = find_field(value, "__kind = ")) fact.recursive = (*kind & 3) == 1;
    if (!owner) {
      owner = find_field(value, "__cur_writer = ");
      fact.is_writer = owner.has_value();
    }
    if (!owner) {
      // p mutex->__data.__owner prints the bare number.
      fact.is_writer = expression.ends_with("__cur_writer");
      if (!fact.is_writer && !expression.ends_with("__owner")) return;
      Cursor cursor(value);
      cursor.until(" = ");
      owner = cursor.number();
    }
    if (!owner) return;
    fact.owner_tid = *owner;
    if (!find_subject(expression, fact)) return;
    dump().owners.push_back(fact);
  }

  // "$3 = (pthread_mutex_t *) 0x55d0": what $3 points to.
  void remember(std::string_view value) {
    Cursor cursor(value);
    const std::string_view name = trimmed(cursor.until(" = "));
    if (!cursor.skip("(")) return;
    cursor.until(") ");
    if (const auto address = cursor.address()) history_[name] = *address;
  }

  // Which lock the expression means: by address, by an earlier value, by an argument of the
  // selected frame, by name.
  bool find_subject(std::string_view expression, OwnerFact& fact) {
    if (const size_t hex = expression.find("0x"); hex != std::string_view::npos) {
      const auto address = parse_hex(expression.substr(hex));
      if (address) fact.address = *address;
      return address.has_value();
    }
    if (const size_t dollar = expression.find('$'); dollar != std::string_view::npos) {
      size_t end = dollar + 1;
      while (end < expression.size() && std::isdigit(static_cast<unsigned char>(expression[end])))
        ++end;
      const auto known = history_.find(expression.substr(dollar, end - dollar));
      if (known != history_.end()) fact.address = known->second;
      return known != history_.end();
    }
    while (!expression.empty() &&
           (expression.front() == '*' || expression.front() == '(' || expression.front() == ' '))
      expression.remove_prefix(1);
    size_t end = 0;
    while (end < expression.size() && (std::isalnum(static_cast<unsigned char>(expression[end])) ||
                                       expression[end] == '_' || expression[end] == ':'))
      ++end;
    const std::string_view name = expression.substr(0, end);
    if (name.empty()) return false;
    const std::string_view rest = expression.substr(end);
    const bool is_whole = rest.empty() || rest.starts_with("->__data") || rest == ")" ||
                          rest.starts_with(".__data") || rest.starts_with("._M_mutex");
    if (!is_whole) return false;
    const Frame frame = parse_frame(selected_);
    if (const auto address = parse_hex(find_argument(frame.args, name))) {
      fact.address = *address;
      return true;
    }
    fact.name = name;
    return true;
  }

  const Text text_;
  std::vector<Dump> dumps_;
  std::map<int64_t, size_t> by_tid_, by_number_;
  std::map<std::string_view, uint64_t> history_;  // gdb's $1, $2, ... where they are pointers
  std::vector<bool> switched_;
  size_t current_ = kNone;
  size_t process_ = 0;  // the first dump of the present process
  int64_t inferior_ = 0;
  size_t frames_ = 0;
  bool has_header_ = false;
  bool in_stack_ = false;  // behind a frame: its locals may follow
  int64_t last_number_ = -1;
  std::vector<Frame> earlier_;  // of this thread, printed before
  std::string_view frame_, locals_, print_, expression_, selected_;
  FrameEnd frame_end_;
};

}  // namespace

std::vector<Dump> read_native(const Text& text) { return NativeReader(text).read(); }

}  // namespace gordian::dump
