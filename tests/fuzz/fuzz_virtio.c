// A virtio device (the input says which) under a hostile driver: it writes any register, and
// anything into its rings and buffers, also while a request is under way, and between any two steps
// of the device's work: the device's code is compiled so that each block of it calls
// __sanitizer_cov_trace_pc() (fuzz.mk), where what a second CPU would write is written. Some disks
// have a back end that answers late, in any order, twice or never. Whatever they do, RAM and the
// disk are all that changes, each piece of work is bounded, and after a reset the device serves as
// at first. A state that is saved and loaded goes on; one with lies in it is refused or borne.

#include <string.h>

#include "drivers/virt/pci/vpci.h"
#include "drivers/virt/virtio/virtio_blk.h"
#include "drivers/virt/virtio/virtio_console.h"
#include "drivers/virt/virtio/virtio_balloon.h"
#include "drivers/virt/virtio/virtio_rng.h"
#include "tests/fuzz/changes.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/require.h"
#include "vm/platform.h"
#include "vm/vm.h"

#define RAM_BYTES  (64 << 10)
#define DISK_BYTES (64 << 10)
#define REGISTERS  UINT64_C(0xd0000000)
#define VECTORS    UINT64_C(0xd0010000)
#define PORTS      0xd000
#define QUEUES     6
#define LINE_BYTES 64
#define STATE_ROOM (64 << 10)

static struct vm vm;
static uint64_t now;
static struct vcpu vcpu;
static struct lapic_page page;
static struct vpci pci;
static struct virtio_blk disk;
static struct virtio_console console, port;
static struct virtio_rng rng;
static struct virtio_balloon balloon;
static struct vm_console line;
static uint8_t line_bytes[LINE_BYTES];
static struct virtio *device; // that is driven
static struct block block = {.name = "fuzz", .sectors = DISK_BYTES / BLOCK_SECTOR};
static struct gmem_piece ram_piece, disk_piece;
static _Alignas(4096) uint8_t ram[RAM_BYTES], disk_bytes[DISK_BYTES];

static void kick(struct vcpu *kicked)
{
    require(kicked == &vcpu);
}

// ---- the driver's other CPU ----

// ---- a back end ----

#define HELD 8

static struct block_client *client;
static uint64_t held[HELD]; // handles, answered or not
static unsigned submitted;

static void attach(const struct block *from, struct block_client *to)
{
    require(from == &block);
    client = to;
}

static bool submit(const struct block *from, uint64_t handle, const struct block_request *request)
{
    require(from == &block && request->offset <= DISK_BYTES &&
            request->length <= DISK_BYTES - request->offset);
    held[submitted++ % HELD] = handle;
    return handle % 5; // now and then it has no room
}

static const struct block_backend backend = {attach, submit};

static void answer(struct input *input)
{
    static uint8_t bytes[256];
    unsigned kind = (unsigned)take(input, 1);
    uint64_t handle = held[kind % HELD];
    if (!block.backend)
        return;
    if (kind & 0x40)
        (void)client->class->move(client, handle, take(input, 2), bytes, take(input, 1));
    else
        client->class->answer(client, handle, kind & 0x80);
}

// ---- the driver's hands ----

static uint64_t configure(unsigned reg, uint8_t size, bool write, uint64_t value)
{
    struct access access = {
        .offset = PCI_ECAM + (1 << 15) + reg, .size = size, .write = write, .value = value};
    (void)vdev_access(&pci.device, &access);
    require(access.value <= size_mask(size) || write);
    return access.value;
}

static uint64_t reach(struct bus *bus, uint64_t at, uint8_t size, bool write, uint64_t value)
{
    struct access access = {
        .offset = at, .size = size, .write = write, .value = value & size_mask(size)};
    (void)bus_access(bus, &access);
    require(access.value <= size_mask(size));
    return access.value;
}

static void set(unsigned offset, uint8_t size, uint64_t value)
{
    (void)reach(&vm.mmio, REGISTERS + offset, size, true, value);
}

static void place(void)
{
    (void)configure(16, 4, true, REGISTERS);
    (void)configure(20, 4, true, VECTORS);
    (void)configure(24, 4, true, PORTS);
    (void)configure(4, 2, true, 7);
}

static void drive(uint64_t features)
{
    place();
    set(0x14, 1, 0);
    set(0x14, 1, 3);
    features &= device->offered;
    set(0x08, 4, 0);
    set(0x0c, 4, (uint32_t)features);
    set(0x08, 4, 1);
    set(0x0c, 4, features >> 32);
    set(0x14, 1, 0xb);
    for (unsigned i = 0; i < QUEUES; i++) {
        set(0x16, 2, i);
        set(0x18, 2, 8);
        set(0x20, 8, 0x1000 * i);
        set(0x28, 8, 0x1000 * i + 0x400);
        set(0x30, 8, 0x1000 * i + 0x800);
        set(0x1c, 2, 1);
    }
    set(0x14, 1, 0xf);
}

static void put(unsigned at, uint64_t value, unsigned bytes)
{
    memcpy(ram + at % (RAM_BYTES - 8), &value, bytes);
}

static void describe(unsigned queue, unsigned number, uint64_t at, uint32_t length, unsigned flags,
                     unsigned next)
{
    unsigned where = queue * 0x1000 + number % 8 * 16;
    put(where, at, 8);
    put(where + 8, length, 4);
    put(where + 12, flags, 2);
    put(where + 14, next, 2);
}

// A request that may be a good one, of a length that the input says.
static void request(struct input *input, unsigned queue)
{
    uint16_t index;
    put(0x8000, take(input, 1) % 16, 4);
    put(0x8008, take(input, 1), 8);
    describe(queue, 0, 0x8000, 16, 1, 1);
    describe(queue, 1, 0x9000, (uint32_t)take(input, 1) * BLOCK_SECTOR, 1 | (take(input, 1) & 2U),
             2);
    describe(queue, 2, 0x8100, 1, 2, 0);
    memcpy(&index, ram + queue * 0x1000 + 0x402, 2);
    put(queue * 0x1000 + 0x404 + index % 8 * 2, 0, 2);
    put(queue * 0x1000 + 0x402, index + 1U, 2);
    (void)reach(&vm.ports, PORTS + 4 * queue, 2, true, 0);
}

// The line behind a console: some of what it holds goes, and it types something.
static void attend_line(struct input *input)
{
    static const uint8_t typed[] = "a word\r";
    struct virtio_console *spoken_to = device == &port.virtio ? &port : &console;
    for (uint64_t bytes = take(input, 1) % (LINE_BYTES + 1); bytes; bytes--)
        (void)ring_get(&line.printed);
    if (device != &spoken_to->virtio)
        return;
    virtio_console_flush(spoken_to);
    require(virtio_console_receive(spoken_to, typed, sizeof(typed) - 1) < sizeof(typed));
    virtio_console_resize(spoken_to, (uint16_t)take(input, 1), (uint16_t)take(input, 1));
    (void)virtio_console_is_idle(spoken_to);
    require(ring_used(&line.printed) <= LINE_BYTES);
}

static void save_and_load(struct input *input)
{
    static uint8_t state[STATE_ROOM];
    struct explanation why = {""};
    size_t length = vdev_save(&device->device, state, sizeof(state));
    require(length <= sizeof(state));
    for (unsigned lies = (unsigned)take(input, 1) & 3; lies; lies--) {
        size_t at = (size_t)take(input, 2) % length;
        state[at] = (uint8_t)take(input, 1);
    }
    struct section_input look = {state, length}, load = look;
    if (vdev_load(&device->device, &look, false, &why) != STATUS_OK)
        require(why.text[0]);
    else if (vdev_load(&device->device, &load, true, &why) == STATUS_OK)
        vdev_loaded(&device->device);
}

static void step(struct input *input)
{
    static const uint8_t sizes[] = {1, 2, 4, 8};
    unsigned kind = (unsigned)take(input, 1);
    uint8_t size = sizes[kind >> 4 & 3];
    switch (kind % 13) {
    case 0:
        set((unsigned)take(input, 1) & 0x3f, size, take(input, size));
        break;
    case 1:
        (void)reach(&vm.mmio, REGISTERS + (take(input, 2) & 0x3fff), size, false, 0);
        break;
    case 2:
        (void)reach(&vm.ports, PORTS + (take(input, 1) & 0x7f), MIN(size, 4), true, 0);
        break;
    case 3: // a ring or a buffer
        put((unsigned)take(input, 2), take(input, size), size);
        break;
    case 4:
        vm_tick_devices(&vm, ++now);
        break;
    case 5:
        (void)configure((unsigned)take(input, 1) & ~(size - 1U), MIN(size, 4), true,
                        take(input, size));
        break;
    case 6:
        drive(VIRTIO_F_VERSION_1 | take(input, 6));
        break;
    case 7:
        request(input, (unsigned)take(input, 1) % QUEUES);
        break;
    case 8:
        (void)reach(&vm.mmio, VECTORS + (take(input, 2) & 0xfff), size, kind & 0x80,
                    take(input, size));
        break;
    case 9:
        save_and_load(input);
        break;
    case 10:
        attend_line(input);
        break;
    case 11:
        changes[next_change++ % CHANGES] =
            (struct change){.blocks = 1 + (unsigned)take(input, 1),
                            .at = ram + take(input, 2) % (RAM_BYTES - 8),
                            .size = size,
                            .value = take(input, size)};
        break;
    case 12:
        answer(input);
        break;
    }
    require(device->device.lock.next == device->device.lock.serving);
}

// A descriptor of 16 bytes at 9000h in a queue.
static void offer(unsigned queue, unsigned flags)
{
    describe(queue, 0, 0x9000, 16, flags, 0);
    put(queue * 0x1000 + 0x404, 0, 2);
    put(queue * 0x1000 + 0x402, 1, 2);
    (void)reach(&vm.ports, PORTS + 4 * queue, 2, true, 0);
}

static void prints_again(void)
{
    ring_init(&line.printed, line_bytes, LINE_BYTES);
    memcpy(ram + 0x9000, "sixteen letters.", 16);
    if (device == &port.virtio) { // by the control message that opens it
        put(0x9000, UINT64_C(0x0001000600000001), 8);
        offer(3, 0);
        require(virtio_console_is_open(&port));
    }
    offer(device == &port.virtio ? 5 : 1, 0);
    require(ring_used(&line.printed) == 16 && memcmp(line_bytes, ram + 0x9000, 16) == 0);
}

static void draws_again(void)
{
    now += UINT64_C(10000000000);
    offer(0, 2);
    vm_tick_devices(&vm, now);
    require(ram[0x9000] == 0x5a && ram[0x900f] == 0x5a && ram[0x9010] == 0);
}

static uint64_t given; // pages
static unsigned looks;

static uint64_t give_memory(struct vm *of, gpa_t at, uint64_t count)
{
    require(of == &vm && at.value % 4096 == 0 && count && count <= 256);
    given += count;
    return count - (at.value >> 12) % 4 / 3; // not all at once
}

static bool memory_is_gone(struct vm *of)
{
    require(of == &vm);
    return ++looks % 3 != 1; // a little later
}

// However it was used: a reset, and it reads a sector, prints a line, has random numbers.
static void serves_again(void)
{
    memset(changes, 0, sizeof(changes));
    drive(VIRTIO_F_VERSION_1 | 2);
    memset(ram, 0, sizeof(ram));
    if (device == &balloon.virtio)
        given = 0, offer(0, 0), require(given);
    else if (device == &rng.virtio)
        draws_again();
    else if (device != &disk.virtio)
        prints_again();
    if (device != &disk.virtio)
        return;
    memset(ram + 0x9000, 0xee, BLOCK_SECTOR);
    put(0x8100, 0xee, 1);
    struct input good = {(const uint8_t[]){0, 3, 1, 2}, 4};
    request(&good, 0);
    if (block.backend) {
        for (unsigned i = 0; i < HELD; i++) { // it has room by then
            uint64_t handle = held[(submitted - 1) % HELD];
            (void)client->class->move(client, handle, 0, disk_bytes + 3 * BLOCK_SECTOR,
                                      BLOCK_SECTOR);
            client->class->answer(client, handle, true);
        }
    }
    require(ram[0x8100] == 0 &&
            memcmp(ram + 0x9000, disk_bytes + 3 * BLOCK_SECTOR, BLOCK_SECTOR) == 0);
}

static size_t entropy(uint8_t *to, size_t bytes)
{
    memset(to, 0x5a, bytes);
    return bytes;
}

static void plug_device(unsigned which)
{
    static struct virtio *const devices[] = {&disk.virtio, &console.virtio, &port.virtio,
                                             &rng.virtio, &balloon.virtio};
    static const struct vdev_class *const classes[] = {&virtio_blk_class, &virtio_console_class,
                                                       &virtio_console_class, &virtio_rng_class,
                                                       &virtio_balloon_class};
    device = devices[which];
    vm_plug(&vm, &device->device, classes[which]);
    if (device == &disk.virtio)
        virtio_blk_describe(&disk, &block, 2);
    else if (device == &rng.virtio)
        virtio_rng_describe(&rng, 1000);
    else if (device == &balloon.virtio)
        virtio_balloon_describe(&balloon, true);
    else
        virtio_console_describe(which == 1 ? &console : &port, LINE_VIRTIO,
                                which == 1 ? NULL : "fuzz");
}

static void fresh(unsigned which)
{
    static const struct vm_host host = {.kick = kick,
                                        .entropy = entropy,
                                        .memory_give = give_memory,
                                        .memory_is_gone = memory_is_gone};
    memset(&vm, 0, sizeof(vm));
    memset(&vcpu, 0, sizeof(vcpu));
    memset(ram, 0, sizeof(ram));
    vm.host = &host;
    vm.traits.name = "fuzz";
    vm.ports.name = "ports";
    vm.mmio.name = "MMIO";
    vm.deadlines.first = NEVER;
    vm.vcpu_count = 1;
    vm.vcpu[0] = &vcpu;
    vcpu.vm = &vm;
    lapic_init(&vcpu, &page);
    ram_piece = disk_piece = (struct gmem_piece){0};
    gmem_init(&vm.memory, &ram_piece, 1);
    gmem_add(&vm.memory, gpa(0), ram, RAM_BYTES);
    gmem_init(&block.data, &disk_piece, 1);
    gmem_add(&block.data, gpa(0), disk_bytes, DISK_BYTES);
    vm_plug(&vm, &pci.device, &vpci_class);
    line = (struct vm_console){0};
    ring_init(&line.printed, line_bytes, LINE_BYTES);
    vm.console[LINE_VIRTIO] = &line;
    plug_device(which);
    vdev_reset(&device->device);
    require(vpci_add(&pci, 1, &device->function, NULL) == STATUS_OK);
    place();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    unsigned kind = (unsigned)take(&input, 1);
    unsigned which = kind & 8 ? 4 : kind % 4;
    block.backend = !which && (kind & 4) ? &backend : NULL;
    memset(changes, 0, sizeof(changes));
    memset(held, 0, sizeof(held));
    submitted = next_change = looks = 0;
    fresh(which);
    drive(VIRTIO_F_ALL | 2);
    while (input.left > 0)
        step(&input);
    serves_again();
    return 0;
}
