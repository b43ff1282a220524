// The PCI test function. QEMU documentation: "pci-test". Called from struct vpci.
#include "drivers/virt/vpcitest.h"

#include "lib/string.h"
#include "vm/platform.h"

#define MEMORY_SIZE 4096
#define PORTS_SIZE  256

#define KINDS       3 // of tests in each region
#define TESTS       (2 * KINDS)
#define MATCHING    0xfa // the byte to write
#define ANY         0xce // the same where any byte would do
#define HEADER_SIZE 16

static const struct vpci_registers registers = {
    .reset = {[0] = 0x00051b36,
              [1] = 0x00000003, // decodes I/O and memory
              [2] = 0x00ff0000, // class: none of those that are defined
              [VPCI_BASE] = PCI_TEST_MEMORY,
              [VPCI_BASE + 1] = PCI_TEST_PORTS | 1,
              [11] = 0x11001af4},
    .writable = {[1] = 0x00000007,
                 [3] = 0x000000ff, // cache line size
                 [VPCI_BASE] = -(uint32_t)MEMORY_SIZE,
                 [VPCI_BASE + 1] = -(uint32_t)PORTS_SIZE,
                 [15] = 0x000000ff}};

// A test's header, its name behind it. All its numbers are little-endian.
struct header {
    uint8_t test;
    uint8_t width; // bytes of a write
    uint8_t reserved[2];
    uint32_t offset; // where to write
    uint8_t data;    // what to write
    uint8_t reserved_too[3];
    uint32_t count; // of such writes
    char name[32];
};
_Static_assert(offsetof(struct header, name) == HEADER_SIZE, "as QEMU's");

static struct header header_of(const struct vpcitest *test)
{
    static const char names[TESTS][sizeof(((struct header *)0)->name)] = {
        "mmio-no-eventfd",   "mmio-wildcard-eventfd",   "mmio-datamatch-eventfd",
        "portio-no-eventfd", "portio-wildcard-eventfd", "portio-datamatch-eventfd"};
    bool is_ports = test->chosen >= KINDS;
    struct header header = {.test = (uint8_t)test->chosen,
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
    if (offset == offsetof(struct header, test)) {
        test->chosen = byte < KINDS ? region * KINDS + byte : TESTS;
        test->count = 0;
    } else if (test->chosen % KINDS == 0 && test->chosen < TESTS) {
        struct header header = header_of(test);
        test->count += offset == header.offset && byte == header.data;
    }
}

static uint8_t read_byte(const struct vpcitest *test, uint64_t offset)
{
    struct header header;
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

void vpcitest_init(struct vpcitest *test)
{
    *test = (struct vpcitest){
        .device = {.name = "PCI test device", .access = vpcitest_access},
        .function = {.registers = &registers},
        .chosen = TESTS,
    };
    test->function.region[0] = test->function.region[1] = &test->device;
}
