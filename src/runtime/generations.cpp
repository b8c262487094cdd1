// SPDX-License-Identifier: Apache-2.0
#include "runtime/generations.h"

namespace gordian::runtime {

constinit uint16_t generations[kGenerationCounters] = {};

}  // namespace gordian::runtime
