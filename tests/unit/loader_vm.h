// A VM with memory and one to 64 vCPUs for the loaders' tests, and what they look at afterwards.
#pragma once

#include "tests/unit/support.h"

#include "loaders/loader.h"
#include "loaders/memory_map.h"
#include "vm/platform.h"

struct test_vm {
    struct vm vm;
    struct vm_config config;
    struct vcpu vcpu[VM_VCPUS];
    uint8_t *ram[3];
    struct explanation why;
};

// Noon.
static inline uint64_t test_wall_clock(struct vm *vm)
{
    return vm ? 1709208000 : 0;
}

// `bytes` of RAM, all zeroes; half of the low part lies elsewhere.
static inline struct test_vm *test_vm_new(uint64_t bytes, unsigned cpus)
{
    struct test_vm *test = calloc(1, sizeof(*test));
    config_defaults(&test->config);
    test->config.memory = bytes;
    test->config.cpus = test->vm.vcpu_count = cpus;
    test->vm.traits = config_traits(&test->config);
    struct memory_layout layout = memory_layout(&test->vm.traits);
    struct gmem *memory = &test->vm.memory;
    uint64_t half = layout.low / 2 & ~UINT64_C(0x1fffff);
    uint64_t pieces = (HIGH_MEMORY_START + layout.high) / GMEM_PIECE + 1;
    gmem_init(memory, calloc(pieces, sizeof(*memory->piece)), pieces);
    const struct {
        uint64_t start, size;
    } part[] = {{0, half}, {half, layout.low - half}, {HIGH_MEMORY_START, layout.high}};
    for (unsigned i = 0; i < 3; i++) {
        test->ram[i] = calloc(1, part[i].size);
        if (part[i].size)
            gmem_add(memory, gpa(part[i].start), test->ram[i], part[i].size);
    }
    static const struct vm_host host = {.wall_clock = test_wall_clock}; // copies nothing later
    test->vm.host = &host;
    for (unsigned i = 0; i < cpus; i++) {
        test->vm.vcpu[i] = &test->vcpu[i];
        test->vcpu[i].vm = &test->vm;
        test->vcpu[i].apic_id = i;
    }
    return test;
}

static inline void test_vm_free(struct test_vm *test)
{
    for (unsigned i = 0; i < 3; i++)
        free(test->ram[i]);
    free(test->vm.memory.piece);
    free(test);
}

// RAM at `at`; fails the test if there is none.
static inline uint8_t *test_ram(struct test_vm *test, uint64_t at, uint64_t size)
{
    uint8_t *bytes = gmem_make_writable(&test->vm.memory, gpa(at), size);
    assert_non_null(bytes);
    return bytes;
}

static inline uint32_t test_ram32(struct test_vm *test, uint64_t at)
{
    uint32_t value;
    memcpy(&value, test_ram(test, at, sizeof(value)), sizeof(value));
    return value;
}

static inline uint64_t test_ram64(struct test_vm *test, uint64_t at)
{
    uint64_t value;
    memcpy(&value, test_ram(test, at, sizeof(value)), sizeof(value));
    return value;
}

static inline void assert_filled(const uint8_t *bytes, uint8_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        assert_int_equal(bytes[i], value);
}

// The test at hand has one.
static struct test_vm *test;

static inline int end(void **state)
{
    test_vm_free(test);
    return 0;
}

static inline void assert_explained(status_t status, status_t expected, const char *line)
{
    assert_string_equal(test->why.text, line);
    assert_int_equal(status, expected);
}
