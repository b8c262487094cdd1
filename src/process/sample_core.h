// SPDX-License-Identifier: Apache-2.0
// A small core file made by hand, for tests and as a seed for the fuzzer.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <elf.h>
#include <string>
#include <utility>
#include <vector>

namespace gordian::process {

struct SampleThread {
  int tid = 0;
  uint64_t rip = 0, rsp = 0, rax = 0, rdi = 0;
  uint64_t original_rax = UINT64_MAX;
};

struct SampleSegment {
  uint64_t address = 0;
  std::string bytes;
  uint64_t size = 0;  // in memory, if more than the bytes
  uint32_t flags = PF_R | PF_W;
};

struct SampleFile {
  uint64_t start = 0, end = 0, page_offset = 0;
  std::string path;
};

class SampleCore {
 public:
  uint16_t machine = EM_X86_64;
  uint16_t type = ET_CORE;
  int pid = 100;
  std::string program = "janus";
  std::vector<SampleThread> threads;
  std::vector<SampleSegment> segments;
  std::vector<SampleFile> files;
  std::vector<std::pair<uint64_t, uint64_t>> auxiliary;

  [[nodiscard]] std::string bytes() const {
    const std::string notes = all_notes();
    const size_t headers = sizeof(Elf64_Ehdr) + (segments.size() + 1) * sizeof(Elf64_Phdr);
    std::string contents = notes;
    std::string table;
    Elf64_Phdr note{};
    note.p_type = PT_NOTE;
    note.p_offset = headers;
    note.p_filesz = notes.size();
    append(table, note);
    for (const SampleSegment& segment : segments) {
      Elf64_Phdr load{};
      load.p_type = PT_LOAD;
      load.p_flags = segment.flags;
      load.p_vaddr = segment.address;
      load.p_offset = headers + contents.size();
      load.p_filesz = segment.bytes.size();
      load.p_memsz = segment.size > segment.bytes.size() ? segment.size : segment.bytes.size();
      append(table, load);
      contents += segment.bytes;
    }
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = type;
    header.e_machine = machine;
    header.e_phoff = sizeof header;
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = static_cast<uint16_t>(segments.size() + 1);
    std::string result;
    append(result, header);
    return result + table + contents;
  }

 private:
  template <typename T>
  static void append(std::string& to, const T& value) {
    to.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  static void append_note(std::string& to, uint32_t type, std::string contents) {
    Elf64_Nhdr header{};
    header.n_namesz = 5;
    header.n_descsz = static_cast<uint32_t>(contents.size());
    header.n_type = type;
    append(to, header);
    to.append("CORE\0\0\0\0", 8);
    contents.resize((contents.size() + 3) & ~size_t{3});
    to += contents;
  }

  static std::string status_of(const SampleThread& thread) {
    std::string status(112, '\0');
    std::memcpy(status.data() + 32, &thread.tid, 4);
    uint64_t registers[27] = {};
    registers[10] = thread.rax;
    registers[14] = thread.rdi;
    registers[15] = thread.original_rax;
    registers[16] = thread.rip;
    registers[19] = thread.rsp;
    append(status, registers);
    return status + std::string(8, '\0');
  }

  [[nodiscard]] std::string all_notes() const {
    std::string notes;
    for (size_t i = 0; i < threads.size(); ++i) {
      append_note(notes, NT_PRSTATUS, status_of(threads[i]));
      if (i != 0) continue;
      std::string identity(136, '\0');
      std::memcpy(identity.data() + 24, &pid, 4);
      std::memcpy(identity.data() + 40, program.data(), std::min<size_t>(program.size(), 15));
      append_note(notes, NT_PRPSINFO, identity);
      std::string vector;
      for (const auto& entry : auxiliary) append(vector, entry);
      append(vector, std::pair<uint64_t, uint64_t>(AT_NULL, 0));
      append_note(notes, NT_AUXV, vector);
      std::string mapped;
      append(mapped, uint64_t{files.size()});
      append(mapped, uint64_t{4096});
      for (const SampleFile& file : files) {
        append(mapped, file.start);
        append(mapped, file.end);
        append(mapped, file.page_offset);
      }
      for (const SampleFile& file : files) mapped += file.path + std::string(1, '\0');
      append_note(notes, NT_FILE, mapped);
    }
    return notes;
  }
};

}  // namespace gordian::process
