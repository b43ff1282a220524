// The ELF reader that the Multiboot and PVH loaders share. The file may be anything: each offset is
// checked against its size before a byte is read.

#include "loaders/elf.h"

#include "lib/string.h"
#include "lib/bytes.h"
#include "loaders/loading.h"

#define CLASS_32        1
#define CLASS_64        2
#define LITTLE_ENDIAN   1
#define TYPE_EXECUTABLE 2
#define TYPE_SHARED     3

#define HEADER_32  52
#define HEADER_64  64
#define SEGMENT_32 32
#define SEGMENT_64 56
#define SECTION_32 40
#define SECTION_64 64

#define NOTE_HEADER 12
#define LINKER_PAGE UINT64_C(0x10000) // at most

static bool inside(const struct image *image, uint64_t offset, uint64_t size)
{
    return offset <= image->size && size <= image->size - offset;
}

static status_t check_identity(const struct image *image, struct explanation *why)
{
    const uint8_t *b = image->bytes;
    if (image->size < 4 || memcmp(b, "\177ELF", 4) != 0)
        return explain(why, STATUS_INVALID, "%s: not an ELF file", image->name);
    if (image->size < HEADER_32 || (b[4] == CLASS_64 && image->size < HEADER_64))
        return explain(why, STATUS_TRUNCATED,
                       "%s: the file ends inside its ELF header (%lu bytes); copy it again",
                       image->name, image->size);
    uint16_t type = get16(b + 16), machine = get16(b + 18);
    if ((b[4] != CLASS_32 && b[4] != CLASS_64) || b[5] != LITTLE_ENDIAN ||
        (machine != ELF_MACHINE_386 && machine != ELF_MACHINE_X86_64))
        return explain(why, STATUS_UNSUPPORTED,
                       "%s: an ELF file for another machine (number %u); build it for x86",
                       image->name, machine);
    if (type != TYPE_EXECUTABLE && type != TYPE_SHARED)
        return explain(why, STATUS_UNSUPPORTED,
                       "%s: an ELF file of type %u, no executable; link it first", image->name,
                       type);
    return STATUS_OK;
}

// A number as wide as the file's class, at its place in the structures of either.
static uint64_t number(const struct elf *elf, const uint8_t *in, unsigned at_32, unsigned at_64)
{
    return elf->is_64 ? get64(in + at_64) : get32(in + at_32);
}

status_t elf_open(const struct image *image, struct elf *elf, struct explanation *why)
{
    status_t status = check_identity(image, why);
    if (status != STATUS_OK)
        return status;
    const uint8_t *b = image->bytes;
    *elf = (struct elf){.image = image, .is_64 = b[4] == CLASS_64};
    elf->entry = number(elf, b, 24, 24);
    elf->segments_at = number(elf, b, 28, 32);
    elf->sections_at = number(elf, b, 32, 40);
    const uint8_t *counts = b + (elf->is_64 ? 54 : 42);
    elf->segment_size = get16(counts);
    elf->segment_count = get16(counts + 2);
    elf->section_size = get16(counts + 4);
    elf->section_count = get16(counts + 6);
    if (elf->segment_count == 0)
        return explain(why, STATUS_INVALID, "%s: an ELF file without segments; nothing to load",
                       image->name);
    if (elf->segment_count > ELF_SEGMENTS)
        return explain(why, STATUS_FULL,
                       "%s: an ELF file with %u program headers; link it with at most %d",
                       image->name, elf->segment_count, ELF_SEGMENTS);
    if (elf->segment_size < (elf->is_64 ? SEGMENT_64 : SEGMENT_32) ||
        !inside(image, elf->segments_at, (uint64_t)elf->segment_size * elf->segment_count))
        return explain(why, STATUS_TRUNCATED,
                       "%s: the file (%lu bytes) ends before its %u program headers; copy it again",
                       image->name, image->size, elf->segment_count);
    if (elf->section_size < (elf->is_64 ? SECTION_64 : SECTION_32) ||
        !inside(image, elf->sections_at, (uint64_t)elf->section_size * elf->section_count))
        elf->section_count = 0;
    return STATUS_OK;
}

status_t elf_segment(const struct elf *elf, unsigned index, struct elf_segment *segment,
                     struct explanation *why)
{
    const struct image *image = elf->image;
    const uint8_t *b = image->bytes + elf->segments_at + (uint64_t)index * elf->segment_size;
    *segment = (struct elf_segment){
        .type = get32(b),
        .offset = number(elf, b, 4, 8),
        .linear = number(elf, b, 8, 16),
        .physical = number(elf, b, 12, 24),
        .file_size = number(elf, b, 16, 32),
        .memory_size = number(elf, b, 20, 40),
        .alignment = number(elf, b, 28, 48),
    };
    if (segment->type != ELF_SEGMENT_LOAD && segment->type != ELF_SEGMENT_NOTE)
        return STATUS_OK;
    if (!inside(image, segment->offset, segment->file_size))
        return explain(why, STATUS_TRUNCATED,
                       "%s: segment %u needs bytes 0x%lx to 0x%lx, the file has %lu; copy it again",
                       image->name, index, segment->offset, segment->offset + segment->file_size,
                       image->size);
    if (segment->type == ELF_SEGMENT_LOAD && segment->memory_size < segment->file_size)
        return explain(why, STATUS_INVALID,
                       "%s: segment %u is larger in the file than in memory; the file is damaged",
                       image->name, index);
    return STATUS_OK;
}

// What is looked for, and how many more notes are looked at: segments may lie over each other.
struct note_search {
    const char *name;
    uint32_t type;
    unsigned left;
    const uint8_t *bytes; // what was found
    uint64_t size;
};

// One note segment. What follows a note's name, and the next note, is aligned as the segment is: to
// 4 bytes, or to 8 as some linkers do for 64 bits.
static bool find_note(struct note_search *search, const uint8_t *b, uint64_t size,
                      uint64_t alignment)
{
    size_t name_size = strlen(search->name) + 1;
    if (alignment != 8)
        alignment = 4;
    for (; size >= NOTE_HEADER && search->left; search->left--) {
        uint64_t content = align_up(NOTE_HEADER + (uint64_t)get32(b), alignment);
        uint64_t length = get32(b + 4);
        if (content > size || length > size - content)
            return false;
        if (get32(b) == name_size && memcmp(b + NOTE_HEADER, search->name, name_size) == 0 &&
            get32(b + 8) == search->type) {
            search->bytes = b + content;
            search->size = length;
            return true;
        }
        uint64_t whole = MIN(align_up(content + length, alignment), size);
        b += whole;
        size -= whole;
    }
    return false;
}

status_t elf_note(const struct elf *elf, const char *name, uint32_t type, const uint8_t **bytes,
                  uint64_t *size)
{
    struct note_search search = {name, type, ELF_NOTES, NULL, 0};
    for (unsigned i = 0; i < elf->segment_count; i++) {
        struct elf_segment s;
        if (elf_segment(elf, i, &s, NULL) != STATUS_OK || s.type != ELF_SEGMENT_NOTE ||
            !find_note(&search, elf->image->bytes + s.offset, s.file_size, s.alignment))
            continue;
        *bytes = search.bytes;
        *size = search.size;
        return STATUS_OK;
    }
    return STATUS_NOT_FOUND;
}

// Linkers put the file's own headers, and padding up to a page, into a segment right below the
// first section: for a kernel linked at 1 MiB that is where the BIOS's ROM lies, which drops them.
// So do we, as long as nothing else is there.
static void drop_headers(const struct elf *elf, struct elf_segment *s)
{
    uint64_t headers = elf->segments_at + (uint64_t)elf->segment_size * elf->segment_count;
    if (s->offset || elf->segments_at != (elf->is_64 ? HEADER_64 : HEADER_32) ||
        s->physical < BIOS_END - LINKER_PAGE || s->physical >= BIOS_END)
        return;
    uint64_t size = MIN(BIOS_END - s->physical, s->file_size);
    for (uint64_t at = headers; at < size; at++)
        if (elf->image->bytes[at])
            return;
    s->offset += size;
    s->file_size -= size;
    s->memory_size -= size;
    s->physical += size;
    s->linear += size;
}

status_t elf_load(const struct elf *elf, struct loading *loading, uint64_t *entry, uint64_t *end)
{
    const char *name = elf->image->name;
    bool is_first = true, entry_found = false;
    *entry = elf->entry;
    *end = 0;
    for (unsigned i = 0; i < elf->segment_count; i++) {
        struct elf_segment s;
        status_t status = elf_segment(elf, i, &s, loading->why);
        if (status != STATUS_OK)
            return status;
        if (s.type != ELF_SEGMENT_LOAD)
            continue;
        if (is_first)
            drop_headers(elf, &s);
        is_first = false;
        if (!s.memory_size)
            continue;
        status = loading_copy(loading, s.physical, elf->image->bytes + s.offset, s.file_size,
                              s.memory_size, name);
        if (status != STATUS_OK)
            return status;
        *end = MAX(*end, s.physical + s.memory_size);
        if (!entry_found && elf->entry - s.linear < s.memory_size) {
            entry_found = true;
            *entry = elf->entry - s.linear + s.physical;
        }
    }
    if (*end == 0)
        return explain(loading->why, STATUS_INVALID, "%s: an ELF file with nothing to load", name);
    return STATUS_OK;
}
