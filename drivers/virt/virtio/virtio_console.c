// Bytes out of the guest go into their line's ring as far as there is room, and the chain waits for
// more; bytes into it, as far as it has buffers. So whoever is too fast waits, and nobody else.
#include "drivers/virt/virtio/virtio_console.h"

#include "lib/bytes.h"
#include "vm/vm.h"

// What a piece of work may be: bytes that are copied, and as many for each descriptor.
#define PIECE_BYTES  16384
#define PIECE_CHAINS 16

#define F_SIZE        BIT(0)
#define F_MULTIPORT   BIT(1)
#define F_EMERG_WRITE BIT(2)

// Offsets in the configuration.
enum {
    CONFIG_COLUMNS = 0,
    CONFIG_ROWS = 2,
    CONFIG_PORTS = 4,
    CONFIG_EMERGENCY = 8,
    CONFIG_SIZE = 12,
};

// Queues; of the ports there is one beside port 0, which a console is.
enum { RECEIVE, TRANSMIT, CONTROL_RECEIVE, CONTROL_TRANSMIT, PORT_RECEIVE, PORT_TRANSMIT, QUEUES };
#define PORT 1

// Control messages: id, event, value.
enum { READY = 0, ADD = 1, PORT_READY = 3, OPEN = 6, NAME = 7 };
#define MESSAGE_BYTES 8
#define NAME_BYTES    32

static unsigned transmit_queue(const struct virtio_console *console)
{
    return console->name ? PORT_TRANSMIT : TRANSMIT;
}

static bool is_open(const struct virtio_console *console)
{
    return virtio_is_live(&console->virtio) && (!console->name || console->is_open);
}

// ---- out of the guest ----

// Moves the next bytes of the chain, at most *most. False: the line has no room for more of them,
// and *wrong says so if it is not that.
static bool move(struct virtio_console *console, uint64_t *most, const char **wrong)
{
    struct virtio *device = &console->virtio;
    struct vm_console *line = device->device.vm->console[console->line];
    struct virtio_cursor cursor = virtio_chain_at(&device->chain, false, console->done);
    while (*most && console->done < device->chain.out_bytes) {
        uint8_t *to = NULL;
        gpa_t at;
        uint64_t part = line ? min_once(*most, vm_console_room(line, &to)) : *most;
        if (!part)
            return false;
        if (!virtio_chain_next(&device->chain, &cursor, &at, &part) ||
            (line && !gmem_read(virtio_memory(device), at, to, part))) {
            *wrong = "what is to be written is no RAM any more";
            return false;
        }
        if (line)
            ring_wrote(&line->printed, part);
        console->done += part;
        *most -= part;
    }
    return true;
}

// The chain that waits, or the next one. False: there is none.
static bool take(struct virtio_console *console, unsigned queue)
{
    struct virtio *device = &console->virtio;
    if (!console->is_held) {
        console->is_held = virtio_take(device, queue);
        console->head = device->chain.head;
        console->done = 0;
        return console->is_held;
    }
    // It is the driver's, and may be another now.
    bool is_good =
        virtio_take_again(device, queue, console->head) && console->done <= device->chain.out_bytes;
    if (!is_good)
        virtio_break(device, "what was being written is no buffer any more");
    console->is_held = is_good;
    return is_good;
}

static bool transmit(struct virtio_console *console, unsigned queue)
{
    struct virtio *device = &console->virtio;
    uint64_t left = PIECE_BYTES;
    bool more = true;
    while (more && left > VIRTIO_DESCRIPTOR_COST) {
        const char *wrong = NULL;
        more = take(console, queue);
        if (!more)
            break;
        // However long the chain is, something of it gets on.
        left -= MIN(left - VIRTIO_DESCRIPTOR_COST, virtio_chain_cost(&device->chain));
        more = move(console, &left, &wrong);
        console->is_held = !wrong && console->done < device->chain.out_bytes;
        if (wrong)
            virtio_break(device, wrong);
        else if (!console->is_held)
            virtio_give(device, queue, 0);
    }
    virtio_tell(device, queue);
    return more;
}

// What nobody hears: port 0 of a device that has none.
static bool discard(struct virtio_console *console, unsigned queue)
{
    struct virtio *device = &console->virtio;
    bool more = true;
    for (unsigned i = 0; more && i < PIECE_CHAINS; i++) {
        more = virtio_take(device, queue);
        if (!more)
            break;
        console->lost += device->chain.out_bytes;
        virtio_give(device, queue, 0);
    }
    virtio_tell(device, queue);
    return more;
}

// ---- control messages ----

static bool has_control(const struct virtio_console *console)
{
    return console->virtio.features & F_MULTIPORT;
}

static void send_owed(struct virtio_console *console)
{
    struct virtio *device = &console->virtio;
    while (console->owed && virtio_take(device, CONTROL_RECEIVE)) {
        unsigned event = lowest_bit(console->owed);
        uint8_t message[MESSAGE_BYTES + NAME_BYTES];
        size_t length = MESSAGE_BYTES;
        put32(message, PORT);
        put16(message + 4, (uint16_t)event);
        put16(message + 6, 1);
        if (event == NAME) {
            length += strlen(console->name);
            memcpy(message + MESSAGE_BYTES, console->name, length - MESSAGE_BYTES);
        }
        if (!virtio_chain_write(&device->chain, virtio_memory(device), 0, message, length)) {
            virtio_break(device, "a buffer has no room for a control message");
            return;
        }
        virtio_give(device, CONTROL_RECEIVE, (uint32_t)length);
        console->owed &= (uint16_t)~BIT32(event);
    }
    virtio_tell(device, CONTROL_RECEIVE);
}

// What is no message of this port's changes nothing.
static void hear(struct virtio_console *console, const uint8_t *message)
{
    uint16_t event = get16(message + 4), value = get16(message + 6);
    if (event == READY)
        console->owed |= value ? BIT32(ADD) : 0;
    if (get32(message) != PORT)
        return;
    if (event == PORT_READY)
        console->owed |= value ? BIT32(NAME) | BIT32(OPEN) : 0;
    if (event == OPEN)
        console->is_open = value != 0;
}

static bool hear_all(struct virtio_console *console)
{
    struct virtio *device = &console->virtio;
    bool more = true;
    for (unsigned i = 0; more && i < PIECE_CHAINS; i++) {
        uint8_t message[MESSAGE_BYTES];
        more = virtio_take(device, CONTROL_TRANSMIT);
        if (!more)
            break;
        if (virtio_chain_read(&device->chain, virtio_memory(device), 0, message, MESSAGE_BYTES))
            hear(console, message);
        virtio_give(device, CONTROL_TRANSMIT, 0);
    }
    virtio_tell(device, CONTROL_TRANSMIT);
    send_owed(console);
    return more;
}

// ---- the device ----

static bool console_work(struct virtio *device, unsigned queue)
{
    struct virtio_console *console = CONTAINER_OF(device, struct virtio_console, virtio);
    if (queue == transmit_queue(console))
        return transmit(console, queue);
    if (queue == TRANSMIT)
        return discard(console, queue);
    if (queue == CONTROL_TRANSMIT && has_control(console))
        return hear_all(console);
    if (queue == CONTROL_RECEIVE && has_control(console))
        send_owed(console);
    return false; // buffers to receive wait for what comes
}

static void console_configured(struct virtio *device, unsigned offset, uint8_t value)
{
    struct virtio_console *console = CONTAINER_OF(device, struct virtio_console, virtio);
    struct vm_console *line = device->device.vm->console[console->line];
    if (offset != CONFIG_EMERGENCY || console->name)
        return;
    if (line && !vm_console_put(line, value))
        console->lost++;
}

static void console_queue_reset(struct virtio *device, unsigned queue)
{
    struct virtio_console *console = CONTAINER_OF(device, struct virtio_console, virtio);
    if (queue == transmit_queue(console))
        console->is_held = false;
}

static void console_driver_reset(struct virtio *device)
{
    struct virtio_console *console = CONTAINER_OF(device, struct virtio_console, virtio);
    console->is_held = false;
    console->is_open = false;
    console->owed = 0;
}

static const struct virtio_class class = {
    .type = VIRTIO_CONSOLE,
    .pci_class = 0x07800000, // communication, other
    .work = console_work,
    .configured = console_configured,
    .queue_reset = console_queue_reset,
    .reset = console_driver_reset,
};

void virtio_console_describe(struct virtio_console *console, unsigned line, const char *name)
{
    console->line = line;
    console->name = name;
    console->virtio.class = &class;
    console->virtio.queues = name ? QUEUES : CONTROL_RECEIVE;
    console->virtio.config_size = CONFIG_SIZE;
    console->virtio.offered = VIRTIO_F_ALL | (name ? F_MULTIPORT : F_SIZE | F_EMERG_WRITE);
    virtio_describe(&console->virtio);
}

static void console_reset(struct vdev *vdev)
{
    struct virtio_console *console = CONTAINER_OF(vdev, struct virtio_console, virtio.device);
    put32(console->virtio.config + CONFIG_PORTS, console->name ? PORT + 1 : 1);
    virtio_reset(vdev);
}

static void console_loaded(struct vdev *vdev)
{
    struct virtio_console *console = CONTAINER_OF(vdev, struct virtio_console, virtio.device);
    virtio_loaded(vdev);
    console->owed &= BIT32(ADD) | BIT32(NAME) | BIT32(OPEN);
    if (console->is_held)
        console->virtio.work |= BIT32(transmit_queue(console));
}

static const struct field fields[] = {
    FIELD_ONE(struct virtio_console, virtio, virtio_fields),
    WIRING(struct virtio_console, line),
    WIRING(struct virtio_console, name),
    FIELD(struct virtio_console, done),
    FIELD(struct virtio_console, head),
    FIELD_WITHIN(struct virtio_console, is_held, 0, 1),
    FIELD(struct virtio_console, owed),
    FIELD_WITHIN(struct virtio_console, is_open, 0, 1),
    FIELD(struct virtio_console, lost),
    {0},
};

const struct vdev_class virtio_console_class = {.name = "virtio-console",
                                                .size = sizeof(struct virtio_console),
                                                .access = virtio_access,
                                                .deadline = virtio_deadline,
                                                .tick = virtio_tick,
                                                .reset = console_reset,
                                                .loaded = console_loaded,
                                                .fields = fields};

// ---- the line's side ----

bool virtio_console_is_open(struct virtio_console *console)
{
    spin_lock(&console->virtio.device.lock);
    bool open = is_open(console);
    vdev_unlock(&console->virtio.device);
    return open;
}

size_t virtio_console_receive(struct virtio_console *console, const uint8_t *bytes, size_t length)
{
    struct virtio *device = &console->virtio;
    unsigned queue = console->name ? PORT_RECEIVE : RECEIVE;
    size_t done = 0;
    spin_lock(&device->device.lock);
    for (unsigned i = 0; i < PIECE_CHAINS && done < length && is_open(console); i++) {
        if (!virtio_take(device, queue))
            break;
        size_t part = MIN(length - done, device->chain.in_bytes);
        if (!part ||
            !virtio_chain_write(&device->chain, virtio_memory(device), 0, bytes + done, part)) {
            virtio_break(device, "a buffer to receive has no room");
            break;
        }
        virtio_give(device, queue, (uint32_t)part);
        done += part;
    }
    if (done)
        virtio_tell(device, queue);
    vdev_unlock(&device->device);
    return done;
}

void virtio_console_flush(struct virtio_console *console)
{
    struct virtio *device = &console->virtio;
    spin_lock(&device->device.lock);
    if (virtio_is_live(device))
        device->work |= BIT32(transmit_queue(console));
    vdev_unlock(&device->device);
}

bool virtio_console_is_idle(struct virtio_console *console)
{
    struct virtio *device = &console->virtio;
    spin_lock(&device->device.lock);
    bool is_idle = !virtio_is_live(device) || (!console->is_held && !device->work);
    vdev_unlock(&device->device);
    return is_idle;
}

void virtio_console_resize(struct virtio_console *console, uint16_t columns, uint16_t rows)
{
    struct virtio *device = &console->virtio;
    uint8_t *config = device->config;
    spin_lock(&device->device.lock);
    if (get16(config + CONFIG_COLUMNS) != columns || get16(config + CONFIG_ROWS) != rows) {
        put16(config + CONFIG_COLUMNS, columns);
        put16(config + CONFIG_ROWS, rows);
        virtio_config_changed(device);
    }
    vdev_unlock(&device->device);
}
