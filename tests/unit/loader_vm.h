// A VM with memory and one to 64 vCPUs for the loaders' tests, and what they look at afterwards.
#pragma once

#include "tests/unit/support.h"

#include "loaders/loader.h"
#include "loaders/memory_map.h"
#include "vm/platform.h"

struct test_vm {
    struct vm vm;
    struct vcpu vcpu[VM_VCPUS];
    struct explanation why;
};

// `bytes` of RAM, filled with 0xA5 (if not too much); half of the low part is a region of its own.
static inline struct test_vm *test_vm_new(uint64_t bytes, unsigned cpus)
{
    struct test_vm *test = calloc(1, sizeof(*test));
    struct memory_layout layout = memory_layout(bytes);
    struct gmem *memory = &test->vm.memory;
    uint64_t half = layout.low / 2 & ~UINT64_C(0x1fffff);
    if (half)
        memory->region[memory->count++] =
            (struct gmem_region){.start = gpa(0), .size = half, .bytes = malloc(half)};
    memory->region[memory->count++] = (struct gmem_region){
        .start = gpa(half), .size = layout.low - half, .bytes = malloc(layout.low - half)};
    if (layout.high)
        memory->region[memory->count++] = (struct gmem_region){
            .start = gpa(HIGH_MEMORY_START), .size = layout.high, .bytes = malloc(layout.high)};
    if (bytes <= UINT64_C(1) << 30)
        for (unsigned i = 0; i < memory->count; i++)
            memset(memory->region[i].bytes, 0xa5, memory->region[i].size);
    static const struct vm_host host; // copies nothing later
    test->vm.host = &host;
    config_defaults(&test->vm.config);
    test->vm.config.memory = bytes;
    test->vm.config.cpus = test->vm.vcpu_count = cpus;
    for (unsigned i = 0; i < cpus; i++) {
        test->vm.vcpu[i] = &test->vcpu[i];
        test->vcpu[i].vm = &test->vm;
        test->vcpu[i].apic_id = i;
    }
    return test;
}

static inline void test_vm_free(struct test_vm *test)
{
    for (unsigned i = 0; i < test->vm.memory.count; i++)
        free(test->vm.memory.region[i].bytes);
    free(test);
}

// RAM at `at`; fails the test if there is none.
static inline uint8_t *test_ram(struct test_vm *test, uint64_t at, uint64_t size)
{
    uint8_t *bytes = gmem_at(&test->vm.memory, gpa(at), size);
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
