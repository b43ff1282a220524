// loaders/smbios.c: dmidecode, which knows the specification, reads the structures; and kernels
// find them.

#define _GNU_SOURCE // mkstemp, popen
#include "tests/unit/loader_vm.h"

#include <unistd.h>

#include "lib/bytes.h"
#include "loaders/smbios.h"

#define MIB       (UINT64_C(1) << 20)
#define DUMPED_AT 32 // dmidecode's dumps have the structures here, behind the anchor

static void set_leaf(uint32_t number, const char text[16])
{
    struct cpuid_leaves *leaves = &test->vm.cpuid.leaves;
    struct cpuid_leaf *leaf = &leaves->leaf[leaves->count++];
    leaf->leaf = number;
    memcpy(&leaf->eax, text, 16);
}

static void make(uint64_t bytes, unsigned cpus)
{
    test = test_vm_new(bytes, cpus);
    test->vm.traits.name = "web";
    test->vm.traits.uuid = uuid_of_name("web");
    test->vm.cpuid.tsc_hz = UINT64_C(3500000000);
    set_leaf(0, "\x1f\0\0\0GenuntelineI");
    set_leaf(1, "\x54\6\5\0\0\0\0\0\0\0\0\0\xff\xfb\xeb\xbf");
    set_leaf(0x80000002, "  Intel(R) Core(");
    set_leaf(0x80000003, "TM) i9-7980XE CP");
    set_leaf(0x80000004, "U @ 2.60GHz \0\0\0");
}

static int begin(void **state)
{
    make(512 * MIB, 4);
    return 0;
}

// What dmidecode says with these options to the VM's structures.
static const char *decoded(const char *options, bool has_bios)
{
    static char output[8000];
    uint8_t dump[DUMPED_AT + SMBIOS_SIZE] = {0};
    char path[] = "/tmp/corbel-smbios-XXXXXX", command[200];
    struct smbios smbios;
    smbios_build(&smbios, &test->vm, has_bios);
    smbios_anchor(&smbios, DUMPED_AT, dump);
    memcpy(dump + DUMPED_AT, smbios.bytes, smbios.size);
    int file = mkstemp(path);
    assert_int_equal(write(file, dump, DUMPED_AT + smbios.size), DUMPED_AT + smbios.size);
    close(file);
    snprintf(command, sizeof(command), "dmidecode --from-dump %s %s 2>&1; rm %s", path, options,
             path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    output[fread(output, 1, sizeof(output) - 1, pipe)] = 0;
    assert_int_equal(pclose(pipe), 0);
    return output;
}

static void assert_says(const char *output, const char *line)
{
    if (!strstr(output, line))
        fail_msg("no line \"%s\" in:\n%s", line, output);
}

static void the_system_has_names_and_a_uuid(void **state)
{
    assert_string_equal(decoded("-q -t 0,1,32", true),
                        "BIOS Information\n"
                        "\tVendor: Corbel\n"
                        "\tVersion: 1\n"
                        "\tRelease Date: 12/01/2026\n"
                        "\tAddress: 0xE0000\n"
                        "\tRuntime Size: 128 kB\n"
                        "\tROM Size: 64 kB\n"
                        "\tCharacteristics:\n"
                        "\t\tBIOS characteristics not supported\n"
                        "\t\tACPI is supported\n"
                        "\t\tSystem is a virtual machine\n"
                        "\n"
                        "System Information\n"
                        "\tManufacturer: Corbel\n"
                        "\tProduct Name: Corbel\n"
                        "\tVersion: 1\n"
                        "\tSerial Number: web\n"
                        "\tUUID: f4520f7b-f53e-5445-acfc-3b74e7430043\n"
                        "\tWake-up Type: Power Switch\n"
                        "\tSKU Number: Not Specified\n"
                        "\tFamily: Virtual Machine\n"
                        "\n"
                        "System Boot Information\n"
                        "\tStatus: No errors detected\n"
                        "\n");
}

static void the_cpus_are_cores_of_one(void **state)
{
    assert_string_equal(decoded("-q -t 4", true),
                        "Processor Information\n"
                        "\tSocket Designation: CPU 0\n"
                        "\tType: Central Processor\n"
                        "\tFamily: Other\n"
                        "\tManufacturer: GenuineIntel\n"
                        "\tVersion: Intel(R) Core(TM) i9-7980XE CPU @ 2.60GHz\n"
                        "\tVoltage: Unknown\n"
                        "\tExternal Clock: Unknown\n"
                        "\tMax Speed: 3500 MHz\n"
                        "\tCurrent Speed: 3500 MHz\n"
                        "\tStatus: Populated, Enabled\n"
                        "\tUpgrade: Other\n"
                        "\tSerial Number: Not Specified\n"
                        "\tAsset Tag: Not Specified\n"
                        "\tPart Number: Not Specified\n"
                        "\tCore Count: 4\n"
                        "\tCore Enabled: 4\n"
                        "\tThread Count: 4\n"
                        "\tCharacteristics:\n"
                        "\t\t64-bit capable\n"
                        "\t\tMulti-Core\n"
                        "\n");
    assert_says(decoded("-t 3", true),
                "Boot-up State: Safe\n\tPower Supply State: Safe\n\tThermal State: Safe\n");
}

static void memory_is_one_device(void **state)
{
    assert_string_equal(decoded("-q -t 16,17,19", true), "Physical Memory Array\n"
                                                         "\tLocation: Other\n"
                                                         "\tUse: System Memory\n"
                                                         "\tError Correction Type: Unknown\n"
                                                         "\tMaximum Capacity: 512 MB\n"
                                                         "\tNumber Of Devices: 1\n"
                                                         "\n"
                                                         "Memory Device\n"
                                                         "\tTotal Width: Unknown\n"
                                                         "\tData Width: Unknown\n"
                                                         "\tSize: 512 MB\n"
                                                         "\tForm Factor: DIMM\n"
                                                         "\tSet: None\n"
                                                         "\tLocator: DIMM 0\n"
                                                         "\tBank Locator: Not Specified\n"
                                                         "\tType: RAM\n"
                                                         "\tType Detail: Other\n"
                                                         "\tSpeed: Unknown\n"
                                                         "\tManufacturer: Corbel\n"
                                                         "\tSerial Number: Not Specified\n"
                                                         "\tAsset Tag: Not Specified\n"
                                                         "\tPart Number: Not Specified\n"
                                                         "\tRank: Unknown\n"
                                                         "\tConfigured Memory Speed: Unknown\n"
                                                         "\tMinimum Voltage: Unknown\n"
                                                         "\tMaximum Voltage: Unknown\n"
                                                         "\tConfigured Voltage: Unknown\n"
                                                         "\n"
                                                         "Memory Array Mapped Address\n"
                                                         "\tStarting Address: 0x00000000000\n"
                                                         "\tEnding Address: 0x0001FFFFFFF\n"
                                                         "\tRange Size: 512 MB\n"
                                                         "\tPartition Width: 1\n"
                                                         "\n");
}

static void memory_of_any_size_is_told(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *size, *low, *high;
    } rows[] = {
        {MIB, "Size: 1 MB\n", "Range Size: 1 MB\n", "Number Of Devices: 1\n"},
        {5 * MIB / 2, "Size: 2560 kB\n", "Range Size: 2560 kB\n", "Maximum Capacity: 2560 kB\n"},
        {5120 * MIB, "Size: 5 GB\n", "Range Size: 3 GB\n",
         "Starting Address: 0x00100000000\n\tEnding Address: 0x0017FFFFFFF\n\tRange Size: 2 GB\n"},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        test_vm_free(test);
        make(rows[i].bytes, 1);
        const char *output = decoded("-q -t 16,17,19", false);
        assert_says(output, rows[i].size);
        assert_says(output, rows[i].low);
        assert_says(output, rows[i].high);
    }
    test->vm.traits.memory = UINT64_C(1) << 40;
    assert_says(decoded("-q -t 17", false), "Size: 1 TB\n");
    test->vm.traits.memory = 32767 * MIB; // the field for small sizes cannot say this
    assert_says(decoded("-q -t 17", false), "Size: 32767 MB\n");
}

static void a_firmware_describes_itself(void **state)
{
    assert_says(decoded("", false), "8 structures occupying");
    assert_null(strstr(decoded("", false), "BIOS Information"));
    assert_says(decoded("", true), "9 structures occupying");
}

// As "SMBIOS Structure Table Entry Point" of the specification has it.
static void kernels_find_it(void **state)
{
    struct loading loading = {.vm = &test->vm};
    smbios_write(&loading);
    const uint8_t *anchor = test_ram(test, BIOS_SMBIOS, SMBIOS_ANCHOR);
    assert_int_equal(BIOS_SMBIOS % 16, 0);
    assert_memory_equal(anchor, "_SM_", 4);
    assert_memory_equal(anchor + 16, "_DMI_", 5);
    assert_int_equal(sum8(anchor, SMBIOS_ANCHOR), 0);
    assert_int_equal(sum8(anchor + 16, 15), 0);
    uint32_t at = get32(anchor + 24), size = get16(anchor + 22), largest = 0, count = 0;
    assert_true(at >= BIOS_SMBIOS + SMBIOS_ANCHOR && at + size <= BIOS_END - 0x100);
    const uint8_t *bytes = test_ram(test, at, size);
    for (uint32_t i = 0, end; i < size; i = end, count++) {
        for (end = i + bytes[i + 1]; bytes[end] || bytes[end + 1]; end++)
            ;
        end += 2;
        largest = MAX(largest, end - i);
    }
    assert_int_equal(get16(anchor + 28), count);
    assert_int_equal(get16(anchor + 8), largest);
}

static void the_most_there_can_be_has_room(void **state)
{
    test->vm.traits.name = "a-name-of-thirty-one-characters";
    test->vm.traits.memory = UINT64_C(1) << 40;
    for (unsigned i = 0; i < 3; i++)
        memset(&test->vm.cpuid.leaves.leaf[2 + i].eax, 'x', 16);
    struct smbios smbios;
    smbios_build(&smbios, &test->vm, true);
    assert_true(smbios.size <= SMBIOS_SIZE);
    assert_int_equal(smbios.count, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_system_has_names_and_a_uuid, begin, end),
        cmocka_unit_test_setup_teardown(the_cpus_are_cores_of_one, begin, end),
        cmocka_unit_test_setup_teardown(memory_is_one_device, begin, end),
        cmocka_unit_test_setup_teardown(memory_of_any_size_is_told, begin, end),
        cmocka_unit_test_setup_teardown(a_firmware_describes_itself, begin, end),
        cmocka_unit_test_setup_teardown(kernels_find_it, begin, end),
        cmocka_unit_test_setup_teardown(the_most_there_can_be_has_room, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
