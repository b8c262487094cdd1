// SPDX-License-Identifier: Apache-2.0
// In which order locks are taken: as a file says it, as a run showed it, and how the two differ.
//
// Locks are spoken of by class: a static lock, a member of a type, a birthplace. A class has a name
// without addresses and line numbers, which outlives builds (report/lock_class.h).
#pragma once

#include "model/finding.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace gordian::model {

// One line of an order file: locks that match `before` are taken before those that match `after`.
// In the section of exceptions: either way is right. `*` is any text, `\` takes a sign as itself.
struct OrderRule {
  std::string before;
  std::string after;
  size_t line = 0;
  std::string reason = {};
};

struct LockOrder {
  std::string name;  // of the file, for messages
  std::vector<OrderRule> order;
  std::vector<OrderRule> any;
};

// A place where a thread asked for a lock while it held others.
//
// `samples` are findings of one thread each, so that process/ can give them stacks and names; pairs
// refer to them. One sample stands for all chains of the same places.
struct NestedPair {
  ResourceId held{};
  ResourceId wanted{};
  uint32_t sample = 0;
  uint32_t hold = 0;              // which of the sample's holds
  uint64_t order = 0;             // in the log of its process: later means logged later
  bool may_be_two_locks = false;  // one of them lay on a stack: its address says nothing
};
struct Nestings {
  std::vector<Finding> samples;
  std::vector<NestedPair> pairs;  // in the order of the log; each once for every sample
  std::map<ResourceId, std::string> given_names;  // by the program itself, see gordian/annotate.h
  bool cut = false;                               // there were more than a limit allows
};

// A pair with the classes of its locks.
struct SeenPair {
  std::string held;
  std::string wanted;
  NestedPair pair;
};

enum class OrderFault : uint8_t {
  AgainstFile,  // the file says the opposite
  AgainstRun,   // this run did the opposite too, and the file says nothing
  Instances,    // two locks of one class, taken in both orders
};

// "before, then after": a line of the file, or a pair of this run, or both.
struct OrderStep {
  std::string before;
  std::string after;
  size_t line = 0;    // 0: not in the file
  int64_t seen = -1;  // index of the first SeenPair that shows it; -1: not in this run
};

struct OrderViolation {
  size_t seen = 0;  // index of the SeenPair
  OrderFault fault = OrderFault::AgainstFile;
  std::vector<OrderStep> opposite;  // from the lock that was wanted to the one that was held
};

struct OrderOutcome {
  std::vector<OrderViolation> violations;  // each pair of classes once
  std::vector<size_t> added;  // SeenPairs that the file does not have, nor imply, sorted by class
  size_t confirmed = 0;       // pairs of classes that agree with the file
  size_t excepted = 0;        // that the file lets be
};

}  // namespace gordian::model
