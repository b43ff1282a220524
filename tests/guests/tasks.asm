; Task switches: by CALL, JMP, IRET, task gates, interrupts and exceptions, between 32-bit and 16-bit tasks, into user code
; and virtual-8086 mode, nested, with CR3; and what goes wrong in them: the exception, its error code, and in which task it
; comes. Faults are served by tasks of their own, one for each vector.
; vm: boot = flat@0x8000:real
; bare: compared
; cpus: 1
; again: trap = all

%macro TEST_DESCRIPTORS 0
    dw 103, tss_b, 0x8900, 0            ; TSS_B, 32-bit
    dw 43, tss_c, 0x8100, 0             ; TSS_C, 16-bit
    dw 0, TSS_B, 0xe500, 0              ; GATE_B, for everybody
    dw 15, ldt, 0x8200, 0               ; LDT_B
    DESCRIPTOR 0, 0xfffff, 0xc13        ; GONE_DATA: the GONE ones are not present
    DESCRIPTOR 0, 0xfffff, 0xc1b        ; GONE_CODE
    DESCRIPTOR 0, 0xff, 0x49b           ; SHORT_CODE
    dw 15, ldt, 0x0200, 0               ; GONE_LDT
    dw 103, tss_b, 0x0900, 0            ; GONE_TSS
    dw 102, tss_b, 0x8900, 0            ; SHORT_TSS
    dw 42, tss_c, 0x8100, 0             ; SHORT_TSS16
    dw 0, TSS_B, 0x6500, 0              ; GONE_GATE
    dw 0, DATA32, 0xe500, 0             ; BAD_GATE: not to a TSS
    dw 103, tss_b, 0x0b00, 0            ; GONE_BUSY
%assign n 0
%rep HANDLERS
    dw 103, handlers + n * 104, 0x8900, 0
    %assign n n + 1
%endrep
%endmacro
HANDLERS equ 8

%include "tests/guests/lib/flat.inc"
%include "tests/guests/lib/record.inc"

TSS_A equ TSS32
TSS_B equ FIRST_FREE
TSS_C equ FIRST_FREE + 0x08
GATE_B equ FIRST_FREE + 0x10
LDT_B equ FIRST_FREE + 0x18
GONE_DATA equ FIRST_FREE + 0x20
GONE_CODE equ FIRST_FREE + 0x28
SHORT_CODE equ FIRST_FREE + 0x30
GONE_LDT equ FIRST_FREE + 0x38
GONE_TSS equ FIRST_FREE + 0x40
SHORT_TSS equ FIRST_FREE + 0x48
SHORT_TSS16 equ FIRST_FREE + 0x50
GONE_GATE equ FIRST_FREE + 0x58
BAD_GATE equ FIRST_FREE + 0x60
GONE_BUSY equ FIRST_FREE + 0x68
TSS_H equ FIRST_FREE + 0x70             ; the first handler's
BEYOND equ 0xfff8

; Fields of a 32-bit TSS.
AT_CR3 equ 0x1c
AT_EIP equ 0x20
AT_FLAGS equ 0x24
AT_EAX equ 0x28
AT_ESP equ 0x38
AT_ES equ 0x48
AT_CS equ 0x4c
AT_SS equ 0x50
AT_DS equ 0x54
AT_FS equ 0x58
AT_GS equ 0x5c
AT_LDT equ 0x60
AT_TRAP equ 0x64
FLAG_RF equ 1 << 16
STACK_B equ 0x7800
STACK_H equ 0x7400
SEEN equ 0x31
NEVER equ 0xffffffff
SVR equ 0xfee000f0
ICR equ 0xfee00300
%define DB_ (1 << 16)
%define UD (6 << 16)
%define DF (8 << 16)
%define TS(error) (10 << 16 | (error))
%define NP(error) (11 << 16 | (error))
%define SS_(error) (12 << 16 | (error))
%define GP(error) (13 << 16 | (error))

; TYPES "text", those of A and B
%macro TYPES 2
    mov al, [gdt + TSS_A + 5]
    mov ah, [gdt + TSS_B + 5]
    movzx eax, ax
    SHOW {%1, ": types of B and A"}, %2
%endmacro

; CASE "text", what a handler must see, whose task it interrupted, {instructions before}, {the switch}
%macro CASE 5
    call fresh
    %4
    mov dword [resume_ip], %%after
    %5
%%after:
    cli
    mov eax, [h_seen]
    SHOW {%1}, %2
    mov eax, [h_link]
    SHOW {%1, ": in task"}, %3
%endmacro

begin:
    mov al, 0xff
    out 0x21, al
    out 0xa1, al
    call enter_protected
bits 32
    call switches
    call kinds
    call refusals
    call events
    call paging
    call leave_protected
bits 16
    jmp switch_off

bits 32
; ---- there and back ----

switches:
    call fresh
    mov dword [tss + AT_DS], 0x55555555
    mov eax, 0x6ff                      ; breakpoints nowhere
    mov dr7, eax
    mov eax, 0xa0000000
    mov edi, 0xa0000007
    push dword 2
    popfd
    call TSS_B:0
.behind:
    push eax
    pushfd
    FIELD "CALL: EAX of the new task", b_eax, 0xb0000000
    FIELD "CALL: ECX of the new task", b_ecx, 0xb0000001
    FIELD "CALL: EDI of the new task", b_edi, 0xb0000007
    FIELD "CALL: its ESP", b_esp, STACK_B
    FIELD "CALL: its flags", b_flags, FLAG_NT | 2
    FIELD "CALL: its TR", b_tr, TSS_B
    FIELD "CALL: its LDTR", b_ldt, LDT_B
    FIELD "CALL: its CS and SS", b_cs, CODE32 << 16 | DATA32
    FIELD "CALL: its FS and GS", b_fs, USER_DATA32 << 16
    FIELD "CALL: its link", b_link, TSS_A
    FIELD "CALL: types of B and A then", b_types, 0x8b8b
    FIELD "CALL: CR0.TS", b_cr0, CR0_TS
    FIELD "CALL: DR7 has its local enables clear", b_dr7, 0x6aa
    FIELD "CALL: EIP in the old TSS", tss + AT_EIP, .behind
    FIELD "CALL: EAX in the old TSS", tss + AT_EAX, 0xa0000000
    FIELD "CALL: flags in the old TSS", tss + AT_FLAGS, 2
    FIELD16 "CALL: CS in the old TSS", tss + AT_CS, CODE32
    FIELD16 "CALL: DS in the old TSS", tss + AT_DS, DATA32
    pop eax
    SHOW "IRET: flags", 2
    pop eax
    SHOW "IRET: EAX is back", 0xa0000000
    xor eax, eax
    str ax
    SHOW "IRET: TR", TSS_A
    TYPES "IRET", 0x898b
    FIELD "IRET: EIP in the old TSS", tss_b + AT_EIP, b_entry.again
    mov eax, [tss_b + AT_FLAGS]
    and eax, FLAG_NT
    SHOW "IRET: NT in the old TSS", 0
    mov eax, cr0
    and eax, CR0_TS
    SHOW "IRET: CR0.TS", CR0_TS
    mov eax, 0x400
    mov dr7, eax

    call TSS_B:0
    FIELD "a second CALL goes on where the task was: its EAX", b_eax, 0xb1b1b1b1

    call fresh
    mov dword [b_way_back], 1
    jmp TSS_B:0
    FIELD "JMP: flags", b_flags, 2
    FIELD "JMP: types of B and A then", b_types, 0x8b89
    FIELD "JMP: its link", b_link, 0
    TYPES "JMP back", 0x898b

    call fresh
    call GATE_B:0
    FIELD "CALL of a task gate: its link", b_link, TSS_A
    call fresh
    mov dword [b_way_back], 1
    jmp GATE_B:0
    FIELD "JMP to a task gate: its flags", b_flags, 2

    call fresh
    USER user_calls
    FIELD "CALL of a task gate from CPL 3: its CS and SS", b_cs, CODE32 << 16 | DATA32
    FIELD16 "CALL of a task gate from CPL 3: CS in the old TSS", tss + AT_CS, USER_CODE32
    FIELD "CALL of a task gate from CPL 3: CS afterwards", user_cs, USER_CODE32
    ret

user_calls:
    call GATE_B:0
    mov [user_cs], cs
    int END_OF_USER

; ---- tasks of other kinds ----

kinds:
    call fresh
    call TSS_C:0
.behind_16:
    FIELD16 "CALL of a 16-bit task: its AX", c_ax, 0xc000
    FIELD16 "CALL of a 16-bit task: its DI", c_di, 0xc007
    FIELD16 "CALL of a 16-bit task: its SP", c_sp, STACK_B
    FIELD16 "CALL of a 16-bit task: its flags", c_flags, FLAG_NT | 2
    FIELD16 "CALL of a 16-bit task: its TR", c_tr, TSS_C
    FIELD16 "CALL of a 16-bit task: its FS", c_fs, 0
    FIELD16 "CALL of a 16-bit task: its link", tss_c, TSS_A
    FIELD "CALL of a 16-bit task: EIP in the old TSS", tss + AT_EIP, .behind_16
    FIELD16 "IRET of a 16-bit task: IP in the old TSS", tss_c + 0x0e, c_entry.again
    call TSS_C:0
    FIELD16 "a second CALL of a 16-bit task: its AX", c_ax, 0xc1c1

    call fresh
    mov dword [b_way_back], 2
    call TSS_B:0
    FIELD "nested: the middle one's link", b_link, TSS_A
    FIELD16 "nested: the inner one's link", tss_c, TSS_B
    mov eax, [b_flags]
    and eax, FLAG_NT
    SHOW "nested: NT of the middle one when it is back", FLAG_NT
    TYPES "nested, afterwards", 0x898b

    CASE "a task at CPL 3 (UD2)", UD, TSS_B, {call user_b}, {call TSS_B:0}
    FIELD "a task at CPL 3: its CS", b_cs, USER_CODE32
    FIELD16 "a task at CPL 3: SS in its TSS", tss_b + AT_SS, USER_DATA32
    CASE "a task in virtual-8086 mode (UD2)", UD, TSS_B, {call virtual_b}, {call TSS_B:0}
    mov eax, [tss_b + AT_FLAGS]
    and eax, FLAG_VM | FLAG_NT | FLAG_IOPL
    SHOW "a task in virtual-8086 mode: its flags", FLAG_VM | FLAG_NT | FLAG_IOPL
    FIELD "a task in virtual-8086 mode: its CS and DS", b_cs, 0x00300040
    FIELD16 "a task in virtual-8086 mode: ES in its TSS", tss_b + AT_ES, 0x1234
    CASE "a task in virtual-8086 mode beyond 64 KiB", GP(0), TSS_B, {call far_b}, {call TSS_B:0}
    CASE "a task with its debug trap set: #DB", DB_, TSS_B, {mov byte [tss_b + AT_TRAP], 1}, {call TSS_B:0}
    mov eax, [h_dr6]
    and eax, 0xe00f
    SHOW "a task with its debug trap set: DR6", 1 << 15
    FIELD "a task with its debug trap set: nothing of it ran", tss_b + AT_EIP, b_entry
    ret

user_b:
    mov dword [tss_b + AT_EIP], .code
    mov dword [tss_b + AT_CS], USER_CODE32
    mov dword [tss_b + AT_SS], USER_DATA32
    mov dword [tss_b + AT_DS], USER_DATA32
    mov dword [tss_b + AT_ES], USER_DATA32
    ret
.code:
    mov eax, cs
    mov [b_cs], eax
    ud2

far_b:
    call virtual_b
    mov dword [tss_b + AT_EIP], 0x10000
    ret

virtual_b:
    mov dword [tss_b + AT_EIP], .code - 0x300
    mov dword [tss_b + AT_CS], 0x30
    mov dword [tss_b + AT_DS], 0x40
    mov dword [tss_b + AT_ES], 0x1234
    mov dword [tss_b + AT_FLAGS], FLAG_VM | FLAG_IOPL | 2
    ret
bits 16
.code:
    mov [b_cs - 0x400], ds
    mov [b_cs - 0x400 + 2], cs
    ud2
bits 32

; ---- the tasks ----

; Everything as for a first switch.
fresh:
    pushfd
    and word [esp], ~FLAG_NT
    popfd
    mov edi, variables
    mov ecx, (variables_end - variables) / 4
    xor eax, eax
    rep stosd
    mov dword [h_seen], NEVER
    mov dword [h_link], NEVER
    mov dword [tss + AT_CR3], DIRECTORY_A
    mov word [tss], 0
    mov edi, tss_b
    mov edx, b_entry
    mov ecx, STACK_B
    call fresh_task
    mov dword [tss_b + AT_FS], USER_DATA32
    mov dword [tss_b + AT_LDT], LDT_B
    mov eax, 0xb0000000
    mov edi, tss_b + AT_EAX
    call fill_registers
    mov dword [tss_b + AT_ESP], STACK_B

    mov esi, task_c
    mov edi, tss_c
    mov ecx, 44
    rep movsb
    mov byte [gdt + TSS_A + 5], 0x8b
    mov byte [gdt + TSS_B + 5], 0x89
    mov byte [gdt + TSS_C + 5], 0x81

    xor ebp, ebp
    mov edi, handlers
.handler:
    mov edx, h_entry
    mov ecx, STACK_H
    call fresh_task
    movzx eax, byte [handler_vectors + ebp]
    mov [edi + AT_EAX], eax
    mov [edi + AT_EAX + 6 * 4], edi     ; ESI
    mov byte [gdt + TSS_H + ebp * 8 + 5], 0x89
    lea ebx, [idt + eax * 8]
    mov word [ebx + 4], 0xe500
    lea eax, [TSS_H + ebp * 8]
    mov [ebx + 2], ax
    add edi, 104
    inc ebp
    cmp ebp, HANDLERS
    jb .handler
    ret

; EDI: the TSS, EDX: EIP, ECX: ESP.
fresh_task:
    push edi
    push ecx
    xor eax, eax
    mov ecx, 26
    rep stosd
    pop ecx
    pop edi
    mov dword [edi + AT_CR3], DIRECTORY_A
    mov [edi + AT_EIP], edx
    mov dword [edi + AT_FLAGS], 2
    mov [edi + AT_ESP], ecx
    mov dword [edi + AT_ES], DATA32
    mov dword [edi + AT_CS], CODE32
    mov dword [edi + AT_SS], DATA32
    mov dword [edi + AT_DS], DATA32
    mov word [edi + 102], 104
    ret

fill_registers:
    mov ecx, 8
.next:
    stosd
    inc eax
    loop .next
    ret

%include "tests/guests/lib/tasks.inc"
