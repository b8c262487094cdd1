// SPDX-License-Identifier: Apache-2.0
#include "process/core_file.h"

#include "base/text.h"
#include "process/decompress.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gordian::process {
namespace {

// What a process can have, with room: vm.max_map_count is 65,530 unless somebody raised it. Memory
// for all of it stays far below the 2 GiB a core may cost us.
constexpr size_t kMaxSegments = 1 << 20;
constexpr size_t kMaxCoreThreads = 1 << 17;
constexpr size_t kMaxMappings = 1 << 20;
constexpr size_t kMaxNotes = 1 << 22;  // in all: a loop over them must end soon
constexpr uint64_t kMaxMappingNote = 128 << 20;
constexpr uint64_t kMaxAuxiliaryNote = 64 << 10;
constexpr size_t kMaxPath = 4096;

// struct elf_prstatus and elf_prpsinfo of x86-64. Not taken from <sys/procfs.h>: that is the
// machine we are built for, this is the machine the core comes from.
constexpr size_t kStatusSignal = 12;
constexpr size_t kStatusTid = 32;
constexpr size_t kStatusRegisters = 112;
constexpr size_t kRegisterWords = 27;
constexpr size_t kStatusBytes = kStatusRegisters + kRegisterWords * 8;
constexpr size_t kIdentityPid = 24;
constexpr size_t kIdentityProgram = 40, kProgramBytes = 16;
constexpr size_t kIdentityArguments = 56, kArgumentBytes = 80;
constexpr size_t kIdentityBytes = kIdentityArguments + kArgumentBytes;

// Places in user_regs_struct, and the numbers DWARF gives them.
constexpr size_t kOriginalRax = 15, kRax = 10, kFsBase = 21;
struct RegisterPlace {
  int dwarf;
  size_t word;
};
constexpr RegisterPlace kRegisters[] = {{0, 10}, {1, 12}, {2, 11}, {3, 5},  {4, 13}, {5, 14},
                                        {6, 4},  {7, 19}, {8, 9},  {9, 8},  {10, 7}, {11, 6},
                                        {12, 3}, {13, 2}, {14, 1}, {15, 0}, {16, 16}};

template <typename T>
T load(std::span<const std::byte> bytes, size_t at) {
  T value{};
  if (at <= bytes.size() && sizeof value <= bytes.size() - at)
    std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::string text_at(std::span<const std::byte> bytes, size_t at, size_t max) {
  const char* text = reinterpret_cast<const char*>(bytes.data()) + at;
  return {text, strnlen(text, std::min(max, bytes.size() - at))};
}

std::string mib(uint64_t bytes) {
  constexpr uint64_t kMib = 1 << 20;
  return std::to_string((bytes + kMib - 1) / kMib);
}

Error wrong_machine(unsigned machine) {
  const std::string hint = "gordian core reads cores of 64-bit x86 programs";
  switch (machine) {
    case EM_AARCH64:
      return Error("a core of an aarch64 program: its waits are not decoded yet", hint);
    case EM_386:
      return Error("a core of a 32-bit program", hint);
    default:
      return Error("a core of another kind of machine (ELF number " + std::to_string(machine) + ")",
                   hint);
  }
}

}  // namespace

struct CoreFile::Note {
  uint32_t type = 0;
  std::string_view name;
  uint64_t offset = 0;  // of its contents
  uint64_t size = 0;
};

// The kernel interrupts a blocking call to stop its thread, and leaves one of its own error numbers
// in rax: on the way back to the program it would have become EINTR or begun the call again. A call
// that had ended has its result there.
bool CoreThread::is_blocked() const {
  if (syscall < 0) return false;
  constexpr int64_t kRestartSys = 512, kRestartBlock = 516;
  return (-syscall_rax >= kRestartSys && -syscall_rax <= kRestartBlock) || syscall_rax == -EINTR;
}

uint64_t CoreThread::argument(int number) const {
  constexpr int kArguments[] = {5, 4, 1, 10, 8, 9};  // rdi rsi rdx r10 r8 r9
  if (number < 0 || number > 5) return 0;
  return registers.get(kArguments[number]).value_or(0);
}

Result<CoreFile> CoreFile::open(const std::string& path) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) return Error::from_errno("cannot open").in(path);
  struct stat status = {};
  if (fstat(fd.get(), &status) != 0) return Error::from_errno("cannot read").in(path);
  if (!S_ISREG(status.st_mode)) return Error("not a file").in(path);
  GORDIAN_TRY(Decompressed plain, decompress(std::move(fd)).in(path));
  Result<CoreFile> core = from_descriptor(std::move(plain.fd));
  if (!core) return std::move(core).in(path);
  if (!plain.damage.empty()) core->damage_ = plain.damage;
  return core;
}

Result<CoreFile> CoreFile::from_descriptor(FileDescriptor fd) {
  CoreFile core;
  struct stat status = {};
  if (fstat(fd.get(), &status) != 0) return Error::from_errno("cannot read");
  core.size_ = static_cast<uint64_t>(std::max<off_t>(status.st_size, 0));
  core.fd_ = std::move(fd);
  GORDIAN_TRY(, core.read_headers());
  if (core.threads_.empty())
    return Error("no threads in this core file" +
                     (core.damage_.empty() ? std::string() : ": it is " + core.damage_),
                 "the registers of the threads are missing (gdb writes them at the end); was it "
                 "written whole?");
  if (core.pid_ == 0) core.pid_ = core.threads_.front().tid;
  return core;
}

bool CoreFile::read_bytes(uint64_t offset, std::span<std::byte> to) const {
  if (offset > size_ || to.size() > size_ - offset) return false;
  while (!to.empty()) {
    const ssize_t got = pread(fd_.get(), to.data(), to.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to = to.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  return true;
}

Result<void> CoreFile::read_headers() {
  Elf64_Ehdr header = {};
  if (!read_bytes(0, std::as_writable_bytes(std::span(&header, 1))) ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return Error("not a core file", "gordian core CORE: CORE is what gcore or the kernel wrote");
  if (header.e_ident[EI_DATA] != ELFDATA2LSB) return Error("a core of a big-endian machine");
  if (header.e_type != ET_CORE)
    return Error("an ELF file, but not a core file",
                 "a program hangs now? gordian attach PID. It is the program of a core? "
                 "gordian core CORE --exe PATH");
  if (header.e_ident[EI_CLASS] != ELFCLASS64) return wrong_machine(EM_386);
  if (header.e_machine != EM_X86_64) return wrong_machine(header.e_machine);
  if (header.e_phentsize != sizeof(Elf64_Phdr)) return Error("its program headers are damaged");

  uint64_t count = header.e_phnum;
  Elf64_Shdr extension = {};
  // More segments than 16 bits can count: the first section header knows.
  if (count == PN_XNUM &&
      read_bytes(header.e_shoff, std::as_writable_bytes(std::span(&extension, 1))))
    count = extension.sh_info;
  count = std::min<uint64_t>(count, kMaxSegments);

  uint64_t needed = 0;
  std::vector<std::pair<uint64_t, uint64_t>> notes;
  for (uint64_t i = 0; i < count; ++i) {
    Elf64_Phdr program = {};
    if (header.e_phoff > size_ || !read_bytes(header.e_phoff + i * sizeof program,
                                              std::as_writable_bytes(std::span(&program, 1)))) {
      damage_ = "cut off within its headers";
      all_threads_ = false;
      break;
    }
    const uint64_t in_file =
        program.p_offset > size_ ? 0 : std::min(program.p_filesz, size_ - program.p_offset);
    if (program.p_filesz <= UINT64_MAX - program.p_offset)
      needed = std::max(needed, program.p_offset + program.p_filesz);
    if (program.p_type == PT_NOTE) {
      notes.emplace_back(program.p_offset, in_file);
      all_threads_ = all_threads_ && in_file == program.p_filesz;
    }
    if (program.p_type != PT_LOAD || program.p_memsz == 0 ||
        program.p_memsz > UINT64_MAX - program.p_vaddr)
      continue;
    segments_.push_back({.start = program.p_vaddr,
                         .size = program.p_memsz,
                         .file_size = std::min(in_file, program.p_memsz),
                         .offset = program.p_offset,
                         .readable = (program.p_flags & PF_R) != 0,
                         .writable = (program.p_flags & PF_W) != 0,
                         .executable = (program.p_flags & PF_X) != 0});
  }
  if (damage_.empty() && needed > size_)
    damage_ = "cut off: " + mib(size_) + " of " + mib(needed) + " MiB are there";

  std::stable_sort(segments_.begin(), segments_.end(),
                   [](const CoreSegment& a, const CoreSegment& b) { return a.start < b.start; });
  // Only a damaged core has two that overlap; the first one counts.
  uint64_t end = 0;
  std::erase_if(segments_, [&](const CoreSegment& segment) {
    if (segment.start < end) return true;
    end = segment.end();
    return false;
  });
  for (const auto& [offset, size] : notes) all_threads_ = read_notes(offset, size) && all_threads_;
  return {};
}

bool CoreFile::read_notes(uint64_t offset, uint64_t size) {
  const uint64_t end = offset + size;  // inside the file
  while (offset < end && end - offset >= sizeof(Elf64_Nhdr) && notes_seen_++ < kMaxNotes) {
    Elf64_Nhdr header = {};
    if (!read_bytes(offset, std::as_writable_bytes(std::span(&header, 1)))) return false;
    offset += sizeof header;
    const uint64_t name_size = (uint64_t{header.n_namesz} + 3) & ~uint64_t{3};
    const uint64_t contents_size = (uint64_t{header.n_descsz} + 3) & ~uint64_t{3};
    if (name_size > end - offset) return false;
    std::array<char, 8> name{};
    if (header.n_namesz != 0 && header.n_namesz <= name.size() &&
        !read_bytes(offset, std::as_writable_bytes(std::span(name).first(header.n_namesz))))
      return false;
    offset += name_size;
    const uint64_t there = std::min<uint64_t>(header.n_descsz, end - offset);
    read_note({.type = header.n_type,
               .name = std::string_view(name.data(), strnlen(name.data(), name.size())),
               .offset = offset,
               .size = there});
    if (contents_size > end - offset) return false;
    offset += contents_size;
  }
  return offset >= end || end - offset < sizeof(Elf64_Nhdr);
}

void CoreFile::read_note(const Note& note) {
  if (note.name != "CORE") return;
  switch (note.type) {
    case NT_PRSTATUS:
      return read_status(note);
    case NT_PRPSINFO:
      return read_identity(note);
    case NT_SIGINFO:
      return read_signal(note);
    case NT_AUXV:
      return read_auxiliary(note);
    case NT_FILE:
      return read_mappings(note);
    default:
      return;
  }
}

void CoreFile::read_status(const Note& note) {
  std::array<std::byte, kStatusBytes> bytes;
  if (note.size < bytes.size() || threads_.size() >= kMaxCoreThreads ||
      !read_bytes(note.offset, bytes))
    return;
  const auto word = [&](size_t index) {
    return load<uint64_t>(bytes, kStatusRegisters + index * 8);
  };
  CoreThread thread;
  thread.tid = load<int32_t>(bytes, kStatusTid);
  thread.signal = load<int16_t>(bytes, kStatusSignal);
  for (const RegisterPlace& place : kRegisters) thread.registers.set(place.dwarf, word(place.word));
  thread.fs_base = word(kFsBase);
  thread.syscall = static_cast<int64_t>(word(kOriginalRax));
  thread.syscall_rax = static_cast<int64_t>(word(kRax));
  threads_.push_back(thread);
}

void CoreFile::read_identity(const Note& note) {
  std::array<std::byte, kIdentityBytes> bytes;
  if (note.size < bytes.size() || !read_bytes(note.offset, bytes)) return;
  pid_ = load<int32_t>(bytes, kIdentityPid);
  program_ = text_at(bytes, kIdentityProgram, kProgramBytes);
  arguments_ = text_at(bytes, kIdentityArguments, kArgumentBytes);
  while (arguments_.ends_with(' ')) arguments_.pop_back();
}

// The signal of the thread whose status came last; the status itself knows it as well, except in
// cores of gdb.
void CoreFile::read_signal(const Note& note) {
  std::array<std::byte, 4> bytes;
  if (note.size < bytes.size() || threads_.empty() || !read_bytes(note.offset, bytes)) return;
  if (threads_.back().signal == 0) threads_.back().signal = load<int32_t>(bytes, 0);
}

void CoreFile::read_auxiliary(const Note& note) {
  std::vector<std::byte> bytes(std::min(note.size, kMaxAuxiliaryNote));
  if (!read_bytes(note.offset, bytes)) return;
  for (size_t at = 0; at + 16 <= bytes.size(); at += 16) {
    const auto type = load<uint64_t>(bytes, at);
    if (type == AT_NULL) return;
    auxiliary_.emplace_back(type, load<uint64_t>(bytes, at + 8));
  }
}

// Number of entries, size of a page, entries of three words each, then their paths in that order.
void CoreFile::read_mappings(const Note& note) {
  std::vector<std::byte> bytes(std::min(note.size, kMaxMappingNote));
  if (bytes.size() < 16 || !read_bytes(note.offset, bytes)) return;
  const auto count = load<uint64_t>(bytes, 0);
  const auto page = load<uint64_t>(bytes, 8);
  if (count > kMaxMappings || count > (bytes.size() - 16) / 24 || page == 0 || page > 1 << 30)
    return;
  size_t path = 16 + count * 24;
  for (size_t i = 0; i < count && path < bytes.size(); ++i) {
    const size_t at = 16 + i * 24;
    CoreMapping mapping;
    mapping.start = load<uint64_t>(bytes, at);
    mapping.end = load<uint64_t>(bytes, at + 8);
    const auto pages = load<uint64_t>(bytes, at + 16);
    if (__builtin_mul_overflow(pages, page, &mapping.offset)) mapping.offset = 0;
    const std::string text = text_at(bytes, path, bytes.size());
    path += text.size() + 1;
    if (path > bytes.size()) break;  // the name was cut off with the file
    mapping.path = text.substr(0, kMaxPath);
    constexpr std::string_view kDeleted = " (deleted)";
    if (mapping.path.ends_with(kDeleted)) {
      mapping.path.resize(mapping.path.size() - kDeleted.size());
      mapping.deleted = true;
    }
    if (mapping.start < mapping.end) mappings_.push_back(std::move(mapping));
  }
  std::stable_sort(mappings_.begin(), mappings_.end(),
                   [](const CoreMapping& a, const CoreMapping& b) { return a.start < b.start; });
}

std::optional<uint64_t> CoreFile::auxiliary(uint64_t type) const {
  for (const auto& [key, value] : auxiliary_)
    if (key == type) return value;
  return std::nullopt;
}

const CoreSegment* CoreFile::find_segment(uint64_t address) const {
  const auto found =
      std::upper_bound(segments_.begin(), segments_.end(), address,
                       [](uint64_t at, const CoreSegment& segment) { return at < segment.end(); });
  return found != segments_.end() && address >= found->start ? &*found : nullptr;
}

bool CoreFile::read(uint64_t address, std::span<std::byte> to) const {
  // A read may cross from one segment into the next.
  while (!to.empty()) {
    const CoreSegment* segment = find_segment(address);
    if (segment == nullptr) return false;
    const uint64_t at = address - segment->start;
    if (at >= segment->file_size) return false;
    const size_t piece = std::min<uint64_t>(to.size(), segment->file_size - at);
    if (!read_bytes(segment->offset + at, to.first(piece))) return false;
    to = to.subspan(piece);
    address += piece;
  }
  return true;
}

}  // namespace gordian::process
