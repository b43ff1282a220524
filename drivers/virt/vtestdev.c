// The test device. Called from the port bus.
#include "drivers/virt/vtestdev.h"

#include "lib/string.h"
#include "vm/platform.h"
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

static bool vtestdev_access(struct vdev *device, struct access *access)
{
    struct vtestdev *testdev = CONTAINER_OF(device, struct vtestdev, device);
    if (!access->write)
        return false;
    if (access->offset == PORT_DEBUG_EXIT)
        vm_stop(device->vm, STOP_DEBUG_EXIT, (uint32_t)access->value);
    else if (access->offset == PORT_PAGE_FLUSH)
        flush_page(device->vm, access->value);
    else if (access->offset == PORT_SHUTDOWN)
        write_shutdown(testdev, (char)access->value);
    return true;
}

static void vtestdev_reset(struct vdev *device)
{
    CONTAINER_OF(device, struct vtestdev, device)->matched = 0;
}

// The bus splits what runs over the page's end.
static bool memory_access(struct vdev *device, struct access *access)
{
    struct vtestdev *testdev = CONTAINER_OF(device, struct vtestdev, memory);
    if (access->write)
        memcpy(testdev->bytes + access->offset, &access->value, access->size);
    else
        memcpy(&access->value, testdev->bytes + access->offset, access->size);
    return true;
}

static void memory_reset(struct vdev *device)
{
    memset(CONTAINER_OF(device, struct vtestdev, memory)->bytes, 0, MMIO_TEST_LENGTH);
}

void vtestdev_init(struct vtestdev *testdev, struct vm *vm)
{
    *testdev = (struct vtestdev){
        .device = {.name = "test device",
                   .vm = vm,
                   .access = vtestdev_access,
                   .reset = vtestdev_reset},
        .memory = {.name = "test memory", .access = memory_access, .reset = memory_reset}};
}
