// SPDX-License-Identifier: Apache-2.0
#include "cli/compiler_line.h"

#include "base/file.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

namespace gordian::cli {
namespace {

// Options whose value is the next argument.
constexpr std::array kValued = std::to_array<std::string_view>({
    "-o",
    "-x",
    "-I",
    "-L",
    "-l",
    "-D",
    "-U",
    "-include",
    "-imacros",
    "-isystem",
    "-iquote",
    "-idirafter",
    "-iprefix",
    "-iwithprefix",
    "-iwithprefixbefore",
    "-isysroot",
    "-imultilib",
    "-MF",
    "-MT",
    "-MQ",
    "-Xlinker",
    "-Xassembler",
    "-Xpreprocessor",
    "-Xclang",
    "-mllvm",
    "-T",
    "-u",
    "-z",
    "-e",
    "--entry",
    "-aux-info",
    "--param",
    "-arch",
    "-target",
    "--sysroot",
    "-A",
    "-wrapper",
    "-specs",
    "-dumpbase",
    "-dumpbase-ext",
    "-dumpdir",
    "-B",
    "-h",
    "-R",
    "-Tbss",
    "-Tdata",
    "-Ttext",
    "-gcc-toolchain",
    "-include-pch",
});

constexpr std::array kNoLink =
    std::to_array<std::string_view>({"-c", "-S", "-E", "-M", "-MM", "-###", "-fsyntax-only",
                                     "--preprocess", "--compile", "--assemble"});

constexpr std::array kSourceEndings = std::to_array<std::string_view>(
    {".c", ".i", ".ii", ".cc", ".cp", ".cxx", ".cpp", ".CPP", ".c++", ".C", ".S", ".s", ".sx"});

constexpr std::array kHeaderEndings =
    std::to_array<std::string_view>({".h", ".hh", ".H", ".hp", ".hxx", ".hpp", ".h++", ".HPP"});

template <size_t kSize>
bool is_one_of(const std::array<std::string_view, kSize>& all, std::string_view word) {
  return std::find(all.begin(), all.end(), word) != all.end();
}

std::string_view ending_of(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(dot);
}

bool is_source_name(std::string_view name) { return is_one_of(kSourceEndings, ending_of(name)); }

// Is it compiled to a precompiled header? `language` is what -x says, or empty.
bool is_header(std::string_view name, std::string_view language) {
  return language.empty() ? is_one_of(kHeaderEndings, ending_of(name))
                          : language.ends_with("-header");
}

// Words, as the compiler splits a file of arguments: by white space, with quotes and backslashes.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && i + 1 < text.size()) {
      word += text[++i];
      in_word = true;
    } else if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
      in_word = true;
    } else if (std::string_view(" \t\r\n\f\v").find(c) != std::string_view::npos) {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (in_word) words.push_back(std::move(word));
  return words;
}

class Parser {
 public:
  CompilerLine parse(const std::vector<std::string>& args) {
    for (size_t i = 0; i < args.size(); ++i) look_at(args, i);
    line_.is_compiled = has_c_ && !stops_before_;
    return std::move(line_);
  }

 private:
  void look_at(const std::vector<std::string>& args, size_t& i) {
    const std::string& arg = args[i];
    if (arg.size() > 1 && arg[0] == '@') {
      look_into(arg.substr(1));
      return;
    }
    if (arg.size() < 2 || arg[0] != '-') {
      ++line_.inputs;
      if (is_header(arg, language_)) line_.links = false;
      if ((!language_.empty() || is_source_name(arg)) && depth_ == 0)
        line_.sources.push_back({.at = i, .language = language_});
      return;
    }
    note_option(arg);
    if (!is_one_of(kValued, arg)) {
      note_joined(arg);
      return;
    }
    if (i + 1 >= args.size()) return;
    const std::string& value = args[++i];
    if (arg == "-o") line_.output = value;
    if (arg == "-x") language_ = value == "none" ? std::string() : value;
    if (arg == "-l") ++line_.inputs;
    if (arg == "-Xlinker") note_linker_word(value);
  }

  void note_option(std::string_view arg) {
    if (is_one_of(kNoLink, arg)) {
      line_.links = false;
      (arg == "-c" || arg == "--compile" ? has_c_ : stops_before_) = true;
    }
    if (arg == "-static" || arg == "-static-pie" || arg == "--static") line_.is_static = true;
    if (arg == "-r") line_.is_partial = true;
  }

  void note_joined(std::string_view arg) {
    if (arg.starts_with("-o")) line_.output = arg.substr(2);
    if (arg.starts_with("-x")) language_ = arg == "-xnone" ? std::string_view() : arg.substr(2);
    if (arg.starts_with("-l")) ++line_.inputs;
    if (!arg.starts_with("-Wl,")) return;
    arg.remove_prefix(4);
    while (!arg.empty()) {
      const size_t comma = std::min(arg.find(','), arg.size());
      note_linker_word(arg.substr(0, comma));
      arg.remove_prefix(std::min(comma + 1, arg.size()));
    }
  }

  void note_linker_word(std::string_view word) {
    if (word == "-M" || word == "--print-map" || word.starts_with("-Map") ||
        word.starts_with("--Map"))
      line_.has_map = true;
    if (word == "-r" || word == "--relocatable") line_.is_partial = true;
    if (word == "-static" || word == "--static") line_.is_static = true;
  }

  void look_into(const std::string& path) {
    constexpr int kDeepest = 8;
    const Result<std::string> text = read_file(path);
    if (!text || depth_ == kDeepest) return;
    ++depth_;
    const std::vector<std::string> words = words_of(*text);
    for (size_t i = 0; i < words.size(); ++i) look_at(words, i);
    --depth_;
  }

  CompilerLine line_;
  std::string language_;
  bool has_c_ = false;
  bool stops_before_ = false;  // -S, -E ...
  int depth_ = 0;
};

// Does it say only what to link with, or where to?
bool is_for_linking(std::string_view arg) {
  return arg.starts_with("-Wl,") || arg.starts_with("-l") || arg == "-shared" || arg == "-s" ||
         arg.starts_with("-fuse-ld") || arg == "-rdynamic";
}

}  // namespace

CompilerLine parse_compiler_line(const std::vector<std::string>& args) {
  return Parser().parse(args);
}

std::vector<std::string> CompilerLine::compiled_objects(
    const std::vector<std::string>& args) const {
  if (!is_compiled) return {};
  if (!output.empty()) return {output};
  std::vector<std::string> objects;
  for (const Source& source : sources)
    objects.push_back(std::filesystem::path(args[source.at]).stem().string() + ".o");
  return objects;
}

std::vector<std::string> CompilerLine::compile_one(const std::vector<std::string>& args,
                                                   size_t index, const std::string& object) const {
  std::vector<std::string> out;
  bool has_dependencies = false;
  bool names_dependencies = false;
  bool names_target = false;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    const bool is_option = arg.size() > 1 && arg[0] == '-';
    if (arg == "-x" || arg == "-o" || arg == "-l" || arg == "-Xlinker" || arg == "-T" ||
        arg == "-u" || arg == "-z") {
      ++i;
      continue;
    }
    if (arg.starts_with("-x") || arg.starts_with("-o") || is_for_linking(arg)) continue;
    if (!is_option) {
      if (arg.starts_with("@")) out.push_back(arg);
      continue;
    }
    if (arg == "-MD" || arg == "-MMD") has_dependencies = true;
    if (arg.starts_with("-MF")) names_dependencies = true;
    if (arg.starts_with("-MT") || arg.starts_with("-MQ")) names_target = true;
    out.push_back(arg);
    if (is_one_of(kValued, arg) && i + 1 < args.size()) out.push_back(args[++i]);
  }
  const Source& source = sources[index];
  const std::string& name = args[source.at];
  if (has_dependencies && !names_dependencies) {
    const std::string base = output.empty() ? name : output;
    const size_t dot = base.rfind('.');
    out.insert(out.end(), {"-MF", (dot == std::string::npos ? base : base.substr(0, dot)) + ".d"});
  }
  // By itself the compiler would name `object`, which nobody has asked for.
  if (has_dependencies && !names_target) {
    const std::string target =
        output.empty() ? std::filesystem::path(name).stem().string() + ".o" : output;
    out.insert(out.end(), {"-MQ", target});
  }
  if (!source.language.empty()) out.insert(out.end(), {"-x", source.language});
  out.insert(out.end(), {"-c", name, "-o", object});
  return out;
}

std::vector<std::string> CompilerLine::link_objects(const std::vector<std::string>& args,
                                                    const std::vector<std::string>& objects) const {
  std::vector<std::string> out;
  size_t next = 0;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (next < sources.size() && sources[next].at == i) {
      out.push_back(objects[next++]);
      continue;
    }
    if (arg == "-x") {
      ++i;
      continue;
    }
    if (arg.starts_with("-x")) continue;
    out.push_back(arg);
    if (is_one_of(kValued, arg) && i + 1 < args.size()) out.push_back(args[++i]);
  }
  return out;
}

}  // namespace gordian::cli
