// Saved VMs as no Corbel wrote them: records of any kind are read to an end, and pages get nowhere
// but into the memory that they are for.

#include <string.h>

#include "control/state/saved.h"
#include "tests/fuzz/require.h"

#define RAM (16 << 10)

static const uint8_t *bytes;
static size_t left;
static uint8_t ram[RAM];

static bool get(struct saved_reader *reader, void *to, uint64_t length)
{
    if (length > left)
        return false;
    memcpy(to, bytes, length);
    bytes += length;
    left -= length;
    return true;
}

static status_t read_one(struct saved_reader *reader, const struct gmem *memory,
                         const struct saved_record *record, struct explanation *why)
{
    static char text[SAVED_TEXT];
    uint8_t body[64];
    switch (record->type) {
    case SAVED_PAGES:
        return saved_pages(reader, record, memory, why);
    case SAVED_TIME:
        return saved_body(reader, record, body, 24, sizeof(body), why);
    case SAVED_END:
        return saved_finish(reader, record, why);
    default:
        return saved_text(reader, record, text, why);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct saved_reader reader;
    struct gmem_piece piece = {0};
    struct gmem memory;
    struct saved_record record;
    struct explanation why;
    gmem_init(&memory, &piece, 1);
    gmem_add(&memory, gpa(0), ram, RAM);
    bytes = data;
    left = size;
    reader = (struct saved_reader){.get = get};
    why.text[0] = '\0';
    status_t status = saved_open(&reader, &why);
    while (status == STATUS_OK) {
        status = saved_next(&reader, &record, &why);
        if (status == STATUS_OK)
            status = read_one(&reader, &memory, &record, &why);
        if (status == STATUS_OK && record.type == SAVED_END)
            return 0;
    }
    require(why.text[0]);
    return 0;
}
