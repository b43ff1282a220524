// See guest_text.h. ECMA-48: control functions; xterm's "Control Sequences": which of them ask.

#include "monitor/guest_text.h"

#include "lib/print.h"
#include "lib/string.h"

#define ENQ      0x05
#define BEL      0x07
#define CAN      0x18
#define SUB      0x1a
#define ESC      0x1b
#define DELETE   0x7f
#define C1_DCS   0x90
#define C1_SOS   0x98
#define C1_DECID 0x9a
#define C1_CSI   0x9b
#define C1_ST    0x9c
#define C1_OSC   0x9d
#define C1_APC   0x9f

static void hold(struct guest_text *text, uint8_t byte)
{
    if (text->length < GUEST_TEXT_HELD)
        text->held[text->length++] = byte;
}

size_t guest_text_flush(struct guest_text *text, char out[GUEST_TEXT_MOST])
{
    size_t length = text->length;
    memcpy(out, text->held, length);
    text->length = 0;
    text->state = TEXT_GROUND;
    return length;
}

static bool continues(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

// Bytes behind the first one of a character; 0: it is no first one of several.
static unsigned missing_behind(uint8_t byte)
{
    return byte < 0xc2 ? 0 : byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : byte < 0xf5 ? 3 : 0;
}

// ---- as text alone ----

// A character that has a shape of its own and leaves the order of the others: no control, no mark
// of direction, no end of a line, none of UTF-16's halves.
static bool is_plain(const uint8_t *bytes, unsigned length)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t code = bytes[0] & (0x7fU >> length);
    for (unsigned i = 1; i < length; i++)
        code = code << 6 | (bytes[i] & 0x3f);
    return code >= least[length] && code >= 0xa0 && code <= 0x10ffff &&
           !(code >= 0xd800 && code < 0xe000) && !(code >= 0x200e && code <= 0x200f) &&
           !(code >= 0x2028 && code <= 0x202e) && !(code >= 0x2060 && code <= 0x206f) &&
           code != 0x061c && code != 0xfeff;
}

static size_t put_numbers(struct guest_text *text, char *out)
{
    size_t length = 0;
    for (unsigned i = 0; i < text->length; i++)
        length += format_text(out + length, GUEST_TEXT_MOST - length, "\\x%02x", text->held[i]);
    text->length = 0;
    return length;
}

// The end of a character, or of what was to be one.
static size_t put_held(struct guest_text *text, char *out)
{
    bool is_whole = text->length && !text->missing && is_plain(text->held, text->length);
    text->missing = 0;
    return is_whole ? guest_text_flush(text, out) : put_numbers(text, out);
}

size_t guest_text_plain(struct guest_text *text, uint8_t byte, char out[GUEST_TEXT_MOST])
{
    if (text->missing && continues(byte)) {
        hold(text, byte);
        return --text->missing ? 0 : put_held(text, out);
    }
    size_t length = put_held(text, out);
    if (byte == '\r') {
        text->has_cr = text->in_line;
        return length;
    }
    if (text->has_cr && byte != '\n')
        length += format_text(out + length, GUEST_TEXT_MOST - length, "^M");
    text->has_cr = false;
    text->in_line = byte != '\n';
    if ((byte >= ' ' && byte < DELETE) || byte == '\t' || byte == '\n')
        out[length++] = (char)byte;
    else if (byte < ' ' || byte == DELETE)
        length += format_text(out + length, GUEST_TEXT_MOST - length, "^%c", byte ^ 0x40);
    else if ((text->missing = missing_behind(byte)))
        hold(text, byte);
    else
        length += format_text(out + length, GUEST_TEXT_MOST - length, "\\x%02x", byte);
    return length;
}

// ---- without questions ----

// Whether the terminal answers nothing to the sequence that is held, and `final`.
static bool is_silent(const struct guest_text *text, uint8_t final)
{
    const uint8_t *at = text->held + text->parameters, *end = text->held + text->length;
    bool is_private = at < end && *at >= '<' && *at <= '?';
    if (text->length == GUEST_TEXT_HELD)
        return false;
    if (is_private && *at != '?')
        return false;
    for (; at < end; at++)
        if (*at < '0') // an intermediate byte: the cursor's shape, a soft reset
            return at + 1 == end && ((*at == ' ' && final == 'q') || (*at == '!' && final == 'p'));
    return strchr(is_private ? "hlJK" : "@ABCDEFGHIJKLMPSTXZ`abdefghlmrsu", final) != NULL;
}

// A control function of 8 bits, or ESC and that byte less 40H; it is held.
static size_t begin_function(struct guest_text *text, uint8_t c1, char *out)
{
    text->state = TEXT_GROUND;
    text->parameters = text->length;
    if (c1 == C1_CSI)
        text->state = TEXT_CSI;
    else if (c1 == C1_DCS || c1 == C1_SOS || (c1 >= C1_OSC && c1 <= C1_APC))
        text->state = TEXT_STRING;
    else if (c1 != C1_DECID)
        return guest_text_flush(text, out);
    if (text->state != TEXT_CSI)
        text->length = 0;
    return 0;
}

static size_t replay_ground(struct guest_text *text, uint8_t byte, char *out)
{
    text->length = 0;
    text->state = TEXT_GROUND;
    if (byte == ENQ)
        return 0;
    if (byte == ESC || byte == 0xc2 || (byte >= 0x80 && byte < 0xa0)) {
        hold(text, byte);
        text->state = byte == ESC ? TEXT_ESCAPE : TEXT_LEAD;
        return byte < 0xa0 && byte != ESC ? begin_function(text, byte, out) : 0;
    }
    text->missing = missing_behind(byte);
    if (text->missing)
        text->state = TEXT_BODY;
    out[0] = (char)byte;
    return 1;
}

// Inside of a sequence controls do what they do elsewhere.
static size_t replay_control(struct guest_text *text, uint8_t byte, char *out)
{
    if (byte == ESC || byte == CAN || byte == SUB)
        return replay_ground(text, byte, out);
    out[0] = (char)byte;
    return byte != ENQ;
}

static size_t replay_sequence(struct guest_text *text, uint8_t byte, char *out)
{
    bool is_csi = text->state == TEXT_CSI;
    if (byte < ' ')
        return replay_control(text, byte, out);
    if (byte >= DELETE)
        return replay_ground(text, byte, out);
    bool is_silent_one = is_csi ? is_silent(text, byte) : text->length < GUEST_TEXT_HELD;
    hold(text, byte);
    if (byte < (is_csi ? '@' : '0'))
        return 0;
    if (!is_csi && text->length == 2 && byte >= '@' && byte < '`')
        return begin_function(text, byte + 0x40, out);
    if (!is_silent_one)
        text->length = 0;
    return guest_text_flush(text, out);
}

size_t guest_text_replay(struct guest_text *text, uint8_t byte, char out[GUEST_TEXT_MOST])
{
    switch (text->state) {
    case TEXT_GROUND:
        break;
    case TEXT_LEAD:
        hold(text, byte);
        if (continues(byte))
            return byte < 0xa0 ? begin_function(text, byte, out) : guest_text_flush(text, out);
        out[0] = (char)text->held[0];
        return 1 + replay_ground(text, byte, out + 1);
    case TEXT_BODY:
        if (!continues(byte))
            break;
        text->state = --text->missing ? TEXT_BODY : TEXT_GROUND;
        out[0] = (char)byte;
        return 1;
    case TEXT_ESCAPE:
    case TEXT_CSI:
        return replay_sequence(text, byte, out);
    case TEXT_STRING:
        if (byte == ESC)
            return replay_ground(text, byte, out);
        if (byte == BEL || byte == C1_ST || byte == CAN || byte == SUB)
            text->state = TEXT_GROUND;
        return 0;
    }
    return replay_ground(text, byte, out);
}
