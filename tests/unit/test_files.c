// loaders/files.c: every file that a VM names is found, or the name that is missing is in the line.

#include "tests/unit/support.h"

#include "loaders/files.h"

static const uint8_t bytes[1];
static const struct image images[] = {
    {"vmlinuz", bytes, 1, NULL}, {"initrd.gz", bytes, 1, NULL}, {"kernel.elf", bytes, 1, NULL}};
static struct vm_config config;
static struct guest_files files;
static struct explanation why;

static status_t find(const char *kernel, const char *initrd)
{
    config_defaults(&config);
    strcpy(config.name, "web");
    config.line = 4;
    strcpy(config.kernel, kernel);
    strcpy(config.initrd, initrd);
    strcpy(config.module[0].name, "initrd.gz");
    strcpy(config.module[0].cmdline, "a b");
    strcpy(config.module[1].name, "kernel.elf");
    config.module_count = 2;
    return files_find(&config, images, 3, &files, &why);
}

static void all_files_are_found(void **state)
{
    assert_int_equal(find("vmlinuz", "initrd.gz"), STATUS_OK);
    assert_string_equal(files.kernel.name, "vmlinuz");
    assert_true(files.has_initrd);
    assert_string_equal(files.initrd.name, "initrd.gz");
    assert_int_equal(files.module_count, 2);
    assert_string_equal(files.module[0].name, "initrd.gz");
    assert_string_equal(files.module[0].cmdline, "a b");
    assert_string_equal(files.module[1].name, "kernel.elf");
    assert_string_equal(files.module[1].cmdline, "");
    assert_int_equal(find("vmlinuz", ""), STATUS_OK);
    assert_false(files.has_initrd);
}

static void a_missing_file_is_named(void **state)
{
    assert_int_equal(find("vmlinux", ""), STATUS_NOT_FOUND);
    assert_string_equal(why.text,
                        "vms.conf:4: VM web: kernel: no boot module has the name vmlinux; "
                        "did you mean vmlinuz?");
    assert_int_equal(find("vmlinuz", "root.img"), STATUS_NOT_FOUND);
    assert_string_equal(why.text,
                        "vms.conf:4: VM web: initrd: no boot module has the name root.img; there "
                        "are: vmlinuz, initrd.gz, kernel.elf");
    find("vmlinuz", "");
    const struct file_search disk = {&config, images, 3, &why, 8};
    struct image found;
    assert_int_equal(file_find(&disk, "disk", "initrd.gz", &found), STATUS_OK);
    assert_string_equal(found.name, "initrd.gz");
    assert_int_equal(file_find(&disk, "disk", "initrd.gs", &found), STATUS_NOT_FOUND);
    assert_string_equal(why.text,
                        "vms.conf:8: VM web: disk: no boot module has the name initrd.gs; "
                        "did you mean initrd.gz?");
    strcpy(config.module[1].name, "x");
    assert_int_equal(files_find(&config, images, 3, &files, &why), STATUS_NOT_FOUND);
    assert_int_equal(files_find(&config, images, 0, &files, &why), STATUS_NOT_FOUND);
    assert_non_null(strstr(why.text, "vmlinuz; there are: none"));
}

static void a_long_list_of_names_is_cut(void **state)
{
    static char names[64][8];
    struct image many[64];
    for (unsigned i = 0; i < 64; i++) {
        snprintf(names[i], sizeof(names[i]), "file%u", i);
        many[i] = (struct image){names[i], bytes, 1, NULL};
    }
    find("vmlinuz", "");
    assert_int_equal(files_find(&config, many, 64, &files, &why), STATUS_NOT_FOUND);
    assert_non_null(strstr(why.text, "there are: file0, file1, "));
    assert_true(strlen(why.text) < sizeof(why.text));
}

static void firmware_is_a_file_or_two(void **state)
{
    static const struct image parts[] = {{"OVMF_VARS_4M.fd", bytes, 1, NULL},
                                         {"OVMF_CODE_4M.fd", bytes, 1, NULL},
                                         {"mine.fd", bytes, 1, NULL}};
    config_defaults(&config);
    strcpy(config.name, "web");
    config.line = 4;
    config.traits.firmware = FIRMWARE_OVMF;
    assert_int_equal(files_find(&config, parts, 2, &files, &why), STATUS_OK);
    assert_string_equal(files.firmware[0].name, "OVMF_CODE_4M.fd");
    assert_string_equal(files.firmware[1].name, "OVMF_VARS_4M.fd");
    assert_int_equal(files_find(&config, parts + 1, 1, &files, &why), STATUS_NOT_FOUND);
    strcpy(config.nvram, "mine.fd");
    assert_int_equal(files_find(&config, parts, 2, &files, &why), STATUS_NOT_FOUND);
    assert_string_equal(why.text, "vms.conf:4: VM web: nvram: no boot module has the name mine.fd; "
                                  "there are: OVMF_VARS_4M.fd, OVMF_CODE_4M.fd");
    assert_int_equal(files_find(&config, parts, 3, &files, &why), STATUS_OK);
    assert_string_equal(files.firmware[1].name, "mine.fd");
    config.traits.firmware = FIRMWARE_SEABIOS;
    assert_int_equal(files_find(&config, parts, 2, &files, &why), STATUS_NOT_FOUND);
    assert_string_equal(why.text,
                        "vms.conf:4: VM web: firmware: no boot module has the name bios-256k.bin; "
                        "Debian's package seabios has it, in /usr/share/seabios/");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_files_are_found),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(a_long_list_of_names_is_cut),
        cmocka_unit_test(firmware_is_a_file_or_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
