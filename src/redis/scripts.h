// SPDX-License-Identifier: Apache-2.0
// What the server does in one step. Effects on the lock's key are those of the published protocol:
// set if absent (or always) with an expiry, then a read, which makes the server track the key for
// the connection; move the expiry, or delete, only if the value is still ours.
#pragma once

#include <string_view>

namespace gordian::redis {

struct Script {
  std::string_view text;
  std::string_view sha1;  // of the text, in hex: what EVALSHA wants; a test asks a server for it
};

// KEYS lock [counter], ARGV value ms [counter's ms]. 1, or the counter's new value; else
// {the holder's value, its remaining ms}. A value that is there already is ours from an earlier try
// whose reply was lost.
extern const Script kAcquire;
// The same, whoever holds it.
extern const Script kForce;
// KEYS counter, ARGV number ms. 1: the counter is at least the number now.
extern const Script kRaise;
// KEYS lock, ARGV value ms. 1 or 0.
extern const Script kExtend;
// KEYS lock, ARGV value. 1 or 0.
extern const Script kRelease;

// Readers. The lock has the value of the reader that came first, which says that it is one of many;
// beside it stand all of them, each with the time (of the server) at which it ends. A lock that was
// free begins with an empty list: a reader that lost it meanwhile finds itself missing.
// KEYS lock readers writer, ARGV value ms. 1; else {the value in the way, its remaining ms}: that
// of the exclusive holder, or of a writer who waits for the readers to leave.
extern const Script kAcquireShared;
// KEYS lock readers, ARGV value ms. 1 or 0.
extern const Script kExtendShared;
// KEYS lock readers, ARGV value. 1 or 0. The last one deletes the lock.
extern const Script kReleaseShared;

}  // namespace gordian::redis
