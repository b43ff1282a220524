// Called for each VM with firmware. QEMU's hw/acpi/bios-linker-loader.c documents the commands in
// its comments.
#include "loaders/acpi_commands.h"

#include "lib/bytes.h"
#include "lib/string.h"

enum command {
    COMMAND_ALLOCATE = 1, // file, alignment, zone: reads a file into memory
    COMMAND_ADD_POINTER,  // file, file, offset in the first, width: adds the second one's address
    COMMAND_ADD_CHECKSUM, // file, offset, start, length
};

enum zone {
    ZONE_HIGH = 1, // anywhere below 4 GiB
    ZONE_BIOS,     // where guests scan for it
};

// Offsets in a command. A file's name has 56 bytes.
#define FIRST_FILE         4
#define ALLOCATE_ALIGNMENT 60
#define ALLOCATE_ZONE      64
#define POINTER_FILE       60
#define POINTER_OFFSET     116
#define POINTER_WIDTH      120
#define CHECKSUM_OFFSET    60
#define CHECKSUM_START     64
#define CHECKSUM_LENGTH    68

static void put_name(uint8_t *to, const char *name)
{
    memcpy(to, name, strlen(name));
}

static uint8_t *add(uint8_t **next, enum command command, const char *file)
{
    uint8_t *bytes = *next;
    memset(bytes, 0, ACPI_COMMAND);
    put32(bytes, command);
    put_name(bytes + FIRST_FILE, file);
    *next += ACPI_COMMAND;
    return bytes;
}

static void allocate(uint8_t **next, const char *file, uint32_t alignment, enum zone zone)
{
    uint8_t *command = add(next, COMMAND_ALLOCATE, file);
    put32(command + ALLOCATE_ALIGNMENT, alignment);
    command[ALLOCATE_ZONE] = (uint8_t)zone;
}

// Which file holds it, and where that begins among the tables.
static const char *file_of(uint32_t at, uint32_t *begin)
{
    bool is_rsdp = at < ACPI_ALIGN;
    *begin = is_rsdp ? 0 : ACPI_ALIGN;
    return is_rsdp ? ACPI_FILE_RSDP : ACPI_FILE_TABLES;
}

uint32_t acpi_commands(struct acpi_tables *tables, uint8_t to[ACPI_COMMANDS * ACPI_COMMAND])
{
    uint8_t *next = to, *command;
    uint32_t begin;
    acpi_move(tables, -(uint32_t)ACPI_ALIGN); // all lead to the second file
    allocate(&next, ACPI_FILE_RSDP, 16, ZONE_BIOS);
    allocate(&next, ACPI_FILE_TABLES, ACPI_ALIGN, ZONE_HIGH);
    for (unsigned i = 0; i < tables->pointer_count; i++) {
        const struct acpi_pointer *pointer = &tables->pointer[i];
        command = add(&next, COMMAND_ADD_POINTER, file_of(pointer->at, &begin));
        put_name(command + POINTER_FILE, ACPI_FILE_TABLES);
        put32(command + POINTER_OFFSET, pointer->at - begin);
        command[POINTER_WIDTH] = pointer->width;
    }
    for (unsigned i = 0; i < tables->checksum_count; i++) {
        const struct acpi_checksum *sum = &tables->checksum[i];
        command = add(&next, COMMAND_ADD_CHECKSUM, file_of(sum->at, &begin));
        put32(command + CHECKSUM_OFFSET, sum->at - begin);
        put32(command + CHECKSUM_START, sum->start - begin);
        put32(command + CHECKSUM_LENGTH, sum->length);
    }
    return (uint32_t)(next - to);
}
