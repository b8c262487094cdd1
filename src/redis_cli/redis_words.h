// SPDX-License-Identifier: Apache-2.0
// What `gordian redis` prints: an installation as text, JSON and DOT.
#pragma once

#include "redis/installation.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::redis_cli {

struct RedisReport {
  redis::Installation installation;
  std::vector<std::vector<size_t>> rings;         // that stood still over several readings
  std::map<std::string, std::string> suspicions;  // lock value -> why somebody should look at it
};

std::string redis_text(const RedisReport& report);
std::string redis_json(const RedisReport& report, std::string_view prefix);
// For Graphviz: threads are boxes, locks are ellipses.
std::string redis_dot(const RedisReport& report);

}  // namespace gordian::redis_cli
