// A ring of text that can be recognised: see log.h.

#include "drivers/host/log.h"
#include "lib/string.h"

#define LOG_MAGIC UINT64_C(0x676f4c6c6562726f) // "orbelLog"

static uint32_t checksum(const struct log *log)
{
    // FNV-1a: any byte that a reset lost changes it.
    uint32_t sum = (2166136261U ^ log->written) * 16777619U;
    for (uint32_t i = 0; i < LOG_TEXT_BYTES; i++)
        sum = (sum ^ (uint8_t)log->text[i]) * 16777619U;
    return sum;
}

void log_init(struct log *log)
{
    memset(log, 0, sizeof(*log));
}

void log_write(struct log *log, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        log->text[log->written % LOG_TEXT_BYTES] = text[i];
        // Wraps to where the ring is still seen to be full.
        log->written = log->written == 2 * LOG_TEXT_BYTES - 1 ? LOG_TEXT_BYTES : log->written + 1;
    }
}

const char *log_piece(const struct log *log, unsigned piece, size_t *length)
{
    uint32_t at = log->written % LOG_TEXT_BYTES;
    bool is_full = log->written >= LOG_TEXT_BYTES;
    if (piece == 0) {
        *length = is_full ? LOG_TEXT_BYTES - at : 0;
        return log->text + at;
    }
    *length = at;
    return log->text;
}

void log_seal(struct log *log)
{
    log->magic = LOG_MAGIC;
    log->checksum = checksum(log);
}

bool log_is_sealed(const struct log *log)
{
    return log->magic == LOG_MAGIC && log->written < 2 * LOG_TEXT_BYTES &&
           log->checksum == checksum(log);
}
