// Small ELF files for tests: a header, program headers, and contents at offsets of the test's
// choice.
#pragma once

#include <stdlib.h>
#include <string.h>

#include "lib/bytes.h"
#include "loaders/image.h"

struct elf_file {
    bool is_64;
    unsigned count;
    uint8_t bytes[16384];
};

static inline void elf_file_begin(struct elf_file *file, bool is_64, uint64_t entry)
{
    memset(file, 0, sizeof(*file));
    file->is_64 = is_64;
    uint8_t *b = file->bytes;
    memcpy(b, "\177ELF", 4);
    b[4] = is_64 ? 2 : 1;
    b[5] = b[6] = 1;
    put16(b + 16, 2);
    put16(b + 18, is_64 ? 62 : 3);
    put32(b + 20, 1);
    if (is_64) {
        put64(b + 24, entry);
        put64(b + 32, 64);
        put16(b + 52, 64);
        put16(b + 54, 56);
    } else {
        put32(b + 24, (uint32_t)entry);
        put32(b + 28, 52);
        put16(b + 40, 52);
        put16(b + 42, 32);
    }
}

static inline void elf_file_add(struct elf_file *file, uint32_t type, uint64_t offset,
                                uint64_t physical, uint64_t linear, uint64_t file_size,
                                uint64_t memory_size)
{
    uint8_t *b = file->bytes + (file->is_64 ? 64 + 56 * file->count : 52 + 32 * file->count);
    file->count++;
    put16(file->bytes + (file->is_64 ? 56 : 44), (uint16_t)file->count);
    put32(b, type);
    if (file->is_64) {
        put64(b + 8, offset);
        put64(b + 16, linear);
        put64(b + 24, physical);
        put64(b + 32, file_size);
        put64(b + 40, memory_size);
    } else {
        put32(b + 4, (uint32_t)offset);
        put32(b + 8, (uint32_t)linear);
        put32(b + 12, (uint32_t)physical);
        put32(b + 16, (uint32_t)file_size);
        put32(b + 20, (uint32_t)memory_size);
    }
}

static inline struct image elf_file_image(const struct elf_file *file)
{
    return (struct image){"kernel.elf", file->bytes, sizeof(file->bytes), NULL};
}

// A copy of the first `size` bytes on the heap, so that the sanitizer sees a read beyond them. To
// be freed by free().
static inline struct image cut_image(const struct image *image, uint64_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, image->bytes, size);
    return (struct image){image->name, copy, size, NULL};
}
