// SPDX-License-Identifier: Apache-2.0
#include "watch/recorder.h"

#include <cstdint>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

namespace gordian::watch {
namespace {

using format::kRingBytes;
using format::Ring;
using format::RingsHeader;

// The rings of a process, as its runtime makes them, of which so many threads have written.
class Rings {
 public:
  explicit Rings(uint32_t used) {
    file_ = FileDescriptor(memfd_create(format::kRingsName, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(ftruncate(file_.get(), kSize), 0);
    EXPECT_EQ(fcntl(file_.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
    header_ = static_cast<RingsHeader*>(
        mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0));
    EXPECT_NE(header_, MAP_FAILED);
    header_->magic = format::kRingsMagic;
    header_->version = format::kRecordingVersion;
    header_->size = kSize;
    header_->rings_offset = kPage;
    header_->data_offset = 2 * kPage;
    header_->capacity = kCapacity;
    header_->used = used;
  }
  Rings(const Rings&) = delete;
  Rings& operator=(const Rings&) = delete;
  ~Rings() { munmap(header_, kSize); }

  [[nodiscard]] FileDescriptor file() const { return FileDescriptor(dup(file_.get())); }
  // Is the recorder to be woken, after some passes?
  bool asks_to_be_woken() {
    const uint64_t from = __atomic_load_n(&header_->beats, __ATOMIC_RELAXED);
    while (__atomic_load_n(&header_->beats, __ATOMIC_RELAXED) < from + 3) std::this_thread::yield();
    return __atomic_load_n(&header_->sleeps, __ATOMIC_RELAXED) != 0;
  }

 private:
  static constexpr uint64_t kPage = 4096;
  static constexpr uint32_t kCapacity = 4;
  static constexpr uint64_t kSize = 2 * kPage + kCapacity * uint64_t{kRingBytes};
  static_assert(kCapacity * sizeof(Ring) <= kPage);

  FileDescriptor file_;
  RingsHeader* header_ = nullptr;
};

class Recording : public testing::Test {
 protected:
  void SetUp() override {
    const FileDescriptor file(memfd_create("recording", MFD_CLOEXEC));
    RecordOptions options;
    options.file = file.get();
    Result<std::unique_ptr<Recorder>> made = Recorder::create(options);
    ASSERT_TRUE(made);
    recorder_ = std::move(*made);
    recorder_->start();
  }
  void add(const Rings& rings, int pid) {
    ASSERT_TRUE(recorder_->add(pid, "/bin/program", rings.file()));
  }

  std::unique_ptr<Recorder> recorder_;
};

TEST_F(Recording, AProcessOfSeveralThreadsIsAskedToWakeUs) {
  Rings rings(2);
  add(rings, getpid());
  EXPECT_TRUE(rings.asks_to_be_woken());
}

// It never would: see wake_judge.
TEST_F(Recording, OneOfASingleThreadIsNot) {
  Rings rings(1);
  add(rings, getpid());
  EXPECT_FALSE(rings.asks_to_be_woken());
}

// We can sleep on one futex only.
TEST_F(Recording, NoneOfSeveralProcessesIs) {
  Rings first(2), second(2);
  add(first, getpid());
  add(second, getppid());
  first.asks_to_be_woken();
  EXPECT_FALSE(first.asks_to_be_woken());
  EXPECT_FALSE(second.asks_to_be_woken());
}

TEST_F(Recording, AProcessThatBecameAnotherProgramCountsOnce) {
  Rings before(2), after(2);
  add(before, getpid());
  add(after, getpid());
  after.asks_to_be_woken();
  EXPECT_TRUE(after.asks_to_be_woken());
}

}  // namespace
}  // namespace gordian::watch
