// SPDX-License-Identifier: Apache-2.0
// `gordian cc` includes this before every source. It makes the functions of std::string part of the
// program that uses them, where the compiler sees what they read and write: libstdc++ has them too,
// but tells nothing.
//
// Not a header of this project: it is preprocessed with other people's sources, of any language.
#pragma once

#if defined(__cplusplus) && defined(__has_include)
#if __has_include(<bits/c++config.h>)
#include <bits/c++config.h>
#undef _GLIBCXX_EXTERN_TEMPLATE
#define _GLIBCXX_EXTERN_TEMPLATE -1
#endif
#endif
