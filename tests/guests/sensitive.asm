; The instructions that show what kernel they run under, or under which they would show a hypervisor that has no help from
; the CPU: in real mode, and at CPL 0 and 3 in 16-bit, 32-bit and 64-bit code. Each must give the guest's own tables,
; selectors, privilege and flags, and what it gives is printed. lib/sensitive.inc has the instructions.
; vm: boot = flat@0x8000:real
; bare: compared
; cpus: 1

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
SEEN equ 0x31                           ; INT n: whoever may call it
FORBIDDEN equ 0x32                      ; CPL 0 only
END_OF_PROBE equ 0x33
GATES equ 0x34
PROBE_STACK_TOP equ 0x7400              ; of probes at CPL 0
CR0_CD_NW equ 3 << 29

%define UD (6 << 16)
%define GP(error) (13 << 16 | (error))
%define NONE 0

; ---- records: what an instruction gave ----

; KEEP "text", what EAX must be at CPL 0 [, at CPL 3 [, at CPL 3 with IOPL 3]]. In 64-bit code: RAX.
%macro KEEP 2-4
    %if __BITS__ == 64
    mov [%%value], rax
    %else
    mov [%%value], eax
    %endif
[section .records]
    dd %%text
%%value:
    dq 0, %2
    %if %0 == 2
    dq %2, %2
    %elif %0 == 3
    dq %3, %3
    %else
    dq %3, %4
    %endif
[section .texts]
%%text: db %1, 0
__SECT__
%endmacro
RECORD equ 4 + 8 * 4

%macro RECORDS 1
[section .records]
records_%1:
__SECT__
%endmacro

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

; ATTEMPT {instruction}, ...: EAX is then the fault's vector << 16 | error code, or NONE.
%macro ATTEMPT 1-*
    mov dword [resume_ip], %%behind
    mov dword [fault], NONE
    mov [resume_sp], esp
    %rep %0
    %1
    %rotate 1
    %endrep
%%behind:
    mov esp, [resume_sp]
    mov eax, [fault]
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

; ---- reports ----

; ESI: the mode; EDI to EBP: its records; ECX: which column must have come.
bits 32
report:
    mov [report_mode], esi
.record:
    mov eax, [edi + 4]
    mov edx, [edi + 8]
    xor eax, [edi + 12 + ecx * 8]
    xor edx, [edi + 16 + ecx * 8]
    or eax, edx
    mov esi, good_text
    jz .judged
    mov esi, bad_text
.judged:
    call print32
    mov esi, [report_mode]
    call print32
    mov esi, [column_names + ecx * 4]
    call print32
    mov esi, [edi]
    call print32
    mov esi, is_text
    call print32
    mov ebx, [edi + 8]
    test ebx, ebx
    jz .low
    call print_hex
.low:
    mov ebx, [edi + 4]
    call print_hex
    mov esi, end_text
    call print32
    add edi, RECORD
    cmp edi, ebp
    jb .record
    ret

; EBX, in hexadecimal. Changes EAX, EDX, ESI.
print_hex:
    push ecx
    mov ecx, 8
.digit:
    rol ebx, 4
    mov eax, ebx
    and eax, 15
    mov al, [hex_digits + eax]
    mov [hex_text], al
    mov esi, hex_text
    call print32
    loop .digit
    pop ecx
    ret

hex_digits: db "0123456789abcdef"
hex_text: db 0, 0
is_text: db " = ", 0
real_name: db "real mode", 0
name_16: db "16-bit, ", 0
name_32: db "32-bit, ", 0
name_64: db "64-bit, ", 0
column_0: db "CPL 0: ", 0
column_1: db "CPL 3: ", 0
column_2: db "CPL 3, IOPL 3: ", 0
align 4
column_names: dd column_0, column_1, column_2
report_mode: dd 0

; ---- the passes ----

runner: dd 0
back_ip: dd 0
back_sp: dd 0

; EAX: the code, EBX: its CS, ECX: its SS, EDX: its EFLAGS. Returns when it says END_OF_PROBE.
run_32:
    pop dword [back_ip]
    mov [back_sp], esp
    test bl, 3
    jnz .user
    mov ss, cx
    mov esp, PROBE_STACK_TOP
    jmp .go
.user:
    push ecx
    push dword USER_STACK_TOP
.go:
    push edx
    push ebx
    push eax
    mov ds, cx
    mov es, cx
    iretd

end_of_probe32:
    mov ax, DATA32
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, [back_sp]
    jmp [back_ip]

; The same in long mode, and out of it again.
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
idt32_pointer:
    dw GATES * 8 - 1
    dd idt
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

; The entries for one kind of IDT: stubs by vector, INT SEEN, call gate. %1: 4 or 8, the size of a stack slot.
%macro HANDLERS 1
align 16, db 0x90
catch_stubs %+ __BITS__:
%assign vector 0
%rep 32
    align 16, db 0x90
    %if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
    push byte 0
    %endif
    push byte vector
    jmp near catch %+ __BITS__
    %assign vector vector + 1
%endrep

; Through SS: DS may be anything here.
catch %+ __BITS__:
    xchg A, [SP_]            ; the vector
    shl eax, 16
    or eax, [SP_ + %1]
    mov [SS_ fault], eax
    mov eax, [SS_ resume_ip]
    mov [SP_ + 2 * %1], A
    pop A
    add SP_, %1
    IRET_

; EAX: the interrupted CS and ours; EBX: its flags and ours.
seen %+ __BITS__:
    pushf
    pop B
    shl ebx, 16
    mov bx, [SP_ + 2 * %1]
    rol ebx, 16
    mov eax, [SP_ + %1]
    shl eax, 16
    mov ax, cs
    IRET_

; EAX: the caller's CS and ours.
gate_target %+ __BITS__:
    mov eax, [SP_ + %1]
    shl eax, 16
    mov ax, cs
    RETF_
%endmacro

bits 32
    %define A eax
    %define B ebx
    %define SP_ esp
    %define SS_ ss:
    %define IRET_ iretd
    %define RETF_ retf
    HANDLERS 4
bits 64
    %define A rax
    %define B rbx
    %define SP_ rsp
    %define SS_
    %define IRET_ iretq
    %define RETF_ o64 retf
    HANDLERS 8

bits 32
make_gates:
    mov ecx, 0
    mov eax, catch_stubs32
    mov ebx, catch_stubs64
.fault:
    mov edx, 0x8e00
    call set_gate
    add eax, 16
    add ebx, 16
    inc ecx
    cmp ecx, 32
    jb .fault
    mov ecx, SEEN
    mov eax, seen32
    mov ebx, seen64
    mov edx, 0xee00
    call set_gate
    mov ecx, FORBIDDEN
    mov edx, 0x8e00
    call set_gate
    mov ecx, END_OF_PROBE
    mov eax, end_of_probe32
    mov ebx, end_of_probe64
    mov edx, 0xee00
    call set_gate
    lidt [idt32_pointer]
    ret

; ECX: the vector, EAX and EBX: its 32-bit and 64-bit handler, EDX: the kind of gate.
set_gate:
    lea edi, [idt + ecx * 8]
    mov [edi], ax
    mov word [edi + 2], CODE32
    mov [edi + 4], edx
    mov edi, ecx
    shl edi, 4
    add edi, IDT64
    mov [edi], bx
    mov word [edi + 2], CODE64
    mov [edi + 4], edx
    mov dword [edi + 8], 0
    mov dword [edi + 12], 0
    ret

%include "tests/guests/lib/sensitive.inc"
