// A whole board under any sequence of port and MMIO accesses, ticks, console traffic and
// acknowledges: no access or tick fails, no deadline is lost or stays in the past, no lock stays
// taken, and values fit their access. A board that another's state was loaded into answers as that
// does; a state that somebody changed is refused, or leaves a board that works.

#include <string.h>

#include "drivers/virt/board.h"
#include "lib/panic.h"
#include "vm/platform.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/require.h"

static struct vm vm;
static struct vcpu vcpu;
static struct lapic_page page;
static struct board board;
static uint8_t test_memory[MMIO_TEST_LENGTH];
static uint8_t rom_bytes[3 * VFLASH_BLOCK]; // the last block is code
static struct gmem_piece rom_piece[1];
static struct gmem rom;
static uint8_t ram[2 * VFWCFG_PIECE];
static struct gmem_piece ram_piece[1];
static enum vm_firmware firmware; // which board
static uint64_t now;
static struct vm_console console;
static uint8_t printed[32];
static uint64_t answers; // a sum of all that was read

#define STATE_ROOM (128 << 10)
#define ROM        (HIGH_MEMORY_START - sizeof(rom_bytes))
#define CHIP       (sizeof(rom_bytes) - VFLASH_BLOCK)

static void kick(struct vcpu *kicked)
{
    require(kicked == &vcpu && atomic_load(&vcpu.requests) != 0);
}

static uint64_t wall_clock(struct vm *from)
{
    require(from == &vm);
    return 1700000000;
}

static void check_board(void)
{
    for (unsigned i = 0; i < board.device_count; i++) {
        struct vdev *device = board.device[i];
        require(device->lock.next == device->lock.serving);
        require(vm.deadlines.first <=
                (device->class->deadline ? device->class->deadline(device) : NEVER));
    }
    for (unsigned i = CHIP; i < sizeof(rom_bytes); i++)
        require(rom_bytes[i] == 0x90);
    require(vm.memory.rom.hidden == (board.flash.mode ? CHIP : 0));
}

static void access_port(struct input *input, bool write)
{
    static const uint16_t starts[] = {
        PORT_PIC_MASTER, PORT_PIC_SLAVE,   PORT_ELCR,       PORT_PIT,         PORT_SYSTEM_B,
        PORT_KBD_DATA,   PORT_KBD_COMMAND, PORT_RTC,        PORT_PM1_EVENT,   PORT_GPE0,
        PORT_COM1,       PORT_COM2,        PORT_DMA1,       PORT_DMA_PAGE,    PORT_SYSTEM_A,
        PORT_DMA2,       PORT_DEBUG,       PORT_DELAY,      PORT_PCI_ADDRESS, PORT_PCI_DATA,
        PORT_PM_TIMER,   PORT_TEST_DATA,   PORT_DEBUG_EXIT, PORT_TEST_LINES,  PORT_FW_CFG,
        PORT_PCI_WINDOW,
    };
    unsigned which = (unsigned)take(input, 1);
    unsigned offset = (unsigned)take(input, 1);
    uint16_t port = which < 4 * ARRAY_LENGTH(starts)
                        ? (uint16_t)(starts[which % ARRAY_LENGTH(starts)] + (offset & 15))
                        : (uint16_t)(which << 8 | offset);
    uint8_t size = (uint8_t)(1U << take(input, 1) % 3);
    struct access access = {.offset = port, .size = size, .now = now, .write = write};
    access.value = write ? take(input, size) : 0;
    vm_port_access(&vm, &access);
    require(access.offset == port && access.value <= size_mask(size));
    answers = answers * 31 + access.value;
}

static void access_memory(struct input *input, uint64_t at, bool write)
{
    uint64_t offset = take(input, 1);
    uint8_t size = (uint8_t)(1U << take(input, 1) % 4);
    struct access access = {.offset = at + offset, .size = size, .now = now, .write = write};
    access.value = write ? take(input, size) : 0;
    vm_mmio_access(&vcpu, &access);
    require(access.value <= size_mask(size));
    answers = answers * 31 + access.value;
}

// A register of a function's configuration space that exists.
static void access_pci(struct input *input, bool write)
{
    unsigned which = (unsigned)take(input, 1);
    uint64_t slot = which & 1 ? PCI_TEST_SLOT : which & 0x80 ? PCI_LPC_SLOT : 0;
    struct access address = {.offset = PORT_PCI_ADDRESS, .size = 4, .now = now, .write = true};
    address.value = BIT(31) | slot << 11 | (which & 0x3e) << 1;
    vm_port_access(&vm, &address);
    struct access access = {.offset = PORT_PCI_DATA, .size = 4, .now = now, .write = write};
    access.value = write ? take(input, 4) : 0;
    vm_port_access(&vm, &access);
}

// A descriptor for fw_cfg: of little that is selected, much may be asked for, also from or to
// nowhere.
static void transfer(struct input *input)
{
    uint32_t control = (uint32_t)take(input, 1) | (uint32_t)take(input, 1) << 16;
    uint32_t length = (uint32_t)take(input, 3), at = (uint32_t)take(input, 1);
    uint64_t to = take(input, 3);
    const uint32_t descriptor[] = {__builtin_bswap32(control), __builtin_bswap32(length), 0,
                                   __builtin_bswap32((uint32_t)to)};
    at = at & 1 ? (uint32_t)sizeof(ram) - (at >> 1) : at;
    if (!gmem_write(&vm.memory, gpa(at), descriptor, sizeof(descriptor)))
        return;
    struct access access = {.offset = PORT_FW_CFG + 8, .size = 4, .now = now, .write = true};
    access.value = __builtin_bswap32(at);
    vm_port_access(&vm, &access);
    require(!(control & 0x16) || board.fwcfg.dma.left <= length);
}

static void tick(void)
{
    vm_tick_devices(&vm, now);
    require(vm.deadlines.first > now);
}

static void speak(struct input *input)
{
    unsigned port = (unsigned)take(input, 1) % 3;
    if (take(input, 1) & 1)
        (void)board_uart_receive(&vm, port, VUART_BREAK);
    else
        (void)board_uart_receive(&vm, port, (uint8_t)take(input, 1));
}

static void step(struct input *input)
{
    uint8_t what = (uint8_t)take(input, 1);
    now += take(input, what >> 4 & 3) << (what >> 6 << 3); // from nothing to half a minute
    switch (what & 15) {
    case 0:
    case 1:
        access_memory(input, MMIO_IOAPIC, what & 1);
        break;
    case 10:
        access_memory(input, MMIO_TEST + MMIO_TEST_LENGTH - 256, take(input, 1) & 1);
        break;
    case 11:
        if (take(input, 1) & 1)
            board_renew_generation(&vm, &(struct uuid){{(uint8_t)take(input, 1)}});
        access_memory(input, MMIO_GENERATION, take(input, 1) & 1);
        break;
    case 12:
        access_memory(input, PCI_TEST_MEMORY + (take(input, 1) << 4), take(input, 1) & 1);
        break;
    case 14:
        access_memory(input, ROM + (take(input, 1) << 8), take(input, 1) & 1);
        break;
    case 9:
        access_memory(input, PCI_ECAM_Q35 + (take(input, 1) & 0x1f) * 0x8000, take(input, 1) & 1);
        break;
    case 15:
        transfer(input);
        break;
    case 13:
        access_pci(input, take(input, 1) & 1);
        break;
    case 2:
    case 3:
        tick();
        break;
    case 4:
        speak(input);
        break;
    case 5:
        console.printed.read =
            console.printed.written - MIN(ring_used(&console.printed), take(input, 1) & 31);
        board_flush(&vm, true);
        break;
    case 6:
        (void)board_power_button(&vm);
        break;
    case 7:
        if (vm.irqchip.pic_pending(vm.irqchip.pic))
            (void)vm.irqchip.pic_acknowledge(vm.irqchip.pic);
        break;
    default:
        access_port(input, what & 1);
        break;
    }
    check_board();
}

static void fresh(void)
{
    static const struct vm_host host = {.kick = kick, .wall_clock = wall_clock};
    memset(&vm, 0, sizeof(vm));
    memset(&vcpu, 0, sizeof(vcpu));
    memset(test_memory, 0, sizeof(test_memory));
    vm.host = &host;
    vm.vcpu_count = 1;
    vm.vcpu[0] = &vcpu;
    vm.traits.memory = 256 << 20;
    vm.traits.uart2 = vm.traits.testdev = true;
    vm.traits.firmware = firmware;
    vcpu.vm = &vm;
    lapic_init(&vcpu, &page);
    vm.console[0] = &console; // COM2's is dropped
    ring_init(&console.printed, printed, sizeof(printed));
    gmem_init(&vm.memory, ram_piece, 1);
    gmem_add(&vm.memory, gpa(0), ram, sizeof(ram));
    vm.memory.rom.memory = &rom;
    vm.memory.rom.start = gpa(ROM);
    vm.memory.rom.size = sizeof(rom_bytes);
    require(board_build(&board, &vm,
                        &(struct board_parts){.test_memory = test_memory, .flash = CHIP},
                        NULL) == STATUS_OK);
}

static size_t save(uint8_t *state)
{
    size_t length = board_save(&vm, state, STATE_ROOM);
    require(length <= STATE_ROOM);
    return length;
}

static void run(struct input input)
{
    answers = 0;
    while (input.left > 0)
        step(&input);
}

// A board with the state of another goes on as that does.
static void go_on_elsewhere(struct input input)
{
    static uint8_t before[STATE_ROOM], after[STATE_ROOM], other[STATE_ROOM];
    static uint8_t rom_before[sizeof(rom_bytes)], ram_before[sizeof(ram)];
    uint64_t then = now;
    struct vm_console as_full = console;
    memcpy(rom_before, rom_bytes, sizeof(rom_bytes));
    memcpy(ram_before, ram, sizeof(ram));
    size_t length = save(before);
    run(input);
    uint64_t expected = answers;
    size_t length_after = save(after);

    fresh();
    now = then;
    console = as_full;
    memcpy(rom_bytes, rom_before, sizeof(rom_bytes));
    memcpy(ram, ram_before, sizeof(ram));
    require(board_load(&vm, before, length, NULL) == STATUS_OK);
    check_board();
    run(input);
    require(answers == expected);
    require(save(other) == length_after && memcmp(after, other, length_after) == 0);
}

// A state with bytes that somebody changed is refused, and nothing has changed; or the board works.
static void go_on_with_lies(struct input *input)
{
    static uint8_t state[STATE_ROOM], unchanged[STATE_ROOM], other[STATE_ROOM];
    struct explanation why = {""};
    size_t length = save(state);
    for (unsigned lies = (unsigned)take(input, 1) & 7; lies > 0; lies--) {
        size_t at = (size_t)take(input, 2) % (sizeof(test_memory) / 8);
        state[at] = (uint8_t)take(input, 1);
    }
    length -= take(input, 1) & 1;
    fresh();
    size_t fresh_length = save(unchanged);
    if (board_load(&vm, state, length, &why) != STATUS_OK)
        require(why.text[0] && save(other) == fresh_length &&
                memcmp(unchanged, other, fresh_length) == 0);
    check_board();
    run(*input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The bytes of the ROM outlive a board.
static void fill_rom(void)
{
    memset(rom_bytes, 0xff, CHIP);
    memset(rom_bytes + CHIP, 0x90, VFLASH_BLOCK);
    memset(rom_piece, 0, sizeof(rom_piece));
    gmem_init(&rom, rom_piece, 1);
    gmem_add(&rom, gpa(0), rom_bytes, sizeof(rom_bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    unsigned how = (unsigned)take(&input, 1), steps = how >> 3;
    firmware = how & 4 ? FIRMWARE_SEABIOS : FIRMWARE_NONE;
    fill_rom();
    memset(ram, 0, sizeof(ram));
    fresh();
    now = 0;
    while (input.left > 0 && steps-- > 0)
        step(&input);
    switch (how & 3) {
    case 0:
        go_on_with_lies(&input);
        break;
    case 1:
        go_on_elsewhere(input);
        break;
    default:
        run(input);
        break;
    }
    // However far in the future: one tick catches up.
    now += UINT64_C(1) << 50;
    tick();
    check_board();
    return 0;
}
