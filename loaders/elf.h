// ELF files of 32 and 64 bits for x86, read with every bound checked: headers, segments and notes.
// ELF specification: "ELF Header", "Program Header", "Note Section".
#pragma once

#include "lib/status.h"
#include "loaders/image.h"

struct loading;

#define ELF_MACHINE_386    3
#define ELF_MACHINE_X86_64 62

#define ELF_SEGMENT_LOAD 1
#define ELF_SEGMENT_NOTE 4

// A file is read between two looks at the time: Linux allows as many program headers (a page of
// them), and kernels have some dozen notes.
#define ELF_SEGMENTS 128
#define ELF_NOTES    4096

struct elf {
    const struct image *image;
    bool is_64;
    uint64_t entry;
    uint64_t segments_at; // file offset of the program headers
    unsigned segment_size;
    unsigned segment_count; // at most ELF_SEGMENTS
    // The section headers, for Multiboot's boot information. Count 0: none, or outside the file.
    uint64_t sections_at;
    unsigned section_size;
    unsigned section_count;
};

struct elf_segment {
    uint32_t type;
    uint64_t offset;
    uint64_t file_size;
    uint64_t memory_size; // at least file_size
    uint64_t physical;
    uint64_t linear;
    uint64_t alignment;
};

// Reads the header of an executable for the 386 or x86-64 and checks that its program headers lie
// in the file.
MUST_CHECK status_t elf_open(const struct image *image, struct elf *elf, struct explanation *why);

// Program header number `index` (below segment_count). The bytes of segments to load and of notes
// lie in the file.
MUST_CHECK status_t elf_segment(const struct elf *elf, unsigned index, struct elf_segment *segment,
                                struct explanation *why);

// Finds a note: its owner is `name`, its type `type`. *bytes then points to *size bytes in the
// file. STATUS_NOT_FOUND: there is none among the first ELF_NOTES (not explained).
MUST_CHECK status_t elf_note(const struct elf *elf, const char *name, uint32_t type,
                             const uint8_t **bytes, uint64_t *size);

// Puts every segment to load at its physical address. *end becomes the end of the highest one, and
// *entry the physical address of the ELF entry point if a segment holds it by its linear address,
// else the entry point as it stands.
MUST_CHECK status_t elf_load(const struct elf *elf, struct loading *loading, uint64_t *entry,
                             uint64_t *end);
