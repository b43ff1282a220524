// loaders/multiboot2.c: the tags of the header are obeyed or refused, the boot information is a
// well-formed list of tags.

#include "tests/unit/loader_vm.h"

#include "lib/bytes.h"
#include "tests/unit/elf_file.h"

#define MIB (UINT64_C(1) << 20)

static struct elf_file file;
static struct image kernel;
static unsigned header_size; // of the header that is being built at file offset 0x1000

static void begin_header(uint32_t architecture)
{
    put32(file.bytes + 0x1000, 0xe85250d6);
    put32(file.bytes + 0x1004, architecture);
    header_size = 16;
}

static uint8_t *add_tag(uint16_t type, uint16_t flags, uint32_t size)
{
    uint8_t *tag = file.bytes + 0x1000 + header_size;
    memset(tag, 0, size);
    put16(tag, type);
    put16(tag + 2, flags);
    put32(tag + 4, size);
    header_size += align_up(size, 8);
    return tag;
}

static void end_header(void)
{
    add_tag(0, 0, 8);
    put32(file.bytes + 0x1008, header_size);
    put32(file.bytes + 0x100c,
          0 - get32(file.bytes + 0x1000) - get32(file.bytes + 0x1004) - header_size);
}

static int begin(void **state)
{
    test = test_vm_new(16 * MIB, 1);
    strcpy(test->config.cmdline, "hello");
    elf_file_begin(&file, true, 0x100020);
    elf_file_add(&file, 1, 0x1000, 0x100000, 0x100000, 0x800, 0x2000);
    kernel = elf_file_image(&file);
    begin_header(0);
    return 0;
}

static status_t load(void)
{
    end_header();
    return loader_load(&test->vm, &test->config, &kernel, NULL, NULL, 0, &test->why);
}

#define assert_refused(expected, line) assert_explained(load(), expected, line)

static void the_boot_information_is_a_list_of_tags(void **state)
{
    static const uint8_t bytes[3] = "mod";
    const struct image modules[] = {{"a.bin", bytes, 3, "x y"}, {"b.bin", bytes, 2, ""}};
    end_header();
    assert_int_equal(loader_load(&test->vm, &test->config, &kernel, NULL, modules, 2, &test->why),
                     STATUS_OK);
    const struct vcpu *vcpu = &test->vcpu[0];
    assert_int_equal(vcpu->gpr[RAX], 0x36d76289);
    assert_int_equal(vcpu->rip, 0x100020);
    assert_int_equal(vcpu->cr0, CR0_PE | CR0_ET);
    uint64_t at = vcpu->gpr[RBX];
    assert_int_equal(at % 8, 0);
    uint32_t size = test_ram32(test, at);
    assert_int_equal(size % 8, 0);
    const uint8_t *info = test_ram(test, at, size);
    assert_int_equal(get32(info + 4), 0);

    unsigned seen = 0, modules_seen = 0;
    uint32_t offset = 8, type;
    do {
        const uint8_t *tag = info + offset;
        type = get32(tag);
        uint32_t length = get32(tag + 4);
        assert_true(length >= 8 && offset + length <= size);
        seen |= 1U << type;
        if (type == 1)
            assert_string_equal((char *)tag + 8, "hello");
        if (type == 2)
            assert_string_equal((char *)tag + 8, "Corbel");
        if (type == 3) {
            const struct image *module = &modules[modules_seen++];
            assert_int_equal(get32(tag + 12) - get32(tag + 8), module->size);
            assert_memory_equal(test_ram(test, get32(tag + 8), module->size), bytes, module->size);
            assert_string_equal((char *)tag + 16, modules_seen == 1 ? "a.bin x y" : "b.bin");
            assert_int_equal(length, 16 + strlen((char *)tag + 16) + 1);
        }
        if (type == 4) {
            assert_int_equal(get32(tag + 8), 639);
            assert_int_equal(get32(tag + 12), 15 * 1024);
        }
        if (type == 6) {
            assert_int_equal(get32(tag + 8), 24);
            assert_int_equal(length, 16 + 8 * 24);
            assert_int_equal(get64(tag + 16 + 3 * 24), MIB);
            assert_int_equal(get64(tag + 16 + 3 * 24 + 8), 15 * MIB);
            assert_int_equal(get64(tag + 16 + 3 * 24 + 16), 1);
        }
        if (type == 15)
            assert_memory_equal(tag + 8, test_ram(test, 0xe0000, 36), 36);
        offset += (uint32_t)align_up(length, 8);
    } while (type != 0);
    assert_int_equal(offset, size);
    assert_int_equal(seen, 0x805f);
    assert_int_equal(modules_seen, 2);
}

static void tags_of_the_header_are_obeyed(void **state)
{
    uint8_t *request = add_tag(1, 0, 20);
    put32(request + 8, 6);
    put32(request + 12, 15);
    put32(request + 16, 3);
    put32(add_tag(1, 1, 12) + 8, 7); // optional
    put32(add_tag(3, 0, 12) + 8, 0x100444);
    add_tag(5, 1, 20);
    add_tag(6, 0, 8);
    add_tag(7, 0, 8);
    add_tag(10, 0, 24);
    add_tag(99, 1, 9);
    assert_int_equal(load(), STATUS_OK);
    assert_int_equal(test->vcpu[0].rip, 0x100444);
}

static void an_address_tag_replaces_elf(void **state)
{
    file.bytes[0] = 0;
    uint8_t *addresses = add_tag(2, 0, 24);
    put32(addresses + 8, 0x201000);
    put32(addresses + 12, 0xffffffff); // from the file's first byte on
    put32(addresses + 20, 0x210000);
    put32(add_tag(3, 0, 12) + 8, 0x201100);
    assert_int_equal(load(), STATUS_OK);
    assert_int_equal(test->vcpu[0].rip, 0x201100);
    assert_memory_equal(test_ram(test, 0x200000, kernel.size), file.bytes, kernel.size);
    assert_filled(test_ram(test, 0x204000, 0xc000), 0, 0xc000);
}

static void a_header_ends_where_it_is_looked_for(void **state)
{
    end_header();
    put32(file.bytes + 0x1008, 0x7001);
    put32(file.bytes + 0x100c, 0 - 0xe85250d6 - 0x7001);
    status_t status = loader_load(&test->vm, &test->config, &kernel, NULL, NULL, 0, &test->why);
    assert_string_equal(test->why.text, "kernel.elf: its Multiboot2 header ends behind the first "
                                        "32768 bytes; build it again");
    assert_int_equal(status, STATUS_INVALID);
}

static void an_address_tag_needs_an_entry(void **state)
{
    put32(add_tag(2, 0, 24) + 8, 0x201000);
    assert_refused(STATUS_INVALID, "kernel.elf: its Multiboot2 header has load addresses and no "
                                   "entry address; add the tag");
}

static void demands_that_cannot_be_met_are_refused(void **state)
{
    put32(add_tag(1, 0, 12) + 8, 7);
    assert_refused(STATUS_UNSUPPORTED, "kernel.elf: demands boot information of type 7, which a VM "
                                       "has not; mark the request optional");
    begin_header(0);
    add_tag(5, 0, 20);
    assert_refused(STATUS_UNSUPPORTED,
                   "kernel.elf: demands a framebuffer, which a VM has not; mark "
                   "the tag optional");
    begin_header(0);
    add_tag(99, 0, 8);
    assert_refused(STATUS_UNSUPPORTED,
                   "kernel.elf: its Multiboot2 header demands an unknown feature (tag 99)");
    begin_header(4);
    assert_refused(STATUS_UNSUPPORTED,
                   "kernel.elf: a Multiboot2 kernel for another machine (number 4)");
}

static void a_broken_header_is_refused(void **state)
{
    static const char line[] = "kernel.elf: its Multiboot2 header has no end tag where it should "
                               "end; build it again";
    put32(add_tag(6, 0, 8) + 4, 7); // a tag shorter than its own head
    assert_refused(STATUS_TRUNCATED, line);
    begin_header(0);
    put32(add_tag(6, 0, 8) + 4, 0xfffffff9);
    assert_refused(STATUS_TRUNCATED, line);
    begin_header(0);
    end_header();
    put16(file.bytes + 0x1010, 6); // no end tag
    assert_int_equal(loader_load(&test->vm, &test->config, &kernel, NULL, NULL, 0, &test->why),
                     STATUS_TRUNCATED);
    test->config.boot = BOOT_MULTIBOOT2;
    put32(file.bytes + 0x100c, 0);
    assert_int_equal(loader_load(&test->vm, &test->config, &kernel, NULL, NULL, 0, &test->why),
                     STATUS_INVALID);
    assert_string_equal(test->why.text,
                        "kernel.elf: no Multiboot2 header in the first 32768 bytes; "
                        "link it to the front");
}

static void the_file_may_end_anywhere(void **state)
{
    put32(add_tag(1, 0, 12) + 8, 6);
    put32(add_tag(3, 0, 12) + 8, 0x100444);
    end_header();
    for (uint64_t size = 0x1000; size < 0x1060; size++) {
        struct image cut = cut_image(&kernel, size);
        assert_int_not_equal(loader_load(&test->vm, &test->config, &cut, NULL, NULL, 0, &test->why),
                             STATUS_OK);
        free((void *)cut.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_boot_information_is_a_list_of_tags, begin, end),
        cmocka_unit_test_setup_teardown(tags_of_the_header_are_obeyed, begin, end),
        cmocka_unit_test_setup_teardown(an_address_tag_replaces_elf, begin, end),
        cmocka_unit_test_setup_teardown(a_header_ends_where_it_is_looked_for, begin, end),
        cmocka_unit_test_setup_teardown(an_address_tag_needs_an_entry, begin, end),
        cmocka_unit_test_setup_teardown(demands_that_cannot_be_met_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_broken_header_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(the_file_may_end_anywhere, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
