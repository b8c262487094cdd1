// SPDX-License-Identifier: Apache-2.0
#include "runtime/chains.h"

#include "runtime/lock_table.h"
#include "runtime/log.h"
#include "runtime/modules.h"
#include "runtime/order.h"
#include "runtime/system_calls.h"
#include "runtime/threads.h"

#include <string.h>
#include <sys/mman.h>

namespace gordian::runtime {

namespace {

constexpr uint32_t kProbes = 32;
constexpr uint64_t kCountBits = 0xff;

// The same calls made from the same places have the same stack: logged once, by whoever came first.
// A slot holds the hash of the places << 32 | log offset of the record that has the slice.
constexpr uint32_t kSliceSlots = 1 << 14;
alignas(4096) constinit uint64_t slices[kSliceSlots] = {};
constinit uint32_t more_slices = 0;  // beside the first of each combination of call sites

alignas(4096) constinit ChainMemory seen_by_thread{};
alignas(4096) constinit ChainMemory chain_counts{};

// Chains logged per combination of call sites: sites' hash << 32 | count. Never forgets; more
// combinations than it has room for are dropped and counted.
constexpr uint32_t kSiteSlots = 1 << 15;
alignas(4096) constinit uint64_t site_counts[kSiteSlots] = {};

uint64_t mixed(uint64_t value) {
  value ^= value >> 32;
  value *= 0xD6E8FEB86659FD93U;
  value ^= value >> 32;
  return value;
}

// Of the walk through callers: bytes in which the first must be found, and numbers of them.
constexpr uint64_t kFirstFrame = 256;
constexpr uint32_t kCallers = 64;
constexpr uint32_t kCallersAtLeast = 4;

// How much of the stack above `sp` may be read: up to its end, or to the end of the page where the
// thread runs on a stack of its own making (a fiber's).
uint32_t slice_size(const format::Card& card, uint64_t sp) {
  uint64_t end = card.stack_high;
  if (sp < card.stack_low || sp >= card.stack_high) end = (sp | 4095) + 1;
  const uint64_t size = end - sp;
  return size < kMaxSlice ? static_cast<uint32_t>(size & ~uint64_t{7}) : kMaxSlice;
}

// Words, not memcpy: a sanitizer's memcpy would object to reading other frames.
__attribute__((noinline, no_sanitize("address", "thread"))) void copy_stack(uint64_t* to,
                                                                            const uint64_t* from,
                                                                            uint32_t words) {
  for (uint32_t i = 0; i < words; ++i) to[i] = from[i];
}

// As copy_stack().
__attribute__((noinline, no_sanitize("address", "thread"))) uint64_t stack_word(uint64_t at) {
  return *reinterpret_cast<const uint64_t*>(at);
}

uint32_t find_slice(uint32_t places) {
  const uint64_t slot = __atomic_load_n(&slices[places % kSliceSlots], __ATOMIC_RELAXED);
  return (slot >> 32) == places ? static_cast<uint32_t>(slot) : 0;
}

// Who called whom from the outermost hold down to the request, mixed into `sites`. Where every lock
// is taken inside a function of its own (a wrapper, std::mutex::lock() in a build without
// optimisation) the call sites are always the same, and only the callers tell one place from
// another. They are found by frame pointers; code without them inlines its wrappers, and `sites`
// comes back as it was.
uint32_t with_callers(uint32_t sites, const format::Card& card, uint64_t frame,
                      uint64_t outermost) {
  const uint64_t high = card.stack_high;
  if (frame < card.stack_low || frame >= high || frame % 8 != 0) return sites;
  const auto is_saved_frame = [&](uint64_t at) {
    if (at + 16 > high) return false;
    const uint64_t next = stack_word(at);
    return next > at && next % 8 == 0 && next < high && is_in_module(stack_word(at + 8));
  };
  uint64_t at = frame;
  for (const uint64_t end = frame + kFirstFrame; !is_saved_frame(at);) {
    at += 8;
    if (at >= end) return sites;
  }
  uint32_t places = sites;
  for (uint32_t depth = 0; depth < kCallers && is_saved_frame(at); ++depth) {
    places = static_cast<uint32_t>(mixed(uint64_t{places} << 32 ^ stack_word(at + 8)));
    if (depth >= kCallersAtLeast && at > outermost) break;
    at = stack_word(at);
  }
  return places;
}

// Counts one more chain of these sites. False: enough of them.
bool are_worth_logging(uint32_t sites, uint32_t limit) {
  uint32_t at = sites % kSiteSlots;
  const uint64_t key = uint64_t{sites} << 32;
  for (uint32_t i = 0; i < kProbes; ++i, at = (at + 1) % kSiteSlots) {
    uint64_t found = __atomic_load_n(&site_counts[at], __ATOMIC_RELAXED);
    if (found == 0) {
      __atomic_compare_exchange_n(&site_counts[at], &found, key, false, __ATOMIC_RELAXED,
                                  __ATOMIC_RELAXED);
      found = __atomic_load_n(&site_counts[at], __ATOMIC_RELAXED);
    }
    if ((found >> 32) != sites) continue;
    if (static_cast<uint32_t>(found) >= limit) return false;
    __atomic_fetch_add(&site_counts[at], 1, __ATOMIC_RELAXED);
    return true;
  }
  return false;
}

// One more stack of call sites of which another is logged.
bool is_worth_a_slice(uint32_t sites) {
  constexpr uint32_t kApart = 0x51ce;  // another number than the sites' own
  if (!are_worth_logging(static_cast<uint32_t>(mixed(sites ^ uint64_t{kApart} << 32)),
                         kSlicesPerSites))
    return false;
  return __atomic_fetch_add(&more_slices, 1, __ATOMIC_RELAXED) < kMoreSlices;
}

format::Visitors visitors_of(uint64_t address, const ThreadState& thread) {
  // A static lock can be reached by anybody from the start.
  if (is_in_module(address)) return format::Visitors::Others;
  const uint32_t word = __atomic_load_n(generation_word(address), __ATOMIC_RELAXED);
  const uint32_t visitor = word & ~kCreator & kSeveral;
  if (word >= kSeveral || (visitor != 0 && visitor != thread.tag)) return format::Visitors::Others;
  // Nobody else creates anything on our stack.
  const bool is_ours = address >= thread.card->stack_low && address < thread.card->stack_high;
  return (word & kCreator) != 0 || is_ours ? format::Visitors::CreatorOnly
                                           : format::Visitors::SelfOnly;
}

uint32_t id_of(uint64_t address, format::Kind kind, uint64_t site, uint8_t flags = 0) {
  const uint8_t shared = (flags & format::kShared) != 0 ? format::kLockProcessShared : uint8_t{0};
  return logged_id(register_lock(address, kind, site, shared));
}

}  // namespace

bool ChainMemory::insert(uint64_t number) {
  const uint32_t first = static_cast<uint32_t>(mixed(number)) % kChainSlots;
  for (uint32_t i = 0, at = first; i < kProbes; ++i, at = (at + 1) % kChainSlots) {
    uint64_t found = __atomic_load_n(&slots[at], __ATOMIC_RELAXED);
    if (found == 0 && __atomic_compare_exchange_n(&slots[at], &found, number, false,
                                                  __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
      return true;
    }
    if (found == number) return false;
  }
  const auto victim = static_cast<uint32_t>(number >> 40) % kProbes;
  __atomic_store_n(&slots[(first + victim) % kChainSlots], number, __ATOMIC_RELAXED);
  return true;
}

uint32_t ChainMemory::count_up(uint64_t number) {
  const uint64_t key = (mixed(number) | (kCountBits + 1)) & ~kCountBits;
  const uint32_t first = static_cast<uint32_t>(key >> 9) % kChainSlots;
  for (uint32_t i = 0, at = first; i < kProbes; ++i, at = (at + 1) % kChainSlots) {
    uint64_t found = __atomic_load_n(&slots[at], __ATOMIC_RELAXED);
    if (found == 0) {
      __atomic_compare_exchange_n(&slots[at], &found, key, false, __ATOMIC_RELAXED,
                                  __ATOMIC_RELAXED);
      found = __atomic_load_n(&slots[at], __ATOMIC_RELAXED);
    }
    if ((found & ~kCountBits) != key) continue;
    if ((found & kCountBits) == kCountBits) return kCountBits;
    return static_cast<uint32_t>(__atomic_fetch_add(&slots[at], 1, __ATOMIC_RELAXED) & kCountBits);
  }
  const auto victim = static_cast<uint32_t>(key >> 40) % kProbes;
  __atomic_store_n(&slots[(first + victim) % kChainSlots], key + 1, __ATOMIC_RELAXED);
  return 0;
}

// Not inlined: the fast path stays small, and the registers are captured in this frame.
//
// A thread's chain is logged when it is first seen and once more when it comes again in a later
// segment: then as of the thread's end, since nothing that happened meanwhile orders it.
__attribute__((noinline)) void ThreadState::chain_missed(Request request, CallSite site,
                                                         uint64_t chain) {
  // We are a signal handler in the middle of a quick push or pop: that hold is not whole.
  const uint32_t holds = card->hold_count;
  if (holds > 0 && hold_at(holds - 1)->address == 0) return;
  const uint64_t key = cache_key(chain, *card);
  (holds == 0 ? cached_bare(*card, request.address) : cached_chain(*card, key)) = key;
  if (!seen_by_thread.insert(mixed(key + uid) | 1)) return;
  if (!seen_by_thread.insert(mixed(chain + uid) | 1)) {
    constexpr uint64_t kRepeated = 0xD6E8FEB86659FD93U;
    if (seen_by_thread.insert(mixed(chain + uid + kRepeated) | 1)) {
      log_chain(*this, request, site, kWholeLife);
    }
    return;
  }
  if (chain_counts.count_up(chain) >= kThreadsPerChain) {
    if (holds > 0) count(board.header->dropped_repeats);
    return;
  }
  log_chain(*this, request, site, card->segment);
}

__attribute__((noinline)) void log_chain(ThreadState& thread, const Request& request,
                                         const CallSite& site, uint32_t segment) {
  const format::Card& card = *thread.card;
  const uint32_t held = card.hold_count;
  // A lock that is released while its owner waits on a condition is not held; one without address
  // is about to be held, and a signal handler interrupted that (quick_holds.h).
  auto is_kept = [&thread](uint32_t i) {
    const format::Hold& hold = *thread.hold_at(i);
    return (hold.flags & format::kSuspended) == 0 && hold.address != 0;
  };
  uint32_t kept = 0;
  uint64_t outermost = 0;  // the frame in which the first of them was taken
  uint32_t sites = static_cast<uint32_t>(mixed(site.pc));
  for (uint32_t i = 0; i < held; ++i) {
    if (!is_kept(i)) continue;
    kept += 1;
    if (kept > format::kInlineHolds) continue;
    if (kept == 1) outermost = thread.hold_at(i)->frame;
    sites = static_cast<uint32_t>(mixed(uint64_t{sites} << 32 ^ thread.hold_at(i)->site));
  }
  const bool is_bare = held == 0;
  if (kept == 0 && !is_bare) return;
  const uint32_t omitted = kept > format::kInlineHolds ? kept - format::kInlineHolds : 0;
  kept -= omitted;
  if (!are_worth_logging(sites, is_bare ? kBareChainsPerSite : kChainsPerSites)) {
    if (kept == held) {
      const uint64_t all = sites_of_chain(card, held, site.pc);
      full_site(*thread.card, all) = all;
    }
    if (!is_bare) count(board.header->dropped_repeats);
    return;
  }
  log_this_thread(thread);
  format::Registers registers;
  capture_registers(registers);
  const uint32_t places = with_callers(sites, card, site.frame, outermost);
  const uint32_t slice_of = find_slice(places);
  const bool is_first = places == sites || find_slice(sites) == 0;
  const bool wants_slice = slice_of == 0 && (is_first || is_worth_a_slice(sites));
  const uint32_t slice = wants_slice ? slice_size(card, registers.rsp) : 0;

  // Locks first: their records must precede the chain's.
  const bool is_thread = request.kind == format::Kind::Join;
  uint32_t wanted = 0;
  uint64_t object = request.object;
  if (is_bare) {
    // Not registered for this: most such locks never meet another one, and a registered lock makes
    // every free() near it look twice. Readers find it by its address if it matters.
    wanted = logged_id(find_lock(key_of(request)));
    object = request.address;
  } else if (!is_thread) {
    wanted = logged_id(register_lock(request, site.pc));
  }
  if (request.kind == format::Kind::Condition) object = id_of(object, format::Kind::Mutex, site.pc);
  if (request.kind == format::Kind::GlibCond)
    object = id_of(object, format::Kind::GlibMutex, site.pc);
  uint32_t ids[format::kInlineHolds];
  for (uint32_t i = 0, at = 0; at < kept; ++i) {
    if (!is_kept(i)) continue;
    const format::Hold& hold = *thread.hold_at(i);
    ids[at++] = id_of(hold.address, hold.kind, hold.site, hold.flags);
    note_module_of(hold.site);
  }
  note_module_of(site.pc);

  auto* record = begin_record<format::ChainRecord>(format::RecordType::Chain, thread.uid,
                                                   kept * sizeof(format::ChainHold) + slice);
  if (record == nullptr) {
    count(board.header->dropped_chains);
    return;
  }
  record->site = site.pc;
  record->frame = site.frame;
  record->object = object;
  record->lock = wanted;
  record->segment = segment;
  record->kind = request.kind;
  record->flags = request.flags;
  record->hold_count = static_cast<uint16_t>(kept);
  record->holds_omitted = static_cast<uint16_t>(omitted);
  record->visitors = is_thread ? format::Visitors::Others : visitors_of(request.address, thread);
  record->slice_size = slice;
  record->slice_of = slice_of;
  record->registers = registers;
  auto* holds = reinterpret_cast<format::ChainHold*>(record + 1);
  for (uint32_t i = 0, at = 0; at < kept; ++i) {
    if (!is_kept(i)) continue;
    const format::Hold& hold = *thread.hold_at(i);
    holds[at].site = hold.site;
    holds[at].frame = hold.frame;
    holds[at].lock = ids[at];
    holds[at].kind = hold.kind;
    holds[at].flags = hold.flags;
    holds[at].visitors = visitors_of(hold.address, thread);
    ++at;
  }
  if (slice != 0) {
    copy_stack(reinterpret_cast<uint64_t*>(holds + kept),
               reinterpret_cast<const uint64_t*>(registers.rsp), slice / 8);
    const uint64_t offset = log_offset_of(record);
    __atomic_store_n(&slices[places % kSliceSlots], uint64_t{places} << 32 | offset,
                     __ATOMIC_RELAXED);
    if (is_first) {
      __atomic_store_n(&slices[sites % kSliceSlots], uint64_t{sites} << 32 | offset,
                       __ATOMIC_RELAXED);
    }
  }
  private_part(*thread.card).chain_segment = card.segment;
  commit(record);
}

bool is_worth_logging(uint64_t site) {
  return are_worth_logging(static_cast<uint32_t>(mixed(site)), kChainsPerSites);
}

bool is_news(uint64_t key) { return seen_by_thread.insert(mixed(key) | 1); }

void clear_chains() {
  // Private pages: given back, and zero when touched again.
  raw_call(SYS_madvise, reinterpret_cast<long>(&seen_by_thread), sizeof seen_by_thread,
           MADV_DONTNEED);
  raw_call(SYS_madvise, reinterpret_cast<long>(&chain_counts), sizeof chain_counts, MADV_DONTNEED);
  raw_call(SYS_madvise, reinterpret_cast<long>(site_counts), sizeof site_counts, MADV_DONTNEED);
  raw_call(SYS_madvise, reinterpret_cast<long>(slices), sizeof slices, MADV_DONTNEED);
  more_slices = 0;
}

}  // namespace gordian::runtime
