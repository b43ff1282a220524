// loaders/elf.c: segments and notes of good files, and refusal of every kind of bad one.

#include "tests/unit/loader_vm.h"

#include "loaders/elf.h"
#include "loaders/loading.h"
#include "tests/unit/elf_file.h"

static struct elf_file file;
static struct explanation why;

static void segments_of_both_classes_are_read(void **state)
{
    for (int is_64 = 0; is_64 < 2; is_64++) {
        elf_file_begin(&file, is_64, 0x123456);
        elf_file_add(&file, 1, 0x1000, 0x100000, 0xc0100000, 0x234, 0x567);
        elf_file_add(&file, 7, ~0U, 0, 0, ~0U, 0); // not looked at
        struct image image = elf_file_image(&file);
        struct elf elf;
        struct elf_segment segment;
        assert_int_equal(elf_open(&image, &elf, &why), STATUS_OK);
        assert_int_equal(elf.is_64, is_64);
        assert_int_equal(elf.entry, 0x123456);
        assert_int_equal(elf.segment_count, 2);
        assert_int_equal(elf_segment(&elf, 0, &segment, &why), STATUS_OK);
        assert_int_equal(segment.type, ELF_SEGMENT_LOAD);
        assert_int_equal(segment.offset, 0x1000);
        assert_int_equal(segment.physical, 0x100000);
        assert_int_equal(segment.linear, 0xc0100000);
        assert_int_equal(segment.file_size, 0x234);
        assert_int_equal(segment.memory_size, 0x567);
        assert_int_equal(elf_segment(&elf, 1, &segment, &why), STATUS_OK);
        assert_int_equal(segment.type, 7);
    }
}

static void assert_not_opened(status_t expected, const char *line)
{
    struct image image = elf_file_image(&file);
    struct elf elf;
    status_t status = elf_open(&image, &elf, &why);
    assert_string_equal(why.text, line);
    assert_int_equal(status, expected);
}

static void bad_headers_are_refused(void **state)
{
    elf_file_begin(&file, true, 0);
    assert_not_opened(STATUS_INVALID, "kernel.elf: an ELF file without segments; nothing to load");
    elf_file_add(&file, 1, 0, 0, 0, 0, 0);
    put16(file.bytes + 18, 183);
    assert_not_opened(STATUS_UNSUPPORTED, "kernel.elf: an ELF file for another machine (number "
                                          "183); build it for x86");
    put16(file.bytes + 18, 62);
    put16(file.bytes + 16, 1);
    assert_not_opened(STATUS_UNSUPPORTED,
                      "kernel.elf: an ELF file of type 1, no executable; link it first");
    put16(file.bytes + 16, 2);
    put64(file.bytes + 32, sizeof(file.bytes) - 55);
    assert_not_opened(STATUS_TRUNCATED, "kernel.elf: the file (16384 bytes) ends before its 1 "
                                        "program headers; copy it again");
    put64(file.bytes + 32, UINT64_MAX - 10);
    assert_not_opened(STATUS_TRUNCATED, "kernel.elf: the file (16384 bytes) ends before its 1 "
                                        "program headers; copy it again");
    put64(file.bytes + 32, 64);
    put16(file.bytes + 54, 55);
    assert_not_opened(STATUS_TRUNCATED, "kernel.elf: the file (16384 bytes) ends before its 1 "
                                        "program headers; copy it again");
    file.bytes[0] = 0;
    assert_not_opened(STATUS_INVALID, "kernel.elf: not an ELF file");
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    for (int is_64 = 0; is_64 < 2; is_64++) {
        elf_file_begin(&file, is_64, 0);
        elf_file_add(&file, 1, 100, 0, 0, 100, 100);
        struct image whole = elf_file_image(&file);
        for (uint64_t size = 0; size < 200; size++) {
            struct image image = cut_image(&whole, size);
            struct elf elf;
            struct elf_segment segment;
            assert_true(elf_open(&image, &elf, &why) != STATUS_OK ||
                        elf_segment(&elf, 0, &segment, &why) == STATUS_TRUNCATED);
            free((void *)image.bytes);
        }
    }
}

static void bad_segments_are_refused(void **state)
{
    elf_file_begin(&file, true, 0);
    elf_file_add(&file, 1, 16000, 0, 0, 385, 400);
    elf_file_add(&file, 1, 16000, 0, 0, 384, 383);
    elf_file_add(&file, 1, UINT64_MAX, 0, 0, 2, 2);
    struct image image = elf_file_image(&file);
    struct elf elf;
    struct elf_segment segment;
    assert_int_equal(elf_open(&image, &elf, &why), STATUS_OK);
    assert_int_equal(elf_segment(&elf, 0, &segment, &why), STATUS_TRUNCATED);
    assert_string_equal(why.text, "kernel.elf: segment 0 needs bytes 0x3e80 to 0x4001, the file "
                                  "has 16384; copy it again");
    assert_int_equal(elf_segment(&elf, 1, &segment, &why), STATUS_INVALID);
    assert_string_equal(why.text, "kernel.elf: segment 1 is larger in the file than in memory; the "
                                  "file is damaged");
    assert_int_equal(elf_segment(&elf, 2, &segment, &why), STATUS_TRUNCATED);
}

static unsigned put_note(uint8_t *to, const char *name, uint32_t type, const char *content,
                         uint32_t size)
{
    uint32_t name_size = (uint32_t)strlen(name) + 1;
    put32(to, name_size);
    put32(to + 4, size);
    put32(to + 8, type);
    memcpy(to + 12, name, name_size);
    memcpy(to + 12 + align_up(name_size, 4), content, size);
    return (unsigned)(12 + align_up(name_size, 4) + align_up(size, 4));
}

static void notes_are_found_by_owner_and_type(void **state)
{
    elf_file_begin(&file, true, 0);
    unsigned at = 0x1000;
    at += put_note(file.bytes + at, "GNU", 18, "wrong owner", 12);
    at += put_note(file.bytes + at, "Xen", 17, "wrong type", 11);
    at += put_note(file.bytes + at, "Xen", 18, "right", 5);
    elf_file_add(&file, 4, 0x1000, 0, 0, at - 0x1000, 0);
    struct image image = elf_file_image(&file);
    struct elf elf;
    const uint8_t *bytes;
    uint64_t size;
    assert_int_equal(elf_open(&image, &elf, &why), STATUS_OK);
    assert_int_equal(elf_note(&elf, "Xen", 18, &bytes, &size), STATUS_OK);
    assert_int_equal(size, 5);
    assert_memory_equal(bytes, "right", 5);
    assert_int_equal(elf_note(&elf, "Xen", 19, &bytes, &size), STATUS_NOT_FOUND);
    assert_int_equal(elf_note(&elf, "Xe", 18, &bytes, &size), STATUS_NOT_FOUND);
    // Where a note's content begins and the next note is aligned to 8 bytes: "GNU" needs no padding
    // before its content, the owner of 5 bytes does.
    elf_file_add(&file, 4, 0x2000, 0, 0, 0x58, 0);
    uint8_t *b = file.bytes + 0x2000, *header = file.bytes + 64 + 56;
    put_note(b, "GNU", 5, "property....", 12); // its next one: 28, aligned 32
    put_note(b + 32, "Four", 7, "", 0);        // its content: 17, aligned 24
    memcpy(b + 32 + 24, "12345678", 8);
    put32(b + 32 + 4, 8);
    put_note(b + 32 + 32, "Xen", 19, "eight..", 8);
    assert_int_equal(elf_open(&image, &elf, &why), STATUS_OK);
    assert_int_equal(elf_note(&elf, "Xen", 19, &bytes, &size), STATUS_NOT_FOUND); // by 4
    put64(header + 48, 8);
    assert_int_equal(elf_note(&elf, "Xen", 19, &bytes, &size), STATUS_OK);
    assert_string_equal((const char *)bytes, "eight..");
    assert_int_equal(elf_note(&elf, "Four", 7, &bytes, &size), STATUS_OK);
    assert_memory_equal(bytes, "12345678", 8);
    put16(file.bytes + 56, 1);
    assert_int_equal(elf_open(&image, &elf, &why), STATUS_OK);
    // Sizes that lead outside end the search.
    put32(file.bytes + 0x1004, 0xffffffff);
    assert_int_equal(elf_note(&elf, "Xen", 18, &bytes, &size), STATUS_NOT_FOUND);
    put32(file.bytes + 0x1000, 0xffffffff);
    assert_int_equal(elf_note(&elf, "Xen", 18, &bytes, &size), STATUS_NOT_FOUND);
}

// A file may say that each of its notes is many.
static void work_is_bounded(void **state)
{
    struct image image = elf_file_image(&file);
    struct elf elf;
    const uint8_t *bytes;
    uint64_t size;
    elf_file_begin(&file, false, 0);
    unsigned notes = (sizeof(file.bytes) - 0x2000) / 12;
    for (unsigned i = 0; i < ELF_SEGMENTS; i++)
        elf_file_add(&file, 4, 0x2000, 0, 0, notes * 12, 0);
    unsigned last = put_note(file.bytes + 0x1800, "Xen", 18, "late", 4);
    unsigned allowed = ELF_NOTES / notes;
    uint8_t *header = file.bytes + 52 + 32 * (allowed + 1);
    put32(header + 4, 0x1800);
    put32(header + 16, last);
    assert_int_equal(elf_open(&image, &elf, &why), STATUS_OK);
    assert_int_equal(elf_note(&elf, "Xen", 18, &bytes, &size), STATUS_NOT_FOUND);
    memcpy(header - 64, header, 32);
    assert_int_equal(elf_note(&elf, "Xen", 18, &bytes, &size), STATUS_OK);
    elf_file_add(&file, 4, 0x2000, 0, 0, 0, 0);
    assert_not_opened(STATUS_FULL, "kernel.elf: an ELF file with 129 program headers; link it with "
                                   "at most 128");
}

static struct loading loading_into(const struct image *image)
{
    struct loading loading = {.vm = &test->vm, .kernel = image, .why = &why};
    assert_int_equal(memory_map_build(&test->vm.memory, &loading.map, &why), STATUS_OK);
    return loading;
}

// As `ld -Ttext 0x100000` links it: the file's headers lie below, alone or with the text in one
// segment.
static void headers_below_1_mib_are_dropped(void **state)
{
    test = test_vm_new(UINT64_C(8) << 20, 1);
    struct image image = elf_file_image(&file);
    struct loading loading = loading_into(&image);
    struct elf elf;
    uint64_t entry, end;
    loading.memblock.map = &loading.map;
    for (unsigned is_one = 0; is_one < 2; is_one++) {
        elf_file_begin(&file, is_one, 0x10000c);
        if (!is_one)
            elf_file_add(&file, 1, 0, 0xff000, 0xff000, 0x94, 0x94);
        elf_file_add(&file, 1, is_one ? 0 : 0x1000, is_one ? 0xff000 : 0x100000,
                     is_one ? 0xff000 : 0x100000, is_one ? 0x104f : 0x4f, is_one ? 0x104f : 0x4f);
        elf_file_add(&file, 1, 0, 0x101000, 0x101000, 0, 0x64);
        memset(file.bytes + 0x1000, 0x11 + is_one, 0x4f);
        loading.memblock.count = 0;
        assert_int_equal(elf_open(&image, &elf, &why), STATUS_OK);
        assert_int_equal(elf_load(&elf, &loading, &entry, &end), STATUS_OK);
        assert_int_equal(entry, 0x10000c);
        assert_int_equal(end, 0x101064);
        assert_filled(test_ram(test, 0x100000, 0x4f), 0x11 + (uint8_t)is_one, 0x4f);
    }
    // What is neither header nor padding is not dropped, nor is bss, nor another segment.
    file.bytes[0xfff] = 1;
    loading.memblock.count = 0;
    assert_int_equal(elf_load(&elf, &loading, &entry, &end), STATUS_RANGE);
    file.bytes[0xfff] = 0;
    put64(file.bytes + 64 + 32, 0x94);
    put64(file.bytes + 64 + 40, 0x95);
    assert_int_equal(elf_load(&elf, &loading, &entry, &end), STATUS_RANGE);
    put64(file.bytes + 64 + 40, 0x94);
    assert_int_equal(elf_load(&elf, &loading, &entry, &end), STATUS_OK);
    elf_file_add(&file, 1, 0, 0xff000, 0xff000, 0x94, 0x94);
    assert_int_equal(elf_open(&image, &elf, &why), STATUS_OK);
    loading.memblock.count = 0;
    assert_int_equal(elf_load(&elf, &loading, &entry, &end), STATUS_RANGE);
    test_vm_free(test);
}

static void loading_fills_and_claims(void **state)
{
    test = test_vm_new(UINT64_C(8) << 20, 1);
    elf_file_begin(&file, true, 0xffffffff80200010);
    memset(file.bytes + 0x1000, 0x11, 0x800);
    elf_file_add(&file, 1, 0x1000, 0x200000, 0xffffffff80200000, 0x800, 0x3000);
    elf_file_add(&file, 1, 0x1000, 0x400000, 0xffffffff80400000, 0x10, 0x10);
    elf_file_add(&file, 1, 0, 0, 0, 0, 0); // empty
    struct image image = elf_file_image(&file);
    struct elf elf;
    uint64_t entry, end;
    struct loading loading = loading_into(&image);
    loading.memblock.map = &loading.map;
    assert_int_equal(elf_open(&image, &elf, &why), STATUS_OK);
    assert_int_equal(elf_load(&elf, &loading, &entry, &end), STATUS_OK);
    assert_int_equal(entry, 0x200010);
    assert_int_equal(end, 0x400010);
    assert_filled(test_ram(test, 0x200000, 0x800), 0x11, 0x800);
    assert_filled(test_ram(test, 0x200800, 0x2800), 0, 0x2800);
    assert_int_equal(loading.memblock.count, 2);
    assert_int_equal(loading.memblock.region[0].start, 0x200000);
    assert_int_equal(loading.memblock.region[0].size, 0x3000);

    // The same segment again has no room; nor has one that ends outside RAM.
    assert_int_equal(elf_load(&elf, &loading, &entry, &end), STATUS_OVERLAP);
    loading.memblock.count = 0;
    put64(file.bytes + 64 + 40, UINT64_MAX);
    assert_int_equal(elf_load(&elf, &loading, &entry, &end), STATUS_RANGE);
    put64(file.bytes + 64 + 40, 0x800);
    put64(file.bytes + 64 + 24, 0x7fffff);
    loading.memblock.count = 0;
    assert_int_equal(elf_load(&elf, &loading, &entry, &end), STATUS_RANGE);
    assert_string_equal(
        why.text, "kernel.elf: 2 KiB at 0x7fffff are not inside the VM's RAM (below 0x9fc00, and 1 "
                  "MiB to 0x800000); give it more memory or link the file for another place");
    elf_file_begin(&file, true, 0);
    elf_file_add(&file, 7, 0, 0, 0, 0, 0);
    assert_int_equal(elf_open(&image, &elf, &why), STATUS_OK);
    assert_int_equal(elf_load(&elf, &loading, &entry, &end), STATUS_INVALID);
    test_vm_free(test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_of_both_classes_are_read),
        cmocka_unit_test(bad_headers_are_refused),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(bad_segments_are_refused),
        cmocka_unit_test(notes_are_found_by_owner_and_type),
        cmocka_unit_test(work_is_bounded),
        cmocka_unit_test(headers_below_1_mib_are_dropped),
        cmocka_unit_test(loading_fills_and_claims),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
