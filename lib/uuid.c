// Texts of UUIDs, and those that are made of a name: the first 16 bytes of a SHA-1. What is hashed
// always fits one block of that.

#include "lib/uuid.h"

#include "lib/string.h"

#define BLOCK     64 // bytes
#define SHA_TAIL  9  // a one behind the message, and its length
#define SHA_WORDS 80
_Static_assert(sizeof(struct uuid) + UUID_NAME + SHA_TAIL <= BLOCK, "it is one block");

static bool is_dash(size_t at)
{
    return at == 8 || at == 13 || at == 18 || at == 23;
}

bool uuid_parse(struct span text, struct uuid *uuid)
{
    struct uuid parsed = {0};
    if (text.length != UUID_TEXT - 1)
        return false;
    for (size_t at = 0, digits = 0; at < text.length; at++) {
        unsigned digit = span_digit(text.at[at]);
        if (is_dash(at) ? text.at[at] != '-' : digit > 15)
            return false;
        if (!is_dash(at)) {
            uint8_t *byte = &parsed.bytes[digits++ / 2];
            *byte = (uint8_t)(*byte << 4 | digit);
        }
    }
    *uuid = parsed;
    return true;
}

void uuid_format(const struct uuid *uuid, char text[UUID_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    for (size_t at = 0, digits = 0; at < UUID_TEXT - 1; at++) {
        if (is_dash(at)) {
            text[at] = '-';
            continue;
        }
        uint8_t byte = uuid->bytes[digits / 2];
        text[at] = hex[digits++ % 2 ? byte & 0xf : byte >> 4];
    }
    text[UUID_TEXT - 1] = 0;
}

static uint32_t rotate(uint32_t value, unsigned bits)
{
    return value << bits | value >> (32 - bits);
}

static void put_big(uint8_t *to, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (24 - 8 * i));
}

// The SHA-1 of a message that is padded to one block. FIPS 180-4: "SHA-1 Hash Computation".
static void hash_block(const uint8_t block[BLOCK], uint32_t hash[5])
{
    static const uint32_t constant[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    static const uint32_t initial[] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint32_t word[SHA_WORDS];
    for (unsigned i = 0; i < SHA_WORDS; i++)
        word[i] = i < BLOCK / 4
                      ? (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                            (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3]
                      : rotate(word[i - 3] ^ word[i - 8] ^ word[i - 14] ^ word[i - 16], 1);
    uint32_t a = initial[0], b = initial[1], c = initial[2], d = initial[3], e = initial[4];
    for (unsigned i = 0; i < SHA_WORDS; i++) {
        unsigned round = i / 20;
        uint32_t mixed = round == 0   ? (b & c) | (~b & d)
                         : round == 2 ? (b & c) | (b & d) | (c & d)
                                      : b ^ c ^ d;
        uint32_t sum = rotate(a, 5) + mixed + e + constant[round] + word[i];
        e = d, d = c, c = rotate(b, 30), b = a, a = sum;
    }
    const uint32_t mixed[] = {a, b, c, d, e};
    for (unsigned i = 0; i < ARRAY_LENGTH(mixed); i++)
        hash[i] = initial[i] + mixed[i];
}

struct uuid uuid_of_name(const char *name)
{
    static const struct span space = {UUID_NAME_SPACE, UUID_TEXT - 1};
    struct uuid uuid = {0};
    uint8_t block[BLOCK] = {0};
    uint32_t hash[5];
    size_t name_length = strnlen(name, UUID_NAME), length = sizeof(uuid.bytes) + name_length;
    (void)uuid_parse(space, &uuid);
    memcpy(block, uuid.bytes, sizeof(uuid.bytes));
    memcpy(block + sizeof(uuid.bytes), name, name_length);
    block[length] = 0x80;
    put_big(block + BLOCK - 4, (uint32_t)length * 8);
    hash_block(block, hash);
    for (unsigned i = 0; i < 4; i++)
        put_big(uuid.bytes + 4 * i, hash[i]);
    uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0f) | 0x50); // version 5
    uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3f) | 0x80); // the variant of RFC 4122
    return uuid;
}

void uuid_to_guid(const struct uuid *uuid, uint8_t guid[16])
{
    static const uint8_t from[] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    for (unsigned i = 0; i < sizeof(from); i++)
        guid[i] = uuid->bytes[from[i]];
}
