// loaders/linux.c: what a kernel finds in memory and registers, and the line for every file that
// cannot start.

#include "tests/unit/loader_vm.h"

#include "lib/bytes.h"
#include "loaders/entry.h"

#define MIB         (UINT64_C(1) << 20)
#define SETUP_BYTES (5 * 512)
#define PAYLOAD     100000

// A bzImage with the numbers of a distribution's kernel; `bytes` is changed by the tests.
static uint8_t bytes[SETUP_BYTES + PAYLOAD];
static struct image kernel;
static struct image initrd;

static int begin(void **state)
{
    memset(bytes, 0, SETUP_BYTES);
    for (unsigned i = 0; i < PAYLOAD; i++)
        bytes[SETUP_BYTES + i] = (uint8_t)(i * 7 + 1);
    bytes[0x1f1] = 4;
    put32(bytes + 0x1f4, (PAYLOAD + 15) / 16);
    put16(bytes + 0x1fe, 0xaa55);
    bytes[0x201] = 0x6a;
    memcpy(bytes + 0x202, "HdrS", 4);
    put16(bytes + 0x206, 0x20f);
    bytes[0x211] = 1;
    put32(bytes + 0x22c, 0x7fffffff);
    put32(bytes + 0x230, 0x200000);
    bytes[0x234] = 1;
    put16(bytes + 0x236, 0x7f);
    put32(bytes + 0x238, 2047);
    put64(bytes + 0x250, 0x1234); // setup_data: not from the file
    put64(bytes + 0x258, 0x1000000);
    put32(bytes + 0x260, 0x3378000);
    kernel = (struct image){"vmlinuz", bytes, sizeof(bytes), NULL};
    static uint8_t initrd_bytes[70000];
    memset(initrd_bytes, 0x42, sizeof(initrd_bytes));
    initrd = (struct image){"initrd.gz", initrd_bytes, sizeof(initrd_bytes), NULL};
    test = test_vm_new(128 * MIB, 2);
    strcpy(test->config.cmdline, "console=ttyS0 quiet");
    return 0;
}

static status_t load(const struct image *with_initrd)
{
    return loader_load(&test->vm, &test->config, &kernel, with_initrd, NULL, 0, &test->why);
}

static void assert_refused(status_t expected, const char *line)
{
    status_t status = load(&initrd);
    assert_string_equal(test->why.text, line);
    assert_int_equal(status, expected);
}

static void the_kernel_finds_its_parameters(void **state)
{
    assert_int_equal(load(&initrd), STATUS_OK);
    const struct vcpu *vcpu = &test->vcpu[0];
    assert_int_equal(vcpu->rip, 0x1000200);
    assert_memory_equal(test_ram(test, 0x1000000, PAYLOAD), bytes + SETUP_BYTES, PAYLOAD);

    uint64_t params = vcpu->gpr[RSI];
    const uint8_t *p = test_ram(test, params, 4096);
    assert_memory_equal(p + 0x202, "HdrS", 4);
    assert_filled(p, 0, 0x70); // screen_info: no display
    assert_int_equal(p[0x1ef], 0);
    assert_int_equal(p[0x210], 0xff);
    assert_int_equal(p[0x211], 1);
    assert_int_equal(get16(p + 0x1fa), 0xffff);
    assert_int_equal(get32(p + 0x214), 0x1000000);
    assert_int_equal(get64(p + 0x250), 0);
    assert_int_equal(get64(p + 0x70), 0xe0000);
    assert_memory_equal(test_ram(test, 0xe0000, 8), "RSD PTR ", 8);
    assert_filled(p + 0x290, 0, 0x40);
    assert_string_equal((char *)test_ram(test, get32(p + 0x228), 100), "console=ttyS0 quiet");

    uint64_t initrd_at = get32(p + 0x218);
    assert_int_equal(get32(p + 0x21c), initrd.size);
    assert_int_equal(get32(p + 0xc0), 0);
    assert_int_equal(initrd_at, 128 * MIB - 0x12000);
    assert_memory_equal(test_ram(test, initrd_at, initrd.size), initrd.bytes, initrd.size);

    assert_int_equal(p[0x1e8], 8);
    assert_int_equal(get32(p + 0x1e0), 127 * 1024);
    const uint8_t *e820 = p + 0x2d0;
    assert_int_equal(get64(e820 + 3 * 20), MIB);
    assert_int_equal(get64(e820 + 3 * 20 + 8), 127 * MIB);
    assert_int_equal(get32(e820 + 3 * 20 + 16), 1);
    assert_int_equal(get32(e820 + 1 * 20 + 16), 2);
}

static void the_boot_processor_is_in_64_bit_mode(void **state)
{
    struct vcpu *vcpu = &test->vcpu[0];
    memset(vcpu->gpr, 0xff, sizeof(vcpu->gpr));
    assert_int_equal(load(NULL), STATUS_OK);
    assert_int_equal(vcpu->cr0, CR0_PE | CR0_ET | CR0_PG);
    assert_int_equal(vcpu->cr4, CR4_PAE);
    assert_int_equal(vcpu->efer, EFER_LME | EFER_LMA);
    assert_int_equal(vcpu->rflags, 2);
    assert_true(vcpu_in_64bit(vcpu));
    assert_int_equal(vcpu->segment[CS].selector, 0x10);
    assert_int_equal(vcpu->segment[CS].access, 0xa09b);
    for (unsigned i = ES; i <= GS; i++) {
        if (i == CS)
            continue;
        assert_int_equal(vcpu->segment[i].selector, 0x18);
        assert_int_equal(vcpu->segment[i].access, 0xc093);
        assert_int_equal(vcpu->segment[i].limit, 0xffffffff);
    }
    assert_int_equal(vcpu->segment[TR].access, 0x8b);
    assert_int_equal(vcpu->segment[LDTR].access, 0x10000);
    assert_int_equal(test_ram64(test, vcpu->gdtr.base + 0x10), 0x00af9b000000ffff);
    assert_int_equal(test_ram64(test, vcpu->gdtr.base + 0x18), 0x00cf93000000ffff);
    assert_int_equal(vcpu->gdtr.limit, 31);
    for (unsigned i = 0; i < 16; i++)
        if (i != RSI)
            assert_int_equal(vcpu->gpr[i], 0);
    uint32_t groups = STATE_FLOW | STATE_STACK | STATE_CONTROL | STATE_SEGMENTS;
    assert_int_equal(vcpu->dirty & groups, groups);
    assert_int_equal(vcpu->fetched & groups, groups);
    assert_int_equal(test->vcpu[1].dirty, 0);
}

static void four_gib_are_mapped_one_to_one(void **state)
{
    assert_int_equal(load(NULL), STATUS_OK);
    for (uint64_t at = 0; at < UINT64_C(4) << 30; at += PAGE_2M) {
        uint64_t entry = test_ram64(test, test->vcpu[0].cr3);
        entry = test_ram64(test, (entry & ~UINT64_C(0xfff)) + (at >> 30) * 8);
        assert_int_equal(entry & 0xfff, 3);
        entry = test_ram64(test, (entry & ~UINT64_C(0xfff)) + (at >> 21 & 511) * 8);
        assert_int_equal(entry, at | 0x83);
    }
    assert_int_equal(test_ram64(test, test->vcpu[0].cr3 + 8), 0);
    assert_int_equal(test_ram64(test, test->vcpu[0].cr3 + 4096 + 4 * 8), 0);
}

static void nothing_overlaps(void **state)
{
    assert_int_equal(load(&initrd), STATUS_OK);
    const struct vcpu *vcpu = &test->vcpu[0];
    uint64_t params = vcpu->gpr[RSI];
    struct {
        uint64_t start, size;
    } pieces[] = {{params, 4096},
                  {vcpu->cr3, 6 * 4096},
                  {vcpu->gdtr.base, 32},
                  {test_ram32(test, params + 0x228), 20},
                  {test_ram32(test, params + 0x218), initrd.size},
                  {0x1000000, 0x3378000}};
    for (unsigned i = 0; i < ARRAY_LENGTH(pieces); i++)
        for (unsigned j = 0; j < i; j++)
            assert_true(pieces[i].start + pieces[i].size <= pieces[j].start ||
                        pieces[j].start + pieces[j].size <= pieces[i].start);
}

static void a_relocatable_kernel_goes_higher_if_it_must(void **state)
{
    test_vm_free(test);
    test = test_vm_new(64 * MIB, 1);
    assert_int_equal(load(NULL), STATUS_NO_MEMORY); // it would fit below, but unpacks at 16 MiB
    put64(bytes + 0x258, 0x200001);
    assert_int_equal(load(NULL), STATUS_OK);
    assert_int_equal(test->vcpu[0].rip, 0x400200);
}

static void an_initrd_stays_below_its_limit(void **state)
{
    put32(bytes + 0x22c, 0x5ffffff);
    assert_int_equal(load(&initrd), STATUS_OK);
    uint64_t params = test->vcpu[0].gpr[RSI];
    assert_int_equal(test_ram32(test, params + 0x218), 0x6000000 - 0x12000);
}

static void no_initrd_is_no_error(void **state)
{
    assert_int_equal(load(NULL), STATUS_OK);
    uint64_t params = test->vcpu[0].gpr[RSI];
    assert_int_equal(test_ram32(test, params + 0x218), 0);
    assert_int_equal(test_ram32(test, params + 0x21c), 0);
}

static void without_a_command_line_it_still_speaks(void **state)
{
    test->config.cmdline[0] = 0;
    assert_int_equal(load(NULL), STATUS_OK);
    uint64_t params = test->vcpu[0].gpr[RSI];
    assert_string_equal((char *)test_ram(test, test_ram32(test, params + 0x228), 14),
                        "console=ttyS0");
    test->config.traits.virtio_console = true;
    assert_int_equal(load(NULL), STATUS_OK);
    params = test->vcpu[0].gpr[RSI];
    assert_string_equal((char *)test_ram(test, test_ram32(test, params + 0x228), 27),
                        "console=ttyS0 console=hvc0");
}

static void unfit_files_are_refused(void **state)
{
    put16(bytes + 0x206, 0x20b);
    assert_refused(STATUS_UNSUPPORTED,
                   "vmlinuz: boot protocol 2.11 is too old; Linux 3.8 or newer is needed");
    put16(bytes + 0x206, 0x20c);
    put16(bytes + 0x236, 0x7e);
    assert_refused(STATUS_UNSUPPORTED,
                   "vmlinuz: a 32-bit Linux kernel; give a 64-bit one (x86_64)");
    put16(bytes + 0x236, 0x7f);
    bytes[0x211] = 0;
    assert_refused(STATUS_UNSUPPORTED, "vmlinuz: a zImage; build a bzImage");
    bytes[0x211] = 1;
    put32(bytes + 0x230, 0x300000);
    assert_refused(STATUS_INVALID, "vmlinuz: kernel_alignment 0x300000; the file is damaged");
    put32(bytes + 0x230, 0);
    assert_refused(STATUS_INVALID, "vmlinuz: kernel_alignment 0x0; the file is damaged");
    put32(bytes + 0x230, 0x200000);
    put32(bytes + 0x1f4, 0x20);
    assert_refused(STATUS_INVALID, "vmlinuz: a kernel of 512 bytes; the file is damaged");
    put32(bytes + 0x1f4, 0xffffffff);
    assert_refused(STATUS_TRUNCATED, "vmlinuz: the file has 102560 bytes, its header speaks of "
                                     "68719479280; copy it again");
    test->config.boot = BOOT_LINUX;
    bytes[0x202] = 0;
    assert_refused(STATUS_INVALID,
                   "vmlinuz: not a bzImage; give a kernel as distributions ship it (vmlinuz)");
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    for (uint64_t size = 0; size < sizeof(bytes) - 15; size += 61) {
        // A copy of exactly that size lets the sanitizer see a read beyond it.
        uint8_t *copy = malloc(size);
        memcpy(copy, bytes, size);
        kernel.bytes = copy;
        kernel.size = size;
        assert_int_not_equal(load(NULL), STATUS_OK);
        assert_int_equal(strncmp(test->why.text, "vmlinuz: ", 9), 0);
        free(copy);
    }
}

static void a_short_header_is_read_whole(void **state)
{
    bytes[0x201] = 0;
    assert_int_equal(load(&initrd), STATUS_OK);
    assert_int_equal(test_ram64(test, test->vcpu[0].gpr[RSI] + 0x258), 0x1000000);
    bytes[0x201] = 0xff; // and a long one does not run into other fields
    assert_int_equal(load(&initrd), STATUS_OK);
    assert_filled(test_ram(test, test->vcpu[0].gpr[RSI] + 0x290, 0x40), 0, 0x40);
}

static void too_little_memory_is_explained(void **state)
{
    test_vm_free(test);
    test = test_vm_new(32 * MIB, 1);
    assert_refused(
        STATUS_NO_MEMORY,
        "vmlinuz: the kernel needs 52 MiB from 16 MiB on to start (init_size, pref_address), "
        "the VM's memory ends at 32 MiB; give it more (memory =)");
    test_vm_free(test);
    test = test_vm_new(70 * MIB, 1);
    initrd.size = 60 * MIB; // never read
    assert_refused(
        STATUS_NO_MEMORY,
        "initrd.gz: no room for an initrd of 61440 KiB beside the kernel in 70 MiB below "
        "0x80000000; give the VM more memory");
    bytes[0x234] = 0; // not relocatable
    put64(bytes + 0x258, 0x4000000);
    assert_refused(
        STATUS_NO_MEMORY,
        "vmlinuz: the kernel needs 52 MiB from 64 MiB on to start (init_size, pref_address), "
        "the VM's memory ends at 70 MiB; give it more (memory =)");
    put64(bytes + 0x258, UINT64_MAX - 0xfff);
    assert_int_equal(load(NULL), STATUS_NO_MEMORY);
}

static void a_long_command_line_is_refused(void **state)
{
    put32(bytes + 0x238, 18);
    assert_refused(STATUS_RANGE, "vmlinuz: the command line has 19 characters, this kernel takes "
                                 "18; shorten it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_kernel_finds_its_parameters, begin, end),
        cmocka_unit_test_setup_teardown(the_boot_processor_is_in_64_bit_mode, begin, end),
        cmocka_unit_test_setup_teardown(four_gib_are_mapped_one_to_one, begin, end),
        cmocka_unit_test_setup_teardown(nothing_overlaps, begin, end),
        cmocka_unit_test_setup_teardown(a_relocatable_kernel_goes_higher_if_it_must, begin, end),
        cmocka_unit_test_setup_teardown(an_initrd_stays_below_its_limit, begin, end),
        cmocka_unit_test_setup_teardown(without_a_command_line_it_still_speaks, begin, end),
        cmocka_unit_test_setup_teardown(no_initrd_is_no_error, begin, end),
        cmocka_unit_test_setup_teardown(unfit_files_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_file_cut_anywhere_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_short_header_is_read_whole, begin, end),
        cmocka_unit_test_setup_teardown(too_little_memory_is_explained, begin, end),
        cmocka_unit_test_setup_teardown(a_long_command_line_is_refused, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
