// SPDX-License-Identifier: Apache-2.0
// gordian cc, gordian c++: a compiler whose programs tell what they read and write.
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/compiler.h"
#include "cli/compiler_line.h"
#include "format/memory.h"
#include "process/told_objects.h"
#include "process/trusted_functions.h"
#include "watch/launcher.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

namespace gordian::cli {
namespace {

constexpr size_t kLargestMap = size_t{1} << 30;

constexpr char kCcUsage[] = "gordian cc [compiler options] FILE...";
constexpr char kCxxUsage[] = "gordian c++ [compiler options] FILE...";

constexpr char kCcHelp[] =
    "usage: gordian cc [compiler options] FILE...\n"
    "       gordian c++ [compiler options] FILE...\n\n"
    "Compiles and links as gcc or clang do, with the same options. The program then tells, when "
    "it\n"
    "runs under gordian run --record, which thread reads what another has written, and\n"
    "gordian predict can prove what without that is only possible. Run otherwise, it does nothing\n"
    "but take a little more time.\n\n"
    "Proved is what gcc 12 has compiled; of what clang or another gcc has, it stays possible.\n\n"
    "As a compiler of a build:  CC=gordian-cc CXX=gordian-c++   (or CC=\"gordian cc\")\n\n"
    "Environment:\n"
    "  GORDIAN_CC, GORDIAN_CXX   The compiler behind it, with options if need be\n"
    "                            (default: cc, gcc or clang; c++, g++ or clang++)\n";

// A folder for one command, gone with it.
class TemporaryFolder {
 public:
  static Result<TemporaryFolder> make() {
    std::string path = (std::filesystem::temp_directory_path() / "gordian-cc-XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) return Error::from_errno("cannot make a folder").in(path);
    return TemporaryFolder(std::move(path));
  }
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string in(const std::string& name) const { return path_ + "/" + name; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

CompilerWords joined(std::initializer_list<const CompilerWords*> parts) {
  CompilerWords all;
  for (const CompilerWords* const part : parts) all.insert(all.end(), part->begin(), part->end());
  return all;
}

struct Pieces {
  std::string folder, library, note, headers;
};

// Calls at the ends of functions would tell nothing that is wanted.
CompilerWords telling_options(const Compiler& compiler, const Pieces& pieces) {
  // Each access is a call into a library: one jump less.
  CompilerWords words = {"-fsanitize=thread", "-fno-plt", "-isystem", pieces.headers};
  if (compiler.is_clang) {
    words.insert(words.end(), {"-mllvm", "-tsan-instrument-func-entry-exit=0", "-mllvm",
                               "-tsan-instrument-read-before-write", "-Qunused-arguments"});
    return words;
  }
  words.insert(words.end(), {"--param", "tsan-instrument-func-entry-exit=0"});
  // Without it nothing says that all is told.
  const std::string plugin = pieces.folder + "/gordian_gcc_" + compiler.version + ".so";
  if (access(plugin.c_str(), R_OK) == 0) words.push_back("-fplugin=" + plugin);
  return words;
}

// Behind the user's own, which would undo them.
CompilerWords last_options(const Compiler& compiler) {
  // The checked twins of libc's functions (__memcpy_chk, ...) have no hooks.
  CompilerWords words = {"-Wp,-U_FORTIFY_SOURCE", "-fno-lto"};
  if (compiler.is_clang) {
    // It says nothing of large vectors, nor of loads and stores with a mask.
    words.insert(words.end(), {"-fno-vectorize", "-fno-slp-vectorize"});
  } else {
    // What gcc knows of a function was found out before the calls that tell were put in: it would
    // move loads and stores across a call that waits.
    words.insert(words.end(), {"-fno-ipa-pure-const", "-fno-ipa-modref", "-fno-ipa-reference"});
  }
  return words;
}

Result<Pieces> find_pieces() {
  GORDIAN_TRY(const std::string runtime, watch::find_runtime());
  const std::string folder = runtime.substr(0, runtime.rfind('/'));
  Pieces pieces{.folder = folder,
                .library = folder + "/libgordian_memory.so",
                .note = folder + "/gordian_object_note.o",
                .headers = folder + "/gordian_include"};
  for (const std::string& file : {pieces.library, pieces.note, pieces.headers})
    if (access(file.c_str(), R_OK) != 0)
      return Error("the runtime of gordian cc is missing: " + file,
                   "it is installed with gordian, beside libgordian.so");
  return pieces;
}

// Says in the note of what was linked that not all of it tells, and why.
Result<void> mark_holes(const std::string& path, uint32_t reason,
                        const std::vector<std::string>& what) {
  std::string names;
  for (const std::string& name : what)
    names.append(names.empty() ? "" : ", ").append(base_name(name));
  constexpr uint32_t kDescription = 256;
  const uint32_t head[] = {sizeof format::kObjectNoteName, kDescription, format::kObjectNoteType};
  std::string note(reinterpret_cast<const char*>(head), sizeof head);
  note.append(format::kObjectNoteName, sizeof format::kObjectNoteName);
  uint32_t word = format::kObjectIsWhole;
  note.append(reinterpret_cast<const char*>(&word), sizeof word);

  constexpr size_t kLargest = size_t{4} << 30;
  GORDIAN_TRY(const std::string bytes, read_file(path, kLargest));
  const FileDescriptor file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return Error::from_errno("cannot be marked as not whole").in(path);
  word = reason;
  std::string text(kDescription, '\0');
  std::memcpy(text.data(), &word, sizeof word);
  std::memcpy(text.data() + sizeof word, names.data(),
              std::min(names.size(), text.size() - sizeof word - 1));
  // A linker that leaves the note out has left out what it says, too.
  for (size_t at = bytes.find(note); at != std::string::npos; at = bytes.find(note, at + 1)) {
    const size_t where = at + note.size() - sizeof word;
    if (pwrite(file.get(), text.data(), text.size(), static_cast<off_t>(where)) !=
        static_cast<ssize_t>(text.size()))
      return Error::from_errno("cannot be marked as not whole").in(path);
  }
  return {};
}

// Where the compiler's own objects and libraries are.
std::vector<std::string> find_library_folders(const Compiler& compiler) {
  // Folders of the user's are not the compiler's.
  const CompilerWords plainly = {"env", "-u", "LIBRARY_PATH"};
  const CompilerWords question = {"-print-search-dirs"};
  const Result<std::string> answer = read_words(joined({&plainly, &compiler.words, &question}));
  constexpr std::string_view kHead = "libraries: =";
  const size_t head = answer ? answer->find(kHead) : std::string::npos;
  if (head == std::string::npos) return {};
  std::string_view rest = std::string_view(*answer).substr(head + kHead.size());
  rest = rest.substr(0, rest.find('\n'));
  const std::vector<std::string_view> folders = split(rest, ':');
  return {folders.begin(), folders.end()};
}

// What of `output` does not tell what it reads and writes, by the map of its linker.
std::vector<std::string> find_untold(const Compiler& compiler, const Pieces& pieces,
                                     std::string_view map, const std::string& output) {
  std::vector<std::string> inputs = process::code_inputs(map, process::find_code_sections(output));
  if (inputs.empty()) return {"a linker that does not say what it linked"};
  // The first object: GNU ld ascribes to it what it makes itself.
  std::erase(inputs, pieces.note);
  return process::find_untold(inputs, find_library_folders(compiler));
}

// `args` make one object of objects.
Result<int> link_partly(const Compiler& compiler, const Pieces& pieces, const CompilerLine& line,
                        const CompilerWords& args, const TemporaryFolder& folder) {
  const std::string map_file = folder.in("map");
  CompilerWords ours;
  if (!line.has_map) ours = {"-Xlinker", "-Map=" + map_file};
  GORDIAN_TRY(const int status, run_words(joined({&compiler.words, &ours, &args})));
  // Without a seal that fits it is not taken for one that tells.
  if (status != 0 || line.has_map) return status;
  GORDIAN_TRY(const std::string map, read_file(map_file, kLargestMap));
  const std::string output = line.output.empty() ? "a.out" : line.output;
  if (find_untold(compiler, pieces, map, output).empty()) {
    GORDIAN_TRY(, process::seal_object(output));
  }
  return 0;
}

// `args` link objects alone.
Result<int> link(const Compiler& compiler, const Pieces& pieces, const CompilerLine& line,
                 const CompilerWords& args, const TemporaryFolder& folder) {
  if (line.is_partial) return link_partly(compiler, pieces, line, args, folder);
  if (line.is_static)
    return Error("-static: a program that loads no library cannot be watched",
                 "link it dynamically to record it; plain cc links it statically");
  // First, so that its functions come before those of any other library.
  CompilerWords ours = {"-Wl,--push-state,--no-as-needed", pieces.library, "-Wl,--pop-state",
                        pieces.note};
  // Not -Wl, which ends a word at a comma.
  if (pieces.folder != "/usr/lib")
    ours.insert(ours.end(), {"-Xlinker", "-rpath", "-Xlinker", pieces.folder});
  const std::string map_file = folder.in("map");
  if (!line.has_map) ours.insert(ours.end(), {"-Xlinker", "-Map=" + map_file});
  if (compiler.is_clang) ours.emplace_back("-Qunused-arguments");
  GORDIAN_TRY(const int status, run_words(joined({&compiler.words, &ours, &args})));
  if (status != 0) return status;
  const std::string output = line.output.empty() ? "a.out" : line.output;
  std::vector<std::string> untold = {"a map of one's own"};
  if (!line.has_map) {
    GORDIAN_TRY(const std::string map, read_file(map_file, kLargestMap));
    untold = find_untold(compiler, pieces, map, output);
  }
  if (!untold.empty()) {
    GORDIAN_TRY(, mark_holes(output, format::kObjectHasHoles, untold));
    return 0;
  }
  const std::vector<std::string> unfollowed =
      process::find_unfollowed(output, {pieces.library, pieces.folder + "/libgordian.so"});
  if (!unfollowed.empty()) {
    GORDIAN_TRY(, mark_holes(output, format::kObjectCallsUnfollowed, unfollowed));
  }
  return 0;
}

Result<int> run_compiler(const Args& args, bool is_cxx) {
  if (args.size() == 1 && (args[0] == "--help" || args[0] == "-h")) {
    std::fputs(kCcHelp, stdout);
    return static_cast<int>(Exit::Clean);
  }
  GORDIAN_TRY(const CompilerWords words, find_compiler(is_cxx));
  const CompilerLine line = parse_compiler_line(args);
  if (line.inputs == 0) return run_words(joined({&words, &args}));
  const Compiler compiler = ask_compiler(words, is_cxx);
  GORDIAN_TRY(const Pieces pieces, find_pieces());
  const CompilerWords telling = telling_options(compiler, pieces);
  const CompilerWords last = last_options(compiler);
  if (!line.links) {
    GORDIAN_TRY(const int status, run_words(joined({&compiler.words, &telling, &args, &last})));
    if (status != 0) return status;
    for (const std::string& object : line.compiled_objects(args)) {
      GORDIAN_TRY(, process::seal_object(object));
    }
    return 0;
  }

  GORDIAN_TRY(const TemporaryFolder folder, TemporaryFolder::make());
  CompilerWords objects;
  for (size_t i = 0; i < line.sources.size(); ++i) {
    // The name says what it comes from, in messages of the linker.
    const std::string name = std::filesystem::path(args[line.sources[i].at]).stem().string();
    objects.push_back(folder.in(std::to_string(i) + "-" + name + ".o"));
    const CompilerWords own = line.compile_one(args, i, objects.back());
    GORDIAN_TRY(const int status, run_words(joined({&compiler.words, &telling, &own, &last})));
    if (status != 0) return status;
    GORDIAN_TRY(, process::seal_object(objects.back()));
  }
  return link(compiler, pieces, line, line.link_objects(args, objects), folder);
}

Result<int> run_cc(const Args& args) { return run_compiler(args, false); }
Result<int> run_cxx(const Args& args) { return run_compiler(args, true); }

}  // namespace

const Command kCcCommand{
    .name = "cc",
    .usage = kCcUsage,
    .summary = "compile C so that predictions can be proved (see also c++)",
    .run = run_cc,
};

const Command kCxxCommand{
    .name = "c++",
    .usage = kCxxUsage,
    .summary = "compile C++ so that predictions can be proved",
    .run = run_cxx,
};

}  // namespace gordian::cli
