/* SPDX-License-Identifier: Apache-2.0
 *
 * libc's syscall(). Everything but futex goes on by a tail jump, as if we were not there: a frame of
 * ours around a raw clone or vfork would break the program. Futex waits are how Rust's std, Qt and
 * C++20 atomics block: hooks_futex.cpp publishes them.
 *
 * `gordian_real_syscall` is null until start() has found it; then the C path starts us first.
 */
#include <sys/syscall.h>

        .text
        .globl  syscall
        .type   syscall, @function
        .p2align 4
syscall:
        .cfi_startproc
        endbr64
        cmpl    $SYS_futex, %edi
        je      1f
        movq    gordian_real_syscall(%rip), %rax
        testq   %rax, %rax
        je      2f
        jmp     *%rax
1:      jmp     gordian_futex_call
        /* Before the start. The eight arguments of syscall() survive around the call. */
2:      pushq   %rdi
        .cfi_adjust_cfa_offset 8
        pushq   %rsi
        .cfi_adjust_cfa_offset 8
        pushq   %rdx
        .cfi_adjust_cfa_offset 8
        pushq   %rcx
        .cfi_adjust_cfa_offset 8
        pushq   %r8
        .cfi_adjust_cfa_offset 8
        pushq   %r9
        .cfi_adjust_cfa_offset 8
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        call    gordian_find_real_syscall
        addq    $8, %rsp
        .cfi_adjust_cfa_offset -8
        popq    %r9
        .cfi_adjust_cfa_offset -8
        popq    %r8
        .cfi_adjust_cfa_offset -8
        popq    %rcx
        .cfi_adjust_cfa_offset -8
        popq    %rdx
        .cfi_adjust_cfa_offset -8
        popq    %rsi
        .cfi_adjust_cfa_offset -8
        popq    %rdi
        .cfi_adjust_cfa_offset -8
        movq    gordian_real_syscall(%rip), %rax
        jmp     *%rax
        .cfi_endproc
        .size   syscall, .-syscall

        .section .note.GNU-stack,"",@progbits
