// SPDX-License-Identifier: Apache-2.0
#include "report/labels.h"

#include "base/text.h"
#include "report/words.h"

#include <algorithm>
#include <set>

namespace gordian::report {

using model::FindingHold;
using model::FindingThread;
using model::FindingWant;
using model::Frame;
using model::Mode;
using model::Process;
using model::ProcessId;
using model::Resource;
using model::ResourceId;
using model::ResourceKind;
using model::Role;
using model::ThreadId;

namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// The position after the bracket that closes the one at `open`; the end if none does.
size_t after_closing(std::string_view text, size_t open) {
  int depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '(' || c == '<' || c == '{' || c == '[') ++depth;
    const bool arrow = c == '>' && i > 0 && text[i - 1] == '-';
    if ((c == ')' || c == '}' || c == ']' || (c == '>' && !arrow)) && --depth <= 0) return i + 1;
  }
  return text.size();
}

std::string quoted(const std::string& text) { return '"' + text + '"'; }

}  // namespace

std::string clean(std::string_view text, size_t max) {
  // A hostile name of many megabytes must not be escaped as a whole.
  const bool cut_early = text.size() > 16 * max;
  std::string result = escape_for_terminal(cut_early ? text.substr(0, 16 * max) : text);
  if (result.size() <= max && !cut_early) return result;
  size_t head = std::min(result.size(), max * 2 / 3);
  while (head > 0 && is_continuation(result[head])) --head;
  size_t tail = result.size() - std::min(result.size() - head, max / 3);
  while (tail < result.size() && is_continuation(result[tail])) ++tail;
  return result.substr(0, head) + "..." + result.substr(tail);
}

std::string short_function(std::string_view demangled) {
  // Debug information has no more to say about a lambda; whoever names its own type has a scope.
  if (demangled == "operator()") return "{lambda}";
  constexpr std::string_view kAnonymous = "(anonymous namespace)::";
  constexpr std::string_view kLambda = "{lambda(";
  constexpr std::string_view kOperator = "operator";
  // No name worth reading is longer, and the rest may be hostile.
  std::string_view text = demangled.substr(0, 4096);
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const std::string_view rest = text.substr(i);
    const bool word_begins = out.empty() || out.back() == ':' || out.back() == ' ';
    if (rest.starts_with(kAnonymous)) {
      i += kAnonymous.size();
    } else if (rest.starts_with(" [clone")) {
      break;
    } else if (rest.starts_with(kLambda)) {
      const std::string_view whole = text.substr(i, after_closing(text, i) - i);
      const size_t number = whole.rfind('#');
      out += "{lambda";
      out += number == std::string_view::npos ? "}" : whole.substr(number);
      i += whole.size();
    } else if (word_begins && rest.starts_with(kOperator)) {
      out += kOperator;
      i += kOperator.size();
      if (text.substr(i).starts_with("()")) {
        out += "()";
        i += 2;
      } else {
        while (i < text.size() && text[i] != '(') out += text[i++];
      }
    } else if (rest.starts_with("(*") && out.ends_with('.')) {  // Go's "(*Index)" of a method
      const std::string_view whole = text.substr(i, after_closing(text, i) - i);
      out += whole;
      i += whole.size();
    } else if (text[i] == '<' || text[i] == '(') {
      i = after_closing(text, i);
    } else {
      out += text[i++];
    }
  }
  for (const std::string_view suffix : {" const", " volatile", " &", " &&", " noexcept"})
    if (out.ends_with(suffix)) out.resize(out.size() - suffix.size());
  for (size_t at = out.rfind("}::operator()"); at != std::string::npos; at = std::string::npos)
    out.erase(at + 1);
  // "void f": templates carry their return type. A conversion operator keeps its blank.
  const size_t limit = std::min(out.find(kOperator), out.size());
  const size_t blank = out.rfind(' ', limit);
  if (blank != std::string::npos && blank < limit) out.erase(0, blank + 1);
  return out.empty() ? std::string(text) : out;
}

namespace {

std::string_view last_component(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

bool is_folded(const Frame& frame) {
  const std::string_view module = last_component(frame.module);
  if (frame.plumbing || module.starts_with("libgordian.so")) return true;
  return frame.function.empty() &&
         (module.starts_with("libc.so") || module.starts_with("libstdc++.so") ||
          module.starts_with("libpthread.so") || module.starts_with("ld-linux"));
}

const Frame* first_own_frame(const model::Stack& stack) {
  for (const Frame& frame : stack.frames)
    if (!is_folded(frame)) return &frame;
  return nullptr;
}

std::string function_label(const Frame* frame) {
  if (frame != nullptr && !frame->function.empty()) {
    const std::string name = short_function(frame->function);
    const size_t lambda = name.find("::{lambda");
    if (lambda != std::string::npos)
      return "a lambda in " + clean(name.substr(0, lambda), 80) + "()";
    return name.starts_with("{lambda") ? "a lambda" : clean(name, 80) + "()";
  }
  if (frame != nullptr && !frame->module.empty())
    return "a function of " + clean(last_component(frame->module), 60);
  return "code at an unknown place";
}

std::string line_label(const Frame* frame) {
  if (frame == nullptr || frame->file.empty()) return {};
  std::string label = clean(last_component(frame->file), 60);
  if (frame->line > 0) label += ":" + std::to_string(frame->line);
  return label;
}

std::string place_label(const Frame* frame) {
  const std::string line = line_label(frame);
  return function_label(frame) + (line.empty() ? "" : " (" + line + ")");
}

std::string join_words(const std::vector<std::string>& items, size_t max) {
  const size_t shown = items.size() <= max ? items.size() : max - 1;
  std::string result;
  for (size_t i = 0; i < shown; ++i) {
    if (i > 0) result += i + 1 == items.size() ? " and " : ", ";
    result += items[i];
  }
  if (shown < items.size()) result += " and " + std::to_string(items.size() - shown) + " more";
  return result;
}

bool is_birthplace(std::string_view class_name) {
  return class_name.starts_with("init ") || class_name.starts_with("first locked ") ||
         class_name.starts_with("allocated ");
}

std::string with_article(const std::string& noun) {
  const bool vowel =
      !noun.empty() && std::string_view("aeioAEIO").find(noun[0]) != std::string::npos;
  return (vowel || noun.starts_with("rwlock") ? "an " : "a ") + noun;
}

std::string with_thousands(uint64_t value) {
  std::string digits = std::to_string(value);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

Labels::Labels(const model::Finding& finding) : finding_(finding) {
  for (const Resource& resource : finding.resources) resources_.try_emplace(resource.id, &resource);
  for (const FindingThread& thread : finding.threads) {
    if (thread.wants && thread.role == Role::Knot) wanted_in_knot_.insert(thread.wants->resource);
  }
  for (const Role role : {Role::Knot, Role::Victim})
    for (const FindingThread& thread : finding.threads)
      if (thread.role == role) story_.push_back(&thread);
  const auto victims = std::find_if(story_.begin(), story_.end(), [](const FindingThread* thread) {
    return thread->role == Role::Victim;
  });
  const auto first = std::find_if(story_.begin(), victims, [&](const FindingThread* thread) {
    return std::any_of(thread->holds.begin(), thread->holds.end(),
                       [&](const FindingHold& hold) { return is_wanted_in_knot(hold.resource); });
  });
  if (first != victims) std::rotate(story_.begin(), first, victims);

  std::set<ProcessId> processes;
  for (const FindingThread* thread : story_) {
    threads_.try_emplace(thread->id, thread);
    thread_numbers_.try_emplace(thread->id, thread_numbers_.size() + 1);
    ++thread_names_[thread->name];
    processes.insert(thread->process);
  }
  many_processes_ = processes.size() > 1;

  // Locks in the same order: for each thread what it holds up others with, then what it wants; last
  // what is merely held too.
  for (const FindingThread* thread : story_) {
    for (const FindingHold& hold : thread->holds)
      if (is_wanted_in_knot(hold.resource)) add_resource(hold.resource);
    if (thread->wants) add_resource(thread->wants->resource);
  }
  for (const FindingThread* thread : story_)
    for (const FindingHold& hold : thread->holds) add_resource(hold.resource);
  for (const Resource& resource : finding.resources) add_resource(resource.id);
  for (const Resource* resource : ordered_)
    if (!resource->name.empty()) ++resource_names_[resource->name];
}

std::vector<ThreadId> Labels::threads(Role role) const {
  std::vector<ThreadId> ids;
  for (const FindingThread* thread : story_)
    if (thread->role == role) ids.push_back(thread->id);
  return ids;
}

void Labels::add_resource(ResourceId id) {
  const Resource* resource = find_resource(id);
  if (resource == nullptr || resource_numbers_.contains(id)) return;
  ordered_.push_back(resource);
  resource_numbers_.emplace(id, ordered_.size());
}

const FindingThread* Labels::find_thread(ThreadId id) const {
  const auto it = threads_.find(id);
  return it == threads_.end() ? nullptr : it->second;
}

const Resource* Labels::find_resource(ResourceId id) const {
  const auto it = resources_.find(id);
  return it == resources_.end() ? nullptr : it->second;
}

const Process* Labels::find_process(ProcessId id) const {
  for (const Process& process : finding_.processes)
    if (process.id == id) return &process;
  return nullptr;
}

std::string Labels::resource_number(ResourceId id) const {
  const Resource* const resource = find_resource(id);
  if (resource != nullptr && resource->name_is_id && !resource->name.empty())
    return (resource->kind == ResourceKind::Thread ? "thread " : "") + clean(resource->name);
  const auto it = resource_numbers_.find(id);
  return it == resource_numbers_.end() ? "L?" : "L" + std::to_string(it->second);
}

std::string Labels::thread_number(ThreadId id) const {
  const auto it = thread_numbers_.find(id);
  return it == thread_numbers_.end() ? "T?" : "T" + std::to_string(it->second);
}

std::string Labels::resource(ResourceId id) const {
  const Resource* resource = find_resource(id);
  if (resource == nullptr) return "an unknown lock";
  if (resource->kind == ResourceKind::Thread) {
    if (resource->joined_known && find_thread(resource->joined) != nullptr)
      return "thread " + thread(resource->joined);
    return resource->name.empty() ? "a thread" : "thread " + quoted(clean(resource->name));
  }
  if (resource->name.empty()) return resource_number(id);
  const std::string name = clean(resource->name);
  return resource_names_.at(resource->name) > 1 ? name + " (" + resource_number(id) + ")" : name;
}

std::string Labels::mode(ResourceId id, Mode mode) const {
  const Resource* resource = find_resource(id);
  const bool worth_a_word =
      resource != nullptr && (has_modes(resource->kind) || mode == Mode::Shared);
  return worth_a_word ? " (" + std::string(mode_word(mode)) + ")" : "";
}

std::string Labels::hold(const FindingHold& hold) const {
  return resource(hold.resource) + mode(hold.resource, hold.mode);
}

std::string Labels::thread(ThreadId id) const {
  const FindingThread* thread = find_thread(id);
  if (thread == nullptr) return "another thread";
  if (thread->name.empty()) return thread_number(id);
  const std::string name = quoted(clean(thread->name, 64));
  const Process* process = find_process(thread->process);
  if (many_processes_ && process != nullptr)
    return name + " (pid " + std::to_string(process->pid) +
           (thread_names_.at(thread->name) > 1 ? ", " + thread_number(id) : "") + ")";
  return thread_names_.at(thread->name) > 1 ? name + " (" + thread_number(id) + ")" : name;
}

std::string Labels::kind_of(ResourceId id) const {
  const Resource* resource = find_resource(id);
  if (resource == nullptr) return "lock";
  const bool recursive_mutex = resource->kind == ResourceKind::Mutex && resource->recursive;
  return (resource->process_shared ? "process-shared " : "") +
         std::string(recursive_mutex ? "recursive mutex" : resource_kind_label(resource->kind)) +
         (resource->level >= 0 ? " of level " + std::to_string(resource->level) : "");
}

std::string Labels::threads(const std::vector<ThreadId>& ids, size_t max) const {
  if (ids.size() <= 2 || many_processes_) {
    std::vector<std::string> words;
    words.reserve(ids.size());
    for (const ThreadId id : ids) words.push_back(thread(id));
    return join_words(words, max);
  }
  // Of many threads with one name, the number says more than a list of T1, T2...
  std::vector<std::string> order;
  std::map<std::string, std::vector<ThreadId>> by_name;
  for (const ThreadId id : ids) {
    const FindingThread* found = find_thread(id);
    const std::string name = found == nullptr ? std::string() : found->name;
    if (!by_name.contains(name)) order.push_back(name);
    by_name[name].push_back(id);
  }
  std::vector<std::string> words;
  for (const std::string& name : order) {
    const std::vector<ThreadId>& same = by_name[name];
    if (same.size() == 1) {
      words.push_back(thread(same.front()));
    } else if (name.empty()) {
      words.push_back(count_of(same.size(), "thread") + " without a name");
    } else {
      words.push_back(std::to_string(same.size()) + " x " + quoted(clean(name, 64)));
    }
  }
  return join_words(words, max);
}

std::string Labels::wants(const FindingWant& want, bool plural) const {
  const Resource* resource = find_resource(want.resource);
  const std::string name = this->resource(want.resource) + mode(want.resource, want.mode);
  const std::string_view s = plural ? "" : "s";
  const auto say = [&](std::string_view verb, std::string_view rest) {
    return std::string(verb) + std::string(s) + " " + std::string(rest) + name;
  };
  if (resource == nullptr) return say("want", "");
  switch (resource->kind) {
    case ResourceKind::Thread: {
      // The label says `thread "x"`; after "joins" the bare name is enough.
      const bool named = name.starts_with("thread ");
      return "join" + std::string(s) + " " + (named ? name.substr(7) : name);
    }
    case ResourceKind::Worker:
      return say("join", "worker ");
    case ResourceKind::Condition:
    case ResourceKind::GlibCond:
      return say("wait", "on condition ");
    case ResourceKind::Semaphore:
      return say("wait", "on semaphore ");
    case ResourceKind::Barrier:
      return say("wait", "at barrier ");
    case ResourceKind::Futex:
      return say("wait", "on futex ");
    case ResourceKind::Future:
      return say("wait", "for future ");
    case ResourceKind::GlibQueue:
    case ResourceKind::Queue:
      return say("wait", "on queue ");
    case ResourceKind::Channel:
      return say("wait", "on channel ");
    case ResourceKind::Pipe:
    case ResourceKind::Child:
      return say("wait", "for ");
    case ResourceKind::Once:
    case ResourceKind::GlibOnce:
    case ResourceKind::Guard:
      return say("wait", "for the initialisation of ");
    default:
      return say("want", "");
  }
}

std::vector<ThreadId> Labels::owners(const FindingThread& thread) const {
  std::vector<ThreadId> result;
  if (!thread.wants) return result;
  for (const ThreadId id : thread.wants->owners)
    if (find_thread(id) != nullptr) result.push_back(id);
  if (!result.empty() || !thread.wants->owners.empty()) return result;
  // A source that names no owners: whoever holds it here.
  const Resource* resource = find_resource(thread.wants->resource);
  if (resource != nullptr && resource->kind == ResourceKind::Thread) {
    if (resource->joined_known && find_thread(resource->joined) != nullptr)
      result.push_back(resource->joined);
    return result;
  }
  for (const FindingThread& other : finding_.threads)
    for (const FindingHold& hold : other.holds)
      if (hold.resource == thread.wants->resource &&
          (hold.mode == Mode::Exclusive || thread.wants->mode == Mode::Exclusive)) {
        result.push_back(other.id);
        break;
      }
  return result;
}

}  // namespace gordian::report
