// loaders/multiboot.c: an ELF kernel and one with load addresses find their boot information; bad
// headers are refused.

#include "tests/unit/loader_vm.h"

#include "lib/bytes.h"
#include "tests/unit/elf_file.h"

#define MIB      (UINT64_C(1) << 20)
#define TOO_MANY (CONFIG_MODULES + 2)

static struct elf_file file;
static struct image kernel;
static const uint8_t module_bytes[5000] = {1, 2, 3};
static const struct image modules[] = {
    {"one.bin", module_bytes, 5000, "-v  x"},
    {"two.bin", module_bytes, 1, NULL},
    {"empty", module_bytes, 0, ""},
};

static void put_header(uint8_t *at, uint32_t flags)
{
    put32(at, 0x1badb002);
    put32(at + 4, flags);
    put32(at + 8, 0 - 0x1badb002 - flags);
}

static int begin(void **state)
{
    test = test_vm_new(16 * MIB, 1);
    strcpy(test->config.cmdline, "hello world");
    elf_file_begin(&file, false, 0x100020);
    elf_file_add(&file, 1, 0x1000, 0x100000, 0x100000, 0x800, 0x2000);
    put_header(file.bytes + 0x1000, 3);
    kernel = elf_file_image(&file);
    return 0;
}

static status_t load(void)
{
    return loader_load(&test->vm, &test->config, &kernel, NULL, modules, ARRAY_LENGTH(modules),
                       &test->why);
}

#define assert_refused(expected, line) assert_explained(load(), expected, line)

static void the_machine_is_as_specified(void **state)
{
    assert_int_equal(load(), STATUS_OK);
    const struct vcpu *vcpu = &test->vcpu[0];
    assert_int_equal(vcpu->gpr[RAX], 0x2badb002);
    assert_int_equal(vcpu->rip, 0x100020);
    assert_int_equal(vcpu->cr0, CR0_PE | CR0_ET);
    assert_int_equal(vcpu->cr4, 0);
    assert_int_equal(vcpu->efer, 0);
    assert_int_equal(vcpu->rflags, 2);
    assert_int_equal(vcpu->segment[CS].access, 0xc09b);
    assert_int_equal(vcpu->segment[CS].limit, 0xffffffff);
    assert_int_equal(vcpu->segment[CS].base, 0);
    for (unsigned i = ES; i <= GS; i++)
        if (i != CS)
            assert_int_equal(vcpu->segment[i].access, 0xc093);
    assert_int_equal(vcpu->segment[TR].access, 0x8b);
    assert_memory_equal(test_ram(test, 0x100000, 0x800), file.bytes + 0x1000, 0x800);
    assert_filled(test_ram(test, 0x100800, 0x1800), 0, 0x1800);
}

static void the_boot_information_is_complete(void **state)
{
    assert_int_equal(load(), STATUS_OK);
    const uint8_t *info = test_ram(test, test->vcpu[0].gpr[RBX], 120);
    assert_int_equal(get32(info), 0x24d);
    assert_int_equal(get32(info + 4), 639);
    assert_int_equal(get32(info + 8), 15 * 1024);
    assert_string_equal((char *)test_ram(test, get32(info + 16), 12), "hello world");
    assert_string_equal((char *)test_ram(test, get32(info + 64), 7), "Corbel");
    assert_filled(info + 12, 0, 4);
    assert_filled(info + 28, 0, 16);
    assert_filled(info + 52, 0, 12);
    assert_filled(info + 68, 0, 52); // no video mode

    const uint8_t *map = test_ram(test, get32(info + 48), get32(info + 44));
    assert_int_equal(get32(info + 44), 8 * 24);
    assert_int_equal(get32(map), 20);
    assert_int_equal(get64(map + 3 * 24 + 4), MIB);
    assert_int_equal(get64(map + 3 * 24 + 12), 15 * MIB);
    assert_int_equal(get32(map + 3 * 24 + 20), 1);

    assert_int_equal(get32(info + 20), 3);
    const uint8_t *list = test_ram(test, get32(info + 24), 3 * 16);
    static const char *const texts[] = {"one.bin -v  x", "two.bin", "empty"};
    for (unsigned i = 0; i < 3; i++) {
        uint32_t start = get32(list + i * 16), stop = get32(list + i * 16 + 4);
        assert_true(start >= 0x102000);
        assert_int_equal(start % 4096, 0);
        assert_int_equal(stop - start, modules[i].size);
        if (stop > start)
            assert_memory_equal(test_ram(test, start, stop - start), module_bytes, stop - start);
        assert_string_equal((char *)test_ram(test, get32(list + i * 16 + 8), 14), texts[i]);
        assert_int_equal(get32(list + i * 16 + 12), 0);
    }
    assert_true(get32(list + 4) <= get32(list + 16));
}

static void an_initrd_is_the_first_module(void **state)
{
    const struct image initrd = {"initrd", module_bytes, 3, NULL};
    assert_int_equal(
        loader_load(&test->vm, &test->config, &kernel, &initrd, modules, 1, &test->why), STATUS_OK);
    const uint8_t *info = test_ram(test, test->vcpu[0].gpr[RBX], 120);
    assert_int_equal(get32(info + 20), 2);
    const uint8_t *list = test_ram(test, get32(info + 24), 3 * 16);
    assert_int_equal(get32(list + 4) - get32(list), 3);
    assert_string_equal((char *)test_ram(test, get32(list + 8), 7), "initrd");
}

static void an_empty_command_line_has_an_address(void **state)
{
    test->config.cmdline[0] = 0;
    assert_int_equal(loader_load(&test->vm, &test->config, &kernel, NULL, NULL, 0, &test->why),
                     STATUS_OK);
    const uint8_t *info = test_ram(test, test->vcpu[0].gpr[RBX], 120);
    assert_int_not_equal(get32(info + 16), 0);
    assert_int_equal(*test_ram(test, get32(info + 16), 1), 0);
    assert_int_equal(get32(info + 20), 0);
}

static void test_kernels_find_their_name_first(void **state)
{
    test->config.traits.testdev = true;
    strcpy(test->config.kernel, "t.elf");
    assert_int_equal(loader_load(&test->vm, &test->config, &kernel, NULL, NULL, 0, &test->why),
                     STATUS_OK);
    const uint8_t *info = test_ram(test, test->vcpu[0].gpr[RBX], 120);
    assert_string_equal((char *)test_ram(test, get32(info + 16), 18), "t.elf hello world");
}

static void a_64_bit_elf_file_is_taken_too(void **state)
{
    elf_file_begin(&file, true, 0xffffffff80100020);
    elf_file_add(&file, 1, 0x1000, 0x100000, 0xffffffff80100000, 0x800, 0x2000);
    put_header(file.bytes + 0x1000, 0);
    assert_int_equal(load(), STATUS_OK);
    assert_int_equal(test->vcpu[0].rip, 0x100020);
    put64(file.bytes + 24, 0x100000020);
    assert_refused(STATUS_RANGE,
                   "kernel.elf: the entry point 0x100000020 is above 4 GiB; link it lower");
}

// A file of 8 KiB with its header at 0x40.
static void begin_raw(uint32_t header, uint32_t load_at, uint32_t load_end, uint32_t bss_end)
{
    memset(file.bytes, 0x77, sizeof(file.bytes));
    kernel.size = 8192;
    put_header(file.bytes + 0x40, 0x10003);
    put32(file.bytes + 0x4c, header);
    put32(file.bytes + 0x50, load_at);
    put32(file.bytes + 0x54, load_end);
    put32(file.bytes + 0x58, bss_end);
    put32(file.bytes + 0x5c, 0x200123);
}

static void load_addresses_in_the_header_are_followed(void **state)
{
    begin_raw(0x200030, 0x200000, 0x200800, 0x201000); // the file is loaded from its byte 0x10 on
    assert_int_equal(loader_load(&test->vm, &test->config, &kernel, NULL, NULL, 0, &test->why),
                     STATUS_OK);
    assert_int_equal(test->vcpu[0].rip, 0x200123);
    assert_memory_equal(test_ram(test, 0x200000, 0x800), file.bytes + 0x10, 0x800);
    assert_filled(test_ram(test, 0x200800, 0x800), 0, 0x800);

    // What is to be zero is so where the BIOS left its vectors and data, too.
    begin_raw(0x340, 0x300, 0x380, 0x600);
    assert_int_equal(load(), STATUS_OK);
    assert_filled(test_ram(test, 0x300, 0x40), 0x77, 0x40);
    assert_filled(test_ram(test, 0x380, 0x280), 0, 0x280);

    begin_raw(0x200040, 0x200000, 0, 0);
    assert_int_equal(load(), STATUS_OK);
    assert_memory_equal(test_ram(test, 0x200000, 8192), file.bytes, 8192);
}

static void contradicting_addresses_are_refused(void **state)
{
    static const uint32_t cases[][4] = {
        {0x1fffff, 0x200000, 0, 0},        // header before the load address
        {0x200041, 0x200000, 0, 0},        // more before the header than the file has
        {0x200040, 0x200000, 0x202001, 0}, // longer than the file
        {0x200040, 0x200000, 0x1fffff, 0}, // ends before it begins
        {0x200040, 0x200000, 0, 0x201fff}, // the end of the BSS within the file's bytes
        {0x200040, 0x200000, 0, 0x1fffff}, // or before its begin
        {0x20, UINT32_MAX, 0, 0},          // the file would begin below 0
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        begin_raw(cases[i][0], cases[i][1], cases[i][2], cases[i][3]);
        assert_refused(STATUS_INVALID, "kernel.elf: the load addresses in its Multiboot header "
                                       "contradict each other or the file's 8192 bytes; build it "
                                       "again");
    }
    begin_raw(0x200040, 0x200000, 0, 0xffffffff);
    assert_int_equal(load(), STATUS_RANGE);
    begin_raw(0x200040, 0x200000, 0, 0);
    kernel.size = 0x5f;
    assert_refused(STATUS_TRUNCATED, "kernel.elf: the file (95 bytes) ends inside its Multiboot "
                                     "header; copy it again");
}

static void unfit_headers_are_refused(void **state)
{
    put_header(file.bytes + 0x1000, 0x13);
    assert_refused(STATUS_UNSUPPORTED,
                   "kernel.elf: its Multiboot header demands unknown features (flags 0x10)");
    test->config.boot = BOOT_MULTIBOOT;
    put32(file.bytes + 0x1008, 0);
    assert_refused(STATUS_INVALID, "kernel.elf: no Multiboot header in the first 8192 bytes; link "
                                   "it to the front");
    put_header(file.bytes + 8192 - 8, 3); // does not lie in them as a whole
    assert_int_equal(load(), STATUS_INVALID);
    put_header(file.bytes + 8192 - 12, 3);
    assert_int_equal(load(), STATUS_OK);
}

static void too_little_memory_is_explained(void **state)
{
    const struct image large = {"large.bin", module_bytes, 15 * MIB, NULL}; // never read
    assert_int_equal(loader_load(&test->vm, &test->config, &kernel, NULL, &large, 1, &test->why),
                     STATUS_NO_MEMORY);
    assert_string_equal(test->why.text,
                        "large.bin: no free place for 15360 KiB between 0x102000 and 0x100000000; "
                        "give the VM more memory");
    struct image many[TOO_MANY];
    for (unsigned i = 0; i < TOO_MANY; i++)
        many[i] = modules[1];
    assert_int_equal(
        loader_load(&test->vm, &test->config, &kernel, NULL, many, TOO_MANY, &test->why),
        STATUS_FULL);
    assert_string_equal(test->why.text, "two.bin: one module too many; at most 8 are possible");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_machine_is_as_specified, begin, end),
        cmocka_unit_test_setup_teardown(the_boot_information_is_complete, begin, end),
        cmocka_unit_test_setup_teardown(an_initrd_is_the_first_module, begin, end),
        cmocka_unit_test_setup_teardown(an_empty_command_line_has_an_address, begin, end),
        cmocka_unit_test_setup_teardown(test_kernels_find_their_name_first, begin, end),
        cmocka_unit_test_setup_teardown(a_64_bit_elf_file_is_taken_too, begin, end),
        cmocka_unit_test_setup_teardown(load_addresses_in_the_header_are_followed, begin, end),
        cmocka_unit_test_setup_teardown(contradicting_addresses_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(unfit_headers_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(too_little_memory_is_explained, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
