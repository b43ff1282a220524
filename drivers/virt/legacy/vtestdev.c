// The test devices. Called from both buses.
#include "drivers/virt/legacy/vtestdev.h"

#include "lib/string.h"
#include "vm/vm.h"

static const char word[] = "Shutdown";

static void write_shutdown(struct vtestdev *testdev, char letter)
{
    if (letter != word[testdev->matched])
        testdev->matched = 0;
    if (letter == word[testdev->matched])
        testdev->matched++;
    if (testdev->matched < sizeof(word) - 1)
        return;
    testdev->matched = 0;
    vm_stop(testdev->device.vm, STOP_POWEROFF, 0);
}

static void flush_page(struct vm *vm, uint64_t address)
{
    gpa_t page = gpa(address & ~(PAGE_SIZE - 1));
    if (vm->host->memory_drop && gmem_at(&vm->memory, page, PAGE_SIZE))
        vm->host->memory_drop(vm, page);
}

static void control_log(struct vtestdev *testdev, uint64_t value)
{
    struct vm *vm = testdev->device.vm;
    if (value > 1)
        testdev->page = value & ~(PAGE_SIZE - 1);
    else if (vm->host->memory_log)
        vm->host->memory_log(vm, value);
}

static bool is_written(const struct vtestdev *testdev)
{
    struct vm *vm = testdev->device.vm;
    return vm->host->memory_written && vm->host->memory_written(vm, gpa(testdev->page));
}

// The bus splits what runs over the latch's end.
static void access_latch(struct vtestdev *testdev, struct access *access)
{
    unsigned shift = 8 * (access->offset & 3);
    uint32_t mask = (uint32_t)(size_mask(access->size) << shift);
    if (access->write)
        testdev->latch = (testdev->latch & ~mask) | (uint32_t)(access->value << shift);
    else
        access->value = (testdev->latch & mask) >> shift;
}

// What guests can only write. The bus splits what runs over the lines' end.
static bool write_port(struct vtestdev *testdev, uint64_t port, const struct access *access)
{
    struct vm *vm = testdev->device.vm;
    if (port >= PORT_TEST_LINES && port < PORT_TEST_LINES + VIOAPIC_PINS)
        for (unsigned i = 0; i < access->size; i++)
            irq_set(&testdev->line[port - PORT_TEST_LINES + i], (access->value >> 8 * i) & 0xff);
    else if (port == PORT_PAGE_FLUSH && access->size == 4)
        flush_page(vm, access->value);
    else if (port == PORT_DIRTY_LOG && access->size == 4)
        control_log(testdev, access->value);
    else if (port >= PORT_DEBUG_EXIT && port < PORT_DEBUG_EXIT + 4)
        vm_stop(vm, STOP_DEBUG_EXIT, (uint32_t)access->value);
    else if (port == PORT_SHUTDOWN)
        write_shutdown(testdev, (char)access->value);
    else
        return false;
    return true;
}

static bool vtestdev_access(struct vdev *device, struct access *access)
{
    struct vtestdev *testdev = CONTAINER_OF(device, struct vtestdev, device);
    uint64_t port = access->offset;
    if (port >> 2 == PORT_TEST_DATA >> 2 || port >> 2 == PORT_TEST_ALIAS >> 2)
        access_latch(testdev, access);
    else if (port == PORT_DIRTY_LOG && !access->write)
        access->value = is_written(testdev);
    else if (access->write)
        return write_port(testdev, port, access);
    else if (port >> 2 != PORT_DEBUG_EXIT >> 2) // which reads as zero
        return false;
    return true;
}

// The bus splits what runs over the memory's end.
static bool memory_access(struct vdev *device, struct access *access)
{
    struct vtestmem *memory = CONTAINER_OF(device, struct vtestmem, device);
    if (access->write)
        memcpy(memory->bytes + access->offset, &access->value, access->size);
    else
        memcpy(&access->value, memory->bytes + access->offset, access->size);
    return true;
}

static const struct field fields[] = {
    WIRING(struct vtestdev, device),
    FIELD(struct vtestdev, latch),
    FIELD(struct vtestdev, page),
    FIELD_WITHIN(struct vtestdev, matched, 0, sizeof(word) - 2),
    FIELD_EACH(struct vtestdev, line, irq_line_fields),
    {0},
};

const struct vdev_class vtestdev_class = {.name = "test device",
                                          .size = sizeof(struct vtestdev),
                                          .access = vtestdev_access,
                                          .fields = fields};

static const struct field memory_fields[] = {
    WIRING(struct vtestmem, device),
    WIRING(struct vtestmem, bytes),
    FIELD_BEHIND(struct vtestmem, bytes, MMIO_TEST_LENGTH),
    {0},
};

const struct vdev_class vtestmem_class = {.name = "test memory",
                                          .size = sizeof(struct vtestmem),
                                          .access = memory_access,
                                          .fields = memory_fields};
