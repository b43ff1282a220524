// The board's construction, its wiring, and the few ways into it that are not bus accesses. Called
// while a VM is built, then by the loop of vCPU 0 (ticks) and by the console.
#include "drivers/virt/board.h"

#include "vm/platform.h"

// An ISA interrupt reaches both controllers; the guest masks the one that it does not use. Inputs
// behind those are the I/O APIC's alone.
static void set_isa_irq(void *controller, unsigned irq, bool level)
{
    struct board *board = controller;
    if (irq < ISA_IRQS)
        vpic_set(&board->pic, irq, level);
    vioapic_set(&board->ioapic, irq == IRQ_PIT ? GSI_PIT : irq, level);
}

static struct irq_line isa_irq(struct board *board, unsigned irq)
{
    return (struct irq_line){.set = set_isa_irq, .controller = board, .input = irq};
}

static void add_device(struct board *board, struct vdev *device)
{
    board->device[board->device_count++] = device;
}

static void init_uarts(struct board *board, struct vm *vm)
{
    static const char *const names[BOARD_UARTS] = {"COM1", "COM2"};
    static const uint8_t irqs[BOARD_UARTS] = {IRQ_COM1, IRQ_COM2};
    board->uart_count = vm->config.uart2 ? 2 : 1;
    for (unsigned i = 0; i < board->uart_count; i++) {
        struct vuart *uart = &board->uart[i];
        vuart_init(uart, names[i], vm, i);
        uart->irq = isa_irq(board, irqs[i]);
        add_device(board, &uart->device);
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
    uint64_t low = MIN(vm->config.memory, LOW_MEMORY_END);
    uint64_t extended = low - MIN(low, BIT(20)), above_16m = low - MIN(low, BIT(24));
    struct vrtc *rtc = &board->rtc;
    vrtc_init(rtc, vm);
    rtc->irq = isa_irq(board, IRQ_RTC);
    set_memory_number(rtc, CMOS_BASE_MEMORY, 2, 640);
    set_memory_number(rtc, CMOS_EXTENDED_MEMORY, 2, extended >> 10);
    set_memory_number(rtc, CMOS_EXTENDED_AGAIN, 2, extended >> 10);
    set_memory_number(rtc, CMOS_MEMORY_16M, 2, above_16m >> 16);
    set_memory_number(rtc, CMOS_MEMORY_4G, 3, (vm->config.memory - low) >> 16);
    set_memory_number(rtc, CMOS_CPUS, 1, vm->vcpu_count ? vm->vcpu_count - 1 : 0);
}

static status_t init_test_devices(struct board *board, struct vm *vm, uint8_t *memory,
                                  struct explanation *why)
{
    vtestdev_init(&board->testdev, vm, memory);
    vfwcfg_init(&board->fwcfg, vm);
    vpcitest_init(&board->pci_test);
    for (unsigned i = 0; i < VIOAPIC_PINS; i++)
        if (i != IRQ_CASCADE)
            board->testdev.line[i] = isa_irq(board, i);
    add_device(board, &board->testdev.device);
    add_device(board, &board->testdev.memory);
    add_device(board, &board->fwcfg.device);
    add_device(board, &board->pci_test.device);
    status_t status = vpci_add(&board->pci, PCI_TEST_SLOT, &board->pci_test.function, why);
    if (status == STATUS_OK)
        status = bus_insert(&vm->mmio, MMIO_TEST, MMIO_TEST_LENGTH, &board->testdev.memory, why);
    return status != STATUS_OK
               ? status
               : bus_insert_part(&vm->mmio, PCI_MMIO_START, PCI_MMIO_END - PCI_MMIO_START + 1, 0,
                                 &board->pci.device, why);
}

static void init_devices(struct board *board, struct vm *vm)
{
    vpic_init(&board->pic, vm);
    vioapic_init(&board->ioapic, vm);
    init_uarts(board, vm);
    vpit_init(&board->pit, vm);
    board->pit.irq = isa_irq(board, IRQ_PIT);
    board->pit.irq.level = true; // it rests high; only the next rise is news
    vpm_init(&board->pm, vm);
    board->pm.sci = isa_irq(board, IRQ_SCI);
    init_rtc(board, vm);
    vi8042_init(&board->keyboard_controller, vm);
    board->keyboard_controller.keyboard_irq = isa_irq(board, IRQ_KEYBOARD);
    board->keyboard_controller.mouse_irq = isa_irq(board, IRQ_MOUSE);
    vpci_init(&board->pci, vm);
    vchipset_init(&board->chipset, vm);
    add_device(board, &board->pit.device);
    add_device(board, &board->pm.device);
    add_device(board, &board->rtc.device);
    add_device(board, &board->keyboard_controller.device);
    add_device(board, &board->pci.device);
    add_device(board, &board->chipset.device);
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
    bool for_tests = vm->config.testdev;
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
        {PORT_PCI_WINDOW, 0x4000, 0, for_tests ? &board->pci.device : NULL},
        {PORT_DMA1, 16, 0, chipset},
        {PORT_DMA_PAGE, 16, 0, chipset},
        {PORT_SYSTEM_A, 1, 0, chipset},
        {PORT_DMA2, 32, 0, chipset},
        {PORT_DELAY, 1, 0, chipset},
        {PORT_TEST_DATA, 4, 0, testdev},
        {PORT_PAGE_FLUSH, 4, 0, testdev},
        {PORT_TEST_ALIAS, 4, 0, testdev},
        {PORT_TEST_LINES, VIOAPIC_PINS, 0, testdev},
        {PORT_DEBUG_EXIT, 4, 0, testdev},
        {PORT_SHUTDOWN, 1, 0, testdev},
        {PORT_FW_CFG, 2, PORT_FW_CFG, for_tests ? &board->fwcfg.device : NULL},
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

status_t board_build(struct board *board, struct vm *vm, uint8_t *test_memory,
                     struct explanation *why)
{
    *board = (struct board){.uart_count = 0};
    vm->board = board;
    vm->ports.name = "ports";
    vm->mmio.name = "MMIO";
    atomic_store(&vm->device_deadline, NEVER);
    init_devices(board, vm);
    status_t status =
        vm->config.testdev ? init_test_devices(board, vm, test_memory, why) : STATUS_OK;
    add_device(board, &board->pic.device);
    add_device(board, &board->ioapic.device);
    if (status == STATUS_OK)
        status = claim_ports(board, vm, why);
    if (status == STATUS_OK)
        status = bus_insert(&vm->mmio, MMIO_IOAPIC, MMIO_IOAPIC_LENGTH, &board->ioapic.device, why);
    if (status != STATUS_OK)
        return status;
    bus_freeze(&vm->ports);
    bus_freeze(&vm->mmio);
    vm->irqchip = (struct vm_irqchip){.pic_pending = vpic_pending,
                                      .pic_acknowledge = vpic_acknowledge,
                                      .pic = &board->pic,
                                      .ioapic_eoi = vioapic_eoi,
                                      .ioapic = &board->ioapic};
    return STATUS_OK;
}

void board_tick(struct vm *vm, uint64_t now)
{
    struct board *board = vm->board;
    if (now < atomic_load(&vm->device_deadline))
        return;
    // NEVER first: a device that another CPU accesses meanwhile lowers it, before or after its tick
    // here.
    atomic_store(&vm->device_deadline, NEVER);
    for (unsigned i = 0; i < board->device_count; i++)
        if (board->device[i]->tick)
            vm_lower_deadline(vm, vdev_tick(board->device[i], now));
}

bool board_uart_receive(struct vm *vm, unsigned port, unsigned byte)
{
    struct board *board = vm->board;
    return port < board->uart_count && vuart_receive(&board->uart[port], byte);
}

bool board_uart_room(struct vm *vm)
{
    struct board *board = vm->board;
    bool is_out = true;
    for (unsigned i = 0; i < board->uart_count; i++)
        is_out = vuart_room(&board->uart[i]) && is_out;
    return is_out;
}

bool board_power_button(struct vm *vm)
{
    struct board *board = vm->board;
    return vpm_power_button(&board->pm);
}
