; From GRUB to C: the Multiboot2 header, and the way from 32-bit protected mode to long mode on temporary page tables
; that map the first 4 GiB one to one. Then boot_main(magic, information).
; "Multiboot2 Specification", sections "OS image format" and "Machine state".
; There is no framebuffer tag. GRUB for UEFI hands a framebuffer over without one, after a warning that there will be no
; console. GRUB for BIOS would set a graphics mode for it; where the best one has a palette, GRUB 2.06 writes that palette
; behind the end of the information, over its own heap. Without the tag BIOS machines keep their text screen.

%define MAGIC        0xe85250d6
%define ARCHITECTURE 0
%define CR4_PAE      1 << 5
%define EFER         0xc0000080
%define EFER_LME     1 << 8
%define CR0_PG_PE    (1 << 31) | 1
%define CR0_CD_NW    (1 << 30) | (1 << 29)

extern boot_main
global boot_stack_guard
global boot_stack_top
extern boot_gdt_pointer

section .multiboot progbits alloc noexec align=8
header:
    dd MAGIC, ARCHITECTURE, header_end - header, -(MAGIC + ARCHITECTURE + (header_end - header))
    ; information request, optional: memory map, framebuffer, both RSDPs, EFI memory map
align 8
    dw 1, 1
    dd .request_end - .request
.request equ $ - 8
    dd 6, 8, 14, 15
.request_end:
align 8
    dw 6, 0                     ; modules on page boundaries
    dd 8
align 8
    dw 0, 0
    dd 8
header_end:

section .text
bits 32
global multiboot_entry
multiboot_entry:
    cli
    cld
    mov esp, boot_stack_top
    push 0
    push ebx                    ; information, as a 64-bit value on the stack
    push 0
    push eax                    ; magic

    ; The machine must have long mode; without it there is only VGA to say so.
    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jb .no_long_mode
    mov eax, 0x80000001
    cpuid
    bt edx, 29
    jnc .no_long_mode

    ; 4 GiB in pages of 2 MiB: one PML4 entry, four PDPT entries, four page directories
    mov edi, boot_pml4
    mov eax, boot_pdpt + 3
    mov [edi], eax
    mov edi, boot_pdpt
    mov eax, boot_pd + 3
    mov ecx, 4
.pdpt:
    mov [edi], eax
    add eax, 4096
    add edi, 8
    loop .pdpt
    mov edi, boot_pd
    mov eax, 0x83
    xor edx, edx
    mov ecx, 2048
.pd:
    mov [edi], eax
    add eax, 0x200000
    add edi, 8
    loop .pd

    mov eax, CR4_PAE
    mov cr4, eax
    mov eax, boot_pml4
    mov cr3, eax
    mov ecx, EFER
    rdmsr
    or eax, EFER_LME
    wrmsr
    mov eax, cr0
    and eax, ~(CR0_CD_NW)
    or eax, CR0_PG_PE
    mov cr0, eax
    lgdt [boot_gdt_pointer]
    jmp 0x08:.long_mode

.no_long_mode:
    mov esi, no_long_mode_text
    mov edi, 0xb8000
    mov ah, 0x4f
.print:
    lodsb
    test al, al
    jz .halt
    mov [edi], ax
    add edi, 2
    jmp .print
.halt:
    cli
    hlt
    jmp .halt

bits 64
.long_mode:                     ; cpu_load_tables() loads the other segment registers
    pop rdi
    pop rsi
    mov esp, boot_stack_top
    xor ebp, ebp
    call boot_main
.stop:
    cli
    hlt
    jmp .stop

section .rodata
no_long_mode_text: db "Corbel needs a 64-bit CPU: this one has no long mode.", 0

section .bss
align 4096
boot_pml4: resb 4096
boot_pdpt: resb 4096
boot_pd:   resb 4 * 4096
boot_stack_guard: resb 4096     ; taken out of the page tables by boot/memory.c
           resb 16384
boot_stack_top:
