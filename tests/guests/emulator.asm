; The instructions that emulator.c runs on RAM and on a device. Each case is its text, the RFLAGS that count, and code that
; finds its operand at [rdi]. R9 is a second operand, in RAM whichever the first is.

%define CF 0x1
%define ZF 0x40
%define DF 0x400
%define LOGIC 0xcc5                     ; CF, PF, ZF, SF, OF and DF: AF is undefined
%define SHIFT 0x4c5                     ; nor is OF, after most shifts
%define ALL 0xcd5

global emulator_cases, emulator_cases_end, emulator_run, emulator_avx_cases, emulator_avx_cases_end

section .cases progbits alloc noexec nowrite align=8
emulator_cases:
section .avx_cases progbits alloc noexec nowrite align=8
emulator_avx_cases:

%define table .cases

; CASE flags, {instruction} [, {instruction}]...
%macro CASE 2-7
    %defstr text %{2:-1}
section .text
%%code:
    %rep %0 - 1
        %rotate 1
        %1
    %endrep
    %rotate 1
    ret
section .rodata
%%name: db text, 0
section table
    dq %%name, %%code, %1
%endmacro

%macro BINARY 2                         ; flags, mnemonic: every size, both directions, constants
    CASE %1, {%2 byte [rdi], al}
    CASE %1, {%2 word [rdi + 2], ax}
    CASE %1, {%2 dword [rdi], ebx}
    CASE %1, {%2 qword [rdi + rcx * 8], rdx}
    CASE %1, {%2 ch, byte [rdi + 1]}
    CASE %1, {%2 r8d, dword [rdi + 3]}
    CASE %1, {%2 rbx, qword [rdi + 8]}
    CASE %1, {%2 dword [rdi], 0x12345678}
    CASE %1, {%2 qword [rdi], -2}
    CASE %1, {%2 byte [rdi], 0x80}
%endmacro

BINARY ALL, add
BINARY ALL, adc
BINARY ALL, sub
BINARY ALL, sbb
BINARY ALL, cmp
BINARY LOGIC, and
BINARY LOGIC, or
BINARY LOGIC, xor
CASE ALL, {lock add dword [rdi], eax}
CASE LOGIC, {lock or qword [rdi], rax}
CASE LOGIC, {test dword [rdi], eax}
CASE LOGIC, {test byte [rdi], 0x81}
CASE ALL, {inc byte [rdi]}
CASE ALL, {inc qword [rdi]}
CASE ALL, {dec word [rdi]}
CASE ALL, {neg dword [rdi]}
CASE ALL, {not qword [rdi]}
CASE CF, {rol dword [rdi], 5}
CASE CF, {ror byte [rdi], cl}
CASE CF, {rcl qword [rdi], 1}
CASE CF, {rcr word [rdi], 3}
CASE SHIFT, {shl dword [rdi], cl}
CASE SHIFT, {shr qword [rdi], 7}
CASE SHIFT, {sar byte [rdi], 2}
CASE SHIFT, {shld dword [rdi], eax, 9}
CASE SHIFT, {shrd qword [rdi], rax, cl}
CASE CF, {bt dword [rdi], 5}
CASE CF, {bt dword [rdi], ecx}
CASE CF, {bts dword [rdi], 31}
CASE CF, {btr qword [rdi], 63}
CASE CF, {lock btc word [rdi], 9}
CASE ZF, {bsf eax, [rdi]}
CASE ZF, {bsr rax, [rdi]}
CASE CF, {mul dword [rdi]}
CASE CF, {imul word [rdi]}
CASE CF, {imul rax, [rdi]}
CASE CF, {imul eax, [rdi], 77}
CASE 0, {mov edx, 3}, {div dword [rdi]}
CASE 0, {mov edx, 0}, {idiv qword [rdi]}

CASE ALL, {mov [rdi], al}
CASE ALL, {mov [rdi], ah}
CASE ALL, {mov [rdi + 1], ax}
CASE ALL, {mov [rdi + 3], rax}
CASE ALL, {mov byte [rdi], 0x5a}
CASE ALL, {mov qword [rdi], -3}
CASE ALL, {mov dl, [rdi]}
CASE ALL, {mov dx, [rdi]}
CASE ALL, {mov edx, [rdi]}
CASE ALL, {mov r8, [rdi + 5]}
CASE ALL, {movzx edx, byte [rdi]}
CASE ALL, {movzx rdx, word [rdi]}
CASE ALL, {movsx dx, byte [rdi + 7]}
CASE ALL, {movsx rdx, word [rdi]}
CASE ALL, {movsxd rdx, dword [rdi + 4]}
CASE ALL, {movbe edx, [rdi]}
CASE ALL, {movbe [rdi], rdx}
CASE ALL, {mov [rdi], ds}
CASE ALL, {cmp eax, eax}, {cmove rdx, [rdi]}
CASE ALL, {cmp eax, eax}, {cmovne edx, [rdi]}
CASE ALL, {cmp eax, ebx}, {setb [rdi]}
CASE ALL, {xchg [rdi], rax}
CASE ALL, {xchg byte [rdi], bl}
CASE ALL, {lock xadd [rdi], eax}
CASE ALL, {mov eax, [r9]}, {cmpxchg [rdi], ebx}
CASE ALL, {lock cmpxchg [rdi], rbx}
CASE ZF, {lock cmpxchg8b [rdi]}
CASE ZF, {lock cmpxchg16b [rdi]}
CASE ZF, {mov rax, [r9]}, {mov rdx, [r9 + 8]}, {cmpxchg16b [rdi]}
CASE ALL, {push qword [rdi]}, {pop rdx}
CASE ALL, {push rdx}, {pop qword [rdi]}
CASE ALL, {clflush [rdi]}

; The stack is the operand.
CASE ALL, {xchg rsp, rdi}, {push rdx}, {push -7}, {push qword [r9]}, {xchg rsp, rdi}
CASE ALL, {xchg rsp, rdi}, {push 0x12345678}, {push ax}, {pop word [r9]}, {xchg rsp, rdi}
CASE ALL, {xchg rsp, rdi}, {pop rdx}, {pop r8}, {pop qword [r9]}, {xchg rsp, rdi}
CASE ALL, {xchg rsp, rdi}, {enter 16, 0}, {xchg rsp, rdi}
CASE ALL, {mov rbp, rdi}, {mov r8, rsp}, {leave}, {xchg rsp, r8}, {mov rdx, rbp}
CASE ALL, {mov qword [rdi], back_again}, {xchg rsp, rdi}, {ret}
CASE ALL, {mov qword [rdi], back_again}, {xchg rsp, rdi}, {ret 24}
CASE ALL, {xchg rsp, rdi}, {call over_there}, {xchg rsp, rdi}

; The operand says where to go, or what a segment or system register becomes.
CASE ALL, {mov qword [rdi], over_there}, {call [rdi]}
CASE ALL, {mov qword [rdi], over_there}, {jmp [rdi]}
CASE ALL, {mov qword [rdi], over_there}, {mov [rdi + 8], cs}, {jmp qword far [rdi]}
CASE ALL, {mov [rdi], ds}, {mov es, [rdi]}, {mov fs, [rdi]}, {mov edx, es}
CASE ALL, {mov [rdi], ss}, {mov ss, [rdi]}, {mov edx, ss}
CASE ALL, {smsw [rdi]}, {lmsw [rdi]}, {smsw rdx}
CASE ALL, {sgdt [rdi]}, {lgdt [rdi]}, {sgdt [r9]}
CASE ALL, {sidt [rdi]}, {lidt [rdi]}, {sidt [r9]}
CASE ALL, {sldt [rdi]}, {lldt [rdi]}, {str [rdi + 2]}

CASE ALL, {mov rsi, r9}, {movsb}
CASE ALL, {mov rsi, r9}, {mov ecx, 9}, {rep movsw}
CASE ALL, {mov rsi, rdi}, {mov rdi, r9}, {mov ecx, 5}, {rep movsd}
CASE ALL, {mov rsi, rdi}, {lea rdi, [rdi + 32]}, {mov ecx, 4}, {rep movsq}
CASE ALL, {mov ecx, 11}, {rep stosb}
CASE ALL, {mov ecx, 3}, {rep stosq}
CASE ALL, {std}, {mov ecx, 5}, {rep stosd}
CASE ALL, {std}, {lea rsi, [rdi + 16]}, {mov ecx, 2}, {rep movsq}
CASE ALL, {mov rsi, rdi}, {lodsb}
CASE ALL, {mov rsi, rdi}, {std}, {lodsd}
CASE ALL, {mov rsi, r9}, {cmpsq}
CASE ALL, {mov rsi, r9}, {mov ecx, 40}, {repe cmpsb}
CASE ALL, {mov ecx, 20}, {repne scasb}
CASE ALL, {mov eax, [rdi]}, {mov ecx, 20}, {repe scasd}
CASE ALL, {xor ecx, ecx}, {rep movsb}

CASE ALL, {movups xmm1, [rdi + 1]}, {movups [r9], xmm1}
CASE ALL, {movups xmm1, [r9]}, {movdqu [rdi + 5], xmm1}
CASE ALL, {movaps xmm1, [rdi]}, {movaps [r9 + 16], xmm1}
CASE ALL, {movups xmm1, [r9]}, {movntdq [rdi], xmm1}
CASE ALL, {movd xmm2, [rdi]}, {movups [r9], xmm2}
CASE ALL, {movq xmm2, [rdi]}, {movups [r9], xmm2}
CASE ALL, {movups xmm1, [r9]}, {movq [rdi], xmm1}
CASE ALL, {movss xmm2, [rdi]}, {movups [r9], xmm2}
CASE ALL, {movups xmm1, [r9]}, {movsd [rdi], xmm1}
CASE ALL, {movnti [rdi], rax}
CASE ALL, {movq mm1, [rdi]}, {movq [r9], mm1}, {emms}
CASE ALL, {movq mm1, [r9]}, {movq [rdi + 3], mm1}, {movd [rdi + 16], mm1}, {emms}

%define table .avx_cases
CASE ALL, {vmovups ymm1, [rdi]}, {vmovups [r9], ymm1}
CASE ALL, {vmovdqu ymm1, [r9]}, {vmovdqu [rdi + 3], ymm1}
CASE ALL, {vmovups ymm1, [r9]}, {vmovdqa xmm1, [rdi]}, {vmovups [r9 + 64], ymm1}
CASE ALL, {vmovups xmm3, [r9]}, {vmovntdq [rdi], xmm3}

section .cases
emulator_cases_end:
section .avx_cases
emulator_avx_cases_end:

section .text
back_again:
    xchg rsp, rdi
over_there:
    inc rdx
    ret

; void emulator_run(uint64_t registers[9], void (*code)(void)): RAX, RBX, RCX, RDX, RSI, RDI, R8, R9, RFLAGS before and
; after.
section .text
emulator_run:
    push rbx
    push rbp
    push r12
    mov r12, rdi
    mov rbp, rsi
    push qword [r12 + 64]
    popf
    mov rax, [r12]
    mov rbx, [r12 + 8]
    mov rcx, [r12 + 16]
    mov rdx, [r12 + 24]
    mov rsi, [r12 + 32]
    mov rdi, [r12 + 40]
    mov r8, [r12 + 48]
    mov r9, [r12 + 56]
    call rbp
    mov [r12], rax
    mov [r12 + 8], rbx
    mov [r12 + 16], rcx
    mov [r12 + 24], rdx
    mov [r12 + 32], rsi
    mov [r12 + 40], rdi
    mov [r12 + 48], r8
    mov [r12 + 56], r9
    pushf
    pop qword [r12 + 64]
    cld
    pop r12
    pop rbp
    pop rbx
    ret
