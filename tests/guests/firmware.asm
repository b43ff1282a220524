; A disk's first sectors, which SeaBIOS reads and enters as a PC's BIOS does. Each life of the VM looks at what firmware has
; set up, notes on the disk that it was here, and ends by another kind of reset; the last one switches the machine off.
; binary: the disk of firmware.conf
; models: corei7_sandy_bridge_2600k corei7_skylake_x

bits 16
org 0x7c00

SECTOR           equ 512
SECTORS          equ 4                  ; of code, the first one too
COUNTER          equ SECTORS            ; the sector that counts lives
SIZE             equ 1 << 20            ; of the disk: a BIOS counts cylinders
COUNT_AT         equ 0x9000             ; where it is read to
PORT_PM1_CONTROL equ 0x604

start:
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, start
    cld
    sti
    mov [drive], dl
    mov si, code
    mov ah, 0x42
    call disk
    jnc main
    mov si, no_disk
    call check                          ; the carry flag: not equal, or it stays for ever
    hlt

disk:                                   ; SI: the packet
    mov dl, [drive]
    int 0x13
    ret

drive: db 0

align 4
code:                                   ; a disk address packet: the sectors behind this one
    dw 16, SECTORS - 1
    dw start + SECTOR, 0
    dq 1
counter:
    dw 16, 1
    dw COUNT_AT, 0
    dq COUNTER

%include "tests/guests/lib/check.inc"
no_disk: db "the disk is read", 0

    times 510 - ($ - $$) db 0
    dw 0xaa55

main:
    mov si, counter
    mov ah, 0x42
    call disk
    jc failed
    cmp byte [COUNT_AT], 0
    jne count
    call look
count:
    mov bl, [COUNT_AT]
    inc byte [COUNT_AT]
    mov si, counter
    mov ax, 0x4300
    call disk
    jc failed
    mov bh, 0
    add bx, bx
    mov si, [names + bx]
    push bx
    cmp ax, ax
    call check
    pop bx
    hlt                                 ; SeaBIOS shows a line's end at the next tick of the timer
    hlt
    jmp [ways + bx]
failed:
    mov si, written
    or ax, 1
    call check
    jmp power_off

ways: dw keyboard, control, fast, triple, vector, power_off
names: dw first, after_keyboard, after_control, after_fast, after_triple, after_vector

; ---- the first life ----

look:
    cmp byte [drive], 0x80
    mov si, first_disk
    call check

    mov si, parameters
    mov ah, 0x48
    call disk
    cmp dword [parameters + 16], SIZE / SECTOR
    mov si, sectors
    call check

    xor ebx, ebx                        ; RAM above 1 MiB: the third or fourth range of E820
.next:
    mov eax, 0xe820
    mov edx, 0x534d4150
    mov ecx, 20
    mov di, range
    int 0x15
    jc .none
    cmp dword [range], 0x100000
    je .found
    test ebx, ebx
    jnz .next
.none:
    mov dword [range + 16], 0
.found:
    cmp dword [range + 16], 1
    mov si, memory
    call check

    mov ax, 0xb101                      ; PCI: which mechanisms, how many buses
    int 0x1a
    cmp edx, 0x20494350
    mov si, pci
    call check
    mov ax, 0xb102                      ; the disk's function
    mov dx, 0x1af4
    mov cx, 0x1042
    xor si, si
    int 0x1a
    cmp bx, 4 << 3
    mov si, slot
    call check

    mov ax, 0xf000                      ; tables, which a kernel scans for
    mov es, ax
    mov edx, 'RSD '
    mov ebx, 'PTR '
    call scan
    mov si, acpi
    call check
    mov edx, '_SM_'
    xor ebx, ebx
    call scan
    mov si, smbios
    call check
    xor ax, ax
    mov es, ax
    ret

scan:                                   ; for EDX and, if it is not 0, EBX behind it: equal if found
    xor di, di
.next:
    cmp [es:di], edx
    jne .no
    test ebx, ebx
    jz .out
    cmp [es:di + 4], ebx
    je .out
.no:
    add di, 16
    jnz .next
    or di, 1
.out:
    ret

; ---- ends ----

keyboard:
    mov al, 0xfe
    out 0x64, al
    jmp wait_here
control:
    mov dx, 0xcf9
    mov al, 6
    out dx, al
    jmp wait_here
fast:
    in al, 0x92
    or al, 1
    out 0x92, al
    jmp wait_here
triple:
    lidt [no_idt]
    int3
vector:
    jmp 0xf000:0xfff0
power_off:
    mov dx, PORT_PM1_CONTROL
    mov ax, 0x2000
    out dx, ax
wait_here:
    cli
    hlt
    jmp wait_here

no_idt: dw 0
    dd 0
written: db "the disk is written", 0
first_disk: db "DL is the first disk", 0
sectors: db "the disk has its size", 0
memory: db "there is RAM from 1 MiB on", 0
pci: db "the PCI BIOS answers", 0
slot: db "the disk is in slot 4", 0
acpi: db "the ACPI tables' root is found", 0
smbios: db "the SMBIOS anchor is found", 0
first: db "it boots", 0
after_keyboard: db "... again, after a reset by the 8042", 0
after_control: db "... by port CF9h", 0
after_fast: db "... by port 92h", 0
after_triple: db "... by a triple fault", 0
after_vector: db "... by a jump to the reset vector", 0
align 4
range: times 20 db 0
parameters: dw 30
    times 28 db 0

    times SECTORS * SECTOR - ($ - $$) db 0
    times SIZE - ($ - $$) db 0
