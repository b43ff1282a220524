// A terminal on which several consoles print and at which somebody types: what it shows.
#pragma once

#include "tests/unit/support.h"

#include "monitor/mux_messages.h"

#define RING 64

static char shown[65536], debugged[512];
static size_t length, room;

static inline bool can_write(size_t bytes)
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

static inline void debug(const char *text, size_t count)
{
    assert_true(strlen(debugged) + count < sizeof(debugged));
    strncat(debugged, text, count);
}

static const struct mux_output output = {can_write, write_bytes, write_bytes, debug};

static struct mux mux;
static struct mux_channel channels[3];
static uint8_t rings[3][RING];

// So many VMs: a, b, c.
static inline void begin(unsigned count)
{
    static const char *const names[] = {"a", "b", "c"};
    length = 0;
    shown[0] = debugged[0] = 0;
    room = SIZE_MAX;
    mux_init(&mux, &output);
    mux_messages_init(&mux);
    for (unsigned i = 0; i < count; i++)
        mux_attach(&mux, i, &channels[i], names[i], rings[i], RING);
}

static inline bool put(unsigned slot, char byte)
{
    mux_show(&mux);
    bool taken = vm_console_put(&channels[slot].console, (uint8_t)byte);
    mux_show(&mux);
    return taken;
}

static inline void print(unsigned slot, const char *text)
{
    for (; *text; text++)
        assert_true(vm_console_put(&channels[slot].console, (uint8_t)*text) || put(slot, *text));
    mux_show(&mux);
}

// What waits for a guest: the next byte, or -1; and the same, taken.
static inline int peek(unsigned slot)
{
    return ring_peek(&channels[slot].console.typed);
}

static inline int take(unsigned slot)
{
    return ring_get(&channels[slot].console.typed);
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
