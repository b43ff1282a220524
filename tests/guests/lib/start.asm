; From Multiboot's 32-bit entry to guest_main() in long mode, with the first 4 GiB mapped to themselves; the 256 trap
; entries; and try_call(), which survives a fault.

MULTIBOOT_MAGIC equ 0x1badb002
MULTIBOOT_FLAGS equ 3                   ; modules on pages, memory information wanted

CR0_PG equ 1 << 31
CR4_PAE equ 1 << 5
MSR_EFER equ 0xc0000080
EFER_LME equ 1 << 8
PAGE_LARGE equ 0x87                     ; present, writable, user, 2 MiB
PAGE_TABLE equ 7                        ; present, writable, user
STACK_SIZE equ 32768

extern guest_main, guest_begin, guest_trap, guest_power_off, fault_resume
global start, trap_entries, try_call, guest_gdt, guest_pml4

section .multiboot
align 4
    dd MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

section .text
bits 32
start:
    cli
    cld
    mov esp, stack_top
    mov [boot_magic], eax
    mov [boot_information], ebx

    mov dword [guest_pml4], pdpt + PAGE_TABLE
    xor ecx, ecx
.directory:                             ; four page directories, 1 GiB each
    mov eax, ecx
    shl eax, 12
    add eax, directories + PAGE_TABLE
    mov [pdpt + ecx * 8], eax
    inc ecx
    cmp ecx, 4
    jb .directory
    xor ecx, ecx
.page:
    mov eax, ecx
    shl eax, 21
    or eax, PAGE_LARGE
    mov [directories + ecx * 8], eax
    inc ecx
    cmp ecx, 2048
    jb .page

    mov eax, cr4
    or eax, CR4_PAE
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
    lgdt [gdt_pointer]
    jmp 0x08:long_mode

bits 64
long_mode:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    xor eax, eax
    mov fs, ax
    mov gs, ax
    mov rsp, stack_top
    call guest_begin
    mov edi, [boot_magic]
    mov rsi, [boot_information]
    mov rsi, rsi
    call guest_main
    jmp guest_power_off

; unsigned try_call(void (*code)(void)): the vector of the fault that ended code(), or 256 if it returned.
try_call:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    pushf
    mov [fault_resume], rsp
    call rdi
    mov eax, 256
fault_return:                           ; the trap handler comes here with the vector in RAX
    mov rsp, [fault_resume]
    mov qword [fault_resume], 0
    popf
    cld
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

; Trap entries of 16 bytes: each pushes an error code where the CPU does not, and its vector.
align 16
trap_entries:
%assign vector 0
%rep 256
    align 16
    %if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
    push 0
    %endif
    push vector
    jmp trap_common
    %assign vector vector + 1
%endrep

trap_common:                            ; the order of struct trap_frame
    push rax
    push rcx
    push rdx
    push rbx
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    cld
    mov rdi, rsp
    call guest_trap
    test al, al
    jz .resume
    mov eax, [rsp + 15 * 8]             ; the vector
    jmp fault_return
.resume:
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq

section .data
align 8
guest_gdt:
    dq 0
    dq 0x00af9b000000ffff               ; 08: code, 64 bit
    dq 0x00cf93000000ffff               ; 10: data
    dq 0x00cf9b000000ffff               ; 18: code, 32 bit
    dq 0x00cff3000000ffff               ; 20: data, CPL 3
    dq 0x00affb000000ffff               ; 28: code, 64 bit, CPL 3
    dq 0, 0                             ; 30: the TSS
    dq 0, 0                             ; 40: a test's own
gdt_end:
gdt_pointer:
    dw gdt_end - guest_gdt - 1
    dq guest_gdt

section .bss
boot_magic: resd 1
boot_information: resd 1
alignb 4096
guest_pml4: resb 4096
pdpt: resb 4096
directories: resb 4 * 4096
stack: resb STACK_SIZE
stack_top:
