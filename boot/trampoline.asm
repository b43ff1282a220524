; Where the other CPUs begin after SIPI: real mode, at a page below 1 MiB to which boot/smp.c copies this code. It goes
; straight to long mode on Corbel's own page tables and calls ap_main(struct cpu *).
; The words at the end are filled in by boot/smp.c, for one CPU at a time.

global trampoline_start
global trampoline_end
global trampoline_cr3
global trampoline_lift_nx
global trampoline_stack
global trampoline_cpu
global trampoline_page
global boot_gdt_pointer
extern ap_main

%define EFER        0xc0000080
%define MISC_ENABLE 0x1a0

section .rodata
bits 16
align 16
trampoline_start:
    cli
    cld
    mov ax, cs
    mov ds, ax
    o32 lgdt [gdt_pointer - trampoline_start]
    mov eax, (1 << 5) | (1 << 7)           ; PAE, PGE
    mov cr4, eax
    mov eax, [trampoline_cr3 - trampoline_start]
    mov cr3, eax
    cmp byte [trampoline_lift_nx - trampoline_start], 0
    je .nx_is_there
    mov ecx, MISC_ENABLE
    rdmsr
    and edx, ~(1 << (34 - 32))
    wrmsr
.nx_is_there:
    mov ecx, EFER
    rdmsr
    or eax, (1 << 8) | (1 << 11)           ; LME, NXE: our tables use NX
    wrmsr
    mov eax, 0x80010033                    ; PG WP NE ET MP PE; CD and NW off
    mov cr0, eax
    o32 jmp far [entry_pointer - trampoline_start]

align 8
entry_pointer:
    dd ap_entry
    dw 0x08
align 8
gdt_pointer:
    dw gdt_end - gdt - 1
    dd gdt
trampoline_cr3:   dq 0
trampoline_lift_nx: db 0
trampoline_end:

align 8
gdt:
    dq 0
    dq 0x00af9b000000ffff
    dq 0x00cf93000000ffff
gdt_end:
boot_gdt_pointer:
    dw gdt_end - gdt - 1
    dq gdt

section .text
bits 64
ap_entry:                       ; cpu_load_tables() loads the other segment registers
    mov rsp, [rel trampoline_stack]
    mov rdi, [rel trampoline_cpu]
    xor ebp, ebp
    call ap_main
.stop:
    cli
    hlt
    jmp .stop

section .data
align 8
trampoline_stack: dq 0
trampoline_cpu:   dq 0
