; Another CPU's way from a start-up IPI in real mode into long mode, with the first one's page tables, GDT and IDT. Copied
; to TRAMPOLINE.

TRAMPOLINE equ 0x8000
CR0_PG equ 1 << 31
CR0_PE equ 1
CR4_PAE equ 1 << 5
MSR_EFER equ 0xc0000080
EFER_LME equ 1 << 8
%define HERE(label) (TRAMPOLINE + label - trampoline)

extern guest_pml4, guest_gdt, smp_entry, smp_stack_top
global trampoline, trampoline_end

section .rodata
bits 16
trampoline:
    cli
    xor ax, ax
    mov ds, ax
    o32 lgdt [HERE(pointer)]
    mov eax, cr0
    or eax, CR0_PE
    mov cr0, eax
    jmp dword 0x18:HERE(protected)

bits 32
protected:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, CR4_PAE
    mov cr4, eax
    mov eax, guest_pml4
    mov cr3, eax
    mov ecx, MSR_EFER
    rdmsr
    or eax, EFER_LME
    wrmsr
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax
    jmp 0x08:HERE(long_mode)

bits 64
long_mode:
    mov rsp, [abs smp_stack_top]
    mov rax, smp_entry
    call rax
.end:
    cli
    hlt
    jmp .end

align 8
pointer:
    dw 0x4f
    dd guest_gdt
trampoline_end:
