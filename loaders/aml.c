// Bytes of AML. Package lengths are inserted when a block ends, in the shortest encoding, as
// compilers do.

#include "loaders/aml.h"

#include "lib/panic.h"
#include "lib/string.h"
#include "lib/bytes.h"

#define OP_ZERO    0x00
#define OP_ONE     0x01
#define OP_NAME    0x08
#define OP_BYTE    0x0a
#define OP_WORD    0x0b
#define OP_DWORD   0x0c
#define OP_QWORD   0x0e
#define OP_SCOPE   0x10
#define OP_BUFFER  0x11
#define OP_PACKAGE 0x12
#define OP_EXT     0x5b
#define OP_DEVICE  0x82 // after OP_EXT

static void append(struct aml *aml, const void *bytes, size_t length)
{
    if (aml->overflow || length > aml->size - aml->used) {
        aml->overflow = true;
        return;
    }
    memcpy(aml->bytes + aml->used, bytes, length);
    aml->used += length;
}

static void append_byte(struct aml *aml, uint8_t byte)
{
    append(aml, &byte, 1);
}

static void append_name(struct aml *aml, const char *name)
{
    append(aml, name, strlen(name));
}

size_t aml_begin_scope(struct aml *aml, const char *name)
{
    append_byte(aml, OP_SCOPE);
    size_t at = aml->used;
    append_name(aml, name);
    return at;
}

size_t aml_begin_device(struct aml *aml, const char *name)
{
    append_byte(aml, OP_EXT);
    append_byte(aml, OP_DEVICE);
    size_t at = aml->used;
    append_name(aml, name);
    return at;
}

size_t aml_begin_package(struct aml *aml, uint8_t elements)
{
    append_byte(aml, OP_PACKAGE);
    size_t at = aml->used;
    append_byte(aml, elements);
    return at;
}

// The length counts its own bytes: 6 bits in one byte, or 4 bits and one to three further bytes.
static unsigned encode_length(size_t content, uint8_t encoded[4])
{
    if (content + 1 < 0x40) {
        encoded[0] = (uint8_t)(content + 1);
        return 1;
    }
    unsigned bytes = content + 2 < 0x1000 ? 2 : content + 3 < 0x100000 ? 3 : 4;
    size_t length = content + bytes;
    encoded[0] = (uint8_t)((bytes - 1) << 6 | (length & 0xf));
    for (unsigned i = 1; i < bytes; i++)
        encoded[i] = (uint8_t)(length >> (4 + 8 * (i - 1)));
    return bytes;
}

void aml_end(struct aml *aml, size_t at)
{
    uint8_t encoded[4];
    size_t content = aml->used - at;
    unsigned bytes = encode_length(content, encoded);
    if (aml->overflow || bytes > aml->size - aml->used) {
        aml->overflow = true;
        return;
    }
    memmove(aml->bytes + at + bytes, aml->bytes + at, content);
    memcpy(aml->bytes + at, encoded, bytes);
    aml->used += bytes;
}

void aml_name(struct aml *aml, const char *name)
{
    append_byte(aml, OP_NAME);
    append_name(aml, name);
}

void aml_integer(struct aml *aml, uint64_t value)
{
    if (value <= 1) {
        append_byte(aml, value ? OP_ONE : OP_ZERO);
        return;
    }
    unsigned size = value <= 0xff ? 1 : value <= 0xffff ? 2 : value <= 0xffffffff ? 4 : 8;
    append_byte(aml, size == 1 ? OP_BYTE : size == 2 ? OP_WORD : size == 4 ? OP_DWORD : OP_QWORD);
    append(aml, &value, size);
}

static uint32_t hex_digit(char c)
{
    return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

// Five bits a letter, four a digit, the bytes in reverse order.
void aml_eisa_id(struct aml *aml, const char *id)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 3; i++)
        value = value << 5 | ((uint32_t)(id[i] - 'A' + 1) & 0x1f);
    for (unsigned i = 3; i < 7; i++)
        value = value << 4 | hex_digit(id[i]);
    aml_integer(aml, __builtin_bswap32(value));
}

static uint8_t *descriptor(struct aml_resources *resources, size_t length)
{
    assert(length + 2 <= AML_RESOURCES - resources->used); // the end tag must fit as well
    uint8_t *bytes = resources->bytes + resources->used;
    memset(bytes, 0, length);
    resources->used += length;
    return bytes;
}

void aml_ports(struct aml_resources *resources, uint16_t first, uint8_t count)
{
    uint8_t *d = descriptor(resources, 8);
    d[0] = 0x47; // I/O port descriptor
    d[1] = 1;    // decodes 16 bits
    put16(d + 2, first);
    put16(d + 4, first);
    d[6] = 1; // alignment
    d[7] = count;
}

void aml_irq(struct aml_resources *resources, unsigned irq)
{
    uint8_t *d = descriptor(resources, 3);
    d[0] = 0x22; // IRQ descriptor without flags
    put16(d + 1, (uint16_t)BIT32(irq));
}

// An address space descriptor, of words or double words.
void aml_range(struct aml_resources *resources, enum aml_space space, uint32_t first, uint32_t last)
{
    static const uint8_t flags[] = {[AML_MEMORY] = 1, [AML_PORTS] = 3, [AML_BUS] = 0};
    const uint32_t numbers[] = {0, first, last, 0, last - first + 1}; // granularity, translation: 0
    unsigned width = space == AML_MEMORY ? 4 : 2;
    size_t length = 6 + ARRAY_LENGTH(numbers) * width;
    uint8_t *d = descriptor(resources, length);
    d[0] = space == AML_MEMORY ? 0x87 : 0x88;
    put16(d + 1, (uint16_t)(length - 3));
    d[3] = (uint8_t)space;
    d[4] = 0x0c; // minimum and maximum are fixed
    d[5] = flags[space];
    for (unsigned i = 0; i < ARRAY_LENGTH(numbers); i++)
        memcpy(d + 6 + i * width, &numbers[i], width);
}

void aml_resources_end(struct aml *aml, struct aml_resources *resources)
{
    resources->bytes[resources->used++] = 0x79; // end tag
    resources->bytes[resources->used++] = 0;    // no checksum
    append_byte(aml, OP_BUFFER);
    size_t at = aml->used;
    aml_integer(aml, resources->used);
    append(aml, resources->bytes, resources->used);
    aml_end(aml, at);
}
