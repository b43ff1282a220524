; A Multiboot kernel that goes to real mode and looks for what a BIOS leaves behind: data area, vectors, interrupt
; controllers, MP tables. With the command line 18, 19 or FFFF it only starts anew, by INT 18h, INT 19h or the reset vector.
; vm: boot = multiboot
; models: corei7_sandy_bridge_2600k corei7_skylake_x
; says: VM boot18 ended: reset
; says: VM boot19 ended: reset
; says: VM far ended: reset

PORT_PM1_CONTROL equ 0x604
PORT_PM_TIMER    equ 0x608
TICK_LEAST       equ 3 * 65536 - 16384  ; of the PM timer, between two of 18.2 Hz
TICK_MOST        equ 3 * 65536 + 16384
QUIET_TICKS      equ 40                 ; the others end meanwhile
LOW              equ 0x7000
CPUS             equ 2

section .text vstart=0x100000
bits 32
header:
    dd 0x1badb002, 1 << 16, -(0x1badb002 + (1 << 16)), header, header, 0, 0, start

start:
    mov eax, [ebx + 16]                 ; the command line
    mov ebp, [eax]
    mov esi, low
    mov edi, LOW
    mov ecx, low_end - low_start
    rep movsb
    lgdt [gdt_pointer]
    lidt [idt_pointer]
    jmp 8:narrow

align 8
gdt:
    dq 0
    dq 0x00009b000000ffff
    dq 0x000093000000ffff
gdt_pointer:
    dw $ - gdt - 1
    dd gdt
idt_pointer:
    dw 0x3ff
    dd 0
align 16
low:

section low vstart=LOW follows=.text
low_start:
bits 16
narrow:
    mov ax, 16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, cr0
    and al, ~1
    mov cr0, eax
    jmp 0:real
real:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, LOW
    cmp ebp, 'FFFF'
    jne .services
    mov word [0x472], 0x1234            ; a warm boot
    jmp 0xffff:0
.services:
    and ebp, 0xffffff
    cmp ebp, '18'
    jne .boot
    int 0x18
.boot:
    cmp ebp, '19'
    jne .data
    int 0x19

.data:
    cmp dword [0x400], 0x3f8
    mov si, coms
    call check
    mov ax, [0x40e]
    mov es, ax
    cmp ax, 0x9fc0
    jne .ebda
    cmp byte [es:0], 1
.ebda:
    mov si, ebda
    call check
    int 0x12
    cmp ax, [0x413]
    jne .base
    cmp ax, 639
.base:
    mov si, base
    call check
    int 0x11
    cmp ax, 0x0202                      ; an FPU, one serial port
    mov si, equipment
    call check
    cmp dword [0x41a], 0x1e001e
    jne .ring
    cmp dword [0x480], 0x3e001e
.ring:
    mov si, ring
    call check
    mov ax, 0x4100
    int 0x13
    setc bl
    cmp ah, 0x86
    sete bh
    cmp bx, 0x0101
    mov si, services
    call check

    xor bx, bx
.vector:
    cmp word [bx + 2], 0xf000
    jne .vectors
    add bx, 4
    cmp bx, 0x400
    jne .vector
.vectors:
    mov si, vectors
    call check
    mov ax, 0xf000
    mov es, ax
    cmp byte [es:0xfff0], 0xea
    jne .rom
    cmp byte [es:0xfffe], 0xfc
.rom:
    mov si, rom
    call check

; Interrupts: the timer's, then the clock's alone.
    in al, 0x21
    mov ah, al
    in al, 0xa1
    cmp ax, 0xfaff
    mov si, masks
    call check
    call next_tick
    mov ebp, eax
    call next_tick
    sub eax, ebp
    and eax, 0xffffff
    cmp eax, TICK_LEAST
    jb .late
    cmp eax, TICK_MOST
    ja .late
    cmp eax, eax
.late:
    mov si, ticks
    call check
    cli
    mov ah, 0
    int 0x1a
    cmp dx, [0x46c]
    jne .time
    cmp cx, [0x46e]
.time:
    mov si, time
    call check
    mov al, 0xfb
    out 0x21, al
    mov al, 0xfe
    out 0xa1, al
    mov al, 0x0b                        ; the update interrupt
    out 0x70, al
    mov al, 0x12
    out 0x71, al
    sti
    hlt
    cli
    mov al, 0x0c
    out 0x70, al
    in al, 0x71
    and al, 0x90
    cmp al, 0x90
    mov si, clock
    call check
    mov al, 0x0b                        ; OCW3: read the ISR
    out 0x20, al
    out 0xa0, al
    in al, 0x20
    mov ah, al
    in al, 0xa0
    or al, ah
    mov si, served
    call check

; MP tables.
    cmp dword [es:0], '_MP_'
    jne .pointer
    cmp dword [es:4], 0xf0010
    jne .pointer
    xor si, si
    mov cx, 16
    call sum
.pointer:
    mov si, pointer
    call check
    cmp dword [es:0x10], 'PCMP'
    jne .table
    mov si, 0x10
    mov cx, [es:0x14]
    call sum
.table:
    mov si, table
    call check
    xor ebx, ebx                        ; BL: processors, BH: others
    mov cx, [es:0x10 + 34]
    mov si, 0x10 + 44
.entry:
    cmp byte [es:si], 0
    jne .other
    inc bl
    add si, 12
    dec bh
.other:
    inc bh
    add si, 8
    loop .entry
    sub si, 0x10
    cmp si, [es:0x14]                   ; the last one ends where the table does
    jne .entries
    cmp bx, CPUS | (2 + 1 + 13 + 31 + 2) << 8 ; buses, I/O APIC, ISA, PCI, LINT
.entries:
    mov si, entries
    call check

    mov al, 0xfa
    out 0x21, al
    mov cx, QUIET_TICKS
.quiet:
    call next_tick
    loop .quiet
    mov dx, PORT_PM1_CONTROL
    mov ax, 0x2000
    out dx, ax
    hlt

; EAX: the PM timer when the next tick has been counted.
next_tick:
    mov eax, [0x46c]
.sleep:
    sti
    hlt
    cmp eax, [0x46c]
    je .sleep
    mov dx, PORT_PM_TIMER
    in eax, dx
    ret

; ZF: whether the CX bytes at ES:SI add up to nothing.
sum:
    mov al, 0
.next:
    add al, [es:si]
    inc si
    loop .next
    test al, al
    ret

%include "tests/guests/lib/check.inc"
coms: db "data area: one serial port", 0
ebda: db "data area: the EBDA, of one KiB", 0
base: db "data area: memory below the EBDA, and INT 12h", 0
equipment: db "INT 11h: an FPU and a serial port", 0
ring: db "data area: no key waits", 0
services: db "services that are not there fail", 0
vectors: db "all vectors lead to the BIOS", 0
rom: db "the reset vector, and the model behind it", 0
masks: db "8259s: the timer is open", 0
ticks: db "STI, HLT: it ticks at 18.2 Hz", 0
time: db "INT 1Ah tells the ticks", 0
clock: db "the second 8259: the clock's interrupt wakes", 0
served: db "both end their interrupts", 0
pointer: db "MP floating pointer", 0
table: db "MP configuration table", 0
entries: db "its processors and the rest", 0
low_end:
