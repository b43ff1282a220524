// loaders/pvh.c: the start info and the registers of a kernel with a PVH note; refusal of one
// without.

#include "tests/unit/loader_vm.h"

#include "lib/bytes.h"
#include "tests/unit/elf_file.h"

#define MIB (UINT64_C(1) << 20)

static struct elf_file file;
static struct image kernel;

static int begin(void **state)
{
    test = test_vm_new(16 * MIB, 1);
    strcpy(test->config.cmdline, "console=ttyS0");
    elf_file_begin(&file, true, 0x1000100);
    elf_file_add(&file, 1, 0x1000, 0x200000, 0xffffffff80200000, 0x800, 0x2000);
    elf_file_add(&file, 4, 0x2000, 0, 0, 24, 24);
    put32(file.bytes + 0x2000, 4);
    put32(file.bytes + 0x2004, 8);
    put32(file.bytes + 0x2008, 18);
    memcpy(file.bytes + 0x200c, "Xen", 4);
    put64(file.bytes + 0x2010, 0x200444);
    kernel = elf_file_image(&file);
    return 0;
}

static void the_start_info_is_complete(void **state)
{
    static const uint8_t bytes[9000] = {7};
    const struct image initrd = {"initrd", bytes, sizeof(bytes), NULL};
    const struct image module = {"m", bytes, 1, "args"};
    assert_int_equal(
        loader_load(&test->vm, &test->config, &kernel, &initrd, &module, 1, &test->why), STATUS_OK);
    const struct vcpu *vcpu = &test->vcpu[0];
    assert_int_equal(vcpu->rip, 0x200444);
    assert_int_equal(vcpu->cr0, CR0_PE | CR0_ET);
    assert_int_equal(vcpu->cr4, 0);
    assert_int_equal(vcpu->rflags, 2);
    assert_int_equal(vcpu->segment[CS].access, 0xc09b);
    assert_int_equal(vcpu->segment[DS].access, 0xc093);
    assert_int_equal(vcpu->segment[TR].access, 0x8b);
    assert_int_equal(vcpu->segment[TR].limit, 0x67);
    assert_filled(test_ram(test, 0x200800, 0x1800), 0, 0x1800);

    const uint8_t *info = test_ram(test, vcpu->gpr[RBX], 56);
    assert_int_equal(get32(info), 0x336ec578);
    assert_int_equal(get32(info + 4), 1);
    assert_int_equal(get32(info + 8), 0);
    assert_int_equal(get32(info + 12), 2);
    assert_string_equal((char *)test_ram(test, get64(info + 24), 14), "console=ttyS0");
    assert_int_equal(get64(info + 32), 0xe0000);
    assert_int_equal(get32(info + 48), 8);
    const uint8_t *map = test_ram(test, get64(info + 40), 7 * 24);
    assert_int_equal(get64(map + 3 * 24), MIB);
    assert_int_equal(get64(map + 3 * 24 + 8), 15 * MIB);
    assert_int_equal(get64(map + 3 * 24 + 16), 1);
    const uint8_t *list = test_ram(test, get64(info + 16), 64);
    assert_true(get64(list) >= 0x202000);
    assert_int_equal(get64(list + 8), sizeof(bytes));
    assert_memory_equal(test_ram(test, get64(list), sizeof(bytes)), bytes, sizeof(bytes));
    assert_string_equal((char *)test_ram(test, get64(list + 16), 7), "initrd");
    assert_string_equal((char *)test_ram(test, get64(list + 32 + 16), 7), "m args");
}

static void no_modules_is_no_list(void **state)
{
    put32(file.bytes + 0x2004, 4); // an address of 32 bits in the note
    put32(file.bytes + 0x2014, 0xffffffff);
    assert_int_equal(loader_load(&test->vm, &test->config, &kernel, NULL, NULL, 0, &test->why),
                     STATUS_OK);
    assert_int_equal(test->vcpu[0].rip, 0x200444);
    const uint8_t *info = test_ram(test, test->vcpu[0].gpr[RBX], 56);
    assert_int_equal(get32(info + 12), 0);
    assert_int_equal(get64(info + 16), 0);
}

static void assert_refused(status_t expected, const char *line)
{
    status_t status = loader_load(&test->vm, &test->config, &kernel, NULL, NULL, 0, &test->why);
    assert_string_equal(test->why.text, line);
    assert_int_equal(status, expected);
}

static void a_kernel_without_a_usable_note_is_refused(void **state)
{
    put32(file.bytes + 0x2014, 1); // above 4 GiB
    assert_refused(STATUS_UNSUPPORTED, "kernel.elf: no kernel but an ELF file without a Multiboot "
                                       "header or PVH note; give a bzImage instead");
    test->config.boot = BOOT_PVH;
    assert_refused(STATUS_INVALID,
                   "kernel.elf: a PVH note of 8 bytes without a 32-bit address; the "
                   "file is damaged");
    put32(file.bytes + 0x2004, 3);
    assert_refused(STATUS_INVALID,
                   "kernel.elf: a PVH note of 3 bytes without a 32-bit address; the "
                   "file is damaged");
    put32(file.bytes + 0x2008, 17);
    assert_refused(STATUS_NOT_FOUND,
                   "kernel.elf: no PVH entry point (ELF note 18); build it with CONFIG_PVH");
    file.bytes[0] = 0;
    assert_refused(STATUS_INVALID, "kernel.elf: not an ELF file");
}

static void too_little_memory_is_explained(void **state)
{
    test_vm_free(test);
    test = test_vm_new(2 * MIB, 1);
    assert_refused(STATUS_RANGE,
                   "kernel.elf: 8 KiB at 0x200000 are not inside the VM's RAM (below 0x9fc00, and "
                   "1 MiB to 0x200000); give it more memory or link the file for another place");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_start_info_is_complete, begin, end),
        cmocka_unit_test_setup_teardown(no_modules_is_no_list, begin, end),
        cmocka_unit_test_setup_teardown(a_kernel_without_a_usable_note_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(too_little_memory_is_explained, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
