// The formatter behind every line that we print.

#include "lib/print.h"

#include "lib/status.h"
#include "lib/string.h"

struct conversion {
    bool left, alternate;
    char pad;
    int width, precision; // precision -1: none given
    bool is_long;
};

static void pad_to(struct printer *to, char pad, int count)
{
    for (; count > 0; count--)
        to->write(to, &pad, 1);
}

static void print_padded(struct printer *to, const struct conversion *c, const char *prefix,
                         const char *text, int length)
{
    int prefix_length = (int)strlen(prefix);
    int zeros = c->precision > length ? c->precision - length : 0;
    int fill = c->width - prefix_length - zeros - length;
    if (c->pad == '0' && !c->left && c->precision < 0) {
        zeros = fill > 0 ? fill : 0;
        fill = 0;
    }
    if (!c->left)
        pad_to(to, ' ', fill);
    to->write(to, prefix, (size_t)prefix_length);
    pad_to(to, '0', zeros);
    to->write(to, text, (size_t)length);
    if (c->left)
        pad_to(to, ' ', fill);
}

static void print_number(struct printer *to, const struct conversion *c, uint64_t value,
                         unsigned base, const char *prefix)
{
    char digits[20];
    int at = sizeof(digits);
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    print_padded(to, c, prefix, digits + at, (int)sizeof(digits) - at);
}

static void print_string(struct printer *to, const struct conversion *given, const char *text)
{
    struct conversion c = *given;
    if (!text)
        text = "(null)";
    size_t limit = c.precision < 0 ? SIZE_MAX : (size_t)c.precision;
    c.precision = -1;
    c.pad = ' ';
    print_padded(to, &c, "", text, (int)strnlen(text, limit));
}

static int number_in_format(const char **format, va_list *arguments)
{
    int value = 0;
    if (**format == '*') {
        (*format)++;
        return va_arg(*arguments, int);
    }
    for (; **format >= '0' && **format <= '9'; (*format)++)
        value = value * 10 + (**format - '0');
    return value;
}

static const char *parse_conversion(const char *format, struct conversion *c, va_list *arguments)
{
    *c = (struct conversion){.pad = ' ', .precision = -1};
    for (;; format++) {
        if (*format == '-')
            c->left = true;
        else if (*format == '#')
            c->alternate = true;
        else if (*format == '0')
            c->pad = '0';
        else
            break;
    }
    c->width = number_in_format(&format, arguments);
    if (c->width < 0) {
        c->left = true;
        c->width = -c->width;
    }
    if (*format == '.') {
        format++;
        c->precision = number_in_format(&format, arguments);
    }
    for (; *format == 'l' || *format == 'z'; format++)
        c->is_long = true;
    return format;
}

static void print_conversion(struct printer *to, const struct conversion *c, char kind,
                             va_list *arguments)
{
    switch (kind) {
    case 'd': {
        int64_t value = c->is_long ? va_arg(*arguments, long) : va_arg(*arguments, int);
        uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
        print_number(to, c, magnitude, 10, value < 0 ? "-" : "");
        break;
    }
    case 'u':
    case 'x': {
        uint64_t value =
            c->is_long ? va_arg(*arguments, unsigned long) : va_arg(*arguments, unsigned);
        print_number(to, c, value, kind == 'x' ? 16 : 10, c->alternate ? "0x" : "");
        break;
    }
    case 'c': {
        char text[2] = {(char)va_arg(*arguments, int), 0};
        print_padded(to, c, "", text, 1);
        break;
    }
    case 's':
        print_string(to, c, va_arg(*arguments, const char *));
        break;
    default: // including "%%"
        to->write(to, &kind, 1);
        break;
    }
}

void print_to_va(struct printer *to, const char *format, va_list given)
{
    va_list arguments;
    va_copy(arguments, given);
    while (*format) {
        size_t plain = 0;
        while (format[plain] && format[plain] != '%')
            plain++;
        if (plain)
            to->write(to, format, plain);
        format += plain;
        if (!*format)
            break;
        struct conversion c;
        format = parse_conversion(format + 1, &c, &arguments);
        if (!*format)
            break;
        print_conversion(to, &c, *format++, &arguments);
    }
    va_end(arguments);
}

void print_to(struct printer *to, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_to_va(to, format, arguments);
    va_end(arguments);
}

struct buffer_printer {
    struct printer printer;
    char *buffer;
    size_t size;
    size_t length;
};

static void buffer_write(struct printer *printer, const char *text, size_t length)
{
    struct buffer_printer *to = CONTAINER_OF(printer, struct buffer_printer, printer);
    for (size_t i = 0; i < length; i++, to->length++)
        if (to->length + 1 < to->size)
            to->buffer[to->length] = text[i];
}

size_t format_text_va(char *buffer, size_t size, const char *format, va_list arguments)
{
    struct buffer_printer to = {{buffer_write}, buffer, size, 0};
    print_to_va(&to.printer, format, arguments);
    if (size)
        buffer[MIN(to.length, size - 1)] = 0;
    return to.length;
}

size_t format_text(char *buffer, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t length = format_text_va(buffer, size, format, arguments);
    va_end(arguments);
    return length;
}

status_t explain(struct explanation *why, status_t status, const char *format, ...)
{
    if (why) {
        va_list arguments;
        va_start(arguments, format);
        format_text_va(why->text, sizeof(why->text), format, arguments);
        va_end(arguments);
    }
    return status;
}
