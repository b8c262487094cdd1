// SPDX-License-Identifier: Apache-2.0
// gordian-redis, which `gordian redis` becomes: what looks at a hung process shall not load the
// libraries that talk to servers.
#include "cli/program.h"
#include "redis_cli/show_installation.h"

int main(int argc, char** argv) {
  return gordian::cli::run_program(
      argc, argv, [](const std::string&, const std::vector<std::string>& arguments) {
        return gordian::redis_cli::show_installation(arguments);
      });
}
