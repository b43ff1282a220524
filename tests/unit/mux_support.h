// A terminal on which several consoles print and at which somebody types: what it shows.
#pragma once

#include "tests/unit/support.h"

#include "monitor/mux.h"

#define RING 64

static char shown[65536], kept[256];
static size_t length, room;

static inline bool has_room(size_t bytes)
{
    return bytes <= room;
}

static inline void write_bytes(const char *bytes, size_t count)
{
    assert_true(count > 0 && length + count < sizeof(shown));
    memcpy(shown + length, bytes, count);
    length += count;
    shown[length] = 0;
}

static inline void keep(const char *text, size_t count)
{
    assert_true(strlen(kept) + count < sizeof(kept));
    strncat(kept, text, count);
}

static const struct mux_output output = {has_room, write_bytes, write_bytes, keep};

static struct mux mux;
static struct mux_channel channels[3];
static uint8_t rings[3][RING];

// So many VMs: a, b, c.
static inline void begin(unsigned count)
{
    static const char *const names[] = {"a", "b", "c"};
    length = 0;
    shown[0] = kept[0] = 0;
    room = SIZE_MAX;
    mux_init(&mux, &output);
    for (unsigned i = 0; i < count; i++)
        mux_attach(&mux, i, &channels[i], names[i], rings[i], RING);
}

static inline void print(unsigned slot, const char *text)
{
    for (; *text; text++)
        assert_true(mux_write(&mux, slot, (uint8_t)*text));
}

static inline void type(const char *keys)
{
    for (; *keys; keys++)
        mux_type(&mux, (uint8_t)*keys);
}

static inline void forget_shown(void)
{
    length = 0;
    shown[0] = 0;
}

static inline void assert_shown(const char *expected)
{
    assert_string_equal(shown, expected);
    forget_shown();
}
