// SPDX-License-Identifier: Apache-2.0
// `gordian cc` includes this before every source.
//
// Not a header of this project: it is preprocessed with other people's sources, of any language.
#pragma once

// A byte for each source in an object: whether all that it reads and writes is told. Who links
// looks at it. GORDIAN_UNTOLD is defined where the compiler leaves things out and nothing helps it.
#ifndef __ASSEMBLER__
#ifdef GORDIAN_UNTOLD
__asm__(".pushsection .gordian.told, \"e\", @progbits\n.byte 0\n.popsection");
#else
__asm__(".pushsection .gordian.told, \"e\", @progbits\n.byte 1\n.popsection");
#endif
#endif

// The functions of std::string become part of the program that uses them, where the compiler sees
// what they read and write: libstdc++ has them too, but tells nothing.
#if defined(__cplusplus) && defined(__has_include)
#if __has_include(<bits/c++config.h>)
#include <bits/c++config.h>
#undef _GLIBCXX_EXTERN_TEMPLATE
#define _GLIBCXX_EXTERN_TEMPLATE -1
#endif
#endif
