// SPDX-License-Identifier: Apache-2.0
// REFUSED: these chains of levels form a circle
#include <gordian/mutex.h>

enum class level { a, b, c };

template <>
struct gordian::level_order<level> : gordian::chains<gordian::chain<level::a, level::b, level::c>
#ifdef MISUSE
                                                     ,
                                                     gordian::chain<level::c, level::a>
#endif
                                                     > {
};

gordian::mutex lock("lock", level::a);

int main() {}
