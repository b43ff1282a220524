// The board's construction, its wiring, and the few ways into it that are not bus accesses. Called
// while a VM is built, then by the console, and for a state that is saved or loaded.
#include "drivers/virt/board.h"

#include "drivers/virt/board_pci.h"
#include "lib/string.h"
#include "vm/platform.h"

static void init_uarts(struct board *board, struct vm *vm)
{
    static const char *const names[BOARD_UARTS] = {"COM1", "COM2"};
    static const uint8_t irqs[BOARD_UARTS] = {IRQ_COM1, IRQ_COM2};
    board->uart_count = vm->traits.uart2 ? 2 : 1;
    for (unsigned i = 0; i < board->uart_count; i++) {
        struct vuart *uart = &board->uart[i];
        board_plug(board, vm, &uart->device, &vuart_class);
        uart->device.name = names[i];
        uart->port = i;
        board_connect(board, &uart->irq, irqs[i]);
    }
}

static void set_memory_number(struct vrtc *rtc, unsigned at, unsigned bytes, uint64_t value)
{
    value = MIN(value, BIT(8 * bytes) - 1);
    for (unsigned i = 0; i < bytes; i++)
        rtc->memory[at + i] = (uint8_t)(value >> 8 * i);
}

// What firmware looks for in the clock's memory.
static void init_rtc(struct board *board, struct vm *vm)
{
    uint64_t low = MIN(vm->traits.memory, vm_low_memory_end(&vm->traits));
    uint64_t extended = low - MIN(low, BIT(20)), above_16m = low - MIN(low, BIT(24));
    struct vrtc *rtc = &board->rtc;
    board_plug(board, vm, &rtc->device, &vrtc_class);
    board_connect(board, &rtc->irq, IRQ_RTC);
    set_memory_number(rtc, CMOS_BASE_MEMORY, 2, 640);
    set_memory_number(rtc, CMOS_EXTENDED_MEMORY, 2, extended >> 10);
    set_memory_number(rtc, CMOS_EXTENDED_AGAIN, 2, extended >> 10);
    set_memory_number(rtc, CMOS_MEMORY_16M, 2, above_16m >> 16);
    set_memory_number(rtc, CMOS_MEMORY_4G, 3, (vm->traits.memory - low) >> 16);
    set_memory_number(rtc, CMOS_CPUS, 1, vm->vcpu_count ? vm->vcpu_count - 1 : 0);
}

static status_t init_test_devices(struct board *board, struct vm *vm, uint8_t *memory,
                                  struct explanation *why)
{
    board_plug(board, vm, &board->testdev.device, &vtestdev_class);
    board_plug(board, vm, &board->testmem.device, &vtestmem_class);
    board_plug(board, vm, &board->pci_test.device, &vpcitest_class);
    board->testmem.bytes = memory;
    for (unsigned i = 0; i < VIOAPIC_PINS; i++)
        if (i != IRQ_CASCADE)
            board_connect(board, &board->testdev.line[i], i);
    status_t status =
        board_add_function(board, PCI_TEST_SLOT, &board->pci_test.function, NULL, why);
    return status != STATUS_OK
               ? status
               : bus_insert(&vm->mmio, MMIO_TEST, MMIO_TEST_LENGTH, &board->testmem.device, why);
}

static void init_devices(struct board *board, struct vm *vm)
{
    board_plug(board, vm, &board->pic.device, &vpic_class);
    board_plug(board, vm, &board->ioapic.device, &vioapic_class);
    init_uarts(board, vm);
    board_plug(board, vm, &board->pit.device, &vpit_class);
    board_connect(board, &board->pit.irq, IRQ_PIT);
    board_plug(board, vm, &board->pm.device, &vpm_class);
    board_connect(board, &board->pm.sci, IRQ_SCI);
    init_rtc(board, vm);
    board_plug(board, vm, &board->keyboard_controller.device, &vi8042_class);
    board_connect(board, &board->keyboard_controller.keyboard_irq, IRQ_KEYBOARD);
    board_connect(board, &board->keyboard_controller.mouse_irq, IRQ_MOUSE);
    board_plug(board, vm, &board->pci.device, &vpci_class);
    board_plug(board, vm, &board->chipset.device, &vchipset_class);
    board_plug(board, vm, &board->generation.device, &vgenid_class);
    if (vm->traits.firmware || vm->traits.testdev)
        board_plug(board, vm, &board->fwcfg.device, &vfwcfg_class);
}

struct claim {
    uint16_t first;
    uint16_t length;
    uint16_t base;       // of the device's offsets
    struct vdev *device; // NULL: not on this board
};

static status_t claim_ports(struct board *board, struct vm *vm, struct explanation *why)
{
    struct vdev *chipset = &board->chipset.device;
    struct vdev *keyboard = &board->keyboard_controller.device;
    bool for_tests = vm->traits.testdev, for_firmware = for_tests || vm->traits.firmware;
    struct vdev *testdev = for_tests ? &board->testdev.device : NULL;
    const struct claim claims[] = {
        {PORT_PIC_MASTER, 2, 0, &board->pic.device},
        {PORT_PIC_SLAVE, 2, 0, &board->pic.device},
        {PORT_ELCR, 2, 0, &board->pic.device},
        {PORT_PIT, 4, 0, &board->pit.device},
        {PORT_SYSTEM_B, 1, 0, &board->pit.device},
        {PORT_KBD_DATA, 1, 0, keyboard},
        {PORT_KBD_COMMAND, 1, 0, keyboard},
        {PORT_RTC, 4, PORT_RTC, &board->rtc.device},
        {PORT_PM1_EVENT, VPM_LENGTH, PORT_PM1_EVENT, &board->pm.device},
        {PORT_PCI_ADDRESS, 8, 0, &board->pci.device},
        {PORT_DMA1, 16, 0, chipset},
        {PORT_DMA_PAGE, 16, 0, chipset},
        {PORT_SYSTEM_A, 1, 0, chipset},
        {PORT_DMA2, 32, 0, chipset},
        {PORT_DELAY, 1, 0, chipset},
        {PORT_TEST_DATA, 4, 0, testdev},
        {PORT_PAGE_FLUSH, 4, 0, testdev},
        {PORT_TEST_ALIAS, 1, 0, testdev}, // a wider access is split here
        {PORT_DEBUG, 1, 0, for_tests ? &board->uart[0].device : NULL},
        {PORT_DEBUG + 1, 2, 0, testdev},
        {PORT_DIRTY_LOG, 4, 0, testdev},
        {PORT_TEST_LINES, VIOAPIC_PINS, 0, testdev},
        {PORT_DEBUG_EXIT, 4, 0, testdev},
        {PORT_SHUTDOWN, 1, 0, testdev},
        {PORT_FW_CFG, VFWCFG_PORTS, PORT_FW_CFG, for_firmware ? &board->fwcfg.device : NULL},
        {PORT_COM1, VUART_PORTS, PORT_COM1, &board->uart[0].device},
        {PORT_COM2, VUART_PORTS, PORT_COM2, board->uart_count > 1 ? &board->uart[1].device : NULL},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(claims); i++) {
        const struct claim *claim = &claims[i];
        if (!claim->device)
            continue;
        status_t status = bus_insert_part(&vm->ports, claim->first, claim->length, claim->base,
                                          claim->device, why);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

// It takes the writes to all of the ROM.
static status_t init_flash(struct board *board, struct vm *vm, uint64_t size,
                           struct explanation *why)
{
    const struct gmem_rom *rom = &vm->memory.rom;
    board_plug(board, vm, &board->flash.device, &vflash_class);
    board->flash.size = size;
    return bus_insert(&vm->mmio, rom->start.value, rom->size, &board->flash.device, why);
}

status_t board_build(struct board *board, struct vm *vm, const struct board_parts *parts,
                     struct explanation *why)
{
    *board = (struct board){.next_slot = PCI_FIRST_SLOT,
                            .next_port = PORT_PCI_PLACES + 0x1000, // test functions are below
                            .next_memory = PCI_MMIO_START};
    vm->board = board;
    vm->ports.name = "ports";
    vm->mmio.name = "MMIO";
    vm->deadlines = (struct deadlines){.first = NEVER};
    init_devices(board, vm);
    status_t status =
        vm->traits.testdev ? init_test_devices(board, vm, parts->test_memory, why) : STATUS_OK;
    if (status == STATUS_OK)
        status = board_add_virtio(board, vm, parts, why);
    if (status == STATUS_OK)
        status = claim_ports(board, vm, why);
    if (status == STATUS_OK)
        status = bus_insert(&vm->mmio, MMIO_IOAPIC, MMIO_IOAPIC_LENGTH, &board->ioapic.device, why);
    if (status == STATUS_OK)
        status = bus_insert(&vm->mmio, MMIO_GENERATION, PAGE_SIZE, &board->generation.device, why);
    if (status == STATUS_OK && !vm->traits.firmware)
        status = bus_insert_part(&vm->mmio, PCI_ECAM, PCI_ECAM_LENGTH, 0, &board->pci.device, why);
    if (status == STATUS_OK && parts->flash)
        status = init_flash(board, vm, parts->flash, why);
    if (status != STATUS_OK)
        return status;
    board_count_lines(board);
    bus_index(&vm->ports);
    bus_index(&vm->mmio);
    vm->irqchip = (struct vm_irqchip){.pic_pending = vpic_pending,
                                      .pic_acknowledge = vpic_acknowledge,
                                      .pic_line = vpic_line,
                                      .pic = &board->pic,
                                      .ioapic_eoi = vioapic_eoi,
                                      .ioapic = &board->ioapic};
    return STATUS_OK;
}

size_t board_save(struct vm *vm, uint8_t *to, size_t room)
{
    struct board *board = vm->board;
    size_t used = 0;
    for (unsigned i = 0; i < board->device_count; i++)
        used += vdev_save(board->device[i], used < room ? to + used : NULL, room - MIN(room, used));
    return used;
}

static status_t load_devices(struct board *board, struct section_input input, bool commit,
                             struct explanation *why)
{
    for (unsigned i = 0; i < board->device_count; i++) {
        status_t status = vdev_load(board->device[i], &input, commit, why);
        if (status != STATUS_OK)
            return status;
    }
    return input.left == 0
               ? STATUS_OK
               : explain(why, STATUS_INVALID, "%zu bytes behind the last device", input.left);
}

status_t board_load(struct vm *vm, const uint8_t *from, size_t length, struct explanation *why)
{
    struct board *board = vm->board;
    struct section_input input = {from, length};
    status_t status = load_devices(board, input, false, why);
    if (status == STATUS_OK)
        status = load_devices(board, input, true, why);
    if (status != STATUS_OK)
        return status;
    board_count_lines(board);
    for (unsigned i = 0; i < board->device_count; i++)
        vdev_loaded(board->device[i]);
    return STATUS_OK;
}

// The virtio device at the end of a line, or NULL.
static struct virtio_console *virtio_line(struct vm *vm, enum vm_line line)
{
    struct board *board = vm->board;
    if (line == LINE_VIRTIO && vm->traits.virtio_console)
        return &board->console;
    return line == LINE_AGENT && vm->traits.guest_agent ? &board->agent : NULL;
}

bool board_uart_receive(struct vm *vm, unsigned port, unsigned byte)
{
    struct board *board = vm->board;
    return port < board->uart_count && vuart_receive(&board->uart[port], byte);
}

static size_t uart_receive_all(struct vm *vm, unsigned port, const uint8_t *bytes, size_t length)
{
    size_t done = 0;
    while (done < length && board_uart_receive(vm, port, bytes[done]))
        done++;
    return done;
}

size_t board_receive(struct vm *vm, enum vm_line line, const uint8_t *bytes, size_t length)
{
    struct virtio_console *console = virtio_line(vm, line);
    if (line == LINE_COM1 || line == LINE_COM2)
        return uart_receive_all(vm, line, bytes, length);
    return console ? virtio_console_receive(console, bytes, length) : 0;
}

bool board_line_is_open(struct vm *vm, enum vm_line line)
{
    const struct board *board = vm->board;
    struct virtio_console *console = virtio_line(vm, line);
    return console ? virtio_console_is_open(console) : line < board->uart_count;
}

void board_resize(struct vm *vm, uint16_t columns, uint16_t rows)
{
    if (virtio_line(vm, LINE_VIRTIO))
        virtio_console_resize(virtio_line(vm, LINE_VIRTIO), columns, rows);
}

bool board_flush(struct vm *vm, bool runs)
{
    struct board *board = vm->board;
    bool is_out = true;
    for (unsigned i = 0; i < board->uart_count; i++)
        is_out = vuart_flush(&board->uart[i]) && is_out;
    for (enum vm_line line = LINE_VIRTIO; line < VM_CONSOLES; line++) {
        struct virtio_console *console = virtio_line(vm, line);
        if (!console)
            continue;
        virtio_console_flush(console);
        if (!runs)
            vdev_tick(&console->virtio.device, 0);
        // What an agent says last nobody waits for.
        is_out = (line == LINE_AGENT || virtio_console_is_idle(console)) && is_out;
    }
    return is_out;
}

bool board_power_button(struct vm *vm)
{
    struct board *board = vm->board;
    return vpm_power_button(&board->pm);
}

void board_renew_generation(struct vm *vm, const struct uuid *generation)
{
    struct board *board = vm->board;
    spin_lock(&board->generation.device.lock);
    vm->generation = *generation;
    vdev_unlock(&board->generation.device);
    vpm_raise_event(&board->pm, GPE_GENERATION);
}

bool board_set_balloon(struct vm *vm, uint64_t bytes)
{
    struct board *board = vm->board;
    if (vm->traits.balloon != BALLOON_OFF)
        virtio_balloon_set(&board->balloon, bytes);
    return vm->traits.balloon != BALLOON_OFF;
}
