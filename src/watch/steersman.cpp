// SPDX-License-Identifier: Apache-2.0
#include "watch/steersman.h"

#include "base/text.h"
#include "process/live.h"
#include "watch/board_source.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <linux/futex.h>
#include <set>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

namespace gordian::watch {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// The runtime takes a judge without a beat for dead after a second.
constexpr microseconds kBeat{100'000};
// How long a thread has to be between two gates before the kernel is asked what it does.
constexpr milliseconds kAskAfter{1};

void wake(const uint32_t* word) { syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, nullptr); }

void sleep_on(const uint32_t* word, uint32_t value, microseconds limit) {
  const timespec time{.tv_sec = static_cast<time_t>(limit.count() / 1'000'000),
                      .tv_nsec = static_cast<long>(limit.count() % 1'000'000 * 1000)};
  syscall(SYS_futex, word, FUTEX_WAIT, value, &time);
}

template <typename T>
T load(const T& word) {
  return __atomic_load_n(&word, __ATOMIC_SEQ_CST);
}
template <typename T>
void store(T& word, T value) {
  __atomic_store_n(&word, value, __ATOMIC_SEQ_CST);
}
// clang knows no atomic operations on enumerations.
using ModeWord __attribute__((may_alias)) = uint32_t;
ModeWord& mode_word(format::SteerPage& page) { return reinterpret_cast<ModeWord&>(page.mode); }

}  // namespace

Steersman::GateRegion::~GateRegion() { munmap(bytes, size); }

Result<std::unique_ptr<Steersman>> Steersman::start(int pid, const FileDescriptor& board,
                                                    std::string exe,
                                                    std::unique_ptr<Strategy> strategy,
                                                    milliseconds patience) {
  FileDescriptor own(fcntl(board.get(), F_DUPFD_CLOEXEC, 3));
  if (!own) return Error::from_errno("cannot keep the board");
  FileDescriptor again(fcntl(board.get(), F_DUPFD_CLOEXEC, 3));
  if (!again) return Error::from_errno("cannot keep the board");
  GORDIAN_TRY(std::unique_ptr<trace::BoardBytes> bytes, map_board(std::move(again)));
  GORDIAN_TRY(trace::BoardReader reader, trace::BoardReader::open(std::move(bytes)));
  const format::BoardHeader& header = reader.header();
  const uint64_t offset = header.steer_offset;
  if (offset == 0) return std::unique_ptr<Steersman>();
  const uint64_t size = sizeof_page + uint64_t{header.card_capacity} * sizeof(format::Gate);
  if (offset % 4096 != 0 || offset > header.board_size || size > header.board_size - offset)
    return Error("damaged board: its gates lie outside of it");
  void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                            own.get(), static_cast<off_t>(offset));
  if (memory == MAP_FAILED) return Error::from_errno("cannot map the gates");

  std::unique_ptr<Steersman> steersman(new Steersman(pid, std::move(exe), std::move(strategy)));
  steersman->region_ = std::make_unique<GateRegion>(static_cast<std::byte*>(memory), size);
  steersman->board_ = std::make_unique<trace::BoardReader>(std::move(reader));
  store(steersman->page().patience_ms, static_cast<uint32_t>(patience.count()));
  steersman->thread_ = std::thread([self = steersman.get()] { self->loop(); });
  return steersman;
}

Steersman::~Steersman() { stop(); }

SteerAccount Steersman::stop() {
  if (thread_.joinable()) {
    stop_ = true;
    wake(&page().doorbell);
    thread_.join();
  }
  SteerAccount account = strategy_->account();
  account.gave_up = load(page().gave_up);
  return account;
}

// Offsets -> addresses. Plug-ins come later, so it is asked again whenever the log names more
// modules.
void Steersman::find_sites() {
  const std::vector<trace::ModuleEntry>& modules = board_->read_log().modules;
  if (modules.size() == modules_seen_) return;
  modules_seen_ = modules.size();
  for (size_t i = 0; i < places_.size(); ++i) {
    const std::string& wanted = places_[i].module;
    const auto path_of = [&](const trace::ModuleEntry& module) {
      return module.path.empty() ? exe_ : module.path;
    };
    auto found =
        std::find_if(modules.begin(), modules.end(),
                     [&](const trace::ModuleEntry& module) { return path_of(module) == wanted; });
    if (found == modules.end()) {  // built or installed elsewhere
      found = std::find_if(modules.begin(), modules.end(), [&](const trace::ModuleEntry& module) {
        return base_name(path_of(module)) == base_name(wanted);
      });
    }
    sites_[i] = found == modules.end() ? 0 : found->bias + places_[i].offset;
  }
  strategy_->on_addresses(sites_);
  uint32_t count = 0;
  std::set<uint64_t> listed;
  for (const uint64_t site : sites_) {
    if (site == 0 || count == format::kSteerSites || !listed.insert(site).second) continue;
    store(page().sites[count++], site);
  }
  store(page().site_count, count);
}

// A thread that is between two gates works, spins, or sleeps where nobody but the kernel sees it.
Whereabouts Steersman::running_or_asleep(uint32_t uid, uint32_t tid, uint64_t moves,
                                         SteerClock::time_point now) {
  const auto [at, is_new] = motions_.try_emplace(uid, Motion{moves, now});
  if (!is_new && at->second.moves != moves) at->second = {moves, now};
  if (now - at->second.since < kAskAfter) return Whereabouts::Running;
  const std::optional<process::ThreadReading> reading =
      process::read_thread(pid_, static_cast<int>(tid));
  return reading && reading->state == 'S' ? Whereabouts::Asleep : Whereabouts::Running;
}

std::vector<SteeredThread> Steersman::look(SteerClock::time_point now) {
  std::vector<SteeredThread> threads;
  std::vector<std::pair<size_t, int>> sleepers;  // index in `threads`, tid
  if (!board_->refresh()) return threads;
  for (uint32_t card = 0; card < board_->cards_used(); ++card) {
    const std::optional<trace::CardCopy> copy = board_->read_card(card);
    if (!copy || copy->state != format::CardState::Live || copy->tid == 0) continue;
    SteeredThread thread{.card = card, .uid = copy->uid, .pthread = copy->pthread};
    for (const format::Hold& hold : copy->holds) {
      if ((hold.flags & format::kSuspended) != 0 || hold.address == 0) continue;
      thread.holds.push_back({.address = hold.address,
                              .site = hold.site,
                              .shared = (hold.flags & format::kSharedMode) != 0});
    }
    const uint32_t arrived = load(gate(card).arrived);
    const uint32_t passed = load(gate(card).passed);
    const uint32_t opened = load(gate(card).opened);
    const std::optional<format::WaitWord> wait = board_->read_wait(card);
    thread.moves = (uint64_t{arrived} << 32) + passed + (wait ? wait->number << 16 : 0);
    if (arrived != passed && opened != arrived) {
      const format::Gate& at = gate(card);
      thread.where = Whereabouts::AtGate;
      thread.arrival = arrived;
      thread.phase = at.phase;
      thread.kind = at.kind;
      thread.shared = (at.flags & format::kSharedMode) != 0;
      thread.address = at.address;
      thread.object = at.object;
      thread.site = at.site;
    } else if (arrived == passed && wait && (wait->number & 1) != 0) {
      thread.where =
          (wait->flags & format::kTimed) != 0 ? Whereabouts::TimedWait : Whereabouts::Waiting;
    } else {
      thread.where = running_or_asleep(copy->uid, copy->tid, thread.moves, now);
    }
    if (thread.where == Whereabouts::Waiting && (wait->flags & format::kSpinning) == 0)
      sleepers.emplace_back(threads.size(), static_cast<int>(copy->tid));
    threads.push_back(std::move(thread));
  }
  if (std::all_of(threads.begin(), threads.end(), [](const SteeredThread& thread) {
        return thread.where == Whereabouts::Waiting || thread.where == Whereabouts::AtGate;
      })) {
    ask_kernel(threads, sleepers);
  }
  return threads;
}

// The board says that nobody moves. On a busy machine a thread may have been woken, or born, long
// before it gets to write so.
void Steersman::ask_kernel(std::vector<SteeredThread>& threads,
                           const std::vector<std::pair<size_t, int>>& sleepers) const {
  for (const auto& [index, tid] : sleepers) {
    const std::optional<process::ThreadReading> reading = process::read_thread(pid_, tid);
    if (reading && reading->state == 'R') threads[index].where = Whereabouts::Running;
  }
  size_t tasks = 0;
  std::error_code gone;
  for (std::filesystem::directory_iterator at("/proc/" + std::to_string(pid_) + "/task", gone), end;
       !gone && at != end; at.increment(gone)) {
    ++tasks;
  }
  if (tasks > threads.size()) threads.push_back({.card = UINT32_MAX, .moves = tasks});
}

void Steersman::open(uint32_t card) {
  format::Gate& at = gate(card);
  store(at.opened, load(at.arrived));
  wake(&at.opened);
}

void Steersman::open_all() {
  store(mode_word(page()), static_cast<uint32_t>(format::SteerMode::Open));
  wake(reinterpret_cast<uint32_t*>(&mode_word(page())));
  const uint32_t cards = std::min<uint64_t>(board_->cards_used(),
                                            (region_->size - sizeof_page) / sizeof(format::Gate));
  for (uint32_t card = 0; card < cards; ++card) open(card);
}

// A program that has just greeted us has not named its modules yet: no site would be found, and its
// threads would run past all gates.
void Steersman::wait_for_start() {
  while (!stop_) {
    store(page().beat, load(page().beat) + 1);
    const uint32_t rung = load(page().doorbell);
    if (load(page().started) != 0) return;
    sleep_on(&page().doorbell, rung, kBeat);
  }
}

void Steersman::loop() {
  wait_for_start();
  places_ = strategy_->places();
  sites_.assign(places_.size(), 0);
  if (!places_.empty()) find_sites();
  const bool everywhere = strategy_->stops_everywhere();
  store(mode_word(page()),
        static_cast<uint32_t>(everywhere ? format::SteerMode::All : format::SteerMode::Listed));
  wake(reinterpret_cast<uint32_t*>(&mode_word(page())));
  while (!stop_) {
    store(page().beat, load(page().beat) + 1);
    const uint32_t rung = load(page().doorbell);
    if (!places_.empty()) find_sites();
    const SteerClock::time_point now = SteerClock::now();
    // A schedule is played by the clock on the wall; who is held waits for what the program can do.
    const Decision decision = strategy_->decide(look(now), everywhere ? now : clock_.now());
    if (decision.let_go ||
        load(mode_word(page())) == static_cast<uint32_t>(format::SteerMode::Open))
      break;
    for (const uint32_t card : decision.open) open(card);
    if (!stop_) sleep_on(&page().doorbell, rung, std::min(decision.look_again, kBeat));
  }
  open_all();
}

}  // namespace gordian::watch
