; What stands where a PC has its BIOS: handlers for the real-mode interrupt vectors, and the reset vector. There are no
; disks, no keyboard and no screen: text goes to the first serial port, most services fail as unsupported.
; loaders/bios.c copies both parts. IBM's "PC AT Technical Reference": "ROM BIOS"; Intel's data sheet "8259A".

global bios_vectors
global bios_rom
global bios_rom_end

%define SEGMENT     0xf000
%define ROM_SIZE    0x100                ; up to 1 MiB
%define RESET_AT    0xf0                 ; the reset vector, 16 bytes below
%define TICKS_A_DAY 0x1800b0             ; of 18.2 Hz
%define AT(label)   ((label) - bios_rom + 0x10000 - ROM_SIZE)

; Words of the BIOS data area.
%define EQUIPMENT   0x410
%define BASE_MEMORY 0x413
%define TICKS       0x46c
%define MIDNIGHT    0x470

section .rodata
bits 16
align 16
bios_rom:

timer:
    push ds
    push eax
    xor ax, ax
    mov ds, ax
    mov eax, [TICKS]
    inc eax
    cmp eax, TICKS_A_DAY
    jb .same_day
    xor eax, eax
    mov byte [MIDNIGHT], 1
.same_day:
    mov [TICKS], eax
    pop eax
    pop ds
    int 0x1c
master_interrupt:
    push ax
    mov al, 0x20                        ; EOI
    jmp to_master

slave_interrupt:
    push ax
    mov al, 0x20
    out 0xa0, al
to_master:
    out 0x20, al
    pop ax
nothing:
    iret

video:                                  ; AH = 0Eh writes AL
    cmp ah, 0x0e
    jne unsupported
    push dx
    push ax
    mov dx, 0x3fd
.wait:
    in al, dx
    test al, 0x20
    jz .wait
    mov dl, 0xf8
    pop ax
    out dx, al
    pop dx
    iret

unsupported:                            ; the carry flag that IRET will load, and AH
    push bp
    mov bp, sp
    or byte [bp + 6], 1
    pop bp
    mov ah, 0x86
    iret

equipment:
    push ds
    xor ax, ax
    mov ds, ax
    mov ax, [EQUIPMENT]
    pop ds
    iret

base_memory:
    push ds
    xor ax, ax
    mov ds, ax
    mov ax, [BASE_MEMORY]
    pop ds
    iret

time:                                   ; AH = 0 reads the ticks
    test ah, ah
    jnz unsupported
    push ds
    xor cx, cx
    mov ds, cx
    mov dx, [TICKS]
    mov cx, [TICKS + 2]
    mov al, 0
    xchg al, [MIDNIGHT]
    pop ds
    iret

reset:                                  ; nothing is there to boot from: all begins anew
    mov dx, 0xcf9
    mov al, 6
    out dx, al
.wait:
    cli
    hlt
    jmp .wait

    times RESET_AT - ($ - bios_rom) db 0
    jmp SEGMENT:AT(reset)
    db "01/01/00"
    times ROM_SIZE - 2 - ($ - bios_rom) db 0
    db 0xfc, 0                          ; a PC AT
bios_rom_end:

%macro vectors 3                        ; from, to, handler
%rep %2 - %1 + 1
    dw AT(%3), SEGMENT
%endrep
%endmacro

align 16
bios_vectors:
    vectors 0x00, 0x07, nothing
    vectors 0x08, 0x08, timer
    vectors 0x09, 0x0f, master_interrupt
    vectors 0x10, 0x10, video
    vectors 0x11, 0x11, equipment
    vectors 0x12, 0x12, base_memory
    vectors 0x13, 0x17, unsupported
    vectors 0x18, 0x19, reset           ; boot from elsewhere, boot
    vectors 0x1a, 0x1a, time
    vectors 0x1b, 0x6f, nothing
    vectors 0x70, 0x77, slave_interrupt
    vectors 0x78, 0xff, nothing

section .note.GNU-stack noalloc noexec nowrite progbits
