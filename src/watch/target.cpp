// SPDX-License-Identifier: Apache-2.0
#include "watch/target.h"

#include "base/file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <optional>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace gordian::watch {
namespace {

constexpr int kMaxScriptDepth = 5;  // as the kernel's

#if defined(__x86_64__)
constexpr Elf64_Half kOurMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr Elf64_Half kOurMachine = EM_AARCH64;
#endif

std::string read_head(const std::string& path) {
  const FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  std::string head;
  if (!fd) return head;
  head.resize(kHeadBytes);
  const ssize_t got = pread(fd.get(), head.data(), head.size(), 0);
  head.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return head;
}

// The interpreter of a script's first line; empty: it is no script.
std::string script_interpreter(std::string_view head) {
  if (!head.starts_with("#!")) return {};
  std::string_view line =
      head.substr(2, head.find('\n') == std::string_view::npos ? head.size() : head.find('\n') - 2);
  const size_t begin = line.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  line.remove_prefix(begin);
  return std::string(line.substr(0, line.find_first_of(" \t")));
}

// Programs that gain rights are started by the loader without our library.
std::string gained_rights(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return {};
  struct statvfs system {};
  if (statvfs(path.c_str(), &system) == 0 && (system.f_flag & ST_NOSUID) != 0) return {};
  if ((status.st_mode & S_ISUID) != 0 && status.st_uid != getuid()) return "setuid";
  if ((status.st_mode & S_ISGID) != 0 && (status.st_mode & S_IXGRP) != 0 &&
      status.st_gid != getgid())
    return "setgid";
  if (getuid() != 0 && getxattr(path.c_str(), "security.capability", nullptr, 0) > 0)
    return "it has file capabilities";
  return {};
}

Result<std::string> check_executable(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return Error("not found", "there is no such file");
    return Error::from_errno("cannot run it");
  }
  if (S_ISDIR(status.st_mode)) return Error("is a directory, not a program");
  if (access(path.c_str(), X_OK) != 0) {
    if (errno == EACCES && (status.st_mode & 0111) == 0) {
      return Error("not executable", "chmod +x " + path);
    }
    return Error::from_errno("cannot run it");
  }
  return path;
}

Result<std::string> find_in_path(const std::string& program, std::string_view path_variable) {
  std::optional<Error> best;
  while (true) {
    const size_t colon = path_variable.find(':');
    const std::string_view folder = path_variable.substr(0, colon);
    const std::string candidate = (folder.empty() ? "." : std::string(folder)) + "/" + program;
    struct stat status {};
    if (stat(candidate.c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
      Result<std::string> found = check_executable(candidate);
      if (found) return found;
      if (!best) best = std::move(found).error().in(candidate);
    }
    if (colon == std::string_view::npos) break;
    path_variable.remove_prefix(colon + 1);
  }
  if (best) return std::move(*best);
  struct stat status {};
  const bool is_here = stat(program.c_str(), &status) == 0 && S_ISREG(status.st_mode);
  return Error("not found", is_here
                                ? "it is in this folder: ./" + program
                                : "no folder of PATH has it; is it spelt right, is it installed?")
      .in(program);
}

}  // namespace

std::string why_unwatchable(std::string_view head) {
  if (!head.starts_with(ELFMAG)) return head.starts_with("#!") ? "" : "not an ELF program";
  if (head.size() < EI_NIDENT) return "a damaged program";
  if (head[EI_CLASS] != ELFCLASS64) return "a 32-bit program";
  Elf64_Ehdr header;
  if (head.size() < sizeof(header)) return "a damaged program";
  std::memcpy(&header, head.data(), sizeof(header));
  if (header.e_machine != kOurMachine) return "a program for another processor";
  bool has_dynamic = false;
  for (size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    uint64_t at = 0;
    if (__builtin_add_overflow(header.e_phoff, i * sizeof(segment), &at) || at > head.size() ||
        head.size() - at < sizeof(segment)) {
      // A table behind the head that was read is no rule that anybody breaks, but cut off it is.
      if (head.size() < kHeadBytes) return "a damaged program";
      break;
    }
    std::memcpy(&segment, head.data() + at, sizeof(segment));
    has_dynamic |= segment.p_type == PT_DYNAMIC;
    if (segment.p_type != PT_INTERP) continue;
    if (segment.p_offset > head.size() || segment.p_filesz > head.size() - segment.p_offset)
      return {};
    const std::string_view loader = head.substr(segment.p_offset, segment.p_filesz);
    if (loader.find("ld-musl") != std::string_view::npos) return "linked with musl, not glibc";
    if (loader.find("ld-linux") == std::string_view::npos &&
        loader.find("ld64") == std::string_view::npos) {
      return "not linked with glibc (its loader is " +
             std::string(loader.substr(0, loader.find('\0'))) + ")";
    }
    return {};
  }
  // The loader itself, called by hand, has no loader but preloads all the same; it exports a name
  // that no static program does.
  if (has_dynamic && head.find("_dl_mcount") != std::string_view::npos) return {};
  return "statically linked";
}

std::string why_nothing_is_watchable() {
  // The boards of new processes, and the files that name what is in a report.
  constexpr rlim_t kFewestFiles = 16;
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= kFewestFiles) return {};
  return "only " + std::to_string(files.rlim_cur) + " files may be open at once, watching needs " +
         std::to_string(kFewestFiles) + " (ulimit -n)";
}

Result<Target> find_target(const std::string& program, std::string_view path_variable) {
  if (program.empty()) return Error("the program's name is empty");
  Target target;
  if (program.find('/') != std::string::npos) {
    GORDIAN_TRY(target.path =, check_executable(program).in(program));
  } else {
    GORDIAN_TRY(target.path =, find_in_path(program, path_variable));
  }
  target.interpreted = target.path;
  for (int depth = 0; depth < kMaxScriptDepth; ++depth) {
    if (const std::string rights = gained_rights(target.interpreted);
        !rights.empty() && depth == 0) {
      target.unwatchable = rights;
      return target;
    }
    const std::string head = read_head(target.interpreted);
    if (head.empty()) return target;  // no right to read it: it may still run, and be watched
    const std::string interpreter = script_interpreter(head);
    if (interpreter.empty()) {
      if (!head.starts_with(ELFMAG)) {
        // As execvp does: a text without #! is a script for the shell.
        target.interpreted = "/bin/sh";
        continue;
      }
      target.unwatchable = why_unwatchable(head);
      return target;
    }
    struct stat status {};
    if (stat(interpreter.c_str(), &status) != 0) {
      // To the kernel the carriage return belongs to the name.
      if (interpreter.ends_with('\r'))
        return Error("its first line ends in a carriage return",
                     "it was saved with Windows line ends: sed -i 's/\\r$//' " + program)
            .in(program);
      return Error("its interpreter " + interpreter + " does not exist", "see its first line")
          .in(program);
    }
    target.interpreted = interpreter;
  }
  return target;
}

}  // namespace gordian::watch
