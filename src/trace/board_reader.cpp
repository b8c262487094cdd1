// SPDX-License-Identifier: Apache-2.0
#include "trace/board_reader.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <unordered_set>

namespace gordian::trace {
namespace {

using format::BoardHeader;
using format::Card;
using format::Hold;
using format::LockEntry;
using format::RecordHeader;
using format::RecordType;
using format::WaitWord;

// No board of ours is larger; a larger number would only make us allocate what does not exist.
constexpr uint32_t kMaxCards = 1 << 20;
constexpr uint32_t kMaxRecord = 1 << 20;
// A hostile log must not fill the judge's memory.
constexpr uint64_t kMaxLog = uint64_t{1} << 30;

class MemoryBytes final : public BoardBytes {
 public:
  explicit MemoryBytes(std::span<const std::byte> bytes) : bytes_(bytes) {}
  [[nodiscard]] uint64_t size() const override { return bytes_.size(); }
  [[nodiscard]] bool read(uint64_t offset, std::span<std::byte> to) const override {
    if (offset > bytes_.size() || to.size() > bytes_.size() - offset) return false;
    std::memcpy(to.data(), bytes_.data() + offset, to.size());
    return true;
  }

 private:
  std::span<const std::byte> bytes_;
};

bool region_fits(uint64_t offset, uint64_t count, uint64_t size_each, const BoardHeader& header) {
  uint64_t bytes = 0;
  uint64_t end = 0;
  if (__builtin_mul_overflow(count, size_each, &bytes)) return false;
  if (__builtin_add_overflow(offset, bytes, &end)) return false;
  return offset % 8 == 0 && offset >= header.header_size && end <= header.board_size;
}

Result<void> check(const BoardHeader& header, uint64_t available) {
  if (header.magic == 0) return Error("the board is not ready");
  if (header.magic != format::kBoardMagic) return Error("not a board");
  if (header.version != format::kBoardVersion) {
    return Error("board version " + std::to_string(header.version) + ", this gordian reads " +
                     std::to_string(format::kBoardVersion),
                 "use the gordian that came with the program's libgordian.so");
  }
  if (header.word_size != 8) return Error("a board of a program that is not 64-bit");
  if (header.header_size < sizeof(BoardHeader) || header.header_size > header.board_size ||
      header.board_size > available) {
    return Error("damaged board: it promises " + std::to_string(header.board_size) +
                 " bytes and has " + std::to_string(available));
  }
  const bool fits =
      header.card_capacity <= kMaxCards &&
      region_fits(header.waits_offset, header.card_capacity, sizeof(WaitWord), header) &&
      region_fits(header.cards_offset, header.card_capacity, sizeof(Card), header) &&
      region_fits(header.blocks_offset, header.block_capacity,
                  format::kHoldBlockHolds * sizeof(Hold), header) &&
      region_fits(header.locks_offset, header.lock_capacity, sizeof(LockEntry), header) &&
      region_fits(header.log_offset, header.log_size, 1, header);
  if (!fits) return Error("damaged board: a region lies outside of it");
  return {};
}

// The counters that change while we look.
void clamp(BoardHeader& header) {
  header.cards_used = std::min(header.cards_used, header.card_capacity);
  header.blocks_used = std::min(header.blocks_used, header.block_capacity);
  header.locks_used = std::min(header.locks_used, header.lock_capacity);
}

template <typename T>
T load(std::span<const std::byte> bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof(T)));
  return value;
}

// `count` elements behind a record's fixed part; empty when they do not fit.
template <typename T>
std::vector<T> load_array(std::span<const std::byte> bytes, size_t offset, size_t count) {
  if (offset > bytes.size() || count > (bytes.size() - offset) / sizeof(T)) return {};
  std::vector<T> values(count);
  if (count > 0) std::memcpy(values.data(), bytes.data() + offset, count * sizeof(T));
  return values;
}

std::string load_text(std::span<const std::byte> bytes, size_t offset, size_t size) {
  const std::vector<char> chars = load_array<char>(bytes, offset, size);
  return {chars.begin(), chars.end()};
}

}  // namespace

std::unique_ptr<BoardBytes> bytes_in_memory(std::span<const std::byte> bytes) {
  return std::make_unique<MemoryBytes>(bytes);
}

Result<BoardReader> BoardReader::open(std::unique_ptr<BoardBytes> bytes) {
  BoardReader reader(std::move(bytes));
  BoardHeader header;
  if (reader.bytes_->size() < sizeof(header)) return Error("too small to be a board");
  if (!reader.read_raw(0, &header, sizeof(header))) return Error("cannot read the board");
  GORDIAN_TRY(, check(header, reader.bytes_->size()));
  clamp(header);
  reader.header_ = header;
  return reader;
}

bool BoardReader::refresh() {
  BoardHeader now;
  if (!read_raw(0, &now, sizeof(now)) || now.magic != format::kBoardMagic) return false;
  // What decides where we read stays as it was when it was checked.
  now.header_size = header_.header_size;
  now.board_size = header_.board_size;
  now.waits_offset = header_.waits_offset;
  now.cards_offset = header_.cards_offset;
  now.card_capacity = header_.card_capacity;
  now.blocks_offset = header_.blocks_offset;
  now.block_capacity = header_.block_capacity;
  now.locks_offset = header_.locks_offset;
  now.lock_capacity = header_.lock_capacity;
  now.log_offset = header_.log_offset;
  now.log_size = header_.log_size;
  clamp(now);
  header_ = now;
  return true;
}

bool BoardReader::read_raw(uint64_t offset, void* to, size_t size) const {
  return bytes_->read(offset, {static_cast<std::byte*>(to), size});
}

void BoardReader::read_waits(std::vector<WaitWord>& to) const {
  to.resize(header_.cards_used);
  if (to.empty()) return;
  if (!read_raw(header_.waits_offset, to.data(), to.size() * sizeof(WaitWord))) {
    to.clear();
    return;
  }
  // Torn words are sorted out where it matters: read_wait() reads a word twice, and a verdict needs
  // the kernel's word anyway.
}

std::optional<WaitWord> BoardReader::read_wait(uint32_t card) const {
  if (card >= header_.card_capacity) return std::nullopt;
  const uint64_t offset = header_.waits_offset + uint64_t{card} * sizeof(WaitWord);
  WaitWord first;
  WaitWord second;
  for (int attempt = 0; attempt < 3; ++attempt) {
    if (!read_raw(offset, &first, sizeof(first))) return std::nullopt;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!read_raw(offset, &second, sizeof(second))) return std::nullopt;
    if (first.number == second.number && first.address == second.address &&
        first.object == second.object && first.tid == second.tid) {
      return second;
    }
  }
  second.number = 0;
  return second;
}

std::optional<BoardReader::CardBrief> BoardReader::read_brief(uint32_t card) const {
  if (card >= header_.card_capacity) return std::nullopt;
  const uint64_t offset = header_.cards_offset + uint64_t{card} * sizeof(Card);
  struct Head {
    format::CardState state;
    uint32_t tid, uid, flags;
  } head;
  static_assert(offsetof(Card, flags) == offsetof(Head, flags));
  if (!read_raw(offset, &head, sizeof(head)) || head.state != format::CardState::Live)
    return std::nullopt;
  CardBrief brief{.tid = head.tid, .uid = head.uid, .flags = head.flags};
  if (!read_raw(offset + offsetof(Card, hold_count), &brief.hold_count, sizeof(brief.hold_count))) {
    return std::nullopt;
  }
  if (brief.hold_count == 1) {
    Hold hold;
    if (read_raw(offset + offsetof(Card, holds), &hold, sizeof(hold))) {
      brief.suspended_first = (hold.flags & format::kSuspended) != 0;
    }
  }
  return brief;
}

std::optional<CardCopy> BoardReader::read_card(uint32_t card) const {
  if (card >= header_.card_capacity) return std::nullopt;
  const uint64_t offset = header_.cards_offset + uint64_t{card} * sizeof(Card);
  // The part before the holds and the cache; a whole Card would be 8 KiB for 700 bytes of news.
  alignas(Card) std::byte buffer[offsetof(Card, reserved)];
  if (!read_raw(offset, buffer, sizeof(buffer))) return std::nullopt;
  const auto* head = reinterpret_cast<const Card*>(buffer);
  if (head->state != format::CardState::Live && head->state != format::CardState::Exited)
    return std::nullopt;

  CardCopy copy{.index = card,
                .state = head->state,
                .tid = head->tid,
                .uid = head->uid,
                .flags = head->flags,
                .pthread = head->pthread,
                .tid_word = head->tid_word,
                .parent_uid = head->parent_uid,
                .start_routine = head->start_routine,
                .create_site = head->create_site,
                .stack_low = head->stack_low,
                .stack_high = head->stack_high,
                .registers = head->registers,
                .holds_dropped = head->holds_dropped,
                .acquisitions = head->acquisitions,
                .nested = head->nested,
                .longest_wait_ns = head->longest_wait_ns,
                .waits = head->waits,
                .outer = {},
                .holds = {}};
  copy.outer.assign(std::begin(head->outer), std::end(head->outer));

  constexpr uint32_t kMost =
      format::kInlineHolds + format::kHoldBlocksPerCard * format::kHoldBlockHolds;
  const uint32_t count = std::min(head->hold_count, kMost);
  copy.holds.resize(count);
  const uint32_t inline_count = std::min(count, format::kInlineHolds);
  if (inline_count > 0 &&
      !read_raw(offset + offsetof(Card, holds), copy.holds.data(), inline_count * sizeof(Hold))) {
    return std::nullopt;
  }
  for (uint32_t done = inline_count, block = 0; done < count; ++block) {
    const uint32_t in_block = std::min(count - done, format::kHoldBlockHolds);
    const uint32_t index = head->hold_blocks[block];
    const uint64_t at =
        header_.blocks_offset + uint64_t{index - 1} * format::kHoldBlockHolds * sizeof(Hold);
    if (index == 0 || index > header_.block_capacity ||
        !read_raw(at, copy.holds.data() + done, in_block * sizeof(Hold))) {
      copy.holds.resize(done);
      copy.flags |= format::kCardInexact;
      break;
    }
    done += in_block;
  }
  return copy;
}

// Entries lie densely: `locks_used` of them from the start.
void BoardReader::walk_locks(const std::function<void(const LockEntry&)>& visit) const {
  constexpr uint32_t kChunk = 1024;
  std::vector<LockEntry> entries;
  for (uint32_t first = 0; first < header_.locks_used; first += kChunk) {
    entries.resize(std::min(kChunk, header_.locks_used - first));
    const uint64_t offset = header_.locks_offset + uint64_t{first} * sizeof(LockEntry);
    if (!read_raw(offset, entries.data(), entries.size() * sizeof(LockEntry))) return;
    for (const LockEntry& entry : entries) {
      if (entry.address != 0) visit(entry);
    }
  }
}

std::vector<LockEntry> BoardReader::find_locks(std::span<const uint64_t> addresses) const {
  const std::unordered_set<uint64_t> wanted(addresses.begin(), addresses.end());
  std::vector<LockEntry> found;
  if (wanted.empty() || header_.locks_used == 0) return found;
  walk_locks([&](const LockEntry& entry) {
    if ((entry.flags & format::kLockDead) == 0 && wanted.contains(entry.address))
      found.push_back(entry);
  });
  return found;
}

std::vector<LockEntry> BoardReader::read_locks() const {
  std::vector<LockEntry> all;
  if (header_.locks_used > 0) walk_locks([&](const LockEntry& entry) { all.push_back(entry); });
  return all;
}

const BoardLog& BoardReader::read_log() {
  uint64_t used = 0;
  if (read_raw(offsetof(BoardHeader, log_used), &used, sizeof(used))) header_.log_used = used;
  used = std::min({header_.log_used, header_.log_size, kMaxLog});
  used -= used % format::kRecordAlign;

  log_.unfinished = 0;
  const std::vector<Range> holes = std::exchange(holes_, {});
  for (const Range& hole : holes) walk_log(hole.begin, hole.end);
  if (used > log_read_) {
    walk_log(log_read_, used);
    log_read_ = used;
  }
  log_.unfinished = holes_.size();
  return log_;
}

void BoardReader::walk_log(uint64_t begin, uint64_t end) {
  uint64_t hole = begin;  // start of what could not be read yet
  uint64_t offset = begin;
  while (offset < end) {
    const uint64_t size = take_record(offset, end);
    if (size > 0) {
      if (hole < offset) holes_.push_back({hole, offset});
      offset += size;
      hole = offset;
    } else {
      offset += format::kRecordAlign;
    }
  }
  if (hole < end) holes_.push_back({hole, end});
}

// The size of the record at `offset`, 0 when there is none or it is not committed.
uint64_t BoardReader::take_record(uint64_t offset, uint64_t end) {
  RecordHeader header;
  if (!read_raw(header_.log_offset + offset, &header, sizeof(header))) return 0;
  if (header.magic != format::kRecordMagic || header.committed != 1) return 0;
  // The rest of the record was written before `committed`; x86 keeps that order for us, elsewhere
  // the fence does.
  // ORDER: acquire pairs with the release store of RecordHeader::committed in the runtime.
  std::atomic_thread_fence(std::memory_order_acquire);
  if (header.size < format::kRecordAlign || header.size % format::kRecordAlign != 0 ||
      header.size > kMaxRecord || header.size > end - offset) {
    ++log_.damaged;
    return 0;
  }
  std::vector<std::byte> bytes(header.size);
  if (!read_raw(header_.log_offset + offset, bytes.data(), bytes.size())) return 0;
  std::memcpy(bytes.data(), &header, sizeof(header));
  parse_record(offset, bytes);
  return header.size;
}

void BoardReader::parse_record(uint64_t offset, std::span<const std::byte> bytes) {
  const uint64_t order = offset / format::kRecordAlign;
  switch (load<RecordHeader>(bytes).type) {
    case RecordType::Module: {
      const auto record = load<format::ModuleRecord>(bytes);
      ModuleEntry entry{.start = record.start,
                        .end = record.end,
                        .bias = record.bias,
                        .build_id = {},
                        .path = {}};
      const size_t id_size = std::min<size_t>(record.build_id_size, sizeof(record.build_id));
      const auto* id = reinterpret_cast<const std::byte*>(record.build_id);
      entry.build_id.assign(id, id + id_size);
      entry.path = load_text(bytes, offsetof(format::ModuleRecord, path), record.path_size);
      if (entry.path.size() != record.path_size || record.start >= record.end) {
        ++log_.damaged;
        return;
      }
      log_.modules.push_back(std::move(entry));
      return;
    }
    case RecordType::Thread:
      log_.threads.push_back({load<format::ThreadRecord>(bytes), order});
      return;
    case RecordType::ThreadEnd: {
      const auto record = load<format::ThreadEndRecord>(bytes);
      ThreadEndEntry entry{.uid = record.header.uid,
                           .tid = record.tid,
                           .segment = record.segment,
                           .name = {},
                           .holds = {}};
      entry.name.assign(record.name, strnlen(record.name, sizeof(record.name)));
      const uint32_t count = std::min(record.hold_count, format::kInlineHolds);
      entry.holds = load_array<Hold>(bytes, offsetof(format::ThreadEndRecord, holds), count);
      if (entry.holds.size() != count) ++log_.damaged;
      log_.thread_ends.push_back(std::move(entry));
      return;
    }
    case RecordType::Lock:
      log_.locks.push_back(load<format::LockRecord>(bytes));
      return;
    case RecordType::Chain: {
      ChainEntry entry{
          .order = order, .record = load<format::ChainRecord>(bytes), .holds = {}, .slice = {}};
      const size_t count = entry.record.hold_count;
      entry.holds = load_array<format::ChainHold>(bytes, sizeof(format::ChainRecord), count);
      entry.slice = load_array<std::byte>(
          bytes, sizeof(format::ChainRecord) + count * sizeof(format::ChainHold),
          entry.record.slice_size);
      if (entry.holds.size() != count) {
        ++log_.damaged;
        return;
      }
      if (entry.slice.size() != entry.record.slice_size) ++log_.damaged;
      log_.chains.push_back(std::move(entry));
      return;
    }
    case RecordType::Sync:
      log_.syncs.push_back(load<format::SyncRecord>(bytes));
      return;
    case RecordType::Name: {
      const auto record = load<format::NameRecord>(bytes);
      NameEntry entry{.lock = record.lock, .order = order, .text = {}};
      entry.text = load_text(bytes, offsetof(format::NameRecord, text), record.size);
      if (entry.text.empty() && record.size > 0) ++log_.damaged;
      log_.names.push_back(std::move(entry));
      return;
    }
    case RecordType::Mark:
      log_.marks.push_back({order, load<format::MarkRecord>(bytes)});
      return;
    case RecordType::Description:
      log_.descriptions.push_back(load<format::DescriptionRecord>(bytes));
      return;
    case RecordType::Waker:
      log_.wakers.push_back(load<format::WakerRecord>(bytes));
      return;
  }
  // A type of a newer runtime: skipped, so adding one is free.
}

}  // namespace gordian::trace
