// SPDX-License-Identifier: Apache-2.0
// The binary form of STD: all numbers big-endian.
//
//   u16 threads, u32 locks, u32 variables, u64 events; then for each event one u64, from the low
//   end thread:10 operation:4 argument:34 location:15
//
// The counts of the header are not relied upon, but for that of the events: it tells a file that
// was cut off.
#include "base/text.h"
#include "trace/event_writer.h"
#include "trace/std_reader.h"
#include "trace/thread_rules.h"

#include <array>
#include <cstring>
#include <utility>

namespace gordian::trace {

using model::ThreadId;
using model::TraceEvent;
using model::TraceOp;

namespace {

constexpr size_t kHeaderBytes = 18;
constexpr size_t kEventBytes = 8;
constexpr uint64_t kProgressEvents = 1 << 16;

uint64_t big_endian(std::string_view bytes, size_t at) {
  uint64_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return __builtin_bswap64(value);
}

enum class Code : uint8_t {
  Acquire,
  Release,
  Read,
  Write,
  Fork,
  Join,
  Begin,
  End,
  Request,
  Branch
};

bool is_act(Code code) { return code <= Code::Join || code == Code::Request; }

}  // namespace

class StdReader::Binary {
 public:
  Binary(StdReader& reader, Detail detail, const EventSink& sink)
      : reader_(reader), detail_(detail), out_(sink) {}

  Result<void> read(const ProgressSink& progress) {
    const std::string_view bytes = reader_.bytes_;
    if (bytes.size() < kHeaderBytes) return fault("the header is cut off", 0);
    const uint64_t promised = big_endian(bytes, 10);
    const uint64_t there = (bytes.size() - kHeaderBytes) / kEventBytes;
    if (promised != there || (bytes.size() - kHeaderBytes) % kEventBytes != 0) {
      return fault("the header promises " + count_of(promised, "event") + ", the file has " +
                       std::to_string(bytes.size() - kHeaderBytes) + " bytes for them",
                   0);
    }
    if (!reader_.made_names_) reader_.made_names_ = std::make_shared<std::deque<std::string>>();
    for (uint64_t i = 0; i < there; ++i) {
      if (i % kProgressEvents == 0 && progress) progress(i * kEventBytes, bytes.size());
      std::string rule = event(big_endian(bytes, kHeaderBytes + i * kEventBytes), i + 1);
      if (!rule.empty()) return fault(std::move(rule), i + 1);
    }
    out_.flush();
    reader_.size_.events = there;
    return {};
  }

 private:
  Result<void> fault(std::string rule, uint64_t number) {
    return Error(std::move(rule)).in(reader_.path_ + ":" + std::to_string(number));
  }

  uint32_t named(NameTable& names, const char* prefix, uint64_t number) {
    const uint64_t key = NameTable::key_of(*prefix, number);
    const uint32_t before = names.size();
    const uint32_t id = names.id_of(key, prefix);
    if (names.size() != before) {
      reader_.made_names_->push_back(prefix + std::to_string(number));
      names.rename(id, reader_.made_names_->back());
    }
    return id;
  }

  uint32_t thread(uint64_t number) { return named(reader_.threads_, "T", number); }

  // False: it was joined.
  bool act(uint32_t thread) {
    if (thread >= reader_.acted_.size()) reader_.acted_.resize(thread + 1);
    reader_.acted_[thread] = 1;
    if (!std::exchange(somebody_acted_, true)) reader_.size_.first_actor = thread;
    return threads_.act(thread);
  }

  // The rule that the event breaks; empty: none.
  std::string event(uint64_t word, uint64_t number) {
    const uint64_t argument = word >> 14 & ((uint64_t{1} << 34) - 1);
    TraceEvent event{.line = number, .thread = ThreadId{thread(word & 1023)}};
    const auto actor = static_cast<uint32_t>(event.thread);
    if (detail_ != Detail::Locks) event.site = named(reader_.sites_, "", word >> 48 & 0x7fff);
    const auto code = static_cast<Code>(word >> 10 & 15);
    if (is_act(code) && !act(actor))
      return "thread " + reader_.thread_name(event.thread) + " acts after it was joined";
    switch (code) {
      case Code::Read:
      case Code::Write:
        reader_.size_.has_memory = true;
        if (detail_ != Detail::Memory) return {};
        event.op = code == Code::Read ? TraceOp::Read : TraceOp::Write;
        event.object = named(reader_.variables_, "V", argument);
        break;
      case Code::Acquire:
      case Code::Release:
      case Code::Request:
        return lock_event(event, code, argument);
      case Code::Fork:
      case Code::Join:
        event.op = code == Code::Fork ? TraceOp::Fork : TraceOp::Join;
        event.object = thread(argument);
        if (event.object == static_cast<uint32_t>(event.thread))
          return "thread T" + std::to_string(argument) + " forks or joins itself";
        if (code == Code::Join) {
          threads_.join(event.object);
        } else if (threads_.is_acting(event.object)) {
          return "thread T" + std::to_string(argument) + " is forked after it has acted";
        }
        break;
      case Code::End:
      case Code::Begin:
      case Code::Branch:
        return {};
      default:
        return "unknown operation " + std::to_string(static_cast<int>(code));
    }
    out_.put(event);
    return {};
  }

  std::string lock_event(TraceEvent& event, Code code, uint64_t argument) {
    event.object = named(reader_.locks_, "L", argument);
    if (code == Code::Request) {
      event.op = TraceOp::Request;
      out_.put(event);
      return {};
    }
    event.op = code == Code::Acquire ? TraceOp::Acquire : TraceOp::Release;
    if (code == Code::Acquire ? out_.acquire(event) : out_.release(event)) return {};
    const std::string lock = "lock " + reader_.lock_name(event.object) + " is ";
    const std::string by = " by " + reader_.thread_name(event.thread);
    if (code == Code::Release) return lock + "released" + by + ", which does not hold it";
    return lock + "acquired" + by + " while " +
           reader_.thread_name(ThreadId{out_.holder(event.object)}) + " holds it";
  }

  StdReader& reader_;
  Detail detail_;
  EventWriter out_;
  ThreadRules threads_;
  bool somebody_acted_ = false;
};

Result<void> StdReader::read_binary(Detail detail, const EventSink& sink,
                                    const ProgressSink& progress) {
  return Binary(*this, detail, sink).read(progress);
}

}  // namespace gordian::trace
