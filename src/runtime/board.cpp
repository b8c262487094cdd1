// SPDX-License-Identifier: Apache-2.0
#include "runtime/board.h"

#include "runtime/chains.h"
#include "runtime/fork.h"
#include "runtime/gates.h"
#include "runtime/lock_table.h"
#include "runtime/modules.h"
#include "runtime/pages.h"
#include "runtime/plain_mutex.h"
#include "runtime/real_functions.h"
#include "runtime/recording.h"
#include "runtime/system_calls.h"
#include "runtime/threads.h"

#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

namespace gordian::runtime {

using format::BoardHeader;
using format::BoardState;

constinit Board board{};
constinit AlivePage alive_page{};
constinit bool takes_plain_mutexes = false;

namespace {

enum StartState : uint32_t { Never, Working, Done, Disarmed };
constinit uint32_t start_state = Never;
constinit bool real_found = false;

// getenv walks `environ` as well, but setenv in another thread could move it below our feet; this
// is read once, at the start.
const char* find_variable(const char* name) {
  const size_t length = strlen(name);
  for (char** variable = first_environment(); variable != nullptr && *variable != nullptr;
       ++variable) {
    if (strncmp(*variable, name, length) == 0 && (*variable)[length] == '=') {
      return *variable + length + 1;
    }
  }
  return nullptr;
}

// What the environment said at the start. A daemon may clear its environment before it forks.
struct Wishes {
  char judge[sizeof(sockaddr_un::sun_path)];
  bool no_children;
  bool records;
  bool record_blocks;
  bool steered;
};
constinit Wishes wishes{};

void read_wishes() {
  if (const char* judge = find_variable(format::kJudgeVariable)) {
    memcpy(wishes.judge, judge, strnlen(judge, sizeof wishes.judge - 1));
  }
  const char* children = find_variable("GORDIAN_CHILDREN");
  wishes.no_children = children != nullptr && strcmp(children, "0") == 0;
  const char* record = find_variable(format::kRecordVariable);
  wishes.records = record != nullptr && *record != '\0';
  wishes.record_blocks = wishes.records && strcmp(record, "block") == 0;
  const char* steer = find_variable(format::kSteerVariable);
  // Without a judge nobody would open the gates.
  wishes.steered = steer != nullptr && strcmp(steer, "1") == 0 && wishes.judge[0] != '\0';
}

uint64_t limit_of(int resource) {
  rlimit limit{};
  if (is_error(raw_call(SYS_prlimit64, 0, resource, 0, reinterpret_cast<long>(&limit)))) {
    return RLIM_INFINITY;
  }
  return limit.rlim_cur;
}

// Under RLIMIT_AS the program's memory comes first: we take a sixteenth. 0: as much as we like.
uint64_t size_allowed() {
  const uint64_t space = limit_of(RLIMIT_AS);
  return space == RLIM_INFINITY ? 0 : space / 16;
}

}  // namespace

int make_memfd(const char* name, uint64_t size) {
  // A file larger than RLIMIT_FSIZE would be answered with SIGXFSZ, which kills the program.
  if (limit_of(RLIMIT_FSIZE) < size) return -1;
  const long fd =
      raw_call(SYS_memfd_create, reinterpret_cast<long>(name), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (is_error(fd)) return -1;
  constexpr int kAddSeals = 1033, kSealSeal = 1, kSealShrink = 2, kSealGrow = 4;
  if (is_error(raw_call(SYS_ftruncate, fd, static_cast<long>(size))) ||
      is_error(raw_call(SYS_fcntl, fd, kAddSeals, kSealSeal | kSealShrink | kSealGrow))) {
    raw_call(SYS_close, fd);
    return -1;
  }
  return static_cast<int>(fd);
}

void* map_shared(uint64_t size, void* address, int fd) {
  const int fixed = address != nullptr ? MAP_FIXED : 0;
  const int kind = fd >= 0 ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS;
  const long memory = raw_call(SYS_mmap, reinterpret_cast<long>(address), static_cast<long>(size),
                               PROT_READ | PROT_WRITE, kind | MAP_NORESERVE | fixed, fd, 0);
  return is_error(memory) ? nullptr : reinterpret_cast<void*>(memory);
}

namespace {

// A socket, or -errno. Never waits.
__attribute__((noinline)) long connect_to_judge() {
  const long channel =
      raw_call(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (is_error(channel)) return channel;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = strnlen(wishes.judge, sizeof address.sun_path - 1);
  memcpy(address.sun_path + 1, wishes.judge, length);
  const long connected = raw_call(SYS_connect, channel, reinterpret_cast<long>(&address),
                                  static_cast<long>(offsetof(sockaddr_un, sun_path) + 1 + length));
  if (!is_error(connected)) return channel;
  raw_call(SYS_close, channel);
  return connected;
}

// Tells the judge, if there is one, where the board is. Never waits: a judge whose backlog is full
// finds the board in /proc later.
// Not inlined: frames of the runtime are small, whatever thread forks.
__attribute__((noinline)) void send_hello(const BoardHeader& header, void* memory, int memfd,
                                          int recording) {
  if (wishes.judge[0] == '\0') return;
  const long channel = connect_to_judge();
  if (is_error(channel)) return;
  format::Hello hello{format::kBoardMagic, format::kBoardVersion, header.pid,
                      reinterpret_cast<uint64_t>(memory), header.board_size};
  iovec part{&hello, sizeof hello};
  const int files[] = {memfd, recording};
  const size_t files_size = (recording >= 0 ? 2 : 1) * sizeof(int);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof files)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (memfd >= 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(files_size);
    cmsghdr* attached = CMSG_FIRSTHDR(&message);
    attached->cmsg_level = SOL_SOCKET;
    attached->cmsg_type = SCM_RIGHTS;
    attached->cmsg_len = CMSG_LEN(files_size);
    memcpy(CMSG_DATA(attached), files, files_size);
  }
  raw_call(SYS_sendmsg, channel, reinterpret_cast<long>(&message), MSG_NOSIGNAL | MSG_DONTWAIT);
  raw_call(SYS_close, channel);
}

// Where the regions of a trimmed board end; what lies between belongs to the program.
struct TrimmedRegions {
  uint64_t cards_end, blocks_end, locks_end, log_end;
};

TrimmedRegions trimmed_regions(const BoardHeader& header) {
  return {
      .cards_end = header.cards_offset + header.card_capacity * sizeof(format::Card),
      .blocks_end = header.blocks_offset + page_up(uint64_t{header.block_capacity} *
                                                   format::kHoldBlockHolds * sizeof(format::Hold)),
      .locks_end =
          header.locks_offset + page_up(uint64_t{header.lock_capacity} * sizeof(format::LockEntry)),
      .log_end = header.log_offset + page_up(header.log_size),
  };
}

// A core dump would make every page of the board real and write it. It gets the first cards alone.
void keep_out_of_cores() {
  constexpr uint64_t kDumpedCards = 128;
  const uint64_t kept = board.header->cards_offset + kDumpedCards * sizeof(format::Card);
  if (kept >= board.size) return;
  raw_call(SYS_madvise, reinterpret_cast<long>(board.header) + static_cast<long>(kept),
           static_cast<long>(board.size - kept), MADV_DONTDUMP);
}

// Makes a board at `address` (null: anywhere) and tells the judge.
bool make_board(void* address, uint64_t size_limit) {
  BoardHeader header{};
  if (!lay_out(header, size_limit, wishes.steered)) return false;
  header.pid = static_cast<uint32_t>(process_id());
  header.parent_pid = static_cast<uint32_t>(raw_call(SYS_getppid));
  header.start_ns = now_ns();

  const int memfd = make_memfd(format::kBoardName, header.board_size);
  // A judge cannot write into memory of our own: the gates stay away.
  if (memfd < 0) header.steer_offset = 0;
  void* memory = map_shared(header.board_size, address, memfd);
  if (memory != nullptr) {
    *static_cast<BoardHeader*>(memory) = header;
    adopt_board(memory);
    keep_out_of_cores();
    // The judge must get both: rings that nobody empties are of no use.
    const int recording =
        wishes.records && memfd >= 0 ? make_recording(wishes.record_blocks, size_allowed()) : -1;
    send_hello(header, memory, memfd, recording);
    if (recording >= 0) raw_call(SYS_close, recording);
  }
  if (memfd >= 0) raw_call(SYS_close, memfd);
  return memory != nullptr;
}

// A forked child must never write into its parent's board, not even from a frame that a signal
// handler interrupted: private memory takes its place, wherever it still is.
void cover(const Board& parents) {
  auto cover_range = [&parents](uint64_t offset, uint64_t end) {
    raw_call(SYS_mmap, reinterpret_cast<long>(parents.header) + static_cast<long>(offset),
             static_cast<long>(end - offset), PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  };
  if (!parents.trimmed) return cover_range(0, parents.size);
  const BoardHeader header = *parents.header;
  const TrimmedRegions regions = trimmed_regions(header);
  cover_range(0, regions.cards_end);
  cover_range(header.blocks_offset, regions.blocks_end);
  cover_range(header.locks_offset, regions.locks_end);
  cover_range(header.log_offset, regions.log_end);
}

void arm() {
  board.header->state = BoardState::Live;
  // ORDER: the board is complete before any hook sees that it may write.
  Alive how = semaphore_like_locks != 0 ? kWithCare : takes_plain_mutexes ? kAlone : kByLibc;
  if (is_recording()) how = how == kAlone ? kRecording : kWithCare;
  if (board.steer != nullptr) how = kSteered;
  __atomic_store_n(&alive_page.alive, how, __ATOMIC_RELEASE);
}

void start_first() {
  real_found = find_real_functions();
  if (!real_found) {
    start_state = Disarmed;
    return;
  }
  // Our own page of .bss may share a mapping that madvise refuses; a fresh one does not.
  raw_call(SYS_mmap, reinterpret_cast<long>(&alive_page), sizeof alive_page, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  raw_call(SYS_madvise, reinterpret_cast<long>(&alive_page), sizeof alive_page, MADV_WIPEONFORK);

  read_wishes();
  if (!make_board(nullptr, size_allowed())) {
    start_state = Disarmed;
    return;
  }
  watch_forks();
  prepare_threads();
  takes_plain_mutexes = probe_plain_mutex(static_cast<uint32_t>(thread_id()));
  arm();
  start_state = Done;
  log_modules();
  wait_for_judge();
}

// Exactly one thread lives in a forked child, and it is the one that runs this.
void start_in_child() {
  start_state = Working;
  clear_lock_index();
  clear_chains();
  clear_free_lists();
  const Board parents = board;
  leave_recording();
  // In the place of its parent's it costs no address space; what was trimmed has lost its place.
  void* const place = parents.trimmed ? nullptr : parents.header;
  if (wishes.no_children || !make_board(place, place == nullptr ? size_allowed() : parents.size)) {
    cover(parents);
    forget_this_thread();
    start_state = Disarmed;
    return;
  }
  if (parents.trimmed) cover(parents);
  revive_card(parents);
  arm();
  start_state = Done;
  log_modules();
  wait_for_judge();
}

}  // namespace

bool judge_listens() {
  constexpr long kNobodyThere = -111;  // ECONNREFUSED
  const long channel = connect_to_judge();
  if (!is_error(channel)) raw_call(SYS_close, channel);
  return channel != kNobodyThere;
}

void start() {
  uint32_t state = Never;
  // ORDER: whoever finds another state sees what the thread that set it has made.
  if (__atomic_compare_exchange_n(&start_state, &state, Working, false, __ATOMIC_ACQ_REL,
                                  __ATOMIC_ACQUIRE)) {
    start_first();
  } else if (state == Done) {
    start_in_child();
  } else if (state == Disarmed) {
    forget_this_thread();
  }
}

void end_alone() {
  uint32_t now = kAlone;
  __atomic_compare_exchange_n(&alive_page.alive, &now, kQuick, false, __ATOMIC_RELAXED,
                              __ATOMIC_RELAXED);
}

void go_on_with_care() {
  uint32_t now = alive();
  while (now != kNotAlive && now != kSteered &&
         !__atomic_compare_exchange_n(&alive_page.alive, &now, kWithCare, true, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED)) {
  }
}

char** first_environment() {
  if (environ != nullptr) return environ;
  auto* const stack_end = static_cast<uint64_t**>(find_first_symbol("__libc_stack_end", ""));
  if (stack_end == nullptr || *stack_end == nullptr) return nullptr;
  const uint64_t argument_count = **stack_end;
  return reinterpret_cast<char**>(*stack_end + 1 + argument_count + 1);
}

void disarm() {
  start_state = Disarmed;
  // ORDER: with the loads in is_alive(); a hook that misses it writes one record more.
  __atomic_store_n(&alive_page.alive, 0, __ATOMIC_RELEASE);
  if (board.header != nullptr) board.header->state = BoardState::Disarmed;
}

void trim_board() {
  if (!is_alive() || board.trimmed) return;
  BoardHeader& header = *board.header;
  auto lower = [](uint32_t& capacity, uint32_t used, uint32_t spare) {
    if (capacity > used + spare) __atomic_store_n(&capacity, used + spare, __ATOMIC_SEQ_CST);
  };
  // First the limits, which every writer checks, then the memory. A writer that got its place
  // before lies within what is spared.
  board.trimmed = true;
  trim_recording();
  const uint64_t old_end = board.size;
  lower(header.card_capacity, header.cards_used, 128);
  lower(header.block_capacity, (header.blocks_used + 1) & ~1U, 64);
  lower(header.lock_capacity, (header.locks_used + 63) & ~63U, 16384);
  const uint64_t log_end = page_up(header.log_used) + (4 << 20);
  if (log_end < header.log_size) {
    __atomic_store_n(&board.log_size, log_end, __ATOMIC_SEQ_CST);
    header.log_size = log_end;
  }
  const TrimmedRegions regions = trimmed_regions(header);
  auto release = [](uint64_t offset, uint64_t end) {
    if (offset >= end) return;
    raw_call(SYS_munmap, reinterpret_cast<long>(board.header) + static_cast<long>(offset),
             static_cast<long>(end - offset));
  };
  release(regions.cards_end, header.blocks_offset);
  release(regions.blocks_end, header.locks_offset);
  release(regions.locks_end, header.log_offset);
  release(regions.log_end, old_end);
}

bool lay_out(BoardHeader& header, uint64_t limit, bool with_gates) {
  // Sparse: only what is touched costs memory. Halved until it fits.
  uint64_t cards = 16384, blocks = 16384, locks = 1 << 21, log = 256 << 20;
  for (;;) {
    uint64_t at = kPage;
    header.waits_offset = at;
    at += page_up(cards * sizeof(format::WaitWord));
    header.steer_offset = with_gates ? at : 0;
    if (with_gates) at += kPage + page_up(cards * sizeof(format::Gate));
    header.cards_offset = at;
    at += cards * sizeof(format::Card);
    header.blocks_offset = at;
    at += page_up(blocks * format::kHoldBlockHolds * sizeof(format::Hold));
    header.locks_offset = at;
    at += page_up(locks * sizeof(format::LockEntry));
    header.log_offset = at;
    at += log;
    header.board_size = at;
    if (limit == 0 || at <= limit) break;
    cards /= 2;
    blocks /= 2;
    locks /= 2;
    log /= 2;
    if (cards < 64) return false;
  }
  header.magic = format::kBoardMagic;
  header.version = format::kBoardVersion;
  header.header_size = sizeof(BoardHeader);
  header.state = BoardState::Starting;
  header.word_size = 8;
  header.card_capacity = static_cast<uint32_t>(cards);
  header.block_capacity = static_cast<uint32_t>(blocks);
  header.lock_capacity = static_cast<uint32_t>(locks);
  header.log_size = log;
  return true;
}

void adopt_board(void* memory) {
  auto* base = static_cast<uint8_t*>(memory);
  auto* header = static_cast<BoardHeader*>(memory);
  board.header = header;
  board.waits = reinterpret_cast<format::WaitWord*>(base + header->waits_offset);
  board.cards = reinterpret_cast<format::Card*>(base + header->cards_offset);
  board.blocks = reinterpret_cast<format::Hold*>(base + header->blocks_offset);
  board.locks = reinterpret_cast<format::LockEntry*>(base + header->locks_offset);
  board.log = base + header->log_offset;
  board.log_size = header->log_size;
  board.size = header->board_size;
  board.steer = header->steer_offset == 0
                    ? nullptr
                    : reinterpret_cast<format::SteerPage*>(base + header->steer_offset);
  board.gates = reinterpret_cast<format::Gate*>(base + header->steer_offset + kPage);
  board.trimmed = false;
}

}  // namespace gordian::runtime
