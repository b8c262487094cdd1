// SPDX-License-Identifier: Apache-2.0
#include "report/name_pairs.h"

#include "report/labels.h"
#include "report/lock_class.h"

#include <map>
#include <string>
#include <utility>

namespace gordian::report {
namespace {

using model::Finding;
using model::FindingThread;
using model::NestedPair;
using model::Resource;
using model::ResourceId;

// What one place says of a lock.
struct Word {
  std::string name;
  bool is_name = false;  // else it is only a place
};

class Namer {
 public:
  explicit Namer(const model::Nestings& nestings) : nestings_(nestings) {
    for (const NestedPair& pair : nestings.pairs) {
      if (pair.may_be_two_locks) continue;
      note(pair.held, word(pair, true));
      note(pair.wanted, word(pair, false));
    }
  }

  [[nodiscard]] NamedPairs name() const {
    NamedPairs named;
    for (const NestedPair& pair : nestings_.pairs) {
      model::SeenPair seen{
          .held = name_of(pair, true), .wanted = name_of(pair, false), .pair = pair};
      if (seen.held.empty() || seen.wanted.empty()) {
        ++named.nameless;
      } else {
        named.seen.push_back(std::move(seen));
      }
    }
    return named;
  }

 private:
  void note(ResourceId id, Word word) {
    if (word.name.empty()) return;
    Word& known = instances_[id];
    if (known.name.empty() || (word.is_name && !known.is_name)) known = std::move(word);
  }

  [[nodiscard]] std::string name_of(const NestedPair& pair, bool is_held) const {
    const ResourceId id = is_held ? pair.held : pair.wanted;
    if (const auto given = nestings_.given_names.find(id); given != nestings_.given_names.end())
      return clean(given->second);
    const auto known = instances_.find(id);
    if (pair.may_be_two_locks || known == instances_.end()) return word(pair, is_held).name;
    return known->second.name;
  }

  // The instance of a pair need not be that of its sample, the class is.
  [[nodiscard]] Word word(const NestedPair& pair, bool is_held) const {
    const Finding& sample = nestings_.samples[pair.sample];
    const FindingThread& thread = sample.threads.front();
    const model::FindingHold& hold = thread.holds[pair.hold];
    const ResourceId id = is_held ? hold.resource : thread.wants->resource;
    for (const Resource& resource : sample.resources) {
      if (resource.id != id) continue;
      if (!resource.name.empty()) return {lock_class(resource), true};
      if (resource.born_by_init) return {lock_class(resource), false};
      const model::Frame* const frame = first_own_frame(is_held ? hold.stack : thread.wants->stack);
      if (frame == nullptr || frame->function.empty()) return {};
      return {"first locked in " + clean(short_function(frame->function)), false};
    }
    return {};
  }

  const model::Nestings& nestings_;
  std::map<ResourceId, Word> instances_;
};

}  // namespace

NamedPairs name_pairs(const model::Nestings& nestings) { return Namer(nestings).name(); }

}  // namespace gordian::report
