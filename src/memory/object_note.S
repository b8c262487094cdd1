# SPDX-License-Identifier: Apache-2.0
# The note that `gordian cc` links into every object: see format/memory.h. Whoever links puts the
# second word of text in if something in the object tells nothing.
.section .note.gordian, "a", @note
.balign 4
.long 8
.long 256
.long 1
.asciz "Gordian"
.long 0x1e5e11
.fill 252, 1, 0
.section .note.GNU-stack, "", @progbits
