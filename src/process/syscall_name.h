// SPDX-License-Identifier: Apache-2.0
// The name of a system call a thread sleeps in: "epoll_wait"; empty: not one of the usual ones.
#pragma once

#include <cstdint>
#include <string_view>

namespace gordian::process {

std::string_view syscall_name(int64_t number);

}  // namespace gordian::process
