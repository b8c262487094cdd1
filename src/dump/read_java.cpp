// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "dump/lines.h"
#include "dump/readers.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace gordian::dump {

namespace {

// Position behind the name's closing quote; 0: the line is no thread's header. A name may hold
// quotes itself, so what follows decides.
size_t end_of_name(std::string_view line) {
  if (!line.starts_with("\"")) return 0;
  for (const std::string_view next :
       {"\" #", "\" daemon", "\" prio=", "\" os_prio=", "\" tid=", "\" nid=", "\" Id=", "\":"}) {
    const size_t at = line.find(next, 1);
    if (at == std::string_view::npos) continue;
    if (next == "\":" && at + 2 != line.size()) continue;
    return at + 1;
  }
  return 0;
}

// The native id: "nid=0x5a03", "nid=23043", "[23043]".
int64_t native_id(std::string_view rest) {
  if (const size_t at = rest.find("nid="); at != std::string_view::npos) {
    Cursor cursor(rest.substr(at + 4));
    if (const auto hex = cursor.address()) return static_cast<int64_t>(*hex & 0x7fffffff);
    if (const auto decimal = cursor.number()) return *decimal;
  }
  if (const size_t at = rest.find('['); at != std::string_view::npos && at < 24) {
    Cursor cursor(rest.substr(at + 1));
    const auto decimal = cursor.number();
    if (decimal && cursor.skip("]")) return *decimal;
  }
  return 0;
}

// "Found one Java-level deadlock:", also where somebody has made a heading of it: "# ", "**".
bool is_title_of_section(std::string_view line) {
  const size_t found = line.find("Found ");
  return found < 5 && line.find("Java-level deadlock", found) != line.npos;
}

std::optional<uint64_t> hash_behind(std::string_view text, std::string_view word) {
  const size_t at = text.find(word);
  if (at == std::string_view::npos) return std::nullopt;
  const size_t sign = text.find('@', at);
  if (sign == std::string_view::npos) return std::nullopt;
  const std::string digits = "0x" + std::string(text.substr(sign + 1, 18));
  return parse_hex(digits);
}

// "at java.lang.Object.wait(java.base@17/Object.java:338)".
std::optional<Frame> parse_java_call(std::string_view line) {
  if (!line.starts_with("at ") || !line.ends_with(')')) return std::nullopt;
  line = line.substr(3);
  const size_t open = line.rfind('(');
  if (open == std::string_view::npos) return std::nullopt;
  Frame frame;
  frame.function = line.substr(0, open);
  if (frame.function.find(' ') != std::string_view::npos) return std::nullopt;
  std::string_view place = line.substr(open + 1, line.size() - open - 2);
  if (const size_t slash = place.rfind('/'); slash != std::string_view::npos)
    place = place.substr(slash + 1);
  const size_t colon = place.rfind(':');
  if (colon != std::string_view::npos) {
    const auto number = Cursor(place.substr(colon + 1)).number();
    if (number && *number < 100'000'000) frame.line = static_cast<int>(*number);
    place = place.substr(0, colon);
  }
  frame.file = place;
  return frame;
}

// "- locked <0x000000076ab3c2f0> (a java.lang.Object)".
std::optional<MonitorLine> parse_monitor(std::string_view line) {
  using What = MonitorLine::What;
  MonitorLine monitor;
  Cursor cursor(line);
  if (!cursor.skip("-")) return std::nullopt;
  cursor.skip_blanks();
  if (cursor.skip("waiting on the Class initialization monitor for ")) {
    monitor.what = MonitorLine::What::ClassInit;
    monitor.type = trimmed(cursor.rest());
    return monitor.type.empty() ? std::nullopt : std::optional(monitor);
  }
  if (cursor.skip("locked ")) {
    monitor.what = What::Locked;
  } else if (cursor.skip("waiting to lock ") || cursor.skip("waiting to re-lock in wait() ")) {
    monitor.what = What::WaitingToLock;
  } else if (cursor.skip("waiting on ")) {
    monitor.what = What::WaitingOn;
  } else if (cursor.skip("parking to wait for ")) {
    monitor.what = What::Parking;
  } else if (cursor.rest().starts_with("<0x")) {
    monitor.what = What::OwnsSynchronizer;
  } else {
    return std::nullopt;
  }
  cursor.skip_blanks();
  if (cursor.skip("<")) {
    const auto address = cursor.address();
    if (!address) return std::nullopt;
    monitor.address = *address;
    cursor.until("(a ");
    monitor.type = cursor.until(")");
  } else if (const auto hash = hash_behind(cursor.rest(), "@")) {
    monitor.address = *hash;
    monitor.type = cursor.until("@");
  } else {
    return std::nullopt;
  }
  return monitor;
}

class JavaReader {
 public:
  explicit JavaReader(Text text) : text_(std::move(text)) {}

  std::vector<Dump> read() {
    std::string_view rest = *text_;
    while (!rest.empty()) {
      const std::string_view line = trimmed(take_line(rest));
      if (!line.empty()) add_line(line);
    }
    return std::move(dumps_);
  }

 private:
  static constexpr size_t kNone = static_cast<size_t>(-1);

  void add_line(std::string_view line) {
    if (is_title_of_section(line)) {
      in_section_ = true;
      return;
    }
    if (line.starts_with("Full thread dump")) {
      in_section_ = false;
      current_ = kNone;
      if (!dumps_.empty()) begin_dump();
      return;
    }
    if (const size_t end = end_of_name(line)) return begin_thread(line, end);
    if (dumps_.empty()) return;
    if (in_section_ && add_section_line(line)) return;
    if (current_ == kNone) return;
    Thread& thread = dumps_.back().threads[current_];
    constexpr std::string_view kState = "java.lang.Thread.State: ";
    if (line.starts_with(kState)) {
      thread.state = line.substr(kState.size());
    } else if (const auto frame = parse_java_call(line)) {
      if (repeated_) return;
      if (++frames_ > kMaxFrames) {
        dumps_.back().cut = true;
      } else {
        thread.frames.push_back(*frame);
      }
    } else if (const auto monitor = parse_monitor(line); monitor && !repeated_) {
      thread.monitors.push_back(*monitor);
      thread.monitors.back().frame = thread.frames.empty() ? 0 : thread.frames.size() - 1;
    }
  }

  void begin_dump() {
    Dump dump;
    dump.dialect = Dialect::Java;
    dump.text = text_;
    dumps_.push_back(std::move(dump));
    by_name_.clear();
    current_ = subject_ = kNone;  // they are of the dump before
    full_ = 0;
  }

  void begin_thread(std::string_view line, size_t end) {
    const std::string_view name = line.substr(1, end - 2);
    const std::string_view rest = line.substr(end);
    // In the section about deadlocks the threads stand by name, and their stacks once more.
    const auto known = by_name_.find(name);
    if (in_section_ && known != by_name_.end()) {
      current_ = known->second;
      repeated_ = current_ < full_ && dumps_.back().threads[current_].frames.size() > 0;
      subject_ = current_;
      return;
    }
    if (rest == ":" && !in_section_) return;
    if (dumps_.empty()) begin_dump();
    Dump& dump = dumps_.back();
    if (dump.threads.size() >= kMaxThreads) {
      dump.cut = true;
      current_ = kNone;
      return;
    }
    Thread thread;
    thread.dialect = Dialect::Java;
    thread.name = name;
    thread.tid = native_id(rest);
    if (const size_t at = rest.find(" Id="); at != rest.npos) parse_info(rest, at, thread);
    current_ = dump.threads.size();
    subject_ = current_;
    repeated_ = false;
    by_name_.emplace(name, current_);
    dump.threads.push_back(std::move(thread));
    if (!in_section_) full_ = dump.threads.size();
  }

  // ThreadInfo: " Id=12 BLOCKED on java.lang.Object@1b2c3d owned by "worker" Id=13".
  void parse_info(std::string_view rest, size_t at, Thread& thread) {
    Cursor cursor(rest.substr(at + 4));
    if (const auto id = cursor.number()) thread.tid = *id;
    cursor.skip_blanks();
    thread.state = cursor.rest();
    const bool is_blocked = cursor.rest().starts_with("BLOCKED");
    const bool is_waiting = cursor.rest().find("WAITING") != std::string_view::npos;
    const auto hash = hash_behind(cursor.rest(), " on ");
    if (!hash || (!is_blocked && !is_waiting)) return;
    MonitorLine monitor;
    monitor.what = is_blocked ? MonitorLine::What::WaitingToLock : MonitorLine::What::Parking;
    monitor.address = *hash;
    cursor.until(" on ");
    monitor.type = cursor.until("@");
    const std::string_view owned = cursor.rest();
    const size_t owner = owned.find("owned by \"");
    const size_t id = owned.rfind(" Id=");
    if (owner != owned.npos && id != owned.npos && id > owner) {
      OwnerFact fact;
      fact.address = *hash;
      const auto number = Cursor(owned.substr(id + 4)).number();
      if (number) fact.owner_tid = *number;
      fact.recursive = true;
      if (number) dumps_.back().owners.push_back(fact);
    } else if (!is_blocked && monitor.type.find("Lock") == monitor.type.npos) {
      monitor.what = MonitorLine::What::WaitingOn;
    }
    thread.monitors.push_back(monitor);
  }

  // "waiting to lock monitor 0x1 (object 0x2, a T)," and "which is held by "name"".
  bool add_section_line(std::string_view line) {
    if (line.starts_with("waiting to lock monitor ") ||
        line.starts_with("waiting to lock Monitor@")) {
      // jstack -F writes Object@0x1.
      const size_t object = std::min(line.find("(object "), line.find("(Object@"));
      Cursor cursor(object == line.npos ? std::string_view() : line.substr(object + 8));
      begin_want(cursor, MonitorLine::What::WaitingToLock);
      return true;
    }
    if (line.starts_with("waiting for ownable synchronizer ")) {
      Cursor cursor(line.substr(33));
      begin_want(cursor, MonitorLine::What::Parking);
      return true;
    }
    constexpr std::string_view kHeld = "which is held by \"";
    const size_t at = line.find(kHeld);
    if (at == std::string_view::npos) return false;
    std::string_view name = line.substr(at + kHeld.size());
    if (!name.empty() && name.back() == ',') name.remove_suffix(1);
    if (!name.empty() && name.back() == '"') name.remove_suffix(1);
    if (wanted_ != 0 && !name.empty()) {
      OwnerFact fact;
      fact.address = wanted_;
      fact.owner_name = name;
      fact.recursive = true;
      dumps_.back().owners.push_back(fact);
    }
    return true;
  }

  void begin_want(Cursor cursor, MonitorLine::What what) {
    const auto address = cursor.address();
    wanted_ = address ? *address : 0;
    if (subject_ == kNone || wanted_ == 0) return;
    Thread& thread = dumps_.back().threads[subject_];
    for (const MonitorLine& known : thread.monitors)
      if (known.address == wanted_ && known.what == what) return;
    cursor.until("a ");
    thread.monitors.push_back({what, wanted_, cursor.until(")"), 0});
  }

  const Text text_;
  std::vector<Dump> dumps_;
  std::map<std::string_view, size_t> by_name_;
  size_t current_ = kNone, subject_ = kNone, full_ = 0, frames_ = 0;
  uint64_t wanted_ = 0;
  bool in_section_ = false, repeated_ = false;
};

}  // namespace

std::vector<Dump> read_java(const Text& text) { return JavaReader(text).read(); }

}  // namespace gordian::dump
