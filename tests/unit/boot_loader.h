// A boot loader for tests: builds Multiboot2 boot information tag by tag and parses it. One test
// file includes it.
#pragma once

#include "tests/unit/support.h"

#include "boot/info/bootinfo.h"

static uint8_t made[65536];
static size_t made_size;
static struct boot_info info;

static inline void put(const void *bytes, size_t size)
{
    memcpy(made + made_size, bytes, size);
    made_size += size;
}

static inline void put8(uint8_t value)
{
    put(&value, 1);
}
static inline void put32(uint32_t value)
{
    put(&value, 4);
}
static inline void put64(uint64_t value)
{
    put(&value, 8);
}

static inline size_t tag_begin(uint32_t type)
{
    size_t at = made_size;
    put32(type);
    put32(0);
    return at;
}

static inline void tag_end(size_t at)
{
    uint32_t size = (uint32_t)(made_size - at);
    memcpy(made + at + 4, &size, 4);
    while (made_size % 8 != 0)
        put8(0xcc);
}

static inline void begin(void)
{
    made_size = 0;
    put64(0);
}

static inline void finish(void)
{
    tag_end(tag_begin(0));
    uint32_t size = (uint32_t)made_size;
    memcpy(made, &size, 4);
}

static inline void put_text(uint32_t type, const char *text)
{
    size_t tag = tag_begin(type);
    put(text, strlen(text) + 1);
    tag_end(tag);
}

static inline void put_module(uint32_t start, uint32_t end, const char *name)
{
    size_t tag = tag_begin(3);
    put32(start);
    put32(end);
    put(name, strlen(name) + 1);
    tag_end(tag);
}

static inline size_t map_begin(void)
{
    size_t tag = tag_begin(6);
    put32(24);
    put32(0);
    return tag;
}

static inline void put_range(uint64_t base, uint64_t length, uint32_t type)
{
    put64(base);
    put64(length);
    put32(type);
    put32(0);
}

static inline void put_small_machine(void)
{
    size_t tag = map_begin();
    put_range(0, 0x9f000, 1);
    put_range(0x9f000, 0x1000, 2);
    put_range(0x100000, 0x7ef0000, 1);
    put_range(0x7ff0000, 0x10000, 3);
    tag_end(tag);
}

static inline void put_framebuffer(uint64_t address, uint32_t pitch, uint32_t width,
                                   uint32_t height, uint8_t bpp, uint8_t type)
{
    size_t tag = tag_begin(8);
    put64(address);
    put32(pitch);
    put32(width);
    put32(height);
    put8(bpp);
    put8(type);
    put8(0);
    put8(0);
    const uint8_t fields[6] = {16, 8, 8, 8, 0, 8};
    put(fields, 6);
    tag_end(tag);
}

// The bytes lie at the very end of an allocation, so that reading past them is caught.
static inline status_t parse(void)
{
    uint8_t *copy = malloc(made_size + 1);
    memcpy(copy + 1, made, made_size);
    status_t status = bootinfo_parse(&info, copy + 1, made_size);
    free(copy);
    return status;
}

static inline bool noted(const char *words)
{
    for (uint32_t i = 0; i < info.notes.count; i++) {
        if (strstr(info.notes.line[i].text, words) != NULL)
            return true;
    }
    return false;
}

static inline uint64_t usable_bytes(void)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < info.memory_count; i++)
        if (info.memory[i].type == MEMORY_USABLE)
            total += info.memory[i].end - info.memory[i].start;
    return total;
}
