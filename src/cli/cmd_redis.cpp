// SPDX-License-Identifier: Apache-2.0
// gordian redis: becomes the program gordian-redis, which is beside it.
#include "base/file.h"
#include "cli/command.h"

#include <unistd.h>

namespace gordian::cli {
namespace {

Result<int> run_redis(const Args& args) {
  GORDIAN_TRY(const std::string own, find_own_file());
  std::string program = own.substr(0, own.rfind('/')) + "/gordian-redis";

  std::vector<char*> words{program.data()};
  Args owned = args;
  for (std::string& word : owned) words.push_back(word.data());
  words.push_back(nullptr);
  execv(program.c_str(), words.data());
  Error error = Error::from_errno("cannot start " + program);
  error.hint = "it is installed with gordian";
  return error;
}

}  // namespace

const Command kRedisCommand{
    .name = "redis",
    .usage = "gordian redis [options] URL...",
    .summary = "say who holds and who waits for the locks on a Redis server",
    .run = run_redis,
};

}  // namespace gordian::cli
