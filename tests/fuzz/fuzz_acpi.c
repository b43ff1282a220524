// Any bytes as physical memory with ACPI tables in it: nothing is read outside the memory, no parse
// runs away, and what comes out keeps its promises.

#include <stdlib.h>
#include <string.h>

#include "drivers/host/acpi/acpi.h"
#include "tests/fuzz/require.h"

#define MEMORY_BASE 0x100000U

struct memory {
    const uint8_t *bytes;
    size_t size;
};

static struct acpi_info info;

static const void *map(void *context, uint64_t physical, uint64_t length)
{
    const struct memory *memory = context;
    if (physical < MEMORY_BASE || physical - MEMORY_BASE > memory->size ||
        length > memory->size - (physical - MEMORY_BASE))
        return NULL;
    return memory->bytes + (physical - MEMORY_BASE);
}

// Checksums are mostly right: the fuzzer's work is behind them. What is a table is known by its
// signature, at each multiple of 16.
static void mend_sum(uint8_t *bytes, size_t length, size_t at)
{
    uint8_t sum = 0;
    bytes[at] = 0;
    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + bytes[i]);
    bytes[at] = (uint8_t)-sum;
}

static void mend_tables(uint8_t *bytes, size_t size)
{
    static const char signatures[][5] = {"RSDT", "XSDT", "APIC", "FACP", "HPET", "DSDT", "SSDT"};
    for (size_t at = 0; at + 36 <= size; at += 16) {
        for (size_t i = 0; i < ARRAY_LENGTH(signatures); i++) {
            uint32_t length;
            memcpy(&length, bytes + at + 4, 4);
            if (memcmp(bytes + at, signatures[i], 4) == 0 && length >= 36 && length <= size - at)
                mend_sum(bytes + at, length, 9);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    // 36 bytes are the RSDP, the rest is memory.
    if (size < 36)
        return 0;
    uint8_t rsdp[36];
    memcpy(rsdp, data, sizeof(rsdp));
    memcpy(rsdp, "RSD PTR ", 8);
    size_t rsdp_size = rsdp[9] & 1 ? 36 : 20;
    mend_sum(rsdp, 20, 8);
    mend_sum(rsdp, 36, 32);
    uint8_t *bytes = malloc(size - 36 + 1);
    memcpy(bytes, data + 36, size - 36);
    mend_tables(bytes, size - 36);
    struct memory memory = {bytes, size - 36};
    status_t status = acpi_parse(&info, rsdp, rsdp_size, map, &memory);
    free(bytes);

    require(status == info.notes.status);
    require(info.cpu_count <= ACPI_CPUS_MAX && info.ioapic_count <= ACPI_IOAPICS_MAX);
    require(info.override_count <= ACPI_OVERRIDES_MAX);
    for (uint32_t i = 0; i < info.cpu_count; i++) {
        for (uint32_t j = 0; j < i; j++)
            require(info.apic_ids[i] != info.apic_ids[j]);
    }
    require(info.s5.pm1a <= 7 && info.s5.pm1b <= 7);
    require(info.pm1a_control.space != ACPI_IO || info.pm1a_control.address <= 0xffff);
    for (uint8_t irq = 0; irq < 16; irq++)
        (void)acpi_isa_route(&info, irq);
    return 0;
}
