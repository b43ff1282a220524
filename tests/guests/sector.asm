; A boot sector: 512 bytes at 7C00H in real mode, as a BIOS would have read them from the first disk.
; vm: boot = sector
; models: corei7_sandy_bridge_2600k corei7_skylake_x

bits 16
org 0x7c00

PORT_PM1_CONTROL equ 0x604

    mov [0x500], sp
    mov bp, sp
    mov [0x502], dl
    call .here
.here:
    pop ax
    cmp ax, .here
    mov si, place
    call check
    cmp byte [0x502], 0x80
    mov si, disk
    call check
    mov ax, cs
    mov bx, ss
    or ax, bx
    mov bx, ds
    or ax, bx
    mov bx, es
    or ax, bx
    mov si, segments
    call check
    cmp word [0x500], 0x7c00
    mov si, stack
    call check

    mov ax, 0x4100                      ; there are no disks
    int 0x13
    setc bl
    cmp ah, 0x86
    sete bh
    cmp bx, 0x0101
    mov si, bios
    call check

    lgdt [gdt_pointer]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp 8:protected
bits 32
protected:
    mov ax, 16
    mov ds, ax
    mov dword [0x200000], 0x12345678
    mov ebx, [0x200000]
    jmp 24:narrow
bits 16
narrow:
    mov ax, 32
    mov ds, ax
    mov eax, cr0
    and al, ~1
    mov cr0, eax
    jmp 0:real
real:
    xor ax, ax
    mov ds, ax
    cmp ebx, 0x12345678
    mov si, there_and_back
    call check
    mov dx, PORT_PM1_CONTROL
    mov ax, 0x2000
    out dx, ax
    hlt

%include "tests/guests/lib/check.inc"
place: db "it runs at 7C00H", 0
disk: db "DL is the first disk", 0
segments: db "the segments are 0", 0
stack: db "the stack is below", 0
bios: db "services that are not there fail", 0
there_and_back: db "protected mode and back", 0

align 8
gdt:
    dq 0
    dq 0x00cf9b000000ffff
    dq 0x00cf93000000ffff
    dq 0x00009b000000ffff
    dq 0x000093000000ffff
gdt_pointer:
    dw $ - gdt - 1
    dd gdt

    times 510 - ($ - $$) db 0
    dw 0xaa55
