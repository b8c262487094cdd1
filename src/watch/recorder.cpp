// SPDX-License-Identifier: Apache-2.0
#include "watch/recorder.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <span>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>
#include <zstd.h>

namespace gordian::watch {
namespace {

using format::ChunkType;
using format::kRingBytes;
using format::Ring;
using format::RingsHeader;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr size_t kChunkBytes = 1 << 20;
constexpr uint64_t kMaxRings = uint64_t{64} << 30;
constexpr int kCompression = 1;
// A table of 16 KiB, a quarter of what the level has: a fifth faster for a sixteenth more bytes,
// and it leaves more of the caches to the program that is recorded.
constexpr int kCompressionTable = 12;
constexpr milliseconds kTick{1};
// Each pass takes a core from the program, so they are as rare as can be: a ring that fills wakes
// us. Only one process can, for its futex is what we sleep on, and only one of several threads
// does (wake_judge in runtime/recording.cpp). Else they are as rare as what the fullest ring got
// allows, an eighth of it until the next. A thread that does nothing but lock fills its ring in
// about a millisecond.
constexpr uint64_t kBytesUntilNext = kRingBytes / 8;
constexpr microseconds kShortestSleep{100};
constexpr microseconds kLongestSleep{8000};
constexpr microseconds kLongestUnwakened{4000};

// After a pass that found `bytes` of the last `time` in the fullest ring.
microseconds sleep_after(uint64_t bytes, microseconds time) {
  if (bytes == 0) return kLongestUnwakened;
  const microseconds until_next(kBytesUntilNext * static_cast<uint64_t>(time.count()) / bytes);
  return std::clamp(until_next, kShortestSleep, kLongestUnwakened);
}

void sleep_until_woken(RingsHeader& rings) {
  const timespec longest{.tv_sec = 0, .tv_nsec = nanoseconds(kLongestSleep).count()};
  syscall(SYS_futex, &rings.sleeps, FUTEX_WAIT, 1, &longest, nullptr, 0);
}

void wake(RingsHeader& rings) {
  __atomic_store_n(&rings.sleeps, 0, __ATOMIC_SEQ_CST);
  syscall(SYS_futex, &rings.sleeps, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

uint64_t now_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

template <typename T>
void append(std::vector<std::byte>& to, const T& value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

Result<FileDescriptor> make_file(const std::string& path) {
  FileDescriptor file(
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0600));
  if (!file) {
    if (errno == ELOOP) {
      return Error("is a symbolic link",
                   "name the file itself: a link could lead to somebody else's file")
          .in(path);
    }
    return Error::from_errno("cannot write").in(path);
  }
  return file;
}

}  // namespace

struct Recorder::Process {
  Process() = default;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() {
    if (memory != nullptr) munmap(memory, size);
  }

  uint32_t number = 0;
  int pid = 0;
  FileDescriptor pidfd;  // none: not known when it ends
  std::byte* memory = nullptr;
  size_t size = 0;
  RingsHeader* header = nullptr;
  Ring* rings = nullptr;
  uint32_t capacity = 0;
  uint64_t data_offset = 0;
  std::vector<uint64_t> tails;  // our own: the shared ones could be altered
  bool broken = false;
  bool replaced = false;
  std::vector<std::byte> raw;
  steady_clock::time_point raw_since;
  steady_clock::time_point clock_since;
  steady_clock::time_point looked_since;
};

Recorder::Recorder(FileDescriptor file, uint64_t limit)
    : file_(std::move(file)),
      limit_(limit == 0 ? UINT64_MAX : limit),
      compressor_(ZSTD_createCCtx(), ZSTD_freeCCtx) {
  ZSTD_CCtx_setParameter(compressor_.get(), ZSTD_c_compressionLevel, kCompression);
  ZSTD_CCtx_setParameter(compressor_.get(), ZSTD_c_hashLog, kCompressionTable);
}

Recorder::~Recorder() { finish(); }

Result<std::unique_ptr<Recorder>> Recorder::create(const RecordOptions& options) {
  FileDescriptor file;
  if (options.file >= 0) {
    file = FileDescriptor(fcntl(options.file, F_DUPFD_CLOEXEC, 3));
    if (!file) return Error::from_errno("cannot keep the file of the recording");
  } else {
    GORDIAN_TRY(file =, make_file(options.path));
  }
  format::RecordingFileHeader header{};
  header.magic = format::kRecordingMagic;
  header.version = format::kRecordingVersion;
  header.header_size = sizeof(header);
  header.byte_order = format::kByteOrderMark;
  header.word_size = sizeof(void*);
  header.clock = format::kClockMonotonic;
  header.started_ns = now_ns(CLOCK_REALTIME);
  header.started_monotonic_ns = now_ns(CLOCK_MONOTONIC);
  std::strncpy(header.tool_version, GORDIAN_VERSION, sizeof(header.tool_version) - 1);
  const auto bytes = std::as_bytes(std::span(&header, 1));
  GORDIAN_TRY(, write_all(file.get(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()})
                    .in(options.path.empty() ? "the recording" : options.path));
  return std::unique_ptr<Recorder>(new Recorder(std::move(file), options.limit));
}

void Recorder::start() {
  thread_ = std::thread([this] { run(); });
}

Result<void> Recorder::add(int pid, const std::string& exe, FileDescriptor rings) {
  struct stat status {};
  if (fstat(rings.get(), &status) != 0) return Error::from_errno("fstat");
  const auto size = static_cast<uint64_t>(status.st_size);
  if (!S_ISREG(status.st_mode) || size < sizeof(RingsHeader) || size > kMaxRings)
    return Error("its rings are no memory file of a sane size");
  const int seals = fcntl(rings.get(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0)
    return Error("its rings are not sealed against truncation");
  void* const memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, rings.get(), 0);
  if (memory == MAP_FAILED) return Error::from_errno("cannot map its rings");
  auto process = std::make_unique<Process>();
  process->memory = static_cast<std::byte*>(memory);
  process->size = size;
  process->header = static_cast<RingsHeader*>(memory);
  const RingsHeader header = *process->header;
  if (header.magic != format::kRingsMagic || header.version != format::kRecordingVersion)
    return Error("its rings are of version " + std::to_string(header.version) + ", we read " +
                 std::to_string(format::kRecordingVersion));
  const uint64_t capacity = header.capacity;
  if (header.rings_offset > size || header.data_offset > size ||
      header.rings_offset % alignof(Ring) != 0 ||
      capacity * sizeof(Ring) > size - header.rings_offset ||
      capacity * kRingBytes > size - header.data_offset)
    return Error("its rings do not lie where their header says");
  process->rings = reinterpret_cast<Ring*>(process->memory + header.rings_offset);
  process->data_offset = header.data_offset;
  process->capacity = header.capacity;
  process->pid = pid;
  process->pidfd = FileDescriptor(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));

  const std::scoped_lock guard(lock_);
  // A process that became another program writes into its old rings no more.
  for (const std::unique_ptr<Process>& before : processes_) before->replaced |= before->pid == pid;
  process->number = next_process_++;
  std::vector<std::byte> about;
  append(about, format::ProcessBody{.pid = static_cast<uint32_t>(pid),
                                    .parent_pid = header.parent_pid > UINT32_MAX
                                                      ? 0
                                                      : static_cast<uint32_t>(header.parent_pid),
                                    .blocks = header.blocks,
                                    .path_size = static_cast<uint32_t>(exe.size())});
  const auto path = std::as_bytes(std::span(exe));
  about.insert(about.end(), path.begin(), path.end());
  write_chunk(ChunkType::Process, process->number, about);
  // Whoever is the only one must not be slept for alone any more.
  if (processes_.size() == 1) wake(*processes_[0]->header);
  processes_.push_back(std::move(process));
  return {};
}

void Recorder::run() {
  auto last = steady_clock::now();
  while (!stop_.load()) {
    const Pass done = pass();
    const auto now = steady_clock::now();
    const auto time = std::chrono::duration_cast<microseconds>(now - last);
    last = now;
    if (done.wakes == nullptr) {
      std::this_thread::sleep_for(sleep_after(done.most, time));
    } else {
      sleep_until_woken(*done.wakes);
      std::this_thread::sleep_until(now + kShortestSleep);
    }
  }
}

// A server that forks for every request must not fill us.
void Recorder::drop_ended() {
  const auto now = steady_clock::now();
  std::erase_if(processes_, [&](const std::unique_ptr<Process>& process) {
    if (!process->replaced) {
      if (!process->pidfd || now - process->looked_since < kFlushAfter) return false;
      process->looked_since = now;
      pollfd ended{.fd = process->pidfd.get(), .events = POLLIN, .revents = 0};
      if (poll(&ended, 1, 0) <= 0) return false;
    }
    end(*process);
    return true;
  });
}

Recorder::Pass Recorder::pass() {
  const std::scoped_lock guard(lock_);
  Pass done;
  if (processes_.size() == 1 && processes_[0]->tails.size() > 1) {
    done.wakes = processes_[0]->header;
    // ORDER: before the heads are read; a thread that still misses it wakes us at its next chance,
    // or waits for the end of our sleep.
    __atomic_store_n(&done.wakes->sleeps, 1, __ATOMIC_SEQ_CST);
  }
  for (const std::unique_ptr<Process>& process : processes_) {
    done.most = std::max(done.most, drain(*process));
    const auto now = steady_clock::now();
    if (!process->raw.empty() && now - process->raw_since >= kFlushAfter) flush(*process);
    // Seldom: every recorded lock reads that cache line.
    if (now - process->clock_since >= kTick) {
      process->clock_since = now;
      // ORDER: relaxed: both are signs of life, nothing is read because of them.
      __atomic_fetch_add(&process->header->beats, 1, __ATOMIC_RELAXED);
      __atomic_fetch_add(&process->header->clock, 1, __ATOMIC_RELAXED);
    }
  }
  drop_ended();
  if (processes_.empty()) done.wakes = nullptr;
  return done;
}

uint64_t Recorder::drain(Process& process) {
  const uint32_t used =
      std::min(__atomic_load_n(&process.header->used, __ATOMIC_RELAXED), process.capacity);
  if (used > process.tails.size()) process.tails.resize(used);
  uint64_t most = 0;
  for (uint32_t i = 0; i < used && !process.broken; ++i) {
    Ring& ring = process.rings[i];
    // ORDER: pairs with the thread's release: the records below the head are whole.
    const uint64_t head = __atomic_load_n(&ring.head, __ATOMIC_ACQUIRE);
    uint64_t& tail = process.tails[i];
    if (head == tail) continue;
    if (head - tail > kRingBytes || head % 4 != 0) {
      process.broken = true;  // something else writes there; what we have stays good
      break;
    }
    most = std::max(most, head - tail);
    const uint64_t wrap = (tail & ~uint64_t{kRingBytes - 1}) + kRingBytes;
    if (head > wrap) {
      take(process, i, tail, wrap);
      take(process, i, wrap, head);
    } else {
      take(process, i, tail, head);
    }
    tail = head;
    // ORDER: the bytes are copied before the thread may overwrite them.
    __atomic_store_n(&ring.tail, tail, __ATOMIC_RELEASE);
    if (process.raw.size() >= kChunkBytes) flush(process);
  }
  return most;
}

void Recorder::take(Process& process, uint32_t ring, uint64_t from, uint64_t to) {
  if (process.raw.empty()) process.raw_since = steady_clock::now();
  append(process.raw,
         format::BlockHeader{
             .ring = ring, .bytes = static_cast<uint32_t>(to - from), .position = from});
  const std::byte* const bytes = process.memory + process.data_offset +
                                 uint64_t{ring} * kRingBytes + (from & (kRingBytes - 1));
  process.raw.insert(process.raw.end(), bytes, bytes + (to - from));
  totals_.bytes += to - from;
}

void Recorder::flush(Process& process) {
  write_chunk(ChunkType::Records, process.number, process.raw);
  process.raw.clear();
}

void Recorder::write_chunk(ChunkType type, uint32_t process, const std::vector<std::byte>& raw) {
  if (!totals_.error.empty()) return;
  stored_.resize(sizeof(format::ChunkHeader) + ZSTD_compressBound(raw.size()));
  const size_t size =
      ZSTD_compress2(compressor_.get(), stored_.data() + sizeof(format::ChunkHeader),
                     stored_.size() - sizeof(format::ChunkHeader), raw.data(), raw.size());
  if (ZSTD_isError(size) != 0) {
    totals_.error = ZSTD_getErrorName(size);
    return;
  }
  format::ChunkHeader header{.magic = format::kChunkMagic,
                             .type = type,
                             .compressed = 1,
                             .process = process,
                             .stored_size = static_cast<uint32_t>(size),
                             .raw_size = static_cast<uint32_t>(raw.size()),
                             .committed = 0};
  header.committed = format::check_of(header);
  std::memcpy(stored_.data(), &header, sizeof(header));
  const std::string_view bytes(reinterpret_cast<const char*>(stored_.data()),
                               sizeof(header) + size);
  if (totals_.written + bytes.size() > limit_) {
    totals_.error = "it takes half of the free space already";
    return;
  }
  if (const Result<void> written = write_all(file_.get(), bytes); !written) {
    totals_.error = written.error().message;
    return;
  }
  totals_.written += bytes.size();
}

void Recorder::end(Process& process) {
  drain(process);
  if (!process.raw.empty()) flush(process);
  format::ProcessEndBody body{};
  for (uint32_t i = 0; i < process.tails.size(); ++i) {
    body.lost += process.rings[i].lost;
    body.waited += process.rings[i].waited;
  }
  body.dropped_objects = process.header->dropped_objects;
  body.dropped_threads = process.header->dropped_threads;
  body.memory = process.header->memory;
  totals_.lost += body.lost;
  totals_.dropped_objects += body.dropped_objects;
  totals_.dropped_threads += body.dropped_threads;
  totals_.waited += body.waited;
  std::vector<std::byte> raw;
  append(raw, body);
  write_chunk(ChunkType::ProcessEnd, process.number, raw);
}

Recorder::Totals Recorder::finish() {
  stop_.store(true);
  if (thread_.joinable()) thread_.join();  // no longer than it sleeps
  if (file_) {
    const std::scoped_lock guard(lock_);
    for (const std::unique_ptr<Process>& process : processes_) end(*process);
    processes_.clear();
    file_.reset();
  }
  return totals_;
}

}  // namespace gordian::watch
