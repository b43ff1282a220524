// loaders/firmware.c: the ROM, and the files that firmware finds. The commands for the ACPI tables
// are carried out here by an interpreter that knows nothing of their making, as firmware has one;
// what it makes must be tables that lead to each other and are sealed.

#include "tests/unit/loader_vm.h"

#include "lib/bytes.h"
#include "loaders/firmware.h"

#define ROM_SIZE  (256 << 10)
#define HIGH      0x7f00000U // where the interpreter puts files
#define BIOS_ZONE 0xf5a00U

static uint8_t rom[ROM_SIZE];
static struct firmware_tables tables;

static int begin(void **state)
{
    test = test_vm_new(UINT64_C(16) << 20, 3);
    test->vm.traits.firmware = FIRMWARE_SEABIOS;
    for (unsigned i = 0; i < ROM_SIZE; i++)
        rom[i] = (uint8_t)(i * 7 + i / 251);
    return 0;
}

static status_t load(uint64_t size)
{
    const struct image image = {"bios-256k.bin", rom, size, NULL};
    return firmware_load(&test->vm, &image, &tables, &test->why);
}

// ---- the interpreter ----

static struct file {
    const char *name;
    const uint8_t *bytes;
    uint32_t size;
    uint32_t at; // 0: not in memory
    uint8_t memory[8192];
} files[2];

static struct file *file_named(const uint8_t *name)
{
    assert_non_null(memchr(name, 0, 56));
    for (unsigned i = 0; i < 2; i++)
        if (strcmp((const char *)name, files[i].name) == 0)
            return &files[i];
    fail_msg("no file %s", (const char *)name);
    return NULL;
}

static void allocate(const uint8_t *command)
{
    struct file *file = file_named(command + 4);
    uint32_t alignment = get32(command + 60);
    assert_int_equal(file->at, 0);
    assert_true(alignment && !(alignment & (alignment - 1)));
    assert_in_range(command[64], 1, 2);
    file->at = (uint32_t)align_up((command[64] == 1 ? HIGH : BIOS_ZONE) + 1, alignment);
    assert_in_range(file->size, 1, sizeof(file->memory));
    memcpy(file->memory, file->bytes, file->size);
}

static void add_pointer(const uint8_t *command)
{
    struct file *file = file_named(command + 4), *source = file_named(command + 60);
    uint32_t offset = get32(command + 116), width = command[120];
    assert_true(width == 1 || width == 2 || width == 4 || width == 8);
    assert_true(file->at && source->at && offset + width <= file->size);
    uint64_t value = 0;
    memcpy(&value, file->memory + offset, width);
    assert_in_range(value, 0, source->size - 1);
    value += source->at;
    memcpy(file->memory + offset, &value, width);
}

static void add_checksum(const uint8_t *command)
{
    struct file *file = file_named(command + 4);
    uint32_t offset = get32(command + 60), start = get32(command + 64);
    uint32_t length = get32(command + 68);
    assert_true(file->at && offset < file->size && start + length <= file->size);
    for (uint32_t i = 0; i < length; i++)
        if (start + i != offset)
            file->memory[offset] = (uint8_t)(file->memory[offset] - file->memory[start + i]);
}

static void interpret(void)
{
    memset(files, 0, sizeof(files));
    files[0] =
        (struct file){.name = "etc/acpi/rsdp", .bytes = tables.acpi.bytes, .size = ACPI_RSDP};
    files[1] = (struct file){.name = "etc/acpi/tables",
                             .bytes = tables.acpi.bytes + ACPI_ALIGN,
                             .size = tables.acpi.size - ACPI_ALIGN};
    assert_int_equal(tables.command_size % 128, 0);
    for (uint32_t at = 0; at < tables.command_size; at += 128) {
        const uint8_t *command = tables.command + at;
        switch (get32(command)) {
        case 1:
            allocate(command);
            break;
        case 2:
            add_pointer(command);
            break;
        case 3:
            add_checksum(command);
            break;
        default:
            fail_msg("command %u", get32(command));
        }
    }
}

static const uint8_t *at_address(uint64_t at, uint32_t size)
{
    const struct file *file = &files[1];
    assert_in_range(at, file->at, file->at + file->size - size);
    return file->memory + (at - file->at);
}

static const uint8_t *table_at(uint64_t at, const char *signature)
{
    const uint8_t *table = at_address(at, 36);
    uint32_t size = get32(table + 4);
    assert_memory_equal(table, signature, 4);
    assert_int_equal(sum8(at_address(at, size), size), 0);
    return table;
}

// ---- tests ----

static void the_commands_make_tables_that_are_whole(void **state)
{
    assert_int_equal(load(ROM_SIZE), STATUS_OK);
    interpret();
    const uint8_t *root = files[0].memory;
    assert_in_range(files[0].at, 0xe0000, 0xfffff);
    assert_int_equal(files[0].at % 16, 0);
    assert_memory_equal(root, "RSD PTR ", 8);
    assert_int_equal(sum8(root, 20), 0);
    assert_int_equal(sum8(root, 36), 0);
    const uint8_t *rsdt = table_at(get32(root + 16), "RSDT");
    const uint8_t *xsdt = table_at(get64(root + 24), "XSDT");
    static const char *const signatures[] = {"FACP", "APIC", "MCFG"};
    assert_int_equal(get32(xsdt + 4), 36 + 8 * ARRAY_LENGTH(signatures));
    const uint8_t *table[3];
    for (unsigned i = 0; i < ARRAY_LENGTH(signatures); i++) {
        assert_int_equal(get64(xsdt + 36 + 8 * i), get32(rsdt + 36 + 4 * i));
        table[i] = table_at(get64(xsdt + 36 + 8 * i), signatures[i]);
    }
    assert_memory_equal(at_address(get32(table[0] + 36), 64), "FACS\x40\0\0\0", 8);
    assert_int_equal(get32(table[0] + 36) % 64, 0);
    assert_int_equal(get32(table[0] + 40), get64(table[0] + 140));
    table_at(get64(table[0] + 140), "DSDT");
    assert_int_equal(get64(table[2] + 44), 0xb0000000);
    assert_memory_equal(table[2] + 52, "\0\0\0\xff", 4); // segment 0, buses 0 to 255
}

static void the_end_of_the_rom_is_below_1_mib(void **state)
{
    assert_int_equal(load(ROM_SIZE), STATUS_OK);
    assert_memory_equal(test_ram(test, 0xe0000, 0x20000), rom + ROM_SIZE - 0x20000, 0x20000);
}

static void the_memory_map_is_all_ram(void **state)
{
    static const uint64_t low[] = {0, UINT64_C(16) << 20}, high[] = {UINT64_C(4) << 30, 0x50000000};
    assert_int_equal(load(ROM_SIZE), STATUS_OK);
    assert_int_equal(tables.e820_size, 20);
    assert_memory_equal(tables.e820, low, 16);
    assert_int_equal(get32(tables.e820 + 16), 1);
    test->vm.traits.memory = UINT64_C(4) << 30;
    assert_int_equal(load(ROM_SIZE), STATUS_OK);
    assert_int_equal(tables.e820_size, 40);
    assert_int_equal(get64(tables.e820 + 8), 0xb0000000);
    assert_memory_equal(tables.e820 + 20, high, 16);
}

static void what_is_no_rom_is_explained(void **state)
{
    assert_int_equal(load(ROM_SIZE / 4), STATUS_INVALID);
    assert_non_null(strstr(test->why.text, "bios-256k.bin: 65536 bytes are no firmware"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_commands_make_tables_that_are_whole, begin, end),
        cmocka_unit_test_setup_teardown(the_end_of_the_rom_is_below_1_mib, begin, end),
        cmocka_unit_test_setup_teardown(the_memory_map_is_all_ram, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_rom_is_explained, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
