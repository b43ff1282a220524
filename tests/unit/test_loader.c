// loaders/loader.c with the formats that need no file of their own here: boot sectors, flat images,
// and everything that is no kernel at all.

#include "tests/unit/loader_vm.h"

#include "lib/bytes.h"

#define MIB (UINT64_C(1) << 20)

static uint8_t bytes[40000];
static struct image kernel;

static int begin(void **state)
{
    test = test_vm_new(4 * MIB, 1);
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 13 + 1);
    kernel = (struct image){"file", bytes, 512, NULL};
    return 0;
}

static status_t load(void)
{
    return loader_load(&test->vm, &test->config, &kernel, NULL, NULL, 0, &test->why);
}

#define assert_refused(expected, line) assert_explained(load(), expected, line)

static void a_boot_sector_starts_as_under_a_bios(void **state)
{
    put16(bytes + 510, 0xaa55);
    assert_int_equal(load(), STATUS_OK);
    const struct vcpu *vcpu = &test->vcpu[0];
    assert_memory_equal(test_ram(test, 0x7c00, 512), bytes, 512);
    assert_int_equal(vcpu->rip, 0x7c00);
    assert_int_equal(vcpu->gpr[RSP], 0x7c00);
    assert_int_equal(vcpu->gpr[RDX], 0x80);
    assert_int_equal(vcpu->cr0, CR0_ET);
    assert_int_equal(vcpu->efer, 0);
    assert_int_equal(vcpu->rflags, 2);
    for (unsigned i = ES; i <= GS; i++) {
        assert_int_equal(vcpu->segment[i].selector, 0);
        assert_int_equal(vcpu->segment[i].base, 0);
        assert_int_equal(vcpu->segment[i].limit, 0xffff);
        assert_int_equal(vcpu->segment[i].access, i == CS ? 0x9b : 0x93);
    }
    assert_int_equal(vcpu->segment[LDTR].access, 0x82);
    assert_int_equal(vcpu->segment[TR].access, 0x8b);
    assert_int_equal(vcpu->idtr.base, 0);
    assert_int_equal(vcpu->idtr.limit, 0x3ff);
}

static void a_disk_image_must_be_asked_for(void **state)
{
    put16(bytes + 510, 0xaa55);
    kernel.size = sizeof(bytes);
    assert_refused(STATUS_UNSUPPORTED,
                   "file: no kernel but a disk image with a boot sector; give it as disk = "
                   "module:NAME to a VM with firmware =, or the sector alone with boot = sector");
    test->config.boot = BOOT_SECTOR;
    assert_int_equal(load(), STATUS_OK);
    bytes[511] = 0;
    assert_refused(STATUS_INVALID, "file: no boot sector: 512 bytes that end with 55h AAh are "
                                   "needed, the file has 40000");
    kernel.size = 511;
    assert_int_equal(load(), STATUS_INVALID);
}

static void flat_images_start_in_their_mode(void **state)
{
    static const struct {
        uint64_t address;
        enum flat_mode mode;
        uint64_t rip;
        uint16_t selector;
        uint32_t access;
    } cases[] = {
        {0, FLAT_REAL, 0, 0, 0x9b},
        {0x8000, FLAT_REAL, 0x8000, 0, 0x9b},
        {0x12345, FLAT_REAL, 5, 0x1234, 0x9b},
        {0x100000, FLAT_PROTECTED, 0x100000, 8, 0xc09b},
        {0x10000, FLAT_PROTECTED, 0x10000, 8, 0xc09b}, // where boot information would go
        {0x200001, FLAT_LONG, 0x200001, 16, 0xa09b},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        test->config.boot = BOOT_FLAT;
        test->config.flat_address = cases[i].address;
        test->config.flat_mode = cases[i].mode;
        assert_int_equal(load(), STATUS_OK);
        const struct vcpu *vcpu = &test->vcpu[0];
        assert_int_equal(vcpu->rip, cases[i].rip);
        assert_int_equal(vcpu->segment[CS].selector, cases[i].selector);
        assert_int_equal(vcpu->segment[CS].access, cases[i].access);
        assert_int_equal(vcpu->segment[CS].base, cases[i].mode ? 0 : cases[i].selector * 16);
        assert_memory_equal(test_ram(test, cases[i].address, 512), bytes, 512); // vectors or not
        assert_int_equal(vcpu_in_64bit(vcpu), cases[i].mode == FLAT_LONG);
    }
}

static void flat_images_out_of_reach_are_refused(void **state)
{
    struct vm_config *config = &test->config;
    config->boot = BOOT_FLAT;
    config->flat_address = 0x100000;
    config->flat_mode = FLAT_REAL;
    assert_refused(STATUS_RANGE, "file: boot = flat@0x100000 is out of reach in that mode; the "
                                 "address must be below 0x100000");
    config->flat_address = UINT64_MAX;
    config->flat_mode = FLAT_LONG;
    assert_refused(STATUS_RANGE, "file: boot = flat@0xffffffffffffffff is out of reach in that "
                                 "mode; the address must be below 0x100000000");
    config->flat_address = 0x9fb00;
    assert_refused(STATUS_RANGE,
                   "file: 1 KiB at 0x9fb00 are not inside the VM's RAM (below 0x9fc00, and 1 MiB "
                   "to 0x400000); give it more memory or link the file for another place");
    config->flat_address = 0x10000;
    kernel.size = 0;
    assert_refused(STATUS_INVALID, "file: an empty file; copy it again");
}

static void modules_that_a_format_cannot_take_are_refused(void **state)
{
    put16(bytes + 510, 0xaa55);
    const struct image other = {"other", bytes, 1, NULL};
    assert_int_equal(loader_load(&test->vm, &test->config, &kernel, &other, NULL, 0, &test->why),
                     STATUS_UNSUPPORTED);
    assert_string_equal(test->why.text, "file: a boot sector takes no initrd; remove the line");
    test->config.boot = BOOT_FLAT;
    assert_int_equal(loader_load(&test->vm, &test->config, &kernel, NULL, &other, 1, &test->why),
                     STATUS_UNSUPPORTED);
    assert_string_equal(test->why.text, "file: a flat image takes no modules; remove the line");
    test->config.boot = BOOT_LINUX;
    assert_int_equal(loader_load(&test->vm, &test->config, &kernel, NULL, &other, 1, &test->why),
                     STATUS_UNSUPPORTED);
    assert_string_equal(test->why.text,
                        "file: Linux takes an initrd, no modules; remove the line modules =");
}

static void files_that_are_no_kernels_are_named(void **state)
{
    static const struct {
        uint64_t at;
        const char *magic;
        unsigned length;
        const char *line;
    } cases[] = {
        {0, "\x1f\x8b", 2, "file: no kernel but a gzip archive; unpack it first (gunzip)"},
        {0,
         "\xfd"
         "7zXZ",
         5, "file: no kernel but an xz archive; unpack it first (unxz)"},
        {0, "070701", 6, "file: no kernel but a cpio archive, an initrd; give it as initrd ="},
        {0x8001, "CD001", 5,
         "file: no kernel but an ISO image of a disc; give it as disk = module:NAME to a VM with "
         "firmware ="},
        {512, "EFI PART", 8,
         "file: no kernel but an image of a GPT disk; give it as disk = module:NAME to a VM with "
         "firmware ="},
        {0, "MZ", 2,
         "file: no kernel but a UEFI or Windows program (PE); there is no UEFI for "
         "guests here"},
        {0, "#!/bin/sh", 9, "file: no kernel but a script; give a kernel"},
        {0, "\177ELF", 4,
         "file: no kernel but an ELF file without a Multiboot header or PVH note; "
         "give a bzImage instead"},
        {0, "?", 1,
         "file: no kernel but nothing known; for a plain image of code say boot = "
         "flat@ADDRESS:MODE"},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        begin(state);
        kernel.size = sizeof(bytes);
        memcpy(bytes + cases[i].at, cases[i].magic, cases[i].length);
        assert_refused(STATUS_UNSUPPORTED, cases[i].line);
        end(state);
    }
    begin(state);
    memset(bytes, 'a', 512);
    assert_refused(STATUS_UNSUPPORTED, "file: no kernel but a text file; give a kernel");
    kernel.size = 0;
    assert_refused(STATUS_UNSUPPORTED, "file: no kernel but an empty file; copy it again");
    end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_boot_sector_starts_as_under_a_bios, begin, end),
        cmocka_unit_test_setup_teardown(a_disk_image_must_be_asked_for, begin, end),
        cmocka_unit_test_setup_teardown(flat_images_start_in_their_mode, begin, end),
        cmocka_unit_test_setup_teardown(flat_images_out_of_reach_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(modules_that_a_format_cannot_take_are_refused, begin, end),
        cmocka_unit_test(files_that_are_no_kernels_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
