/* SPDX-License-Identifier: Apache-2.0
 *
 * `gordian cc` includes this before every source that it compiles with clang: a byte for each
 * source in an object, which says that all that it reads and writes is told. Who links looks at it.
 * With gcc our plugin writes it.
 *
 * Not a header of this project: it is preprocessed with other people's sources, of any language, by
 * the rules of any standard.
 */
#pragma once
#pragma GCC system_header

#ifndef __ASSEMBLER__
__asm__(
    ".pushsection .gordian.told, \"e\", @progbits\n.byte 1\n.popsection\n"
    ".pushsection .gordian.seal, \"e\", @progbits\n.quad 0\n.popsection");
#endif
