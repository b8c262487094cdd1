// SPDX-License-Identifier: Apache-2.0
#include "runtime/threads.h"

#include "runtime/gates.h"
#include "runtime/lock_table.h"
#include "runtime/log.h"
#include "runtime/modules.h"
#include "runtime/pages.h"
#include "runtime/real_functions.h"
#include "runtime/recording.h"
#include "runtime/system_calls.h"

#include <limits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

namespace gordian::runtime {

using format::Card;
using format::CardState;
using format::Hold;

namespace {

// pthread_setspecific keeps the first 32 keys in the thread itself; beyond, it would call calloc.
constexpr pthread_key_t kKeysInThread = 32;
constinit pthread_key_t end_key = 0;
constinit bool has_end_key = false;
constinit uint64_t main_stack_high = 0;
constinit uint64_t main_stack_size = 8 << 20;
// Of threads whose birth we did not see. Without a limit glibc makes stacks of 2 MiB.
constinit uint64_t default_stack_size = 2 << 20;

constexpr uint32_t kMaxCards = 16384;
constexpr uint32_t kMaxBlocks = 16384;

// A lock-free stack of indices + 1; the tag in the upper half keeps ABA away.
template <uint32_t kSize>
struct IndexStack {
  uint64_t top;
  uint32_t next[kSize + 1];

  void push(uint32_t index) {
    uint64_t old = __atomic_load_n(&top, __ATOMIC_RELAXED);
    uint64_t now = 0;
    do {
      __atomic_store_n(&next[index], static_cast<uint32_t>(old), __ATOMIC_RELAXED);
      now = ((old >> 32) + 1) << 32 | index;
      // ORDER: release pairs with pop's acquire: what was freed is free in full.
    } while (
        !__atomic_compare_exchange_n(&top, &old, now, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
  }
  uint32_t pop() {
    uint64_t old = __atomic_load_n(&top, __ATOMIC_ACQUIRE);
    while (static_cast<uint32_t>(old) != 0) {
      const uint32_t index = static_cast<uint32_t>(old);
      const uint64_t now =
          ((old >> 32) + 1) << 32 | __atomic_load_n(&next[index], __ATOMIC_RELAXED);
      if (__atomic_compare_exchange_n(&top, &old, now, true, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
        return index;
      }
    }
    return 0;
  }
};

// Threads beyond the first kThreadsLogged that the log knows all the same, one bit each; two that
// share a bit cost a record that nobody needed.
constexpr uint32_t kLoggedBits = 1 << 20;
constinit uint64_t logged_bits[kLoggedBits / 64] = {};

// uids of threads by their descriptors, for who joined one that could not be recognised before it
// ran: the descriptor's number in the upper half. A later thread may take the place of an earlier
// one.
constexpr uint32_t kBegunThreads = 1024;
constinit uint64_t begun_threads[kBegunThreads] = {};

uint32_t descriptor_number(uint64_t descriptor) { return static_cast<uint32_t>(descriptor >> 6); }

uint64_t& begun_thread(uint64_t descriptor) {
  return begun_threads[(descriptor_number(descriptor) * 0x9E3779B1U >> 10) % kBegunThreads];
}

// Where a thread's descriptor says with which routine the thread starts; the argument is the next
// word. 0: unknown.
constinit uint32_t start_offset = 0;

constinit IndexStack<kMaxCards> free_cards{};
constinit IndexStack<kMaxBlocks> free_blocks{};

// What a forking thread held. Kept per fork, not per thread: forks are rare.
struct SavedThread {
  uint32_t taken;
  uint32_t hold_count;
  uint32_t flags;
  uint64_t start_routine, create_site;
  uint64_t stack_low;
  Hold holds[format::kInlineHolds];
};
constexpr uint32_t kSavedThreads = 16;
constinit SavedThread saved_threads[kSavedThreads] = {};

// clang knows no atomic operations on enumerations.
using StateWord __attribute__((may_alias)) = uint32_t;
StateWord* state_word(Card& card) { return reinterpret_cast<StateWord*>(&card.state); }

uint32_t index_of(const Card* card) { return static_cast<uint32_t>(card - board.cards); }

uint64_t own_pthread() {
  uint64_t self = 0;
  asm("movq %%fs:0x10, %0" : "=r"(self));
  return self;
}

// Offset of the word that holds a thread's id in its descriptor: joiners wait on it. Probed, since
// it moves between versions of glibc (0x2d0 in 2.36).
uint32_t find_tid_offset(int tid) {
  const uint64_t self = own_pthread();
  for (uint32_t offset = 0x200; offset < 0x600; offset += 4) {
    if (*reinterpret_cast<const int*>(self + offset) == tid) return offset;
  }
  return 0;
}

// libc tells debuggers: its DB_STRUCT_FIELD(pthread, start_routine) is the field's size in bits,
// how many there are, and the offset.
uint32_t find_start_offset() {
  const auto* field =
      static_cast<const uint32_t*>(find_next_symbol("_thread_db_pthread_start_routine", ""));
  return field != nullptr && field[0] == 64 ? field[2] : 0;
}

// The uid of a thread that is to start with run_thread and its card, or 0.
uint32_t uid_of_unborn(uint64_t descriptor) {
  if (start_offset == 0) return 0;
  const auto* start = reinterpret_cast<const uint64_t*>(descriptor + start_offset);
  if (start[0] != reinterpret_cast<uint64_t>(run_thread)) return 0;
  // ORDER: pairs with claim_card; see uid_of_thread.
  return __atomic_load_n(&reinterpret_cast<const Card*>(start[1])->uid, __ATOMIC_ACQUIRE);
}

// Cards of threads that left without any destructor: found by asking the kernel. Rare and slow,
// only when cards run out. Cards of the dead that still say what they held go last.
uint32_t reclaim_cards() {
  const uint32_t used = __atomic_load_n(&board.header->cards_used, __ATOMIC_RELAXED);
  const int process = process_id();
  uint32_t found = 0;
  for (uint32_t i = 0; i < used && i < board.header->card_capacity; ++i) {
    Card& card = board.cards[i];
    // ORDER: pairs with the release of the state in take_card: the tid is the thread's.
    uint32_t word = __atomic_load_n(state_word(card), __ATOMIC_ACQUIRE);
    const auto state = static_cast<CardState>(word);
    if (state == CardState::Free || card.tid == 0) continue;
    if (state == CardState::Live && thread_exists(process, static_cast<int>(card.tid))) continue;
    // ORDER: one of those that reclaim gets the card, and after its last use.
    if (!__atomic_compare_exchange_n(state_word(card), &word,
                                     static_cast<uint32_t>(CardState::Free), false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
      continue;
    }
    if (state == CardState::Live) count(board.header->gone_threads);
    free_cards.push(i + 1);
    ++found;
  }
  return found;
}

uint32_t claim_card_index() {
  if (const uint32_t index = free_cards.pop()) return index;
  format::BoardHeader& header = *board.header;
  if (__atomic_load_n(&header.cards_used, __ATOMIC_RELAXED) < header.card_capacity) {
    const uint32_t index = __atomic_fetch_add(&header.cards_used, 1, __ATOMIC_RELAXED);
    if (index < header.card_capacity) return index + 1;
    __atomic_store_n(&header.cards_used, header.card_capacity, __ATOMIC_RELAXED);
  }
  return reclaim_cards() > 0 ? free_cards.pop() : 0;
}

// A card, clean but for the number of its wait word, which only ever grows.
Card* claim_card() {
  const uint32_t index = claim_card_index();
  if (index == 0) {
    count(board.header->dropped_threads);
    return nullptr;
  }
  Card* card = &board.cards[index - 1];
  if (card->uid != 0) memset(card, 0, sizeof *card);
  const uint32_t uid = __atomic_add_fetch(&board.header->next_thread, 1, __ATOMIC_RELAXED);
  // ORDER: pairs with uid_of_unborn: who finds the new owner's uid finds that the old one has
  // begun.
  __atomic_store_n(&card->uid, uid, __ATOMIC_RELEASE);
  return card;
}

void free_blocks_of(Card& card) {
  for (uint32_t& block : card.hold_blocks) {
    if (block != 0) free_blocks.push(block);
    block = 0;
  }
}

void release_card(Card* card, CardState state) {
  const uint32_t index = index_of(card);
  format::WaitWord& word = board.waits[index];
  // ORDER: a reader that finds the card free finds no wait.
  if ((word.number & 1) != 0) __atomic_store_n(&word.number, word.number + 1, __ATOMIC_RELEASE);
  __atomic_store_n(state_word(*card), static_cast<uint32_t>(state), __ATOMIC_RELEASE);
  if (state == CardState::Free) free_cards.push(index + 1);
  if (is_steered()) ring_for_judge();
}

void log_thread(const Card& card) {
  if (card.uid > kThreadsLogged) {
    __atomic_fetch_or(&logged_bits[card.uid % kLoggedBits / 64], uint64_t{1} << (card.uid & 63),
                      __ATOMIC_RELAXED);
  }
  auto* record = begin_record<format::ThreadRecord>(format::RecordType::Thread, card.uid);
  if (record == nullptr) return;
  record->tid = card.tid;
  record->parent_uid = card.parent_uid;
  record->parent_segment = private_part(const_cast<Card&>(card)).parent_segment;
  record->flags = card.flags;
  record->start_routine = card.start_routine;
  record->create_site = card.create_site;
  commit(record);
}

// The stack that a thread is made with. libc is asked each time: the program may change the
// default.
void note_stack(PrivateCard& own, const pthread_attr_t* attributes) {
  pthread_attr_t defaults;
  if (attributes == nullptr) {
    pthread_attr_init(&defaults);
    attributes = &defaults;
  }
  size_t size = 0, brought_size = 0;
  void* low = nullptr;
  pthread_attr_getstacksize(attributes, &size);
  pthread_attr_getstack(attributes, &low, &brought_size);
  // Attributes without a stack have one that ends at 0. A stack may also come without a size.
  const uint64_t brought_high = reinterpret_cast<uint64_t>(low) + brought_size;
  own.stack_size = size;
  own.stack_low = brought_high != 0 ? brought_high - size : 0;
}

// Where the stack of the calling thread begins. It may begin lower, where libc made it for a thread
// that asked for more, but never higher: there may be no memory, or what has nothing to do with it.
uint64_t find_stack_low(const PrivateCard& own, uint64_t high, bool is_main) {
  if (is_main) return high > main_stack_size ? high - main_stack_size : 0;
  if (own.stack_low != 0) return own.stack_low;
  const uint64_t size = own.stack_size != 0 ? own.stack_size : default_stack_size;
  // `high` is the descriptor's address, less than a page below the end; the first page of the stack
  // begins above the guard.
  return high > size ? page_up(high - size) : 0;
}

// The calling thread takes `card` as its own.
void take_card(Card* card, uint32_t flags) {
  ThreadState& thread = this_thread;
  const uint32_t index = index_of(card);
  const int tid = thread_id();
  const uint64_t self = own_pthread();
  card->tid = static_cast<uint32_t>(tid);
  card->flags |= flags;
  card->pthread = self;
  if (board.header->tid_offset == 0) board.header->tid_offset = find_tid_offset(tid);
  if (board.header->tid_offset != 0) card->tid_word = self + board.header->tid_offset;
  // glibc puts a thread's descriptor at the top of its stack, also of one the program brought.
  const bool is_main = (flags & format::kCardMain) != 0;
  card->stack_high = is_main ? main_stack_high : self;
  card->stack_low = find_stack_low(private_part(*card), card->stack_high, is_main);
  set_segment(*card, 1);
  board.waits[index].tid = card->tid;
  clear_gate(index);
  thread.wait = &board.waits[index];
  thread.uid = card->uid;
  thread.tag = visitor_tag(card->uid);
  thread.held_mark = 0;
  if (card->uid <= kThreadsLogged) log_thread(*card);
  // ORDER: a reader that sees it live sees whose it is.
  __atomic_store_n(state_word(*card), static_cast<uint32_t>(CardState::Live), __ATOMIC_RELEASE);
  thread.card = card;
  if (is_recording()) record_begin(thread);
  if (thread.scope == 0) thread.close_scope();
}

void log_thread_end(const Card& card) {
  const uint32_t held =
      card.hold_count < format::kInlineHolds ? card.hold_count : format::kInlineHolds;
  auto* record = begin_record<format::ThreadEndRecord>(format::RecordType::ThreadEnd, card.uid,
                                                       held * sizeof(Hold));
  if (record == nullptr) return;
  record->tid = card.tid;
  record->segment = card.segment;
  record->hold_count = card.hold_count;
  raw_call(SYS_prctl, PR_GET_NAME, reinterpret_cast<long>(record->name));
  memcpy(record->holds, card.holds, held * sizeof(Hold));
  commit(record);
}

void add_totals(const Card& card) {
  format::BoardHeader& header = *board.header;
  count(header.gone_threads);
  __atomic_fetch_add(&header.gone_acquisitions, card.acquisitions, __ATOMIC_RELAXED);
  __atomic_fetch_add(&header.gone_nested, card.nested, __ATOMIC_RELAXED);
  __atomic_fetch_add(&header.gone_waits, card.waits, __ATOMIC_RELAXED);
  uint64_t longest = __atomic_load_n(&header.gone_longest_wait_ns, __ATOMIC_RELAXED);
  while (longest < card.longest_wait_ns &&
         !__atomic_compare_exchange_n(&header.gone_longest_wait_ns, &longest, card.longest_wait_ns,
                                      true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

// The thread's last act under our eyes. What it still holds stays on its card, for those who wait.
void end_this_thread() {
  ThreadState& thread = this_thread;
  Card* card = thread.card;
  if (card == nullptr) return;
  if (is_recording()) thread.open_scope(1);  // no handler may write into the ring any more
  thread.forget_all_once();
  if (card->hold_count > 0) log_this_thread(thread);
  if (is_logged(card->uid)) log_thread_end(*card);
  add_totals(*card);
  locks_ended(card->stack_low, card->stack_high);
  if (is_recording()) {
    char name[16] = {};
    raw_call(SYS_prctl, PR_GET_NAME, reinterpret_cast<long>(name));
    record_thread_end(thread, name);
  }
  thread.ended = 1;
  thread.drop_card();
  if (card->hold_count == 0) free_blocks_of(*card);
  release_card(card, card->hold_count == 0 ? CardState::Free : CardState::Exited);
}

// ThreadSanitizer takes a thread's state away in the last round, and our unit tests run under it.
#ifdef __SANITIZE_THREAD__
constexpr uint32_t kLastRound = PTHREAD_DESTRUCTOR_ITERATIONS - 1;
#else
constexpr uint32_t kLastRound = PTHREAD_DESTRUCTOR_ITERATIONS;
#endif

// Destructors of other keys may run hooks after ours in the same round; re-armed until the last
// round, ours is late enough. glibc calls it with the key's value already cleared.
void key_destructor(void* value) {
  ThreadState& thread = this_thread;
  if (thread.card == nullptr) return;
  PrivateCard& own = private_part(*thread.card);
  own.closing_round += 1;
  if (own.closing_round < kLastRound) {
    pthread_setspecific(end_key, value);
    return;
  }
  end_this_thread();
}

void watch_end_of_this_thread() {
  if (has_end_key) pthread_setspecific(end_key, &this_thread);
}

// std::thread, Boost and GLib start all their threads in one function of their own. What tells
// those apart is the first word of its argument: the vtable of the callable's state, the
// GThreadFunc.
uint64_t identity_of(void* routine, const void* argument) {
  if (argument != nullptr &&
      (is_in_library(routine, "libstdc++.so") || is_in_library(routine, "libboost_thread.so") ||
       is_in_library(routine, "libglib-2.0.so"))) {
    return *static_cast<const uint64_t*>(argument);
  }
  return reinterpret_cast<uint64_t>(routine);
}

}  // namespace

uint32_t pop_free(FreeList list) {
  return list == FreeList::Cards ? free_cards.pop() : free_blocks.pop();
}

void push_free(FreeList list, uint32_t index_plus_one) {
  if (list == FreeList::Cards) {
    free_cards.push(index_plus_one);
  } else {
    free_blocks.push(index_plus_one);
  }
}

void clear_free_lists() {
  free_cards.top = 0;
  free_blocks.top = 0;
}

void prepare_threads() {
  // The strings of the first environment lie at the very top of the main thread's stack.
  main_stack_high = reinterpret_cast<uint64_t>(first_environment());
  rlimit limit{};
  if (!is_error(raw_call(SYS_prlimit64, 0, RLIMIT_STACK, 0, reinterpret_cast<long>(&limit))) &&
      limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur > 0) {
    main_stack_size = default_stack_size = limit.rlim_cur;
  }
  start_offset = find_start_offset();
  has_end_key = pthread_key_create(&end_key, key_destructor) == 0 && end_key < kKeysInThread;
  this_thread.open_scope(1);
  if (Card* card = claim_card()) {
    take_card(card, thread_id() == process_id() ? format::kCardMain : format::kCardAdopted);
    watch_end_of_this_thread();
  }
  this_thread.close_scope();
}

bool adopt_this_thread(uint64_t frame) {
  ThreadState& thread = this_thread;
  if (thread.ended != 0 || thread.scope != 0 || !is_alive()) return false;
  thread.open_scope(frame);
  end_alone();
  Card* card = claim_card();
  if (card == nullptr) {
    thread.ended = 1;
  } else {
    take_card(card, thread_id() == process_id() ? format::kCardMain : format::kCardAdopted);
    watch_end_of_this_thread();
  }
  thread.close_scope();
  return card != nullptr;
}

format::Card* card_for_child(void* routine, void* argument, const pthread_attr_t* attributes,
                             const CallSite& parent_site) {
  if (!is_alive()) return nullptr;
  end_alone();
  Card* card = claim_card();
  if (card == nullptr) return nullptr;
  card->start_routine = identity_of(routine, argument);
  private_part(*card).routine = routine;
  card->create_site = parent_site.pc;
  private_part(*card).argument = argument;
  note_stack(private_part(*card), attributes);
  ThreadState& parent = this_thread;
  if (parent.card != nullptr) {
    log_this_thread(parent);
    card->parent_uid = parent.uid;
    private_part(*card).parent_segment = parent.card->segment;
  }
  return card;
}

void* run_thread(void* value) {
  auto* card = static_cast<Card*>(value);
  auto* routine = reinterpret_cast<void* (*)(void*)>(private_part(*card).routine);
  void* argument = private_part(*card).argument;
  ThreadState& thread = this_thread;
  thread.open_scope(1);
  if (thread.card != nullptr) {
    // A signal handler was here before us, and its hook adopted the thread.
    add_totals(*thread.card);
    release_card(thread.card, CardState::Free);
  }
  take_card(card, 0);
  __atomic_store_n(&begun_thread(card->pthread),
                   uint64_t{descriptor_number(card->pthread)} << 32 | card->uid, __ATOMIC_RELAXED);
  thread.close_scope();
  watch_end_of_this_thread();
  const CallSite here{reinterpret_cast<uint64_t>(routine),
                      reinterpret_cast<uint64_t>(__builtin_frame_address(0))};
  pass_gate({}, here, format::GatePhase::Born);
  void* result = routine(argument);
  // Without a key nobody tells us later; destructors of the thread then run unwatched.
  if (!has_end_key) end_this_thread();
  return result;
}

void child_created(uint32_t uid, const CallSite& site) {
  if (is_recording() && this_thread.card != nullptr) {
    record_thread(this_thread, format::Event::Fork, {.object = uid}, site);
  }
  // Everything the parent does from here on may run beside the child.
  if (this_thread.card != nullptr) set_segment(*this_thread.card, this_thread.card->segment + 1);
}

void child_not_created(Card* card) { release_card(card, CardState::Free); }

// The thread-local lies at the same distance from every thread's descriptor. The descriptor of a
// thread that may still be joined exists, or the program's own pthread_join reads freed memory too.
uint32_t uid_of_thread(pthread_t thread) {
  const uint64_t distance = reinterpret_cast<uint64_t>(&this_thread) - own_pthread();
  const auto descriptor = static_cast<uint64_t>(thread);
  const auto* state = reinterpret_cast<const ThreadState*>(descriptor + distance);
  const uint32_t uid = __atomic_load_n(&state->uid, __ATOMIC_RELAXED);
  if (uid != 0 || !is_alive()) return uid;
  // It has not run yet, or had no card. If it begins, and ends, in this moment its card may be
  // somebody else's when we read it: then the uid is where it was not before.
  const uint32_t unborn = uid_of_unborn(descriptor);
  const uint32_t born = __atomic_load_n(&state->uid, __ATOMIC_RELAXED);
  return born != 0 ? born : unborn;
}

uint32_t uid_of_joined(pthread_t thread) {
  const auto descriptor = static_cast<uint64_t>(thread);
  // ORDER: relaxed: the thread has ended, and the join came after that.
  const uint64_t begun = __atomic_load_n(&begun_thread(descriptor), __ATOMIC_RELAXED);
  return begun >> 32 == descriptor_number(descriptor) ? static_cast<uint32_t>(begun) : 0;
}

bool is_logged(uint32_t uid) {
  return uid <= kThreadsLogged ||
         (__atomic_load_n(&logged_bits[uid % kLoggedBits / 64], __ATOMIC_RELAXED) >> (uid & 63) &
          1) != 0;
}

void log_this_thread(ThreadState& thread) {
  if (!is_logged(thread.uid)) log_thread(*thread.card);
}

void forget_this_thread() {
  this_thread.drop_card();
  this_thread.ended = 1;
}

void save_for_fork() {
  ThreadState& thread = this_thread;
  thread.saved_slot = 0;
  if (thread.card == nullptr) return;
  for (uint32_t i = 0; i < kSavedThreads; ++i) {
    SavedThread& saved = saved_threads[i];
    uint32_t free = 0;
    // ORDER: acquire and release of a slot, as of any lock.
    if (!__atomic_compare_exchange_n(&saved.taken, &free, 1, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED)) {
      continue;
    }
    const Card& card = *thread.card;
    saved.flags = card.flags;
    saved.start_routine = card.start_routine;
    saved.create_site = card.create_site;
    saved.stack_low = card.stack_low;
    saved.hold_count = card.hold_count;
    if (saved.hold_count > format::kInlineHolds) {
      saved.hold_count = format::kInlineHolds;
      saved.flags |= format::kCardInexact;
    }
    memcpy(saved.holds, card.holds, saved.hold_count * sizeof(Hold));
    thread.saved_slot = static_cast<uint16_t>(i + 1);
    return;
  }
}

void drop_saved_for_fork() {
  ThreadState& thread = this_thread;
  if (thread.saved_slot == 0) return;
  // ORDER: pairs with save_for_fork.
  __atomic_store_n(&saved_threads[thread.saved_slot - 1].taken, 0, __ATOMIC_RELEASE);
  thread.saved_slot = 0;
}

void revive_card(const Board& parents) {
  ThreadState& thread = this_thread;
  const uint16_t slot = thread.saved_slot;
  thread.saved_slot = 0;
  Card* card = thread.card;
  if (card != nullptr) {
    const auto index = static_cast<uint32_t>(card - parents.cards);
    card = &board.cards[index];
    board.header->cards_used = index + 1;
    for (uint32_t i = index; i > 0; --i) free_cards.push(i);
    card->uid = __atomic_add_fetch(&board.header->next_thread, 1, __ATOMIC_RELAXED);
    uint32_t flags = format::kCardForked;
    if (slot != 0) {
      const SavedThread& saved = saved_threads[slot - 1];
      card->start_routine = saved.start_routine;
      card->create_site = saved.create_site;
      private_part(*card).stack_low = saved.stack_low;
      flags |= saved.flags & (format::kCardInexact | format::kCardMain);
      memcpy(card->holds, saved.holds, saved.hold_count * sizeof(Hold));
      card->hold_count = saved.hold_count;
    } else {
      // A raw clone: what the parent's thread held was on its board alone.
      flags |= format::kCardInexact;
    }
    take_card(card, flags);
    for (uint32_t i = 0; i < card->hold_count; ++i) {
      const Hold& hold = card->holds[i];
      thread.held_mark += mark_of(hold);
      if (!is_recording()) continue;
      record_acquired(thread, {.address = hold.address, .kind = hold.kind, .flags = hold.flags},
                      {.pc = hold.site, .frame = hold.frame});
    }
  }
  for (SavedThread& saved : saved_threads) saved.taken = 0;
}

}  // namespace gordian::runtime
