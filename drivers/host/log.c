// A ring of text that can be recognised: see log.h.

#include "drivers/host/log.h"
#include "lib/string.h"

#define LOG_MAGIC UINT64_C(0x676f4c6c6562726f) // "orbelLog"

static uint64_t checksum(const struct log *log)
{
    // FNV-1a: any byte that a reset lost changes it.
    uint64_t sum = (UINT64_C(14695981039346656037) ^ log->written) * 1099511628211;
    for (uint32_t i = 0; i < LOG_TEXT_BYTES; i++)
        sum = (sum ^ (uint8_t)log->text[i]) * 1099511628211;
    return sum;
}

void log_init(struct log *log)
{
    memset(log, 0, sizeof(*log));
}

void log_write(struct log *log, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        log->text[log->written++ % LOG_TEXT_BYTES] = text[i];
}

size_t log_read(const struct log *log, uint64_t *position, char *text, size_t size)
{
    size_t length = 0;
    if (log->written > LOG_TEXT_BYTES && *position < log->written - LOG_TEXT_BYTES) {
        *position = log->written - LOG_TEXT_BYTES;
        while (*position < log->written && log->text[(*position)++ % LOG_TEXT_BYTES] != '\n')
            ;
    }
    while (length < size && *position < log->written)
        text[length++] = log->text[(*position)++ % LOG_TEXT_BYTES];
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
