// SPDX-License-Identifier: Apache-2.0
#include "dump/holders.h"

#include "dump/lines.h"
#include "dump/names.h"
#include "dump/thread_view.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace gordian::dump {

namespace {

constexpr size_t kMaxWaitersAsked = 4;  // of one lock: they all tell the same
constexpr size_t kMaxListed = 256;      // threads that share a file, looked at for one lock
constexpr size_t kMaxObjectFrames = 24;
constexpr size_t kMaxPassed = 48;  // frames compared between two stacks

// How much an observation weighs. Only the order matters.
constexpr int kRunsIt = 20, kVariable = 10, kSignal = 9, kObject = 8, kReentered = 7, kAtDoor = 6,
              kStory = 4, kRecursion = 3, kLayer = 2, kLeft = 1;

using Key = uint64_t;

Key key_of(char what, std::string_view text) {
  Key hash = 0xcbf29ce484222325 ^ static_cast<unsigned char>(what);
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  return hash;
}

// What a frame has in common with others, the telling things first.
struct Features {
  std::array<Key, 3> story{};  // function, class, file; 0: none
  Key layer = 0;
};

Features features_of(const Frame& frame, std::string_view plain, Dialect dialect) {
  Features features;
  if (!plain.empty() && !frame.function.empty()) features.story[0] = key_of('F', plain);
  const std::string_view owner = class_of(plain, dialect);
  if (!owner.empty()) features.story[1] = key_of('C', owner);
  const bool is_inlined_header = frame.file.find("/include/c++/") != std::string_view::npos;
  if (!frame.file.empty() && !is_inlined_header) {
    features.story[2] = key_of('f', frame.file);
    const size_t slash = frame.file.rfind('/');
    features.layer =
        key_of('d', slash == std::string_view::npos ? "" : frame.file.substr(0, slash));
  } else if (!frame.module.empty()) {
    features.layer = key_of('m', frame.module);
  } else if (frame.pc != 0) {
    features.layer = key_of('p', std::to_string(frame.pc >> 24));
  }
  return features;
}

bool is_blocked(const ThreadView& view) {
  return view.wait.posture == Posture::Blocked && !view.wait.timed;
}

// Rather than the end of a thread, or room in a queue.
bool wants_lock(const ThreadView& view) {
  return is_blocked(view) && view.wait.kind != model::ResourceKind::Thread &&
         view.wait.kind != model::ResourceKind::Channel;
}

class Finder {
 public:
  Finder(const std::vector<ThreadView>& threads, bool has_hole, std::vector<Lock>& locks)
      : threads_(threads), locks_(locks), free_(threads.size(), 1), is_door_enough_(!has_hole) {
    for (uint32_t i = 0; i < threads.size(); ++i) {
      free_[i] = is_blocked(threads[i]) ? 0 : 1;
      has_busy_ |= threads[i].wait.posture == Posture::Busy;
      all_blocked_ &= is_blocked(threads[i]);
      const bool ends_by_itself = threads[i].wait.is_wait_group;
      if (free_[i] && !threads[i].own.empty() && !ends_by_itself) is_door_enough_ = false;
      for (const Frame& frame : threads[i].thread->frames) collect_lambda_scopes(frame.function);
    }
  }

  void find() {
    index_features();
    collect_objects();
    scan_objects();
    may_move_.assign(locks_.size(), 0);
    for (size_t i = 0; i < locks_.size(); ++i) {
      if (!locks_[i].is_given && !locks_[i].waiters.empty()) weigh(i);
    }
    free_what_can_move();
    for (Lock& lock : locks_) {
      const bool stuck = std::any_of(lock.waiters.begin(), lock.waiters.end(),
                                     [this](uint32_t waiter) { return !free_[waiter]; });
      if (!stuck && !lock.is_given) lock.holders.clear();
    }
  }

 private:
  struct Score {
    int value = 0;
    size_t frame = 0;
    Why why = Why::Left;
  };
  struct Place {
    uint32_t thread = 0;
    size_t frame = 0;
  };
  struct Sighting {
    uint32_t thread = 0;
    size_t frame = 0;
    uint64_t object = 0;
    bool is_lock_itself = false;
    bool in_variable = false;
  };

  // Which threads have a frame with a feature. Those at work first: they must not be overlooked.
  void index_features() {
    features_.resize(threads_.size());
    uint64_t loader_lock = 0;
    for (const ThreadView& view : threads_)
      if (loader_lock == 0) loader_lock = wanted_loader_lock(view);
    for (const bool busy : {true, false}) {
      for (uint32_t i = 0; i < threads_.size(); ++i) {
        const ThreadView& view = threads_[i];
        if ((view.wait.posture == Posture::Busy) != busy) continue;
        features_[i].reserve(view.own.size());
        for (const size_t frame : view.own) {
          features_[i].push_back(
              features_of(view.thread->frames[frame], view.plain[frame], view.thread->dialect));
          const Features& features = features_[i].back();
          for (const Key key : features.story) add(key, i, frame);
          add(features.layer, i, frame);
        }
        for (size_t frame = view.wait.site; frame < view.plain.size(); ++frame) {
          const uint64_t once =
              running_once(view.thread->frames[frame], view.plain[frame], view.thread->dialect);
          if (once != 0) running_[once].push_back({i, frame});
        }
        const auto loading = loader_lock != 0 ? find_loading(view) : std::nullopt;
        if (loading) running_[loader_lock].push_back({i, *loading});
      }
    }
  }

  void add(Key key, uint32_t thread, size_t frame) {
    if (key == 0) return;
    std::vector<Place>& list = with_feature_[key];
    if (list.empty() || list.back().thread != thread) list.push_back({thread, frame});
  }

  // Pointers in the asking frames to the object around each lock.
  void collect_objects() {
    objects_.resize(locks_.size());
    for (uint32_t i = 0; i < locks_.size(); ++i) {
      const Lock& lock = locks_[i];
      const size_t asked = std::min(lock.waiters.size(), kMaxWaitersAsked);
      std::unordered_set<uint64_t> found;
      for (size_t w = 0; w < asked; ++w) {
        const ThreadView& view = threads_[lock.waiters[w]];
        size_t seen = 0;
        for (const size_t frame : view.own) {
          if (++seen > kMaxObjectFrames) break;
          each_address(view.thread->frames[frame].args, [&](uint64_t value) {
            if (value < 0x1000) return;
            const bool is_around =
                lock.address != 0 && value <= lock.address && lock.address - value < kObjectBytes;
            // Of a join, or a lock without an address, the asking function's own arguments.
            // Of a join, or a lock whose address is not shown, what the asking function is given.
            const bool is_given = lock.address == 0 && is_asking(view, frame);
            if (is_around || is_given) found.insert(value);
          });
        }
      }
      if (lock.address != 0 && !lock.is_join) found.insert(lock.address);
      for (const uint64_t object : found) {
        if (objects_[i].size() >= 16) break;
        objects_[i].push_back(object);
        locks_with_[object].push_back(i);
      }
    }
  }

  void scan_objects() {
    sightings_.resize(locks_.size());
    if (locks_with_.empty()) return;
    for (uint32_t i = 0; i < threads_.size(); ++i) {
      const ThreadView& view = threads_[i];
      for (size_t frame = view.wait.site; frame < view.thread->frames.size(); ++frame) {
        const Frame& text = view.thread->frames[frame];
        const auto note = [&](uint64_t value, bool in_variable, bool in_guard) {
          const auto found = locks_with_.find(value);
          if (found == locks_with_.end()) return;
          for (const uint32_t lock : found->second) {
            if (sightings_[lock].size() >= 4 * kMaxListed) continue;
            const bool is_guarded = value == locks_[lock].address && !locks_[lock].is_join;
            const bool itself = is_guarded && (in_guard || !in_variable);
            sightings_[lock].push_back({i, frame, value, itself, in_variable});
          }
        };
        each_address(text.args, [&](uint64_t value) { note(value, false, false); });
        std::string_view locals = text.locals;
        for (size_t at = locals.find("0x"); at != locals.npos; at = locals.find("0x", at + 2)) {
          const auto value = parse_hex(locals.substr(at, 20));
          std::string_view before = locals.substr(at < 24 ? 0 : at - 24, std::min<size_t>(at, 24));
          if (before.ends_with('@')) before.remove_suffix(1);
          const bool is_guard = before.ends_with("_M_device = ");
          // A std::unique_lock that has let go, or is still asking.
          if (is_guard && locals.substr(at, 64).find("_M_owns = false") != locals.npos) continue;
          if (value) note(*value, true, is_guard);
        }
      }
    }
  }

  // Everybody whom the text puts near the lock, and who of them it most likely is.
  void weigh(size_t index) {
    Lock& lock = locks_[index];
    std::map<uint32_t, Score> scores;
    const auto raise = [&](uint32_t thread, int value, size_t frame, Why why) {
      Score& score = scores[thread];
      if (value > score.value) score = {value, frame, why};
    };
    std::unordered_set<uint32_t> waits_here(lock.waiters.begin(), lock.waiters.end());
    weigh_sightings(index, waits_here, raise);
    weigh_features(lock, waits_here, raise);
    weigh_running(lock, raise);
    if (!lock.is_join) weigh_self(index, raise);
    choose(index, scores);
  }

  template <typename Raise>
  void weigh_sightings(size_t index, const std::unordered_set<uint32_t>& waits_here,
                       const Raise& raise) {
    const Lock& lock = locks_[index];
    for (const Sighting& sighting : sightings_[index]) {
      if (waits_here.contains(sighting.thread)) continue;
      const ThreadView& view = threads_[sighting.thread];
      // It gave that mutex back for the time of its wait.
      if (lock.address != 0 && view.wait.companion == lock.address) continue;
      const bool owns = sighting.in_variable && sighting.is_lock_itself;
      const bool is_plumbing_frame = is_plumbing(view.thread->frames[sighting.frame],
                                                 view.plain[sighting.frame], view.thread->dialect);
      if (is_plumbing_frame && !owns) continue;
      const bool at_door = is_blocked(view) && is_asking(view, sighting.frame);
      // An object that its own lock belongs to says nothing of the other lock in it.
      const bool is_own_object = view.wait.address >= sighting.object &&
                                 view.wait.address - sighting.object < kObjectBytes;
      if (!owns && at_door && is_own_object && wants_lock(view) && !is_door_enough_) continue;
      if (!owns && at_door && (!is_whole(view) || lock.address == 0)) continue;
      // Locals point to much; only a guard means more than that.
      if (!owns && sighting.in_variable) {
        raise(sighting.thread, kLayer, sighting.frame, Why::Object);
        continue;
      }
      raise(sighting.thread,
            owns      ? kVariable
            : at_door ? kAtDoor
                      : kObject,
            sighting.frame, owns ? Why::Variable : Why::Object);
    }
  }

  template <typename Raise>
  void weigh_features(const Lock& lock, const std::unordered_set<uint32_t>& waits_here,
                      const Raise& raise) {
    const size_t asked = std::min(lock.waiters.size(), kMaxWaitersAsked);
    for (size_t w = 0; w < asked; ++w) {
      const ThreadView& waiter = threads_[lock.waiters[w]];
      for (size_t i = 0; i < count_asking(waiter); ++i) {
        const Features& wanted = features_[lock.waiters[w]][i];
        for (const Key key : wanted.story)
          raise_all(key, wanted, kStory, Why::Story, lock, waits_here, raise);
        raise_all(wanted.layer, wanted, kLayer, Why::Layer, lock, waits_here, raise);
      }
    }
  }

  template <typename Raise>
  void raise_all(Key key, const Features& wanted, int value, Why why, const Lock& lock,
                 const std::unordered_set<uint32_t>& waits_here, const Raise& raise) {
    const auto found = with_feature_.find(key);
    if (key == 0 || found == with_feature_.end()) return;
    size_t looked_at = 0;
    for (const Place& place : found->second) {
      if (++looked_at > kMaxListed) break;
      const uint32_t thread = place.thread;
      if (waits_here.contains(thread)) continue;
      const ThreadView& view = threads_[thread];
      const Posture posture = view.wait.posture;
      if (posture == Posture::Idle && !lock.is_join) continue;
      if (posture == Posture::Waiting && !lock.is_join && why == Why::Layer) continue;
      if (lock.address != 0 && view.wait.companion == lock.address) continue;
      // Without an address, two locks wanted in the same place may be one.
      if (lock.address == 0 && !lock.is_join && posture == Posture::Blocked && !all_blocked_ &&
          !comes_from_elsewhere(thread, key))
        continue;
      if (posture == Posture::Blocked && !lock.is_join &&
          !is_new_story(lock, thread, key, why == Why::Layer))
        continue;
      if (!lock.is_join && is_mainlike_joiner(view)) continue;
      if (!lock.is_join && wants_lock(view) && !is_door_enough_ &&
          is_at_door(thread, key, wanted.story[1]))
        continue;
      if (lock.address == 0 && !lock.is_join && may_want_the_same(lock, thread)) continue;
      raise(thread, value, place.frame, why);
    }
  }

  // `thread` has come through `key` only where it asks for its own lock, or in another class than
  // the `owner` that asks for this one: their file is the same, their story is not.
  [[nodiscard]] bool is_at_door(uint32_t thread, Key key, Key owner) const {
    for (size_t i = count_asking(threads_[thread]); i < features_[thread].size(); ++i) {
      const Features& features = features_[thread][i];
      const Key other = features.story[1];
      if (owner != 0 && other != 0 && other != owner) continue;
      if (features.layer == key ||
          std::find(features.story.begin(), features.story.end(), key) != features.story.end())
        return false;
    }
    return true;
  }

  // Two methods of one class, asking for locks whose addresses are not shown: perhaps for one lock.
  [[nodiscard]] bool may_want_the_same(const Lock& lock, uint32_t thread) const {
    const ThreadView& other = threads_[thread];
    const ThreadView& waiter = threads_[lock.waiters.front()];
    if (other.wait.kind != lock.kind || other.wait.address != 0) return false;
    const auto class_asking = [this](const ThreadView& view, uint32_t index) {
      const size_t asking = count_asking(view);
      return asking == 0 ? Key{0} : features_[index][asking - 1].story[1];
    };
    const Key mine = class_asking(waiter, lock.waiters.front());
    return mine != 0 && mine == class_asking(other, thread);
  }

  // What `thread` shows of the lock's surroundings is more than the waiters have passed themselves:
  // else they would have taken whatever it could have taken there. And if it is only the place
  // where it waits itself, its stack must be whole: what is cut off could tell another story.
  [[nodiscard]] bool is_new_story(const Lock& lock, uint32_t thread, Key key, bool is_layer) const {
    const ThreadView& view = threads_[thread];
    const size_t asking = count_asking(view);
    bool is_new = false, is_outside = false;
    const ThreadView& waiter = threads_[lock.waiters.front()];
    for (size_t i = 0; i < view.own.size() && i < kMaxPassed; ++i) {
      const Features& features = features_[thread][i];
      if (features.layer != key &&
          std::find(features.story.begin(), features.story.end(), key) == features.story.end())
        continue;
      is_outside |= i >= asking;
      if (is_new) continue;
      bool is_passed = false;
      const std::string& name = view.plain[view.own[i]];
      for (size_t j = count_asking(waiter); j < waiter.own.size() && j < kMaxPassed; ++j)
        is_passed |= waiter.plain[waiter.own[j]] == name;
      is_new |= !is_passed;
    }
    return is_new && (is_whole(view) || (is_outside && !is_layer));
  }

  // The thread asks for its own lock somewhere else, and has come through `key` on the way there.
  [[nodiscard]] bool comes_from_elsewhere(uint32_t thread, Key key) const {
    for (size_t i = 0; i < count_asking(threads_[thread]); ++i) {
      const Features& features = features_[thread][i];
      if (features.layer == key ||
          std::find(features.story.begin(), features.story.end(), key) != features.story.end())
        return false;
    }
    return true;
  }

  // main() that waits for the workers it has started holds nothing, as a rule; nor does the
  // function main() has for that, or the one whose lambdas the workers are. What runs at exit is no
  // such.
  [[nodiscard]] bool is_mainlike_joiner(const ThreadView& view) const {
    if (view.wait.kind != model::ResourceKind::Thread || view.own.empty()) return false;
    const size_t main = view.own.back();
    if (view.plain[main] != "main") return false;
    for (const std::string& name : view.plain)
      if (name == "exit" || name == "run_exit_handlers" || name == "quick_exit") return false;
    size_t i = 0;
    while (i + 1 < view.own.size() && (is_join_wrapper(view.plain[view.own[i]]) ||
                                       view.plain[view.own[i]].find("::~") != std::string::npos))
      ++i;
    const size_t deciding = view.own[i];
    if (deciding == main || starts_lambdas_.contains(last_part(view.plain[deciding]))) return true;
    const std::string_view file = view.thread->frames[deciding].file;
    if (file.empty()) return i + 2 == view.own.size();
    if (file == view.thread->frames[main].file) return true;
    if (!class_of(view.plain[deciding], view.thread->dialect).empty()) return false;
    // A function that joins a thread whose work stands in the same file has started it there.
    return std::any_of(threads_.begin(), threads_.end(), [&](const ThreadView& other) {
      return other.thread->tid != 0 && other.thread->tid == view.wait.joined_tid &&
             !other.own.empty() && other.thread->frames[other.own.back()].file == file;
    });
  }

  // "(anonymous namespace)::cycle()::<lambda()>", "cycle()::{lambda()#1}": cycle.
  void collect_lambda_scopes(std::string_view function) {
    constexpr size_t kLongest = 4096;
    function = function.substr(0, kLongest);
    size_t left = 8;
    for (size_t at = function.find("lambda"); at != function.npos && left-- > 0;
         at = function.find("lambda", at + 1)) {
      if (at < 4 || function.substr(at - 3, 2) != "::" || function[at - 4] != ')') continue;
      size_t open = at - 4;
      for (int depth = 0; open > 0; --open) {
        if (function[open] == ')') ++depth;
        if (function[open] == '(' && --depth == 0) break;
      }
      size_t start = open;
      while (start > 0 && (std::isalnum(static_cast<unsigned char>(function[start - 1])) != 0 ||
                           function[start - 1] == '_'))
        --start;
      if (start < open) starts_lambdas_.insert(function.substr(start, open - start));
    }
  }

  template <typename Raise>
  void weigh_running(const Lock& lock, const Raise& raise) {
    const auto found = running_.find(lock.address);
    if (lock.address == 0 || found == running_.end()) return;
    for (const Place& place : found->second) raise(place.thread, kRunsIt, place.frame, Why::Runs);
  }

  // Waiters that may wait for themselves.
  template <typename Raise>
  void weigh_self(size_t index, const Raise& raise) {
    const Lock& lock = locks_[index];
    const size_t asked = std::min(lock.waiters.size(), kMaxListed);
    for (size_t w = 0; w < asked; ++w) {
      const uint32_t waiter = lock.waiters[w];
      const ThreadView& view = threads_[waiter];
      if (is_interrupted_wait(view)) continue;
      if (const auto frame = find_interrupted(view)) raise(waiter, kSignal, *frame, Why::Signal);
      if (const auto frame = find_interrupted_asking(view))
        raise(waiter, kReentered, *frame, Why::Signal);
      if (const auto frame = find_reentry(index, waiter))
        raise(waiter, kReentered, *frame, Why::Reentered);
      if (const auto frame = find_recursion(view))
        raise(waiter, kRecursion, *frame, Why::Reentered);
      if (const auto frame = find_second_read(lock, view)) raise(waiter, kLeft, *frame, Why::Left);
    }
  }

  // A writer waits for readers, and a reader for that writer: if it is nobody else's read, it is
  // the one's that wants to read again. It must have come out of work on the same object.
  [[nodiscard]] std::optional<size_t> find_second_read(const Lock& lock,
                                                       const ThreadView& view) const {
    if (has_busy_ || view.wait.mode != model::Mode::Shared) return std::nullopt;
    const bool writer_waits =
        std::any_of(lock.waiters.begin(), lock.waiters.end(),
                    [this](uint32_t waiter) { return threads_[waiter].wait.is_read_held; });
    return writer_waits && lock.address != 0 ? find_work_on(view, lock.address) : std::nullopt;
  }

  // The object is in the asking frames, then not, then again: the thread had left it.
  [[nodiscard]] std::optional<size_t> find_reentry(size_t index, uint32_t waiter) const {
    const ThreadView& view = threads_[waiter];
    std::map<uint64_t, std::vector<size_t>> frames;  // object -> frames, inner first
    for (const Sighting& sighting : sightings_[index]) {
      if (sighting.thread != waiter || sighting.in_variable) continue;
      frames[sighting.object].push_back(sighting.frame);
    }
    for (const auto& [object, list] : frames) {
      if (object == locks_[index].address && locks_[index].kind != model::ResourceKind::Once)
        continue;
      for (size_t i = 1; i < list.size(); ++i) {
        // At least two frames of the program's own in between, that show another object.
        size_t others = 0;
        for (const size_t frame : view.own) {
          if (frame <= list[i - 1] || frame >= list[i]) continue;
          bool shows_other = false;
          each_address(view.thread->frames[frame].args, [&, own = object](uint64_t value) {
            shows_other |= value > 0x1000 && value != own;
          });
          if (shows_other) ++others;
        }
        const bool is_own = std::find(view.own.begin(), view.own.end(), list[i]) != view.own.end();
        // The outermost is where its work on the object began.
        for (size_t j = list.size(); others >= 1 && is_own && j-- > i;)
          if (std::find(view.own.begin(), view.own.end(), list[j]) != view.own.end())
            return list[j];
      }
    }
    return std::nullopt;
  }

  // `other` shows up near the lock only in a function the waiter has passed through itself, in the
  // same object, and beyond the place where `other` waits: what that function takes, the waiter
  // has. So `other` cannot have it.
  [[nodiscard]] bool is_behind(size_t index, uint32_t other, uint32_t waiter) const {
    std::unordered_set<std::string_view> passed;
    const ThreadView& view = threads_[waiter];
    for (const Sighting& sighting : sightings_[index]) {
      if (sighting.thread == waiter && !is_asking(view, sighting.frame))
        passed.insert(view.plain[sighting.frame]);
    }
    bool seen = false;
    for (const Sighting& sighting : sightings_[index]) {
      if (sighting.thread != other) continue;
      const ThreadView& theirs = threads_[other];
      if (is_plumbing(theirs.thread->frames[sighting.frame], theirs.plain[sighting.frame],
                      theirs.thread->dialect))
        continue;
      seen = true;
      if (!passed.contains(theirs.plain[sighting.frame])) return false;
    }
    return seen;
  }

  void choose(size_t index, std::map<uint32_t, Score>& scores) {
    Lock& lock = locks_[index];
    const std::unordered_set<uint32_t> waits_here(lock.waiters.begin(), lock.waiters.end());
    int mover = 0, best = 0, best_waiting = 0;
    for (auto& [thread, score] : scores) {
      const ThreadView& view = threads_[thread];
      if (!waits_here.contains(thread) && score.why == Why::Object && is_blocked(view) &&
          std::any_of(
              lock.waiters.begin(),
              lock.waiters.begin() +
                  static_cast<ptrdiff_t>(std::min(lock.waiters.size(), kMaxWaitersAsked)),
              [&, holder = thread](uint32_t waiter) { return is_behind(index, holder, waiter); }))
        score.value = 0;
      if (is_blocked(view)) {
        best = std::max(best, score.value);
      } else if (view.wait.posture == Posture::Busy || lock.is_join) {
        mover = std::max(mover, score.value);
      } else if (view.wait.posture == Posture::Waiting && is_worth_asking(lock, view, score)) {
        best_waiting = std::max(best_waiting, score.value);
      }
    }
    if (lock.is_join && best < kStory) return;
    if (best == 0 && !lock.is_join && !has_busy_) best = add_what_is_left(lock, waits_here, scores);
    if (best == 0 && best_waiting > mover && !has_busy_) {
      std::vector<std::pair<uint32_t, Score>> found;
      for (const auto& [thread, score] : scores)
        if (threads_[thread].wait.posture == Posture::Waiting && score.value == best_waiting &&
            is_worth_asking(lock, threads_[thread], score))
          found.emplace_back(thread, score);
      // Several that only come the same way are workers.
      if (found.size() > 1 && best_waiting < kObject) return;
      for (const auto& [thread, score] : found) take(lock, thread, score);
      return;
    }
    const bool is_self_only = std::all_of(scores.begin(), scores.end(), [&](const auto& entry) {
      return entry.second.value < best || waits_here.contains(entry.first) ||
             !is_blocked(threads_[entry.first]);
    });
    // Of a thread that wants again what it has, nobody at work may have anything to do with it.
    if (mover >= best || (is_self_only && best < kSignal && mover >= kLayer)) {
      may_move_[index] = 1;
      return;
    }
    if (is_self_only && best == kRecursion && has_busy_) return;
    std::vector<std::pair<uint32_t, Score>> found;
    bool has_other = false;  // than main(), waiting for its threads to end
    for (const auto& [thread, score] : scores) {
      if (!is_blocked(threads_[thread]) || score.value != best || best == 0) continue;
      found.emplace_back(thread, score);
      has_other |= !is_join_of_main(threads_[thread]);
    }
    for (const auto& [thread, score] : found)
      if (!has_other || !is_join_of_main(threads_[thread])) take(lock, thread, score);
  }

  [[nodiscard]] static bool is_join_of_main(const ThreadView& view) {
    return view.wait.kind == model::ResourceKind::Thread && !view.own.empty() &&
           view.plain[view.own.back()] == "main";
  }

  // A thread waiting for a signal may do so under a lock. Idle workers look alike, so only the
  // object around the lock counts, in a frame that is not the thread's outermost.
  [[nodiscard]] static bool is_worth_asking(const Lock& lock, const ThreadView& view,
                                            const Score& score) {
    if (view.wait.timed || score.value < kStory || view.own.empty()) return false;
    if (view.wait.is_wait_group) return true;
    if (score.value < kObject && lock.waiters.size() < 2) return false;
    if (view.thread->dialect == Dialect::Go)
      return lock.waiters.size() >= 2 && score.frame != view.own.back();
    return score.frame != view.own.back() && view.own.size() >= 2;
  }

  // Somebody blocked must have it, and only one kind of thread is left: those that join.
  int add_what_is_left(const Lock& lock, const std::unordered_set<uint32_t>& waits_here,
                       std::map<uint32_t, Score>& scores) {
    if (lock.address == 0) return 0;
    int best = 0;
    for (uint32_t i = 0; i < threads_.size(); ++i) {
      if (!is_blocked(threads_[i]) || waits_here.contains(i)) continue;
      if (threads_[i].wait.kind != model::ResourceKind::Thread || threads_[i].own.empty() ||
          is_mainlike_joiner(threads_[i]))
        continue;
      scores[i] = {kLeft, threads_[i].own.front(), Why::Left};
      best = kLeft;
    }
    return best;
  }

  static void take(Lock& lock, uint32_t thread, const Score& score) {
    constexpr size_t kMaxHolders = 64;
    if (lock.holders.size() < kMaxHolders) lock.holders.push_back({thread, score.frame, score.why});
  }

  // Any possible holder that can move might let go. What remains cannot, whoever it is.
  void free_what_can_move() {
    std::vector<std::vector<uint32_t>> held_by(threads_.size());
    std::vector<char> is_open(locks_.size(), 0);
    std::vector<uint32_t> work;
    const auto open = [&](uint32_t index) {
      if (std::exchange(is_open[index], 1)) return;
      for (const uint32_t waiter : locks_[index].waiters) {
        if (std::exchange(free_[waiter], 1)) continue;
        work.push_back(waiter);
      }
    };
    for (uint32_t i = 0; i < locks_.size(); ++i) {
      const Lock& lock = locks_[i];
      const bool is_channel = lock.kind == model::ResourceKind::Channel;
      if (is_channel || lock.is_absent) continue;  // nobody known frees it
      for (const Holder& holder : lock.holders) held_by[holder.thread].push_back(i);
      const bool can_move =
          may_move_[i] || lock.holders.empty() ||
          std::any_of(lock.holders.begin(), lock.holders.end(), [&](const Holder& holder) {
            return free_[holder.thread] && threads_[holder.thread].wait.posture != Posture::Waiting;
          });
      if (can_move) open(i);
    }
    while (!work.empty()) {
      const uint32_t thread = work.back();
      work.pop_back();
      for (const uint32_t lock : held_by[thread]) open(lock);
    }
  }

  const std::vector<ThreadView>& threads_;
  std::vector<Lock>& locks_;
  std::vector<char> free_, may_move_;
  bool has_busy_ = false, all_blocked_ = true;
  bool is_door_enough_;                                  // see the head of holders.h
  std::unordered_set<std::string_view> starts_lambdas_;  // functions, without their namespace
  std::vector<std::vector<Features>> features_;          // by thread, beside ThreadView::own
  std::unordered_map<Key, std::vector<Place>> with_feature_;
  std::unordered_map<uint64_t, std::vector<Place>> running_;  // once-initialisations
  std::unordered_map<uint64_t, std::vector<uint32_t>> locks_with_;
  std::vector<std::vector<uint64_t>> objects_;
  std::vector<std::vector<Sighting>> sightings_;
};

}  // namespace

void find_holders(const std::vector<ThreadView>& threads, bool has_hole, std::vector<Lock>& locks) {
  Finder(threads, has_hole, locks).find();
}

}  // namespace gordian::dump
