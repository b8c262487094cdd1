// SPDX-License-Identifier: Apache-2.0
// What the class of a lock is called, in every run and every build the same: no addresses, no line
// numbers, no index, no variable that happened to point to it.
//
//   rooms_mutex                       a static lock
//   pool[]                            any element of a static array
//   Participant::streams_mutex        a member, by its type
//   init at room.c in room_create     a lock without a name: its birthplace
#pragma once

#include "model/resource.h"

#include <string>
#include <string_view>

namespace gordian::report {

// Empty: nothing is known that could be said again in another run. Safe for a terminal.
std::string lock_class(const model::Resource& resource);

// "Handle::mutex" of "h->mutex", "handle->mutex" and "state.mutex", all of type Handle; a lock that
// is no member of a known type keeps its name.
std::string member_name(const model::Resource& resource);

// "room.c:12" -> "room.c:", "f+0x12" -> "f+0x": numbers that move with every edit.
std::string without_numbers_after_colons(std::string_view text);
std::string without_addresses(std::string_view text);

}  // namespace gordian::report
