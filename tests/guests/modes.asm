; The CPU's modes and the ways between them: real mode, 16-bit and 32-bit protected mode without paging, with 32-bit paging
; and PAE, compatibility mode, long mode, and all the way back. In each: CPUID, ports, memory-mapped registers, faults.
; vm: boot = flat@0x8000:real
; again: trap = all

%include "tests/guests/lib/flat.inc"

APIC_VERSION equ 0xfee00030
VERSION equ 0x14                        ; its low byte
VECTOR_PIT equ 0x31

begin:
    call real_mode
    call real_interrupts
    call enter_protected
bits 32
    call protected
    call paging_32
    call paging_pae
    call long_mode
    call leave_protected
bits 16
    call back
    jmp switch_off

; ---- real mode ----

real_mode:
    smsw ax
    test al, CR0_PE
    CHECK "real mode: CR0.PE is clear"
    mov eax, 0x40000000
    cpuid
    cmp ebx, 0x4b4d564b
    CHECK "real mode: CPUID"
    mov al, 0xa5
    out 0x21, al
    xor al, al
    in al, 0x21
    cmp al, 0xa5
    CHECK "real mode: IN, OUT"

    EXPECT "real mode: DIV by 0: #DE", 0, 0, {div byte [zero]}
    EXPECT "real mode: UD2: #UD", 6, 0, {ud2}
    EXPECT "real mode: a word over the segment's end: #GP", 13, 0, {mov ax, [0xffff]}
    EXPECT "real mode: a stack word over the segment's end: #SS", 12, 0, {mov ax, [ss:0xffff]}
    EXPECT "real mode: SLDT: #UD", 6, 0, {sldt ax}
    EXPECT "real mode: LTR: #UD", 6, 0, {ltr ax}
    EXPECT "real mode: LAR: #UD", 6, 0, {lar ax, cx}
    mov ecx, 0x5eed
    EXPECT "real mode: RDMSR of an unknown MSR: #GP", 13, 0, {rdmsr}

    ; INT n pushes FLAGS, CS, IP and clears IF.
    mov word [0x40 * 4], handler
    mov word [0x40 * 4 + 2], 0
    sti
    int 0x40
.behind:
    cli
    cmp word [seen_ip], .behind
    jne .judged
    test word [seen_flags], FLAG_IF
    jnz .judged
    test word [saved_flags], FLAG_IF
    setz al
    test al, al
.judged:
    CHECK "real mode: INT n and IRET"

    ; An instruction at which a trap flag is set: the step comes behind it, emulated or not.
    mov word [1 * 4], step
    pushf
    or word [esp], FLAG_TF
    mov eax, 1
    popf
    cpuid
.stepped:
    nop
    cmp word [first_step], .stepped
    CHECK "real mode: a step over CPUID"
    mov word [1 * 4], real_stubs + 1 * REAL_STUB
    ret

handler:
    push bp
    mov bp, sp
    mov ax, [bp + 2]
    mov [seen_ip], ax
    mov ax, [bp + 6]
    mov [saved_flags], ax
    pushf
    pop word [seen_flags]
    pop bp
    iret

; Notes where it came first and ends the stepping.
step:
    push bp
    mov bp, sp
    push ax
    mov ax, [bp + 2]
    cmp word [first_step], 0
    jne .noted
    mov [first_step], ax
.noted:
    and word [bp + 6], ~FLAG_TF
    pop ax
    pop bp
    iret

; The timer by the 8259, at a vector of real mode.
real_interrupts:
    mov al, 0x11
    out 0x20, al
    mov al, VECTOR_PIT
    and al, 0xf8
    out 0x21, al
    mov al, 4
    out 0x21, al
    mov al, 1
    out 0x21, al
    mov al, 0xfe
    out 0x21, al
    mov word [(VECTOR_PIT & 0xf8) * 4], tick
    mov al, 0x34
    out 0x43, al
    mov al, 0x00
    out 0x40, al
    mov al, 0x04
    out 0x40, al
    mov cx, 3
.wait:
    sti
    hlt
    cli
    loop .wait
    mov al, 0xff
    out 0x21, al
    cmp word [ticks], 3
    CHECK "real mode: HLT and timer interrupts"

    ; String input through a segment of its own, to its very end and over it.
    mov ax, 0x2000
    mov es, ax
    mov di, 0xfffe
    mov cx, 2
    mov dx, 0x21
    rep insb
    test di, di
    jnz .judged
    mov al, [es:0xffff]
    cmp al, 0xff
.judged:
    CHECK "real mode: REP INSB up to the segment's end"
    mov di, 0xffff
    EXPECT "real mode: INSW over it: #GP", 13, 0, {insw}
    xor ax, ax
    mov es, ax
    ret

tick:
    push ax
    inc word [cs:ticks]
    mov al, 0x20
    out 0x20, al
    pop ax
    iret

; ---- protected mode ----
bits 32

protected:
    mov al, [APIC_VERSION]
    cmp al, VERSION
    CHECK "protected mode: memory-mapped registers"
    EXPECT "protected mode: UD2: #UD", 6, 0, {ud2}
    mov ax, 0xfff8
    EXPECT "protected mode: a selector beyond the GDT: #GP", 13, 0xfff8, {mov fs, ax}

    call CODE16:narrow
    cmp eax, 0x16
    CHECK "protected mode: a far call to 16-bit code and back"

    mov ecx, MSR_EFER
    rdmsr
    test eax, EFER_LME
    CHECK "protected mode: EFER.LME is clear"
    ret

bits 16
narrow:
    mov edi, APIC_VERSION
    mov ax, DATA32
    mov fs, ax
    mov al, [fs:edi]
    cmp al, VERSION
    CHECK "16-bit protected mode: memory-mapped registers"
    mov eax, 0x40000000
    cpuid
    cmp ebx, 0x4b4d564b
    CHECK "16-bit protected mode: CPUID"
    mov eax, 0x16
    o32 retf

%include "tests/guests/lib/paging.inc"

; ---- and back ----
bits 16

back:
    EXPECT "real mode again: UD2: #UD", 6, 0, {ud2}
    mov al, 0x3c
    out 0x21, al
    in al, 0x21
    cmp al, 0x3c
    CHECK "real mode again: IN, OUT"

    ; A segment's limit outlives protected mode, so real mode reaches all of memory.
    lgdt [gdt_pointer]
    mov eax, cr0
    or al, CR0_PE
    mov cr0, eax
    mov bx, DATA32
    mov fs, bx
    and al, ~CR0_PE
    mov cr0, eax
    xor bx, bx
    mov edi, APIC_VERSION
    mov al, [fs:edi]
    cmp al, VERSION
    CHECK "real mode with a large segment: memory-mapped registers"
    mov edi, ALIASED + 0x123
    cmp dword [fs:edi], 0x5a5aa5a5
    CHECK "real mode with a large segment: memory above 1 MiB"
    mov fs, bx
    ret

zero: db 0
align 2
seen_ip: dw 0
seen_flags: dw 0
saved_flags: dw 0
first_step: dw 0
ticks: dw 0
