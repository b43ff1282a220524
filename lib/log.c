// A ring of lines without a lock: see log.h. Who writes takes a number, and with it a record,
// whose number is set last; who reads looks at that before and after.

#include "lib/log.h"

#include "lib/string.h"

#define LOG_MAGIC UINT64_C(0x676f4c6c6562726f) // "orbelLog"
#define WRITING   UINT64_MAX                   // as a record's number

static struct log early, *current = &early;
static void (*_Atomic sink)(void);
static enum log_level shown_level = LOG_INFO;
static _Atomic uint64_t taken; // lines

const struct span_word log_level_names[] = {
    {"error", LOG_ERROR}, {"warning", LOG_WARNING}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}, {0}};

// ---- the ring ----

static uint64_t checksum(const struct log *log)
{
    // FNV-1a: any byte that a reset lost changes it.
    const uint8_t *bytes = (const uint8_t *)log->record;
    uint64_t sum = (UINT64_C(14695981039346656037) ^ log->written) * 1099511628211;
    for (size_t i = 0; i < sizeof(log->record); i++)
        sum = (sum ^ bytes[i]) * 1099511628211;
    return sum;
}

void log_init(struct log *log)
{
    memset(log, 0, sizeof(*log));
}

// Whoever was here a ring ago may still write (an NMI came between): this line is lost.
static void put_line(struct log *log, enum log_level level, const char *text, size_t length)
{
    uint64_t number = atomic_fetch_add(&log->written, 1);
    struct log_record *record = &log->record[number % LOG_RECORDS];
    uint64_t before = record->number;
    if (before == WRITING || !atomic_compare_exchange_strong(&record->number, &before, WRITING))
        return;
    record->level = (uint8_t)level;
    record->length = (uint8_t)length;
    memcpy(record->text, text, length);
    atomic_store_explicit(&record->number, number + 1, memory_order_release);
}

void log_put(struct log *log, enum log_level level, const char *text, size_t length)
{
    for (size_t at = 0, end; at < length; at = end + (end < length && text[end] == '\n')) {
        for (end = at; end < length && text[end] != '\n' && end - at < LOG_LINE;)
            end++;
        put_line(log, level, text + at, end - at);
    }
}

static uint64_t oldest(const struct log *log)
{
    uint64_t written = log->written;
    return written > LOG_RECORDS ? written - LOG_RECORDS : 0;
}

// Whether the line at `position` is there, or will not come any more: half a ring was written
// since.
static bool is_decided(const struct log *log, uint64_t position)
{
    uint64_t number = log->record[position % LOG_RECORDS].number;
    return (number != WRITING && number > position) || log->written > position + LOG_RECORDS / 2;
}

static size_t next_line(const struct log *log, uint64_t *position, enum log_level *level,
                        char *text)
{
    for (;;) {
        *position = MAX(*position, oldest(log));
        if (!is_decided(log, *position))
            return 0;
        const struct log_record *record = &log->record[*position % LOG_RECORDS];
        uint64_t number = ++*position;
        if (record->number != number)
            continue;
        size_t length = MIN(record->length, LOG_LINE);
        *level = (enum log_level)record->level;
        memcpy(text, record->text, length);
        memcpy(text + length, "\n", 2);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&record->number, memory_order_relaxed) == number)
            return length + 1;
    }
}

size_t log_read(const struct log *log, uint64_t *position, enum log_level most,
                char text[static LOG_TEXT])
{
    enum log_level level;
    size_t length;
    do
        length = next_line(log, position, &level, text);
    while (length && level > most);
    return length;
}

void log_seal(struct log *log)
{
    log->magic = LOG_MAGIC;
    log->checksum = checksum(log);
}

bool log_is_sealed(const struct log *log)
{
    return log->magic == LOG_MAGIC && log->checksum == checksum(log);
}

// ---- messages ----

struct log *log_current(void)
{
    return current;
}

void log_move(struct log *to)
{
    memcpy(to, current, sizeof(*to));
    current = to;
}

static void write_message(enum log_level level, const char *text, size_t length)
{
    void (*show)(void) = sink;
    log_put(current, level, text, length);
    if (show)
        show();
}

void log_print(enum log_level level, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    size_t length = format_text_va(text, sizeof(text), format, arguments);
    va_end(arguments);
    write_message(level, text, MIN(length, sizeof(text) - 1));
}

void log_printer_write(struct printer *printer, const char *text, size_t length)
{
    struct log_printer *to = CONTAINER_OF(printer, struct log_printer, printer);
    for (size_t i = 0; i < length; i++) {
        bool is_end = text[i] == '\n';
        if (to->length == 0 && to->name)
            to->length = format_text(to->text, LOG_LINE, "[%s] ", to->name);
        if (is_end || to->length == LOG_LINE) {
            write_message(to->level, to->length ? to->text : "\n", MAX(to->length, 1U));
            to->length = 0;
        }
        if (!is_end)
            to->text[to->length++] = text[i];
    }
}

// ---- whoever shows them ----

void log_set_level(enum log_level level)
{
    shown_level = level;
}

enum log_level log_level(void)
{
    return shown_level;
}

void log_set_sink(void (*to)(void))
{
    sink = to;
}

bool log_is_waiting(void)
{
    return is_decided(current, taken);
}

size_t log_take(enum log_level *level, char text[static LOG_TEXT])
{
    uint64_t position = taken;
    size_t length = next_line(current, &position, level, text);
    uint64_t lost = position - taken - (length > 0);
    taken += lost ? lost : length > 0;
    if (!lost)
        return length;
    *level = LOG_WARNING;
    return format_text(text, LOG_TEXT, "corbel: %lu messages are lost\n", lost);
}
