// SPDX-License-Identifier: Apache-2.0
#include "trace/std_reader.h"

#include "base/text.h"
#include "trace/event_writer.h"
#include "trace/thread_rules.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

namespace gordian::trace {

using model::Mode;
using model::ThreadId;
using model::TraceEvent;
using model::TraceOp;

namespace {

constexpr size_t kMaxPartInMessage = 60;
// The parser compares words of four bytes; so much stands behind every line it reads.
constexpr size_t kSlack = 16;
constexpr uint64_t kProgressLines = 1 << 16;

bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

// Every line that is looked at has its newline.
const char* line_end(const char* p) { return static_cast<const char*>(rawmemchr(p, '\n')); }

std::string shown(std::string_view text) {
  return escape_for_terminal(text.substr(0, kMaxPartInMessage)) +
         (text.size() > kMaxPartInMessage ? "..." : "");
}

}  // namespace

// One reading of a text. The lines up to the last newline that has kSlack bytes behind it are read
// in place, the rest from a copy with a newline and that slack added.
template <Detail kDetail>
class StdReader::Text {
 public:
  Text(StdReader& reader, const EventSink& sink, const ProgressSink& progress)
      : reader_(reader), progress_(progress), out_(sink) {}

  Result<void> read() {
    const std::string_view bytes = reader_.bytes_;
    size_t in_place = bytes.size() > kSlack ? bytes.size() - kSlack : 0;
    in_place = in_place == 0 ? 0 : bytes.rfind('\n', in_place - 1) + 1;  // npos + 1 is 0
    if (!reader_.tail_) {
      std::string tail(bytes.substr(in_place));
      if (!tail.ends_with('\n')) tail += '\n';
      reader_.tail_ = std::make_shared<const std::string>(tail + std::string(kSlack, '\n'));
    }
    const std::string& tail = *reader_.tail_;
    const bool fine = lines(bytes.data(), bytes.data() + in_place, 0) &&
                      lines(tail.data(), tail.data() + tail.size() - kSlack, in_place);
    if (!fine) return std::move(fault_).in(reader_.path_ + ":" + std::to_string(line_));
    out_.flush();
    model::TraceSize& size = reader_.size_;
    size.events = events_;
    size.has_memory = size.has_memory || has_memory_;
    return {};
  }

 private:
  struct Token {
    uint64_t key = 0;
    std::string_view text;
  };

  bool fail(std::string rule, std::string hint = {}) {
    fault_ = Error(std::move(rule), std::move(hint));
    return false;
  }

  bool not_an_event(const char* begin) {
    const char* const end = line_end(begin);
    return fail("not an event: \"" + shown({begin, static_cast<size_t>(end - begin)}) + "\"",
                "an event is thread|operation(argument)|location");
  }

  // A name up to `stop`; its end is left at the stop. The fast way is for T12, L5 and 15.
  static bool token(const char*& at, char stop, Token& token) {
    const char* const begin = at;
    const char* p = at;
    char prefix = 0;
    // Never the end of the line: nothing stops behind it.
    if (static_cast<unsigned char>(*p) > '9') prefix = *p++;
    const char* const digits = p;
    uint64_t number = 0;
    while (is_digit(*p)) number = number * 10 + static_cast<uint64_t>(*p++ - '0');
    const auto count = p - digits;
    const bool is_plain = *p == stop && count > 0 && count <= 16 && (*digits != '0' || count == 1);
    if (is_plain && (stop != ')' || p[1] == '|')) [[likely]] {
      token = {NameTable::key_of(prefix, number), {begin, static_cast<size_t>(p - begin)}};
      at = p;
      return true;
    }
    return long_token(at, stop, token);
  }

  static bool long_token(const char*& at, char stop, Token& token) {
    const char* p = at;
    while (*p != stop || (stop == ')' && p[1] != '|')) {
      if (static_cast<unsigned char>(*p) < ' ' && *p != '\t') return false;
      ++p;
    }
    token.text = {at, static_cast<size_t>(p - at)};
    token.key = NameTable::key_of(token.text);
    at = p;
    return true;
  }

  // fork(10) may mean T10; so 10 and T10 are one thread wherever a thread is named.
  static uint64_t thread_key(const Token& token) {
    if ((token.key & NameTable::kHashed) != 0 || !is_digit(token.text[0])) return token.key;
    return token.key | NameTable::key_of('T', 0);
  }

  void thread_into_event(const Token& name) {
    event_.thread = ThreadId{reader_.threads_.id_of(thread_key(name), name.text)};
  }

  bool acting_thread_into_event(const Token& name) {
    thread_into_event(name);
    return threads_.is_acting(static_cast<uint32_t>(event_.thread)) || first_act(name);
  }

  [[gnu::cold]] bool first_act(const Token& name) {
    note_act_of_thread(name);
    if (threads_.act(static_cast<uint32_t>(event_.thread))) return true;
    return fail("thread " + thread_text(event_.thread) + " acts after it was joined",
                "a thread is joined after its last event");
  }

  void note_act_of_thread(const Token& name) {
    const auto id = static_cast<uint32_t>(event_.thread);
    if (!std::exchange(somebody_acted_, true)) reader_.size_.first_actor = id;
    if (id >= reader_.acted_.size()) reader_.acted_.resize(id + 1 + id / 2);
    if (std::exchange(reader_.acted_[id], 1) == 0) reader_.threads_.rename(id, name.text);
  }

  // `done`: the bytes before `begin`.
  bool lines(const char* const begin, const char* const end, size_t done) {
    const char* p = begin;
    while (p < end) {
      ++line_;
      if (line_ % kProgressLines == 0 && progress_)
        progress_(done + static_cast<size_t>(p - begin), reader_.bytes_.size());
      if (*p == '#' || *p == '\n' || *p == '\r') [[unlikely]] {
        if (*p == '\r' && p[1] != '\n') return not_an_event(p);
        if (*p == '#') comment({p, static_cast<size_t>(line_end(p) - p)});
        p = next_line(p);
        continue;
      }
      if (!event(p)) return false;
    }
    return true;
  }

  void comment(std::string_view line) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line == "# memory: partial") reader_.size_.has_partial_memory = true;
    if (line == "# memory: reads-from")
      reader_.size_.has_memory = reader_.size_.has_reads_from_only = true;
  }

  static const char* next_line(const char* p) { return line_end(p) + 1; }

  bool event(const char*& p) {
    const char* const begin = p;
    Token name;
    if (!token(p, '|', name) || name.text.empty()) return not_an_event(begin);
    ++p;
    event_ = TraceEvent{.line = line_};
    ++events_;
    uint32_t word = 0;
    std::memcpy(&word, p, sizeof(word));
    if ((word & 0xffff) == kRead || (word & 0xffff) == kWrite) {
      if (!acting_thread_into_event(name)) return false;
      p += 2;
      return memory(begin, p, (word & 0xff) == 'w');
    }
    if (word == kAcquire || word == kRelease || word == kRequest) {
      if (!acting_thread_into_event(name)) return false;
      p += 4;
      if (!lock_and_site(begin, p)) return false;
      if (word == kAcquire) return acquire(TraceOp::Acquire);
      if (word == kRelease) return release();
      event_.op = TraceOp::Request;
      out_.put(event_);
      return true;
    }
    return rare_event(begin, p, name);
  }

  bool memory(const char* begin, const char*& p, bool is_write) {
    has_memory_ = true;
    if constexpr (kDetail == Detail::Memory) {
      Token variable;
      if (!token(p, ')', variable) || variable.text.empty()) return not_an_event(begin);
      event_.object = reader_.variables_.id_of(variable.key, variable.text);
    } else {
      if (*p == ')' && p[1] == '|') return not_an_event(begin);
      while (*p != ')' || p[1] != '|') {
        if (static_cast<unsigned char>(*p) < ' ' && *p != '\t') return not_an_event(begin);
        ++p;
      }
    }
    p += 2;
    if constexpr (kDetail == Detail::Memory) {
      event_.op = is_write ? TraceOp::Write : TraceOp::Read;
      out_.put(event_);
    }
    while (is_digit(*p)) ++p;
    p = *p == '\n' ? p + 1 : next_line(p);
    return true;
  }

  bool lock_and_site(const char* begin, const char*& p) {
    Token lock;
    if (!token(p, ')', lock) || lock.text.empty()) return not_an_event(begin);
    event_.object = reader_.locks_.id_of(lock.key, lock.text);
    p += 2;
    return site(p);
  }

  bool site(const char*& p) {
    if constexpr (kDetail == Detail::Locks) {
      while (is_digit(*p)) ++p;
      p = *p == '\n' ? p + 1 : next_line(p);
    } else {
      Token site;
      const char* const begin = p;
      if (!token(p, '\n', site)) {
        p = line_end(begin);
        size_t size = static_cast<size_t>(p - begin);
        if (size > 0 && begin[size - 1] == '\r') --size;
        site.text = {begin, size};
        site.key = NameTable::key_of(site.text);
      }
      event_.site = reader_.sites_.id_of(site.key, site.text);
      ++p;
    }
    return true;
  }

  bool acquire(TraceOp op) {
    event_.op = op;
    if (out_.acquire(event_)) [[likely]]
      return true;
    return fail("lock " + lock_text() + " is acquired by " + thread_text(event_.thread) +
                    " while " + holder_text() + " holds it",
                "a thread acquires only a lock that no other thread holds");
  }

  bool release() {
    event_.op = TraceOp::Release;
    if (out_.release(event_)) [[likely]]
      return true;
    return fail(
        "lock " + lock_text() + " is released by " + thread_text(event_.thread) +
            ", which does not hold it" +
            (out_.holder(event_.object) == LockRules::kNobody ? ""
                                                              : "; " + holder_text() + " does"),
        "a thread releases only a lock that it holds, as often as it acquired it");
  }

  bool rare_event(const char* begin, const char*& p, const Token& name) {
    const char* const word_begin = p;
    while (*p != '(' && *p != '\n' && *p != '|') ++p;
    if (*p != '(') return not_an_event(begin);
    const std::string_view word(word_begin, static_cast<size_t>(p - word_begin));
    ++p;
    if (word == "fork" || word == "join" || word == "tjoin") {
      if (!acting_thread_into_event(name)) return false;
      event_.by_try = word == "tjoin";
      return fork_or_join(begin, p, word == "fork");
    }
    if (word == "racq" || word == "rrel" || word == "tacq" || word == "tracq") {
      if (!acting_thread_into_event(name) || !lock_and_site(begin, p)) return false;
      event_.mode = word == "tacq" ? Mode::Exclusive : Mode::Shared;
      event_.by_try = word == "tacq" || word == "tracq";
      return word == "rrel" ? release() : acquire(TraceOp::Acquire);
    }
    if (word == "rreq") {
      if (!acting_thread_into_event(name) || !lock_and_site(begin, p)) return false;
      event_.op = TraceOp::Request;
      event_.mode = Mode::Shared;
      out_.put(event_);
      return true;
    }
    if (word == "wait" || word == "notify" || word == "notifyAll") {
      if (!acting_thread_into_event(name) || !lock_and_site(begin, p)) return false;
      event_.op = word == "wait"     ? TraceOp::Wait
                  : word == "notify" ? TraceOp::Notify
                                     : TraceOp::NotifyAll;
      if (event_.op == TraceOp::Wait) {
        out_.wait(event_);
      } else {
        out_.put(event_);
      }
      return true;
    }
    if (word == "begin" || word == "end" || word == "branch") {
      thread_into_event(name);
      reader_.threads_.rename(static_cast<uint32_t>(event_.thread), name.text);
      Token ignored;
      if (!token(p, ')', ignored)) return not_an_event(begin);
      p += 2;
      return site(p);
    }
    return fail("unknown operation \"" + shown(word) + "\"",
                "known are acq, rel, r, w, fork, join, begin, end, req, wait, notify, notifyAll, "
                "racq, rrel, rreq, tacq, tracq, tjoin, branch");
  }

  bool fork_or_join(const char* begin, const char*& p, bool is_fork) {
    Token other;
    if (!token(p, ')', other) || other.text.empty()) return not_an_event(begin);
    event_.object = reader_.threads_.id_of(thread_key(other), other.text);
    p += 2;
    if (!site(p)) return false;
    event_.op = is_fork ? TraceOp::Fork : TraceOp::Join;
    if (event_.object == static_cast<uint32_t>(event_.thread)) {
      return fail(
          "thread " + thread_text(event_.thread) + (is_fork ? " forks" : " joins") + " itself",
          "a thread is created and awaited by another one");
    }
    if (is_fork && threads_.is_acting(event_.object)) {
      return fail(
          "thread " + thread_text(ThreadId{event_.object}) + " is forked after it has acted",
          "a thread is created before its first event but begin, end and branch");
    }
    if (!is_fork) threads_.join(event_.object);
    out_.put(event_);
    return true;
  }

  [[nodiscard]] std::string thread_text(ThreadId id) const {
    return shown(reader_.thread_name(id));
  }
  [[nodiscard]] std::string lock_text() const { return shown(reader_.lock_name(event_.object)); }
  [[nodiscard]] std::string holder_text() const {
    return thread_text(ThreadId{out_.holder(event_.object)});
  }

  static constexpr uint32_t word_of(const char (&text)[5]) {
    uint32_t word = 0;
    for (int i = 3; i >= 0; --i) word = word << 8 | static_cast<unsigned char>(text[i]);
    return word;
  }
  static constexpr uint32_t kAcquire = word_of("acq(");
  static constexpr uint32_t kRelease = word_of("rel(");
  static constexpr uint32_t kRequest = word_of("req(");
  static constexpr uint32_t kRead = 'r' | '(' << 8;
  static constexpr uint32_t kWrite = 'w' | '(' << 8;

  StdReader& reader_;
  const ProgressSink& progress_;
  EventWriter out_;
  ThreadRules threads_;
  bool somebody_acted_ = false;
  TraceEvent event_;
  Error fault_{""};
  uint64_t line_ = 0;
  uint64_t events_ = 0;
  bool has_memory_ = false;
};

StdReader StdReader::over(std::string_view bytes, std::string path) {
  // The mark some editors begin a text with belongs to no name: the thread of the first line would
  // be one of its own.
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (bytes.starts_with(kByteOrderMark)) bytes.remove_prefix(kByteOrderMark.size());
  StdReader reader;
  reader.bytes_ = bytes;
  reader.path_ = std::move(path);
  // Text begins with a name; the binary form with a number of threads, 1024 at most.
  reader.is_binary_ = !bytes.empty() && static_cast<unsigned char>(bytes[0]) <= 4;
  reader.sites_.id_of(NameTable::key_of(std::string_view()), {});
  return reader;
}

Result<StdReader> StdReader::open(const std::string& path) {
  GORDIAN_TRY(std::shared_ptr<const MappedFile> file, MappedFile::open(path));
  return over(std::move(file), path);
}

StdReader StdReader::over(std::shared_ptr<const MappedFile> file, std::string path) {
  StdReader reader = over(file->bytes(), std::move(path));
  reader.mapping_ = std::move(file);
  return reader;
}

Result<void> StdReader::read(Detail detail, const EventSink& sink, const ProgressSink& progress) {
  Result<void> result =
      is_binary_ ? read_binary(detail, sink, progress) : read_text(detail, sink, progress);
  size_.threads = threads_.size();
  size_.locks = locks_.size();
  size_.variables = variables_.size();
  acted_.resize(threads_.size());
  size_.acts = acted_;
  return result;
}

Result<void> StdReader::read_text(Detail detail, const EventSink& sink,
                                  const ProgressSink& progress) {
  switch (detail) {
    case Detail::Locks:
      return Text<Detail::Locks>(*this, sink, progress).read();
    case Detail::Sites:
      return Text<Detail::Sites>(*this, sink, progress).read();
    case Detail::Memory:
      break;
  }
  return Text<Detail::Memory>(*this, sink, progress).read();
}

namespace {

std::string name_of(const NameTable& names, uint32_t id, const char* missing) {
  return id < names.size() ? std::string(names.name(id)) : missing;
}

}  // namespace

std::string StdReader::thread_name(ThreadId id) const {
  return name_of(threads_, static_cast<uint32_t>(id), "?");
}

std::string StdReader::lock_name(uint32_t lock) const { return name_of(locks_, lock, "?"); }

std::string StdReader::site_name(uint32_t site) const { return name_of(sites_, site, ""); }

}  // namespace gordian::trace
