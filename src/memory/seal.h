// SPDX-License-Identifier: Apache-2.0
// `gordian cc` includes this before every source, as prelude.h.
#pragma once

// Room for what `gordian cc` writes into the object when it is made: which code is in it. A linker
// that puts objects together to one (ld -r) makes it untrue, whatever it adds:
// process/told_objects.
#ifndef __ASSEMBLER__
__asm__(".pushsection .gordian.seal, \"e\", @progbits\n.quad 0\n.popsection");
#endif
