// Firmware for tests: builds ACPI tables in a small physical memory and parses them. One test file
// includes it.
#pragma once

#include "tests/unit/support.h"

#include "drivers/host/acpi/acpi.h"

#define MEMORY_BASE 0x1000000U

static uint8_t memory[65536]; // at MEMORY_BASE
static uint32_t used;
static uint64_t listed[300];
static uint32_t listed_count;
static uint8_t rsdp[36];
static struct acpi_info info;

static inline const void *map(void *context, uint64_t physical, uint64_t length)
{
    if (physical >= MEMORY_BASE && physical - MEMORY_BASE <= sizeof(memory) &&
        length <= sizeof(memory) - (physical - MEMORY_BASE))
        return memory + (physical - MEMORY_BASE);
    return NULL;
}

static inline void set_sum(uint8_t *bytes, size_t length, size_t at)
{
    uint8_t sum = 0;
    bytes[at] = 0;
    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + bytes[i]);
    bytes[at] = (uint8_t)-sum;
}

static inline void begin(void)
{
    memset(memory, 0, sizeof(memory));
    used = 0;
    listed_count = 0;
}

// A table with its header and checksum; not listed. Returns its offset in `memory`.
static inline uint32_t place(const char *signature, const void *body, uint32_t length)
{
    uint32_t at = used;
    uint32_t whole = 36 + length;
    memcpy(memory + at, signature, 4);
    memcpy(memory + at + 4, &whole, 4);
    if (length > 0)
        memcpy(memory + at + 36, body, length);
    set_sum(memory + at, whole, 9);
    used = (uint32_t)align_up(at + whole, 16);
    return at;
}

static inline uint32_t list(const char *signature, const void *body, uint32_t length)
{
    uint32_t at = place(signature, body, length);
    listed[listed_count++] = MEMORY_BASE + at;
    return at;
}

// An RSDP of ACPI 1.0 with an RSDT, or of 2.0 with an XSDT and an empty RSDT.
static inline void finish(bool is_new)
{
    uint32_t short_list[300];
    for (uint32_t i = 0; i < listed_count; i++)
        short_list[i] = (uint32_t)listed[i];
    uint32_t rsdt = MEMORY_BASE + place("RSDT", short_list, is_new ? 0 : listed_count * 4);
    uint64_t xsdt = is_new ? MEMORY_BASE + place("XSDT", listed, listed_count * 8) : 0;
    uint32_t length = 36;
    memset(rsdp, 0, sizeof(rsdp));
    memcpy(rsdp, "RSD PTR ?TEST\x01S", 15);
    rsdp[15] = is_new ? 2 : 0;
    memcpy(rsdp + 16, &rsdt, 4);
    memcpy(rsdp + 20, &length, 4);
    memcpy(rsdp + 24, &xsdt, 8);
    set_sum(rsdp, 20, 8);
    set_sum(rsdp, 36, 32);
}

static inline status_t parse(bool is_new)
{
    return acpi_parse(&info, rsdp, is_new ? 36 : 20, map, NULL);
}

static inline bool noted(const char *words)
{
    for (uint32_t i = 0; i < info.notes.count; i++) {
        if (strstr(info.notes.line[i].text, words) != NULL)
            return true;
    }
    return false;
}

// ---- a FADT to fill in ----

static uint8_t fadt[276 - 36];

static inline void fadt_put(uint32_t offset, uint64_t value, uint32_t size)
{
    memcpy(&fadt[offset - 36], &value, size);
}

static inline void fadt_put_register(uint32_t offset, uint8_t space, uint8_t width,
                                     uint64_t address)
{
    fadt_put(offset, space | width << 8, 4);
    fadt_put(offset + 4, address, 8);
}

// As an i440fx machine has it.
static inline void fadt_begin(void)
{
    memset(fadt, 0, sizeof(fadt));
    fadt_put(46, 9, 2);
    fadt_put(48, 0xb2, 4);
    fadt_put(52, 0xf1, 1);
    fadt_put(64, 0xb004, 4);
    fadt_put(76, 0xb008, 4);
    fadt_put(89, 2, 1);
    fadt_put(91, 4, 1);
    fadt_put(108, 0x32, 1);
    fadt_put(109, 3, 2);
}
