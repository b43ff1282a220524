// The PCI test function. QEMU documentation: "pci-test". Called from both buses.
#include "drivers/virt/pci/vpcitest.h"

#include "lib/string.h"
#include "vm/platform.h"

#define MEMORY_SIZE 4096
#define PORTS_SIZE  256

#define REG_MSI 16

#define KINDS       3 // of tests in each region
#define TESTS       (2 * KINDS)
#define MATCHING    0xfa // the byte to write
#define ANY         0xce // the same where any byte would do
#define HEADER_SIZE 16

static const struct vpci_header pci_header = {
    .reset = {[VPCI_ID] = 0x00051b36,
              [VPCI_COMMAND] = VPCI_COMMAND_IO | VPCI_COMMAND_MEMORY,
              [VPCI_CLASS] = 0x00ff0000, // none of those that are defined
              [VPCI_BASE] = PCI_TEST_MEMORY,
              [VPCI_BASE + 1] = PCI_TEST_PORTS | VPCI_BASE_IO,
              [VPCI_SUBSYSTEM] = 0x11001af4},
    .writable = {[VPCI_COMMAND] = VPCI_COMMAND_IO | VPCI_COMMAND_MEMORY | VPCI_COMMAND_MASTER,
                 [VPCI_HEADER] = 0x000000ff, // cache line size
                 [VPCI_BASE] = -(uint32_t)MEMORY_SIZE,
                 [VPCI_BASE + 1] = -(uint32_t)PORTS_SIZE,
                 [VPCI_INTERRUPT] = 0x000000ff}};

// A test's header, its name behind it. All its numbers are little-endian.
struct test_header {
    uint8_t test;
    uint8_t width; // bytes of a write
    uint8_t reserved[2];
    uint32_t offset; // where to write
    uint8_t data;    // what to write
    uint8_t reserved_too[3];
    uint32_t count; // of such writes
    char name[32];
};
_Static_assert(offsetof(struct test_header, name) == HEADER_SIZE, "as QEMU's");

static struct test_header header_of(const struct vpcitest *test)
{
    static const char names[TESTS][sizeof(((struct test_header *)0)->name)] = {
        "mmio-no-eventfd",   "mmio-wildcard-eventfd",   "mmio-datamatch-eventfd",
        "portio-no-eventfd", "portio-wildcard-eventfd", "portio-datamatch-eventfd"};
    bool is_ports = test->chosen >= KINDS;
    struct test_header header = {.test = (uint8_t)test->chosen,
                                 .width = 1,
                                 .offset = (is_ports ? PORTS_SIZE : MEMORY_SIZE) / 2 + test->chosen,
                                 .data = test->chosen % KINDS == 1 ? ANY : MATCHING,
                                 .count = test->count};
    memcpy(header.name, names[test->chosen], sizeof(header.name));
    return header;
}

// One byte. Writes to tests of an event go to whoever waits for it, here nobody, and do not count.
static void write_byte(struct vpcitest *test, unsigned region, uint64_t offset, uint8_t byte)
{
    if (region == 0 && offset == VPCITEST_MESSAGE) {
        vmsi_send(&test->msi, &test->function, byte);
    } else if (offset == offsetof(struct test_header, test)) {
        test->chosen = byte < KINDS ? region * KINDS + byte : TESTS;
        test->count = 0;
    } else if (test->chosen % KINDS == 0 && test->chosen < TESTS) {
        struct test_header header = header_of(test);
        test->count += offset == header.offset && byte == header.data;
    }
}

static uint8_t read_byte(const struct vpcitest *test, uint64_t offset)
{
    struct test_header header;
    if (test->chosen >= TESTS || offset >= sizeof(header))
        return 0;
    header = header_of(test);
    return ((const uint8_t *)&header)[offset];
}

static bool vpcitest_access(struct vdev *device, struct access *access)
{
    struct vpcitest *test = CONTAINER_OF(device, struct vpcitest, device);
    unsigned region = (unsigned)(access->offset >> 32);
    uint64_t offset = (uint32_t)access->offset, value = 0;
    for (unsigned i = 0; i < access->size; i++)
        if (access->write)
            write_byte(test, region, offset + i, (uint8_t)(access->value >> 8 * i));
        else
            value |= (uint64_t)read_byte(test, offset + i) << 8 * i;
    access->value = access->write ? access->value : value;
    return true;
}

// ---- configuration space ----

static void read_hook(struct vpci_function *function, unsigned reg)
{
    struct vpcitest *test = CONTAINER_OF(function, struct vpcitest, function);
    spin_lock(&test->device.lock);
    vmsi_show(&test->msi, function, reg);
    vdev_unlock(&test->device);
}

static void written_hook(struct vpci_function *function, unsigned reg)
{
    struct vpcitest *test = CONTAINER_OF(function, struct vpcitest, function);
    if (reg - REG_MSI >= VMSI_REGISTERS)
        return;
    spin_lock(&test->device.lock);
    vmsi_flush(&test->msi, function);
    vdev_unlock(&test->device);
}

static void vpcitest_loaded(struct vdev *device)
{
    struct vpcitest *test = CONTAINER_OF(device, struct vpcitest, device);
    test->msi.pending &= BIT32(VPCITEST_MESSAGES) - 1;
}

static void vpcitest_reset(struct vdev *device)
{
    static const struct vpci_hooks hooks = {read_hook, written_hook};
    struct vpcitest *test = CONTAINER_OF(device, struct vpcitest, device);
    test->chosen = TESTS;
    test->function.device = device;
    test->function.hooks = &hooks;
    vpci_function_describe(&test->function, &pci_header);
    vmsi_describe(&test->msi, &test->function, REG_MSI, VPCITEST_MESSAGES);
    vpci_function_reset(&test->function);
}

static const struct field fields[] = {
    WIRING(struct vpcitest, device),
    FIELD_ONE(struct vpcitest, function, vpci_function_fields),
    FIELD_ONE(struct vpcitest, msi, vmsi_fields),
    FIELD_WITHIN(struct vpcitest, chosen, 0, TESTS),
    FIELD(struct vpcitest, count),
    {0},
};

const struct vdev_class vpcitest_class = {.name = "PCI test device",
                                          .size = sizeof(struct vpcitest),
                                          .access = vpcitest_access,
                                          .reset = vpcitest_reset,
                                          .loaded = vpcitest_loaded,
                                          .fields = fields};
