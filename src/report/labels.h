// SPDX-License-Identifier: Apache-2.0
// What the threads, locks and places of one finding are called, everywhere in its report.
//
// A lock is its source name; without one, or when two locks share it, L1, L2... count in the order
// in which the story meets them. Threads likewise: T1, T2... All labels are safe for a terminal and
// of bounded length.
#pragma once

#include "model/finding.h"

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::report {

// Escaped for terminals and cut in the middle to about `max` bytes.
std::string clean(std::string_view text, size_t max = 100);

// "ns::Class<int>::send(Message) const" -> "ns::Class::send"; a lambda in f -> "f::{lambda#1}".
std::string short_function(std::string_view demangled);

// Part of how a lock is taken rather than of the program: std::, pthread, Gordian, and the nameless
// insides of the C and C++ libraries.
bool is_folded(const model::Frame& frame);

// The innermost frame that is not folded; null if there is none.
const model::Frame* first_own_frame(const model::Stack& stack);

// "send_ping()"; "a function of libfoo.so"; "code at an unknown place".
std::string function_label(const model::Frame* frame);

// "room.c:640"; empty if not known.
std::string line_label(const model::Frame* frame);

// "send_ping() (room.c:640)".
std::string place_label(const model::Frame* frame);

// "a, b and c"; beyond `max` items "a, b and 7 more".
std::string join_words(const std::vector<std::string>& items, size_t max = 6);

// Resource::class_name is a birthplace ("init at room.c:12") or the type a lock is a member of.
bool is_birthplace(std::string_view class_name);

// "a mutex", "an rwlock".
std::string with_article(const std::string& noun);

// "3,400".
std::string with_thousands(uint64_t value);

class Labels {
 public:
  explicit Labels(const model::Finding& finding);

  [[nodiscard]] const model::Finding& finding() const { return finding_; }

  // In the order of the story: the knot from the first thread that holds somebody up, in the order
  // of its circle, then the victims.
  [[nodiscard]] const std::vector<const model::FindingThread*>& threads() const { return story_; }
  [[nodiscard]] std::vector<model::ThreadId> threads(model::Role role) const;

  // Null if the finding does not describe it.
  [[nodiscard]] const model::FindingThread* find_thread(model::ThreadId id) const;
  [[nodiscard]] const model::Resource* find_resource(model::ResourceId id) const;
  [[nodiscard]] const model::Process* find_process(model::ProcessId id) const;

  // "L1" for every resource of the finding, in the order of the story.
  [[nodiscard]] const std::vector<const model::Resource*>& resources() const { return ordered_; }
  [[nodiscard]] std::string resource_number(model::ResourceId id) const;
  [[nodiscard]] std::string thread_number(model::ThreadId id) const;

  [[nodiscard]] std::string resource(
      model::ResourceId id) const;  // handle->mutex, L2, thread "clock"
  [[nodiscard]] std::string hold(
      const model::FindingHold& hold) const;  // ... with (shared) where modes exist
  [[nodiscard]] std::string thread(model::ThreadId id) const;     // "hloop", "worker" (T2), T3
  [[nodiscard]] std::string kind_of(model::ResourceId id) const;  // "GMutex", "rwlock"

  // "hloop", "admin" and 3 x "worker".
  [[nodiscard]] std::string threads(const std::vector<model::ThreadId>& ids, size_t max = 4) const;

  // "wants handle->mutex", "joins "clock"", "waits on condition L1".
  [[nodiscard]] std::string wants(const model::FindingWant& want, bool plural = false) const;

  // Who has to move before the wait can end, as far as the finding names them.
  [[nodiscard]] std::vector<model::ThreadId> owners(const model::FindingThread& thread) const;

  // Some thread of the knot wants it.
  [[nodiscard]] bool is_wanted_in_knot(model::ResourceId id) const {
    return wanted_in_knot_.contains(id);
  }

  [[nodiscard]] bool many_processes() const { return many_processes_; }

 private:
  void add_resource(model::ResourceId id);
  [[nodiscard]] std::string mode(model::ResourceId id, model::Mode mode) const;

  const model::Finding& finding_;
  std::vector<const model::FindingThread*> story_;
  std::vector<const model::Resource*> ordered_;
  std::map<model::ResourceId, size_t> resource_numbers_;
  std::map<model::ResourceId, const model::Resource*> resources_;
  std::map<model::ThreadId, const model::FindingThread*> threads_;
  std::map<model::ThreadId, size_t> thread_numbers_;
  std::map<std::string, size_t> resource_names_;
  std::map<std::string, size_t> thread_names_;
  std::set<model::ResourceId> wanted_in_knot_;
  bool many_processes_ = false;
};

}  // namespace gordian::report
