// Called for every guest: real-mode code and kernels that scan for tables find the BIOS's traces,
// and whoever jumps to the reset vector resets the VM. IBM's "PC AT Technical Reference": "ROM BIOS
// data areas".

#include "loaders/bios.h"

#include "lib/bytes.h"
#include "vm/platform.h"

#define VECTORS_SIZE 0x400
#define DATA_AREA    UINT64_C(0x400)
#define DATA_SIZE    0x100

// Offsets in the data area.
#define DATA_COM1           0x00 // ports, a word each
#define DATA_EBDA           0x0e // segment
#define DATA_EQUIPMENT      0x10
#define DATA_BASE_MEMORY    0x13 // KiB
#define DATA_KEYBOARD_HEAD  0x1a // of the ring of keys, which is empty
#define DATA_KEYBOARD_TAIL  0x1c
#define DATA_TICKS          0x6c // since midnight
#define DATA_KEYBOARD_START 0x80
#define DATA_KEYBOARD_END   0x82

#define KEYBOARD_RING  0x1e
#define KEYBOARD_KEYS  16
#define EQUIPMENT_FPU  BIT32(1)
#define EQUIPMENT_COMS BIT32(9) // their number
#define TICKS_A_DAY    0x1800b0
#define DAY_SECONDS    86400

// From loaders/bios.asm.
extern const uint8_t bios_vectors[VECTORS_SIZE], bios_rom[], bios_rom_end[];

static void write_data_area(struct loading *loading)
{
    const struct vm *vm = loading->vm;
    uint8_t area[DATA_SIZE] = {0}, ebda[] = {(LEGACY_START - EBDA_START) >> 10};
    uint64_t second = vm->host->wall_clock(loading->vm) % DAY_SECONDS;
    put16(area + DATA_COM1, PORT_COM1);
    put16(area + DATA_COM1 + 2, vm->traits.uart2 ? PORT_COM2 : 0);
    put16(area + DATA_EBDA, EBDA_START >> 4);
    put16(area + DATA_EQUIPMENT,
          (uint16_t)(EQUIPMENT_FPU | EQUIPMENT_COMS * (vm->traits.uart2 ? 2 : 1)));
    put16(area + DATA_BASE_MEMORY, (uint16_t)memory_map_lower_kib(&loading->map));
    put16(area + DATA_KEYBOARD_HEAD, KEYBOARD_RING);
    put16(area + DATA_KEYBOARD_TAIL, KEYBOARD_RING);
    put16(area + DATA_KEYBOARD_START, KEYBOARD_RING);
    put16(area + DATA_KEYBOARD_END, KEYBOARD_RING + 2 * KEYBOARD_KEYS);
    put32(area + DATA_TICKS, (uint32_t)(second * TICKS_A_DAY / DAY_SECONDS));
    loading_write(loading, DATA_AREA, area, sizeof(area));
    loading_write(loading, EBDA_START, ebda, sizeof(ebda));
}

void bios_write(struct loading *loading)
{
    uint64_t size = (uint64_t)(bios_rom_end - bios_rom);
    loading_write(loading, 0, bios_vectors, VECTORS_SIZE);
    loading_write(loading, BIOS_END - size, bios_rom, size);
    write_data_area(loading);
}

void bios_set_up_board(struct vm *vm)
{
    static const struct {
        uint16_t port;
        uint8_t value;
    } writes[] = {
        {PORT_PIC_MASTER, 0x11},
        {PORT_PIC_SLAVE, 0x11}, // ICW1: cascaded, ICW4 follows
        {PORT_PIC_MASTER + 1, 0x08},
        {PORT_PIC_SLAVE + 1, 0x70}, // vectors
        {PORT_PIC_MASTER + 1, BIT32(IRQ_CASCADE)},
        {PORT_PIC_SLAVE + 1, IRQ_CASCADE},
        {PORT_PIC_MASTER + 1, 0x01},
        {PORT_PIC_SLAVE + 1, 0x01}, // no automatic EOI
        {PORT_PIC_MASTER + 1, 0xff & ~(BIT32(IRQ_PIT) | BIT32(IRQ_CASCADE))},
        {PORT_PIC_SLAVE + 1, 0xff},
        {PORT_PIT + 3, 0x36}, // channel 0, both halves, mode 3
        {PORT_PIT, 0},
        {PORT_PIT, 0}, // 65536 clocks
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(writes); i++) {
        struct access access = {
            .offset = writes[i].port, .value = writes[i].value, .size = 1, .write = true};
        vm_port_access(vm, &access);
    }
}
