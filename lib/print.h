// Formatted text, without allocation: into a buffer, or into a printer (anything that takes
// characters).
//
// Conversions: %d %u %x %c %s %%, flags - 0 #, width and precision (also *), lengths l ll z.
#pragma once

#include <stdarg.h>

#include "lib/bits.h"

struct printer {
    void (*write)(struct printer *, const char *text, size_t length);
};

// Writes at most `size` bytes including the terminating NUL (none if `size` is 0). Returns the
// length of the whole text, as snprintf does.
__attribute__((format(printf, 3, 4))) size_t format_text(char *buffer, size_t size,
                                                         const char *format, ...);
__attribute__((format(printf, 3, 0))) size_t format_text_va(char *buffer, size_t size,
                                                            const char *format, va_list arguments);

// Sends the text to `to` in pieces of any length.
__attribute__((format(printf, 2, 3))) void print_to(struct printer *to, const char *format, ...);
__attribute__((format(printf, 2, 0))) void print_to_va(struct printer *to, const char *format,
                                                       va_list arguments);
