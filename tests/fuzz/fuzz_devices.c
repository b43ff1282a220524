// A whole board under any sequence of port and MMIO accesses, ticks, console traffic and
// acknowledges: no access or tick fails, no deadline is lost or stays in the past, no lock stays
// taken, and values fit their access.

#include <stdlib.h>
#include <string.h>

#include "drivers/virt/board.h"
#include "lib/panic.h"
#include "vm/platform.h"

static struct vm vm;
static struct vcpu vcpu;
static struct lapic_page page;
static struct board board;
static uint8_t test_memory[MMIO_TEST_LENGTH];
static uint64_t now;
static unsigned console_room;

static void check(bool promise)
{
    if (!promise)
        abort();
}

void panic(const char *format, ...)
{
    (void)format;
    abort();
}

static void kick(struct vcpu *kicked)
{
    check(kicked == &vcpu && atomic_load(&vcpu.requests) != 0);
}

static bool console_write(struct vm *from, unsigned port, uint8_t byte)
{
    (void)byte;
    check(from == &vm && port <= 4);
    if (console_room == 0)
        return false;
    console_room--;
    return true;
}

static uint64_t wall_clock(struct vm *from)
{
    check(from == &vm);
    return 1700000000;
}

struct input {
    const uint8_t *bytes;
    size_t left;
};

static uint64_t take(struct input *input, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes && input->left > 0; i++, input->left--)
        value |= (uint64_t)*input->bytes++ << 8 * i;
    return value;
}

static void check_board(void)
{
    for (unsigned i = 0; i < board.device_count; i++) {
        struct vdev *device = board.device[i];
        check(device->lock.next == device->lock.serving);
        check(vm.device_deadline <= (device->deadline ? device->deadline(device) : NEVER));
    }
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
    check(access.offset == port && access.value <= size_mask(size));
}

static void access_memory(struct input *input, uint64_t at, bool write)
{
    uint64_t offset = take(input, 1);
    uint8_t size = (uint8_t)(1U << take(input, 1) % 4);
    struct access access = {.offset = at + offset, .size = size, .now = now, .write = write};
    access.value = write ? take(input, size) : 0;
    vm_mmio_access(&vcpu, &access);
    check(access.value <= size_mask(size));
}

static void tick(void)
{
    board_tick(&vm, now);
    check(vm.device_deadline > now);
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
    case 12:
        access_memory(input, PCI_TEST_MEMORY + (take(input, 1) << 4), take(input, 1) & 1);
        break;
    case 2:
    case 3:
        tick();
        break;
    case 4:
        speak(input);
        break;
    case 5:
        console_room = (unsigned)take(input, 1) & 31;
        board_uart_room(&vm);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct vm_host host = {
        .kick = kick, .console_write = console_write, .wall_clock = wall_clock};
    struct input input = {data, size};
    memset(&vm, 0, sizeof(vm));
    memset(&vcpu, 0, sizeof(vcpu));
    vm.host = &host;
    vm.vcpu_count = 1;
    vm.vcpu[0] = &vcpu;
    vm.config.memory = 256 << 20;
    vm.config.uart2 = vm.config.testdev = true;
    vcpu.vm = &vm;
    lapic_init(&vcpu, &page);
    now = console_room = 0;
    check(board_build(&board, &vm, test_memory, NULL) == STATUS_OK);
    while (input.left > 0)
        step(&input);
    // However far in the future: one tick catches up.
    now += UINT64_C(1) << 50;
    tick();
    check_board();
    return 0;
}
