; Virtual-8086 mode under a monitor of the guest's own: with IOPL 0 and 3, without and with CR4.VME, and with a virtual
; interrupt pending. What an instruction faults with comes to the monitor, which lets the program go on behind it.
; vm: boot = flat@0x8000:real
; bare: compared
; cpus: 1
; again: trap = all

%include "tests/guests/lib/flat.inc"
%define COLUMNS 5
%include "tests/guests/lib/record.inc"
%include "tests/guests/lib/catch.inc"

FLAG_VIF equ 1 << 19
FLAG_VIP equ 1 << 20
PF_USER equ 4
REDIRECTED equ 0x40                     ; INT n: with VME, the program's own handler
REDIRECTION equ 104                     ; in the TSS: the map of interrupts, then that of ports
PORT_MAP equ REDIRECTION + 32
PAGE_TABLE equ TABLES + 0x1000
APIC equ 0x9000                         ; segments: the local APIC's page, a page that is not there, one of CPL 0
ABSENT equ 0xa000
PRIVATE equ 0xb000
APIC_ADDRESS equ 0xfee00000
CR0_CD_NW equ 3 << 29
TRIED equ FLAG_CF | FLAG_IF | 1 << 12
%define G GP(0)
%define PF(error) (14 << 16 | (error))
%define SS_FAULT (12 << 16)

; PASS column, CR4, EFLAGS
%macro PASS 3
    mov eax, %2
    mov cr4, eax
    mov edx, %3 | FLAG_VM | 2
    call run_v86
    mov esi, mode_name
    mov edi, records_v86
    mov ebp, records_v86_end
    mov ecx, %1
    call report
%endmacro

begin:
    mov al, 0xff
    out 0x21, al
    out 0xa1, al
    mov eax, cr0
    and eax, ~CR0_CD_NW
    mov cr0, eax
    mov word [REDIRECTED * 4], redirected
    mov word [REDIRECTED * 4 + 2], 0
    call enter_protected
bits 32
    call make_gates
    mov ecx, 6
    mov eax, undefined
    mov edx, 0x8e00
    call set_gate
    mov word [tss + 102], PORT_MAP
    btr dword [tss + REDIRECTION + REDIRECTED / 32 * 4], REDIRECTED % 32
    btr dword [tss + PORT_MAP + 0x21 / 32 * 4], 0x21 % 32
    call paging_on
    PASS 0, 0, 0
    PASS 1, 0, FLAG_IOPL
    PASS 2, CR4_VME, 0
    PASS 3, CR4_VME, FLAG_IOPL
    PASS 4, CR4_VME, FLAG_VIP
    mov eax, cr0
    and eax, ~CR0_PG
    mov cr0, eax
    call leave_protected
bits 16
    jmp switch_off

bits 32
paging_on:
    mov edi, TABLES
    xor eax, eax
    mov ecx, 1024
    rep stosd
    mov dword [TABLES], PAGE_TABLE | 7
    mov eax, 7
.page:
    stosd
    add eax, 0x1000
    cmp eax, 0x400007
    jb .page
    mov dword [PAGE_TABLE + (APIC >> 8) * 4], APIC_ADDRESS | 0x1f
    mov dword [PAGE_TABLE + (ABSENT >> 8) * 4], 0
    and dword [PAGE_TABLE + (PRIVATE >> 8) * 4], ~PF_USER
    mov eax, TABLES
    mov cr3, eax
    mov eax, cr0
    or eax, CR0_PG
    mov cr0, eax
    ret

; EDX: EFLAGS. Returns when the program is through.
run_v86:
    pop dword [back_ip]
    mov [back_sp], esp
    mov byte [leaving], 0
    xor eax, eax
    %rep 5                              ; GS, FS, DS, ES, SS
    push eax
    %endrep
    push dword USER_STACK_TOP
    push edx
    push eax
    push dword program
    iretd

; UD2 is how the program shows its flags and how it ends.
undefined:
    cmp byte [ss:leaving], 0
    jne end_of_probe32
    push byte 0
    push byte 6
    jmp catch32

mode_name: db "virtual-8086, ", 0
column_0: db "IOPL 0: ", 0
column_1: db "IOPL 3: ", 0
column_2: db "IOPL 0, VME: ", 0
column_3: db "IOPL 3, VME: ", 0
column_4: db "IOPL 0, VME, VIP: ", 0
align 4
column_names: dd column_0, column_1, column_2, column_3, column_4
leaving: db 0
bits 16

; ---- the program ----

; REFUSED "text", {instruction}: #GP(0) everywhere; UNKNOWN: #UD; WORKS.
%macro REFUSED 2+
    ATTEMPT {%2}
    KEEP {%1}, G
%endmacro
%macro UNKNOWN 2+
    ATTEMPT {%2}
    KEEP {%1}, UD
%endmacro
%macro WORKS 2+
    ATTEMPT {%2}
    KEEP {%1}, NONE
%endmacro

; FLAGS "text", the real flags in each column...
%macro FLAGS 2-*
    ATTEMPT {ud2}
    mov eax, [fault_flags]
    and eax, FLAG_CF | FLAG_IF | FLAG_IOPL | FLAG_VM | FLAG_VIF | FLAG_VIP
    KEEP {%1}, %{2:-1}
%endmacro
%define IOPL3 FLAG_IOPL

RECORDS v86
program:
    ; ---- IF, as the program sees it and as it is ----
    mov word [.seen], 0
    ATTEMPT {pushf}, {pop word [.seen]}
    KEEP "PUSHF", G, NONE
    movzx eax, word [.seen]
    KEEP "PUSHF, the flags", 0, 0x3002
    ATTEMPT {pushfd}
    KEEP "PUSHFD", G, NONE, G, NONE, G
    ATTEMPT {sti}
    KEEP "STI", G, NONE, NONE, NONE, G
    FLAGS "STI, then really", FLAG_VM, FLAG_VM | IOPL3 | FLAG_IF, FLAG_VM | FLAG_VIF, FLAG_VM | IOPL3 | FLAG_IF, \
        FLAG_VM | FLAG_VIP
    mov word [.seen], 0
    ATTEMPT {pushf}, {pop word [.seen]}
    movzx eax, word [.seen]
    and eax, FLAG_IF
    KEEP "STI, then PUSHF shows IF", 0, FLAG_IF, FLAG_IF, FLAG_IF, 0
    mov word [.seen], 0
    ATTEMPT {int REDIRECTED}
    KEEP "INT 40H, its own handler with VME", G, GP(REDIRECTED * 8 + 2), NONE
    movzx eax, word [.seen]
    and eax, FLAG_IF | FLAG_IOPL
    KEEP "INT 40H, the flags pushed", 0, 0, 0x3200, 0x3200, 0x3000
    movzx eax, word [.inside]
    and eax, FLAG_IF | FLAG_IOPL
    KEEP "INT 40H, the flags inside", 0, 0, 0x3000, 0x3000, 0x3000
    FLAGS "INT 40H and IRET, then really", FLAG_VM, FLAG_VM | IOPL3 | FLAG_IF, FLAG_VM | FLAG_VIF, \
        FLAG_VM | IOPL3 | FLAG_IF, FLAG_VM | FLAG_VIP
    ATTEMPT {int SEEN}
    KEEP "INT 31H, the monitor's handler", G, NONE, G, NONE, G
    ATTEMPT {cli}
    KEEP "CLI", G, NONE
    clc
    FLAGS "CLI, then really", FLAG_VM, FLAG_VM | IOPL3, FLAG_VM, FLAG_VM | IOPL3, FLAG_VM | FLAG_VIP
    clc
    ATTEMPT {push TRIED}, {popf}
    KEEP "POPF of CF, IF and IOPL 1", G, NONE, NONE, NONE, G
    clc
    ATTEMPT {push TRIED}, {popf}
    FLAGS "POPF, then really", FLAG_VM, FLAG_VM | IOPL3 | FLAG_IF | FLAG_CF, FLAG_VM | FLAG_VIF | FLAG_CF, \
        FLAG_VM | IOPL3 | FLAG_IF | FLAG_CF, FLAG_VM | FLAG_VIP
    ATTEMPT {cli}
    clc
    ATTEMPT {push TRIED}, {push 0}, {push .returned}, {iret}
.returned:
    mov esp, [resume_sp]
    mov eax, [fault]
    FLAGS "IRET with CF, IF and IOPL 1, then really", FLAG_VM, FLAG_VM | IOPL3 | FLAG_IF | FLAG_CF, \
        FLAG_VM | FLAG_VIF | FLAG_CF, FLAG_VM | IOPL3 | FLAG_IF | FLAG_CF, FLAG_VM | FLAG_VIP
    ATTEMPT {cli}
    ATTEMPT {int3}
    KEEP "INT3, a gate of CPL 0", GP(3 * 8 + 2)
    ATTEMPT {db 0xf1}
    KEEP "INT1", 1 << 16

    ; ---- refused, unknown, harmless ----
    REFUSED "HLT", {hlt}
    REFUSED "MOV from CR0", {mov eax, cr0}
    REFUSED "MOV to CR3", {mov cr3, eax}
    REFUSED "MOV from DR7", {mov eax, dr7}
    REFUSED "CLTS", {clts}
    REFUSED "LMSW", {lmsw ax}
    REFUSED "LGDT", {lgdt [.pseudo]}
    REFUSED "LIDT", {lidt [.pseudo]}
    REFUSED "INVLPG", {invlpg [0]}
    REFUSED "WBINVD", {wbinvd}
    REFUSED "RDMSR", {rdmsr}
    UNKNOWN "SLDT", {sldt ax}
    UNKNOWN "STR", {str ax}
    UNKNOWN "LLDT", {lldt ax}
    UNKNOWN "LTR", {ltr ax}
    UNKNOWN "LAR", {lar eax, ecx}
    UNKNOWN "LSL", {lsl eax, ecx}
    UNKNOWN "VERR", {verr ax}
    UNKNOWN "VERW", {verw ax}
    UNKNOWN "ARPL", {arpl ax, cx}
    UNKNOWN "VMCALL's neighbour VMLAUNCH", {db 0x0f, 0x01, 0xc2}
    UNKNOWN "MOV to CS", {db 0x8e, 0xc8}
    WORKS "RDTSC", {rdtsc}
    xor eax, eax
    WORKS "CPUID", {cpuid}
    mov eax, ebx
    KEEP "CPUID, EBX", "Genu"
    sgdt [.pseudo]
    movzx eax, word [.pseudo]
    KEEP "SGDT, limit", gdt_end - gdt - 1
    sidt [.pseudo]
    movzx eax, word [.pseudo]
    KEEP "SIDT, limit", GATES * 8 - 1
    smsw eax
    KEEP "SMSW", CR0_PG | 0x11

    ; ---- ports ----
    xor eax, eax
    in al, 0x21
    KEEP "IN from a port that the map grants", 0xff
    REFUSED "IN from another", {in al, 0x20}
    REFUSED "OUT to another", {out 0x80, al}
    mov dx, 0x21
    mov di, .seen
    mov cx, 2
    cld
    rep insb
    movzx eax, word [.seen]
    KEEP "REP INSB", 0xffff
    mov dx, 0x20
    REFUSED "INSB from another", {insb}

    ; ---- segments ----
    mov ax, 0x1234
    mov fs, ax
    push fs
    xor eax, eax
    pop ax
    KEEP "MOV to FS, PUSH FS", 0x1234
    call 0x10:.target - 0x100
    KEEP "far CALL, CS before and behind", 0x10
    jmp 0x20:.jumped - 0x200
.jumped:
    mov eax, cs
    jmp 0:.back
.back:
    KEEP "far JMP", 0x20
    REFUSED "a word over the segment's end", {mov ax, [0xffff]}
    ATTEMPT {mov ax, [ss:0xffff]}
    KEEP "a stack word over the segment's end", SS_FAULT

    ; ---- pages ----
    mov ax, ABSENT
    mov fs, ax
    ATTEMPT {mov al, [fs:5]}
    KEEP "a page that is not there", PF(PF_USER)
    mov ax, PRIVATE
    mov fs, ax
    ATTEMPT {mov [fs:5], al}
    KEEP "a page of CPL 0", PF(PF_USER | 3)
    mov ax, APIC
    mov fs, ax
    mov eax, [fs:0x30]
    and eax, 0xff
    KEEP "a read of MMIO", 0x14
    mov dword [fs:0x80], 0x30
    add dword [fs:0x80], 0x10
    mov eax, [fs:0x80]
    mov dword [fs:0x80], 0
    KEEP "writes of MMIO", 0x40
    mov byte [leaving], 1
    ud2

.target:
    mov bp, sp
    mov ax, [bp + 2]
    shl eax, 16
    mov ax, cs
    retf
align 8
.pseudo: dq 0
.seen: dw 0
.inside: dw 0

redirected:
    pushf
    pop word [program.inside]
    push bp
    mov bp, sp
    push word [bp + 6]
    pop word [program.seen]
    pop bp
    iret
RECORDS v86_end
