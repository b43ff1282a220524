// Called while a board is built.
#include "drivers/virt/board_pci.h"

#include "lib/print.h"
#include "vm/platform.h"

#define DISK_QUEUES 8 // one a vCPU, up to so many

// The board's part where there is no firmware: the next place of that size for a region.
static uint32_t next_place(uint32_t *next, uint64_t end, uint32_t size)
{
    uint64_t at = align_up(*next, size);
    if (at + size > end)
        return 0;
    *next = (uint32_t)at + size;
    return (uint32_t)at;
}

status_t board_add_function(struct board *board, unsigned slot, struct vpci_function *function,
                            struct irq_line *irq, struct explanation *why)
{
    bool is_placed = !function->device->vm->traits.firmware;
    for (unsigned i = 0; i < VPCI_REGIONS && is_placed; i++) {
        uint32_t *base = &function->reset[VPCI_BASE + i];
        uint32_t mask = function->writable[VPCI_BASE + i], size = mask & -mask;
        if (!size || (*base & mask))
            continue;
        *base |= *base & VPCI_BASE_IO ? next_place(&board->next_port, BIT(16), size)
                                      : next_place(&board->next_memory, PCI_ECAM, size);
    }
    if (is_placed) {
        function->reset[VPCI_COMMAND] |= VPCI_COMMAND_IO | VPCI_COMMAND_MEMORY;
        function->reset[VPCI_INTERRUPT] |= irq ? PCI_IRQ(slot) : 0;
    }
    if (irq && slot > PCI_LAST_SLOT)
        return explain(why, STATUS_RANGE, "PCI: no slot is left for another device: remove some");
    if (irq)
        board_connect(board, irq, PCI_IRQ(slot));
    vdev_reset(function->device);
    return vpci_add(&board->pci, slot, function, why);
}

// ... into the next slot that is free.
static status_t add_device(struct board *board, struct virtio *device, struct explanation *why)
{
    return board_add_function(board, board->next_slot++, &device->function, &device->irq, why);
}

// Firmware boots from what is next, if not from what it knows already. Open Firmware's "PCI Bus
// Binding": "Physical Address Formats"; the disk is QEMU's virtio-blk.
static void note_boot(struct board *board)
{
    char *text = board->boot_order;
    unsigned used = board->boot_order_size ? board->boot_order_size - 1 : 0;
    used +=
        (unsigned)format_text(text + used, sizeof(board->boot_order) - used,
                              "%s/pci@i0cf8/scsi@%x/disk@0,0", used ? "\n" : "", board->next_slot);
    board->boot_order_size = used + 1;
}

static status_t add_disks(struct board *board, struct vm *vm, const struct board_parts *parts,
                          struct explanation *why)
{
    static const char *const names[BOARD_DISKS] = {"disk0", "disk1", "disk2", "disk3",
                                                   "disk4", "disk5", "disk6", "disk7"};
    status_t status = STATUS_OK;
    for (unsigned i = 0; i < parts->disk_count && status == STATUS_OK; i++) {
        struct virtio_blk *disk = &board->disk[board->disk_count++];
        struct vdev *device = &disk->virtio.device;
        board_plug(board, vm, device, &virtio_blk_class);
        device->name = names[i];
        virtio_blk_describe(disk, parts->disk[i], MAX(1, MIN(vm->vcpu_count, DISK_QUEUES)));
        note_boot(board);
        status = add_device(board, &disk->virtio, why);
    }
    return status;
}

static status_t add_nets(struct board *board, struct vm *vm, const struct board_parts *parts,
                         struct explanation *why)
{
    static const char *const names[BOARD_NETS] = {"net0", "net1", "net2", "net3"};
    status_t status = STATUS_OK;
    for (unsigned i = 0; i < parts->port_count && status == STATUS_OK; i++) {
        struct virtio_net *net = &board->net[board->net_count++];
        struct net_port *port = parts->port[i];
        unsigned most = port->pairs ? port->pairs : VIRTIO_NET_PAIRS;
        board_plug(board, vm, &net->virtio.device, &virtio_net_class);
        net->virtio.device.name = names[i];
        virtio_net_describe(net, port, MAX(1, MIN(vm->vcpu_count, most)));
        status = add_device(board, &net->virtio, why);
    }
    return status;
}

static status_t add_console(struct board *board, struct vm *vm, bool is_agent,
                            struct explanation *why)
{
    struct virtio_console *console = is_agent ? &board->agent : &board->console;
    if (is_agent ? !vm->traits.guest_agent : !vm->traits.virtio_console)
        return STATUS_OK;
    board_plug(board, vm, &console->virtio.device, &virtio_console_class);
    console->virtio.device.name = is_agent ? "agent0" : "console0";
    virtio_console_describe(console, is_agent ? LINE_AGENT : LINE_VIRTIO,
                            is_agent ? "org.qemu.guest_agent.0" : NULL);
    return add_device(board, &console->virtio, why);
}

static status_t add_rng(struct board *board, struct vm *vm, struct explanation *why)
{
    struct virtio_rng *rng = &board->rng;
    if (!vm->traits.rng)
        return STATUS_OK;
    board_plug(board, vm, &rng->virtio.device, &virtio_rng_class);
    rng->virtio.device.name = "rng0";
    virtio_rng_describe(rng, vm->traits.rng_rate);
    return add_device(board, &rng->virtio, why);
}

static status_t add_balloon(struct board *board, struct vm *vm, struct explanation *why)
{
    struct virtio *device = &board->balloon.virtio;
    if (vm->traits.balloon == BALLOON_OFF)
        return STATUS_OK;
    board_plug(board, vm, &device->device, &virtio_balloon_class);
    device->device.name = "balloon";
    virtio_balloon_describe(&board->balloon, vm->traits.balloon == BALLOON_AUTODEFLATE);
    return add_device(board, device, why);
}

static status_t add_vsock(struct board *board, struct vm *vm, struct virtio_vsock_card *card,
                          struct explanation *why)
{
    if (!card)
        return STATUS_OK;
    struct virtio *device = &card->device.virtio;
    board->vsock = &card->device;
    board_plug(board, vm, &device->device, &virtio_vsock_class);
    device->device.name = "vsock0";
    virtio_vsock_describe(board->vsock, &card->vsock);
    return add_device(board, device, why);
}

status_t board_add_virtio(struct board *board, struct vm *vm, const struct board_parts *parts,
                          struct explanation *why)
{
    status_t status = add_disks(board, vm, parts, why);
    if (status == STATUS_OK)
        status = add_nets(board, vm, parts, why);
    if (status == STATUS_OK)
        status = add_console(board, vm, false, why);
    if (status == STATUS_OK)
        status = add_console(board, vm, true, why);
    if (status == STATUS_OK)
        status = add_rng(board, vm, why);
    if (status == STATUS_OK)
        status = add_balloon(board, vm, why);
    return status == STATUS_OK ? add_vsock(board, vm, parts->vsock, why) : status;
}
