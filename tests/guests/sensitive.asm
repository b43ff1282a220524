; The instructions that show what kernel they run under, or under which they would show a hypervisor that has no help from
; the CPU: in real mode, and at CPL 0 and 3 in 16-bit, 32-bit and 64-bit code. Each must give the guest's own tables,
; selectors, privilege and flags, and what it gives is printed. lib/sensitive.inc has the instructions.
; vm: boot = flat@0x8000:real
; bare: compared
; cpus: 1
; again: trap = all

%macro TEST_DESCRIPTORS 0
    DESCRIPTOR 0, 0xffff, 0x0f3         ; USER_DATA16
    DESCRIPTOR 0, 0xfffff, 0xafb        ; USER_CODE64
    DESCRIPTOR 0, 0xffff, 0x09f         ; CONFORMING16
    DESCRIPTOR 0, 0xfffff, 0xc9f        ; CONFORMING32
    DESCRIPTOR 0, 0xfffff, 0xa9f        ; CONFORMING64
    dw 15, ldt, 0x8200, 0, 0, 0, 0, 0   ; LDT_SELECTOR: 16 bytes to 64-bit code
    dw gate_target32, CODE32, 0xec00, 0 ; GATE: CPL 3 may call it
    dw 103, tss64, 0x8900, 0            ; TSS64
    dq 0
    dw gate_target64, CODE64, 0xec00, 0 ; GATE64
    dq 0
%endmacro

%include "tests/guests/lib/flat.inc"
%define COLUMNS 3
%include "tests/guests/lib/record.inc"
%include "tests/guests/lib/catch.inc"

USER_DATA16 equ FIRST_FREE | 3
USER_CODE64 equ FIRST_FREE + 0x08 | 3
CONFORMING16 equ FIRST_FREE + 0x10
CONFORMING32 equ FIRST_FREE + 0x18
CONFORMING64 equ FIRST_FREE + 0x20
LDT_SELECTOR equ FIRST_FREE + 0x28
GATE32 equ FIRST_FREE + 0x38
TSS64 equ FIRST_FREE + 0x40
GATE64 equ FIRST_FREE + 0x50
LOCAL_DATA equ 8 | 4 | 3                ; in the LDT
BEYOND equ 0xfff8

IDT64 equ 0x5000
CR0_CD_NW equ 3 << 29

; PASSES bits, CS and SS of CPL 0, CS and SS of CPL 3
%macro PASSES 5
    ONE_PASS %1, 0, %2, %3, 0
    ONE_PASS %1, 1, %4, %5, 0
    ONE_PASS %1, 2, %4, %5, FLAG_IOPL
%endmacro

; ONE_PASS bits, column, CS, SS, EFLAGS
%macro ONE_PASS 5
    mov eax, probe_%1
    mov ebx, %3
    mov ecx, %4
    mov edx, %5 | 2
    call [runner]
    mov esi, name_%1
    mov edi, records_%1
    mov ebp, records_%1_end
    mov ecx, %2
    call report
%endmacro

; UNDEFINED "what", {instruction}: #UD in real mode
%macro UNDEFINED 2+
    TRY %2
    mov eax, [fault]
    KEEP {%1, ": the vector"}, 6
%endmacro

begin:
    mov al, 0xff                        ; no interrupts, so that IF may be set
    out 0x21, al
    out 0xa1, al
    mov eax, cr0
    and eax, ~CR0_CD_NW
    mov cr0, eax
    call real_mode
    call enter_protected
bits 32
    mov esi, real_name
    mov edi, records_real
    mov ebp, records_real_end
    xor ecx, ecx
    call report
    call make_gates
    call make_gates64
    mov ax, LDT_SELECTOR
    lldt ax
    mov dword [runner], run_32
    PASSES 16, CODE16, DATA16, USER_CODE16, USER_DATA16
    PASSES 32, CODE32, DATA32, USER_CODE32, USER_DATA32
    mov dword [runner], run_64
    PASSES 64, CODE64, DATA32, USER_CODE64, USER_DATA32
    call leave_protected
bits 16
    jmp switch_off

; ---- names ----

real_name: db "real mode, ", 0
name_16: db "16-bit, ", 0
name_32: db "32-bit, ", 0
name_64: db "64-bit, ", 0
column_0: db "CPL 0: ", 0
column_1: db "CPL 3: ", 0
column_2: db "CPL 3, IOPL 3: ", 0
align 4
column_names: dd column_0, column_1, column_2

; ---- the passes ----

runner: dd 0

; What run_32 does, in long mode, and out of it again.
bits 32
run_64:
    pop dword [back_ip]
    mov [back_sp], esp
    mov [run_code], eax
    mov edi, TABLES
    xor eax, eax
    push ecx
    mov ecx, 3 * 1024
    rep stosd
    pop ecx
    mov edi, TABLES
    mov dword [edi], TABLES + 0x1000 | 7
    mov dword [edi + 0x1000], TABLES + 0x2000 | 7
    mov dword [edi + 0x2000], 0x87      ; 2 MiB, of CPL 3 too
    mov cr3, edi
    mov eax, cr4
    or eax, CR4_PAE
    mov cr4, eax
    mov eax, EFER_LME
    call set_efer
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax
    lidt [idt64_pointer]
    mov byte [gdt + TSS64 + 5], 0x89
    mov ax, TSS64
    ltr ax
    jmp CODE64:.long
bits 64
.long:
    mov ds, cx
    mov es, cx
    mov esp, PROBE_STACK_TOP
    mov eax, PROBE_STACK_TOP
    mov esi, USER_STACK_TOP
    test bl, 3
    cmovnz eax, esi
    push rcx
    push rax
    push rdx
    push rbx
    push qword [run_code]
    iretq

end_of_probe64:
    jmp far dword [.out]
.out:
    dd .narrow
    dw CODE32
bits 32
.narrow:
    mov ax, DATA32
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, cr0
    and eax, ~CR0_PG
    mov cr0, eax
    xor eax, eax
    call set_efer
    mov eax, cr4
    and eax, ~CR4_PAE
    mov cr4, eax
    lidt [idt32_pointer]
    mov byte [gdt + TSS32 + 5], 0x89
    mov ax, TSS32
    ltr ax
    mov esp, [back_sp]
    jmp [back_ip]

; EFER is EAX. Keeps EDX and ECX.
set_efer:
    push ecx
    push edx
    mov ecx, MSR_EFER
    xor edx, edx
    wrmsr
    pop edx
    pop ecx
    ret

align 8
run_code: dq 0
idt64_pointer:
    dw GATES * 16 - 1
    dd IDT64, 0
tss64:
    dd 0
    dq TRAP_STACK_TOP
    times 90 db 0
    dw 104
ldt:
    dq 0
    DESCRIPTOR 0, 0xfff, 0x4f3          ; LOCAL_DATA

; ---- faults and interrupts: the probe goes on behind what faulted, at its own privilege ----

bits 64
    %define A rax
    %define B rbx
    %define SP_ rsp
    %define SS_
    %define IRET_ iretq
    %define RETF_ o64 retf
    HANDLERS 8

bits 32
make_gates64:
    xor ecx, ecx
    mov eax, catch_stubs64
.fault:
    mov edx, 0x8e00
    call set_gate64
    add eax, 16
    inc ecx
    cmp ecx, 32
    jb .fault
    mov ecx, SEEN
    mov eax, seen64
    mov edx, 0xee00
    call set_gate64
    mov ecx, FORBIDDEN
    mov edx, 0x8e00
    call set_gate64
    mov ecx, END_OF_PROBE
    mov eax, end_of_probe64
    mov edx, 0xee00

set_gate64:
    mov edi, ecx
    shl edi, 4
    add edi, IDT64
    mov [edi], ax
    mov word [edi + 2], CODE64
    mov [edi + 4], edx
    mov dword [edi + 8], 0
    mov dword [edi + 12], 0
    ret

%include "tests/guests/lib/sensitive.inc"
