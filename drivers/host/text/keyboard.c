// Scan codes to bytes: see keyboard.h.

#include "drivers/host/text/keyboard.h"
#include "lib/string.h"

#define CODE_EXTENDED 0xe0U
#define CODE_RELEASED 0x80U

enum scan_code {
    KEY_LEFT_SHIFT = 0x2a,
    KEY_RIGHT_SHIFT = 0x36,
    KEY_CONTROL = 0x1d, // the right one is extended
    KEY_CAPS_LOCK = 0x3a,
    KEY_SLASH = 0x35, // extended: the keypad's
    KEY_ENTER = 0x1c,
};

#define KEYS 0x3a

static const char plain[KEYS + 1] =
    "\0\0331234567890-=\177\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[KEYS + 1] =
    "\0\033!@#$%^&*()_+\177\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";

static const struct {
    uint8_t code;
    char sends[5];
} extended[] = {
    {0x48, "\033[A"},  {0x50, "\033[B"},  {0x4d, "\033[C"},  {0x4b, "\033[D"},
    {0x47, "\033[H"},  {0x4f, "\033[F"},  {0x52, "\033[2~"}, {0x53, "\033[3~"},
    {0x49, "\033[5~"}, {0x51, "\033[6~"}, {KEY_ENTER, "\r"}, {KEY_SLASH, "/"},
};

// True if the key is one that only changes what others mean.
static bool modifier(struct keyboard *keyboard, uint8_t key, bool is_down)
{
    uint8_t *held = NULL, bit = 1;
    if (key == KEY_CONTROL) {
        held = &keyboard->controls;
        bit = keyboard->is_extended ? 2 : 1;
    } else if ((key == KEY_LEFT_SHIFT || key == KEY_RIGHT_SHIFT) && !keyboard->is_extended) {
        held = &keyboard->shifts;
        bit = key == KEY_RIGHT_SHIFT ? 2 : 1;
    }
    if (held) {
        *held = (uint8_t)(is_down ? *held | bit : *held & ~bit);
        return true;
    }
    if (key == KEY_CAPS_LOCK && is_down)
        keyboard->is_caps = !keyboard->is_caps;
    return key == KEY_CAPS_LOCK;
}

static char character(const struct keyboard *keyboard, uint8_t key)
{
    char c = plain[key];
    bool is_letter = c >= 'a' && c <= 'z';
    if (keyboard->controls && (is_letter || (c >= '[' && c <= ']')))
        return (char)(c & 0x1f);
    return (keyboard->shifts != 0) != (keyboard->is_caps && is_letter) ? shifted[key] : c;
}

unsigned keyboard_take(struct keyboard *keyboard, uint8_t code, char bytes[KEYBOARD_BYTES_MAX])
{
    if (code == CODE_EXTENDED) {
        keyboard->is_extended = true;
        return 0;
    }
    uint8_t key = (uint8_t)(code & ~CODE_RELEASED);
    bool is_down = !(code & CODE_RELEASED), is_modifier = modifier(keyboard, key, is_down);
    bool is_extended = keyboard->is_extended;
    keyboard->is_extended = false;
    if (is_modifier || !is_down)
        return 0;
    if (is_extended) {
        for (size_t i = 0; i < ARRAY_LENGTH(extended); i++) {
            size_t length = strlen(extended[i].sends);
            if (extended[i].code == key) {
                memcpy(bytes, extended[i].sends, length);
                return (unsigned)length;
            }
        }
        return 0;
    }
    if (key >= KEYS || plain[key] == '\0')
        return 0;
    bytes[0] = character(keyboard, key);
    return 1;
}
