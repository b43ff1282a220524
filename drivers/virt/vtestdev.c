// The test devices. Called from both buses.
#include "drivers/virt/vtestdev.h"

#include "lib/string.h"
#include "vm/vm.h"

#define DEBUG_PRESENT 0xe9 // what a read tells who asks for the debug console
#define DEBUG_CONSOLE 4    // as vm->host->console_write() counts

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

static void access_console(struct vm *vm, struct access *access)
{
    if (!access->write)
        access->value = DEBUG_PRESENT;
    else // a port without a status register: what finds no room is lost
        (void)vm->host->console_write(vm, DEBUG_CONSOLE, (uint8_t)access->value);
}

// What guests can only write.
static bool write_port(struct vtestdev *testdev, uint64_t port, const struct access *access)
{
    struct vm *vm = testdev->device.vm;
    if (port >= PORT_TEST_LINES && port < PORT_TEST_LINES + VIOAPIC_PINS && access->size == 1)
        irq_set(&testdev->line[port - PORT_TEST_LINES], access->value != 0);
    else if (port == PORT_PAGE_FLUSH && access->size == 4)
        flush_page(vm, access->value);
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
    if (port == PORT_DEBUG && access->size == 1)
        access_console(device->vm, access);
    else if (port >> 2 == PORT_TEST_DATA >> 2 || port >> 2 == PORT_TEST_ALIAS >> 2)
        access_latch(testdev, access);
    else if (access->write)
        return write_port(testdev, port, access);
    else if (port >> 2 != PORT_DEBUG_EXIT >> 2) // which reads as zero
        return false;
    return true;
}

// The bus splits what runs over the memory's end.
static bool memory_access(struct vdev *device, struct access *access)
{
    struct vtestdev *testdev = CONTAINER_OF(device, struct vtestdev, memory);
    if (access->write)
        memcpy(testdev->bytes + access->offset, &access->value, access->size);
    else
        memcpy(&access->value, testdev->bytes + access->offset, access->size);
    return true;
}

void vtestdev_init(struct vtestdev *testdev, struct vm *vm, uint8_t *bytes)
{
    *testdev =
        (struct vtestdev){.device = {.name = "test device", .vm = vm, .access = vtestdev_access},
                          .bytes = bytes,
                          .memory = {.name = "test memory", .access = memory_access}};
}
