// A structure is numbers of a fixed length, then its texts, which the numbers count from 1, then an
// empty text.

#include "loaders/smbios.h"

#include "lib/bytes.h"
#include "lib/string.h"
#include "vm/platform.h"

#define VERSION        0x28 // 2.8
#define MAKER          "Corbel"
#define BOARD_VERSION  "1" // as that of the ACPI tables
#define RELEASE_DATE   "12/01/2026"
#define NO_HANDLE      0xffff
#define NOT_PROVIDED   0xfffe
#define CPU_NAME       48
#define KIB_OF(number) ((uint32_t)((number) >> 10))
#define HANDLE(type)   ((uint16_t)((type) << 8))

enum smbios_type {
    TYPE_BIOS = 0,
    TYPE_SYSTEM = 1,
    TYPE_CHASSIS = 3,
    TYPE_PROCESSOR = 4,
    TYPE_MEMORY_ARRAY = 16,
    TYPE_MEMORY_DEVICE = 17,
    TYPE_MEMORY_ADDRESS = 19,
    TYPE_BOOT = 32,
    TYPE_END = 127,
};

// Begins the structure of a type. Of several, `index` tells their handles apart.
static uint8_t *begin(struct smbios *smbios, enum smbios_type type, unsigned index, uint8_t length)
{
    uint8_t *structure = smbios->bytes + smbios->size;
    memset(structure, 0, length);
    structure[0] = (uint8_t)type;
    structure[1] = length;
    put16(structure + 2, (uint16_t)(HANDLE(type) + index));
    smbios->size = (uint16_t)(smbios->size + length);
    smbios->count++;
    smbios->texts = 0;
    return structure;
}

// Puts a text behind the structure. Returns its number; 0, "not specified", if it is empty.
static uint8_t text(struct smbios *smbios, const char *text)
{
    size_t size = strlen(text) + 1;
    if (size == 1)
        return 0;
    memcpy(smbios->bytes + smbios->size, text, size);
    smbios->size = (uint16_t)(smbios->size + size);
    return ++smbios->texts;
}

static void end(struct smbios *smbios, const uint8_t *structure)
{
    unsigned nuls = smbios->texts ? 1 : 2;
    memset(smbios->bytes + smbios->size, 0, nuls);
    smbios->size = (uint16_t)(smbios->size + nuls);
    uint16_t size = (uint16_t)(smbios->bytes + smbios->size - structure);
    smbios->largest = MAX(smbios->largest, size);
}

// ---- the machine ----

#define BIOS_UNKNOWN       BIT32(3) // its characteristics
#define BIOS_ACPI          BIT32(0)
#define BIOS_VM            BIT32(4) // the machine is a virtual one
#define WAKE_POWER_SWITCH  6
#define CHASSIS_OTHER      1
#define CHASSIS_SAFE       3
#define SECURITY_UNKNOWN   2
#define BOOT_STATUS_LENGTH 11

static void add_bios(struct smbios *smbios)
{
    uint8_t *b = begin(smbios, TYPE_BIOS, 0, 24);
    put16(b + 6, BIOS_START >> 4);
    put32(b + 10, BIOS_UNKNOWN);
    b[18] = BIOS_ACPI;
    b[19] = BIOS_VM;
    memset(b + 20, 0xff, 4); // releases of BIOS and embedded controller: none
    b[4] = text(smbios, MAKER);
    b[5] = text(smbios, BOARD_VERSION);
    b[8] = text(smbios, RELEASE_DATE);
    end(smbios, b);
}

static void add_system(struct smbios *smbios, const struct vm *vm)
{
    uint8_t *b = begin(smbios, TYPE_SYSTEM, 0, 27);
    uuid_to_guid(&vm->traits.uuid, b + 8);
    b[24] = WAKE_POWER_SWITCH;
    b[4] = text(smbios, MAKER);
    b[5] = text(smbios, "Corbel");
    b[6] = text(smbios, BOARD_VERSION);
    b[7] = text(smbios, vm->traits.name); // the serial number
    b[26] = text(smbios, "Virtual Machine");
    end(smbios, b);
}

static void add_chassis(struct smbios *smbios)
{
    uint8_t *b = begin(smbios, TYPE_CHASSIS, 0, 22);
    b[5] = CHASSIS_OTHER;
    memset(b + 9, CHASSIS_SAFE, 3); // boot-up, power, temperature
    b[12] = SECURITY_UNKNOWN;
    b[4] = text(smbios, MAKER);
    end(smbios, b);
}

// ---- CPUs ----

#define PROCESSOR_CENTRAL   3
#define FAMILY_OTHER        1
#define STATUS_ENABLED      0x41 // and populated
#define UPGRADE_OTHER       1
#define PROCESSOR_64BIT     BIT32(2)
#define PROCESSOR_MULTICORE BIT32(3)

// What CPUID calls the CPU, without the blanks around it.
static uint8_t cpu_name(struct smbios *smbios, const struct vm *vm)
{
    char name[CPU_NAME + 1] = "", *start = name;
    for (unsigned i = 0; i < 3; i++) {
        const struct cpuid_leaf *leaf = cpuid_find(&vm->cpuid.leaves, 0x80000002 + i, 0);
        memcpy(name + 16 * i, &leaf->eax, 16);
    }
    size_t length = strlen(name);
    while (length && name[length - 1] == ' ')
        name[--length] = 0;
    while (*start == ' ')
        start++;
    return text(smbios, start);
}

static uint8_t cpu_maker(struct smbios *smbios, const struct vm *vm)
{
    const struct cpuid_leaf *leaf = cpuid_find(&vm->cpuid.leaves, 0, 0);
    char name[13] = "";
    memcpy(name, &leaf->ebx, 4);
    memcpy(name + 4, &leaf->edx, 4);
    memcpy(name + 8, &leaf->ecx, 4);
    return text(smbios, name);
}

// One package with all vCPUs as its cores, as CPUID has it.
static void add_processor(struct smbios *smbios, const struct vm *vm)
{
    const struct cpuid_leaf *leaf = cpuid_find(&vm->cpuid.leaves, 1, 0);
    uint16_t mhz = (uint16_t)MIN(vm->cpuid.tsc_hz / 1000000, UINT16_MAX);
    uint8_t *b = begin(smbios, TYPE_PROCESSOR, 0, 42);
    b[5] = PROCESSOR_CENTRAL;
    b[6] = FAMILY_OTHER;
    put32(b + 8, leaf->eax);
    put32(b + 12, leaf->edx);
    put16(b + 20, mhz); // at most, and now
    put16(b + 22, mhz);
    b[24] = STATUS_ENABLED;
    b[25] = UPGRADE_OTHER;
    for (unsigned cache = 0; cache < 3; cache++)
        put16(b + 26 + 2 * cache, NO_HANDLE);
    memset(b + 35, (int)vm->vcpu_count, 3); // cores, enabled ones, threads
    put16(b + 38, PROCESSOR_64BIT | (vm->vcpu_count > 1 ? PROCESSOR_MULTICORE : 0));
    put16(b + 40, FAMILY_OTHER);
    b[4] = text(smbios, "CPU 0");
    b[7] = cpu_maker(smbios, vm);
    b[16] = cpu_name(smbios, vm);
    end(smbios, b);
}

// ---- memory ----

#define LOCATION_OTHER 1
#define USE_SYSTEM     3
#define ECC_UNKNOWN    2
#define WIDTH_UNKNOWN  0xffff
#define SIZE_EXTENDED  0x7fff // in the field for larger ones
#define SIZE_IN_KIB    0x8000
#define FORM_DIMM      9
#define DEVICE_RAM     7
#define DETAIL_OTHER   BIT32(1)

static void add_memory_array(struct smbios *smbios, uint64_t bytes)
{
    uint8_t *b = begin(smbios, TYPE_MEMORY_ARRAY, 0, 23);
    b[4] = LOCATION_OTHER;
    b[5] = USE_SYSTEM;
    b[6] = ECC_UNKNOWN;
    put32(b + 7, KIB_OF(bytes));
    put16(b + 11, NOT_PROVIDED);
    put16(b + 13, 1); // device
    end(smbios, b);
}

static void add_memory_device(struct smbios *smbios, uint64_t bytes)
{
    uint32_t mib = KIB_OF(bytes) >> 10;
    uint8_t *b = begin(smbios, TYPE_MEMORY_DEVICE, 0, 40);
    put16(b + 4, HANDLE(TYPE_MEMORY_ARRAY));
    put16(b + 6, NOT_PROVIDED);
    put16(b + 8, WIDTH_UNKNOWN);
    put16(b + 10, WIDTH_UNKNOWN);
    put16(b + 12, !is_aligned(bytes, BIT(20)) && KIB_OF(bytes) < SIZE_EXTENDED
                      ? (uint16_t)(KIB_OF(bytes) | SIZE_IN_KIB)
                      : (uint16_t)MIN(mib, SIZE_EXTENDED));
    put32(b + 28, mib >= SIZE_EXTENDED ? mib : 0);
    b[14] = FORM_DIMM;
    b[18] = DEVICE_RAM;
    put16(b + 19, DETAIL_OTHER);
    b[16] = text(smbios, "DIMM 0");
    b[23] = text(smbios, MAKER);
    end(smbios, b);
}

static void add_range(struct smbios *smbios, unsigned index, uint64_t start, uint64_t bytes)
{
    if (!bytes)
        return;
    uint8_t *b = begin(smbios, TYPE_MEMORY_ADDRESS, index, 31);
    put32(b + 4, KIB_OF(start));
    put32(b + 8, KIB_OF(start + bytes) - 1);
    put16(b + 12, HANDLE(TYPE_MEMORY_ARRAY));
    b[14] = 1; // device makes a row of it
    end(smbios, b);
}

static void add_memory(struct smbios *smbios, const struct vm *vm)
{
    struct memory_layout layout = memory_layout(&vm->traits);
    add_memory_array(smbios, vm->traits.memory);
    add_memory_device(smbios, vm->traits.memory);
    add_range(smbios, 0, 0, layout.low);
    add_range(smbios, 1, HIGH_MEMORY_START, layout.high);
}

// ---- all ----

void smbios_build(struct smbios *smbios, const struct vm *vm, bool has_bios)
{
    *smbios = (struct smbios){0};
    if (has_bios)
        add_bios(smbios);
    add_system(smbios, vm);
    add_chassis(smbios);
    add_processor(smbios, vm);
    add_memory(smbios, vm);
    end(smbios, begin(smbios, TYPE_BOOT, 0, BOOT_STATUS_LENGTH)); // no error was found
    end(smbios, begin(smbios, TYPE_END, 0, 4));
}

#define INTERMEDIATE 16 // the second half of the anchor, with a name and a checksum of its own

void smbios_anchor(const struct smbios *smbios, uint32_t address, uint8_t anchor[SMBIOS_ANCHOR])
{
    memset(anchor, 0, SMBIOS_ANCHOR);
    memcpy(anchor, "_SM_", 4);
    anchor[5] = SMBIOS_ANCHOR;
    anchor[6] = VERSION >> 4;
    anchor[7] = VERSION & 0xf;
    put16(anchor + 8, smbios->largest);
    memcpy(anchor + INTERMEDIATE, "_DMI_", 5);
    put16(anchor + 22, smbios->size);
    put32(anchor + 24, address);
    put16(anchor + 28, smbios->count);
    anchor[30] = VERSION;
    anchor[21] = (uint8_t)-sum8(anchor + INTERMEDIATE, SMBIOS_ANCHOR - INTERMEDIATE);
    anchor[4] = (uint8_t)-sum8(anchor, SMBIOS_ANCHOR);
}

void smbios_write(struct loading *loading)
{
    struct smbios smbios;
    uint8_t anchor[SMBIOS_ANCHOR];
    uint64_t at = BIOS_SMBIOS + align_up(SMBIOS_ANCHOR, 16);
    smbios_build(&smbios, loading->vm, true);
    smbios_anchor(&smbios, (uint32_t)at, anchor);
    loading_write(loading, BIOS_SMBIOS, anchor, sizeof(anchor));
    loading_write(loading, at, smbios.bytes, smbios.size);
}
