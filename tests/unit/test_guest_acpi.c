// loaders/acpi.c and loaders/dsdt.asl: the tables are found from the root, sealed, and say what the
// board is.

#define _GNU_SOURCE // memmem
#include "tests/unit/loader_vm.h"

#include "loaders/acpi.h"
#include "lib/bytes.h"

static int begin(void **state)
{
    test = test_vm_new(UINT64_C(4) << 20, 3);
    return 0;
}

static void assert_sealed(const uint8_t *bytes, size_t size)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + bytes[i]);
    assert_int_equal(sum, 0);
}

static const uint8_t *table_at(uint64_t at, const char *signature)
{
    const uint8_t *header = test_ram(test, at, 36);
    assert_memory_equal(header, signature, 4);
    uint32_t size = get32(header + 4);
    assert_sealed(test_ram(test, at, size), size);
    return header;
}

// Writes the tables and follows RSDP and XSDT to the table of that signature.
static const uint8_t *find(const char *signature)
{
    gpa_t rsdp;
    assert_int_equal(acpi_write(&test->vm, &rsdp, &test->why), STATUS_OK);
    const uint8_t *root = test_ram(test, rsdp.value, 36);
    assert_memory_equal(root, "RSD PTR ", 8);
    assert_int_equal(rsdp.value % 16, 0);
    assert_sealed(root, 20);
    assert_sealed(root, 36);
    const uint8_t *rsdt = table_at(get32(root + 16), "RSDT");
    const uint8_t *xsdt = table_at(get64(root + 24), "XSDT");
    unsigned count = (get32(xsdt + 4) - 36) / 8;
    assert_int_equal(count, 3);
    assert_int_equal((get32(rsdt + 4) - 36) / 4, count);
    const uint8_t *found = NULL;
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = get64(xsdt + 36 + i * 8);
        assert_int_equal(at, get32(rsdt + 36 + i * 4));
        if (memcmp(test_ram(test, at, 4), signature, 4) == 0)
            found = table_at(at, signature);
    }
    return found;
}

static void the_fadt_names_the_boards_registers(void **state)
{
    const uint8_t *fadt = find("FACP");
    assert_non_null(fadt);
    assert_int_equal(get32(fadt + 4), 276);
    assert_int_equal(get16(fadt + 46), IRQ_SCI);
    assert_int_equal(get32(fadt + 48), 0); // always in ACPI mode
    assert_int_equal(get32(fadt + 56), PORT_PM1_EVENT);
    assert_int_equal(get32(fadt + 64), PORT_PM1_CONTROL);
    assert_int_equal(get32(fadt + 76), PORT_PM_TIMER);
    assert_int_equal(get32(fadt + 80), PORT_GPE0);
    assert_memory_equal(fadt + 88, "\4\2\0\4\4\0", 6);
    assert_int_equal(fadt[108], 0x32);
    assert_int_equal(get16(fadt + 109), 0x15); // ISA devices, no 8042, no VGA
    assert_true(get32(fadt + 112) & BIT32(10));
    assert_false(get32(fadt + 112) & BIT32(4)); // power button
    assert_false(get32(fadt + 112) & BIT32(8)); // 24-bit timer
    assert_memory_equal(fadt + 116, "\1\x08\0\1\xf9\x0c\0\0\0\0\0\0\6", 13);
    assert_memory_equal(fadt + 148, "\1\x20\0\2\0\6\0\0\0\0\0\0", 12);
    assert_memory_equal(fadt + 172, "\1\x10\0\2\4\6\0\0\0\0\0\0", 12);
    assert_memory_equal(fadt + 208, "\1\x20\0\3\x08\6\0\0\0\0\0\0", 12);
    const uint8_t *facs = test_ram(test, get32(fadt + 36), 64);
    assert_memory_equal(facs, "FACS\x40\0\0\0", 8);
    assert_int_equal(get32(fadt + 36) % 64, 0);
    assert_int_equal(get32(fadt + 40), get64(fadt + 140));
    table_at(get64(fadt + 140), "DSDT");
}

static void the_madt_lists_every_cpu(void **state)
{
    test->vcpu[2].apic_id = 300; // only an x2APIC has such an identifier
    const uint8_t *madt = find("APIC");
    assert_non_null(madt);
    assert_int_equal(get32(madt + 36), MMIO_LAPIC);
    assert_int_equal(get32(madt + 40), 1);
    static const uint8_t entries[] = {
        0, 8,  0,    0, 1,    0, 0,    0,                             // CPU 0
        0, 8,  1,    1, 1,    0, 0,    0,                             // CPU 1
        9, 16, 0,    0, 0x2c, 1, 0,    0,    1,  0, 0, 0, 2, 0, 0, 0, // CPU 2
        1, 12, 0,    0, 0,    0, 0xc0, 0xfe, 0,  0, 0, 0,             // I/O APIC
        2, 10, 0,    0, 2,    0, 0,    0,    5,  0,                   // timer
        2, 10, 0,    9, 9,    0, 0,    0,    13, 0,                   // SCI
        4, 6,  0xff, 5, 0,    1,                                      // NMI
    };
    assert_int_equal(get32(madt + 4), 44 + sizeof(entries));
    assert_memory_equal(madt + 44, entries, sizeof(entries));
}

static void sixty_four_cpus_have_room(void **state)
{
    test_vm_free(test);
    test = test_vm_new(UINT64_C(4) << 20, VM_VCPUS);
    for (unsigned i = 0; i < VM_VCPUS; i++)
        test->vcpu[i].apic_id = 1000 + i;
    assert_int_equal(get32(find("APIC") + 4), 44 + 64 * 16 + 12 + 20 + 6);
}

static bool contains(const uint8_t *bytes, size_t size, const void *what, size_t length)
{
    return memmem(bytes, size, what, length) != NULL;
}

static void the_dsdt_describes_the_devices(void **state)
{
    const uint8_t *dsdt = test_ram(test, get64(find("FACP") + 140), 36);
    uint32_t size = get32(dsdt + 4);
    assert_true(contains(dsdt, size, "\x08_S5_\x12\6\4\0\0\0\0", 12));
    assert_true(contains(dsdt, size, "PCI0\x08_HID\x0c\x41\xd0\x0a\x03", 14));
    assert_true(contains(dsdt, size, "\x47\1\xf8\3\xf8\3\1\x08\x22\x10\0\x79\0", 13)); // COM1
    assert_false(contains(dsdt, size, "COM2", 4));
    assert_true(contains(dsdt, size, "_CID\x0dVM_Gen_Counter", 19));
    assert_true(
        contains(dsdt, size, "\x08\x41\x44\x44R\x12\x08\2\x0c\0\0\xf0\xfe\0", 14)); // FEF00000h
    // _PRT: INTA of slot 1 is IRQ 10, of slot 2 IRQ 11
    assert_true(contains(dsdt, size, "\x12\x0b\4\x0c\xff\xff\1\0\0\0\x0a\x0a", 12));
    assert_true(contains(dsdt, size, "\x12\x0b\4\x0c\xff\xff\2\0\0\0\x0a\x0b", 12));
    assert_int_equal(get64(find("MCFG") + 44), PCI_ECAM);
    test->vm.traits.uart2 = true;
    dsdt = test_ram(test, get64(find("FACP") + 140), 36);
    assert_true(contains(dsdt, get32(dsdt + 4), "COM2", 4));
}

static void the_compiler_reads_the_tables(void **state)
{
    static const char *const signatures[] = {"FACP", "APIC", "MCFG", "DSDT"};
    char directory[] = "/tmp/corbel-acpi-XXXXXX", command[200], path[100];
    assert_non_null(mkdtemp(directory));
    test->vm.traits.uart2 = true;
    for (unsigned i = 0; i < ARRAY_LENGTH(signatures); i++) {
        const uint8_t *table =
            i < 3 ? find(signatures[i]) : test_ram(test, get64(find("FACP") + 140), 36);
        snprintf(path, sizeof(path), "%s/%s.aml", directory, signatures[i]);
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        fwrite(table, 1, get32(table + 4), file);
        fclose(file);
        // Takes it apart, then compiles the result again without one warning.
        snprintf(command, sizeof(command),
                 "cd %s && iasl -d %s.aml >log 2>&1 && ! grep -qi 'warning\\|error' log && "
                 "iasl -we -p again %s.dsl >log 2>&1",
                 directory, signatures[i], signatures[i]);
        if (system(command)) {
            snprintf(command, sizeof(command), "cat %s/log", directory);
            system(command);
            fail_msg("iasl refuses %s", signatures[i]);
        }
    }
    snprintf(command, sizeof(command), "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

static void too_little_memory_is_explained(void **state)
{
    test_vm_free(test);
    test = test_vm_new(0xe0000, 1);
    gpa_t rsdp;
    assert_int_equal(acpi_write(&test->vm, &rsdp, &test->why), STATUS_RANGE);
    assert_string_equal(test->why.text,
                        "ACPI tables: no memory at 0xe0000; give the VM at least 1M");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_fadt_names_the_boards_registers, begin, end),
        cmocka_unit_test_setup_teardown(the_madt_lists_every_cpu, begin, end),
        cmocka_unit_test_setup_teardown(sixty_four_cpus_have_room, begin, end),
        cmocka_unit_test_setup_teardown(the_dsdt_describes_the_devices, begin, end),
        cmocka_unit_test_setup_teardown(the_compiler_reads_the_tables, begin, end),
        cmocka_unit_test_setup_teardown(too_little_memory_is_explained, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
