// The records of a state stream. Called by control/save.c and control/restore.c.

#include "control/state/saved.h"

#include "lib/bytes.h"
#include "lib/string.h"

#define HEADER 16
static const char magic[8] = "CORBELVM";

// Two sums of 64-bit words, the second of the first: words that change places are seen.
static void add_words(struct saved_sums *sums, const void *bytes, uint64_t length)
{
    const uint8_t *at = bytes;
    for (uint64_t i = 0; i < length; i += 8) {
        sums->sum += get64(at + i);
        sums->sums += sums->sum;
    }
}

// ---- out ----

static bool put(struct saved_writer *writer, const void *bytes, uint64_t length)
{
    add_words(&writer->sums, bytes, length);
    writer->written += length;
    return writer->put(writer, bytes, length);
}

bool saved_begin(struct saved_writer *writer)
{
    uint8_t header[HEADER] = {0};
    memcpy(header, magic, sizeof(magic));
    put32(header + 8, SAVED_VERSION);
    return put(writer, header, sizeof(header));
}

static bool put_head(struct saved_writer *writer, uint32_t type, uint64_t at, uint32_t length)
{
    struct saved_record record = {type, length, at};
    return put(writer, &record, sizeof(record));
}

bool saved_put(struct saved_writer *writer, enum saved_type type, uint64_t at, const void *body,
               uint32_t length)
{
    uint8_t last[8] = {0};
    uint32_t whole = length & ~7U;
    memcpy(last, (const uint8_t *)body + whole, length - whole);
    return put_head(writer, type, at, length) && put(writer, body, whole) &&
           (whole == length || put(writer, last, sizeof(last)));
}

bool saved_end(struct saved_writer *writer)
{
    struct saved_sums sums = writer->sums;
    return saved_put(writer, SAVED_END, 0, &sums, sizeof(sums));
}

static bool is_zero(const uint8_t *page)
{
    for (unsigned i = 0; i < PAGE_SIZE; i += 8)
        if (get64(page + i))
            return false;
    return true;
}

// Bytes of a run that begins here: of pages that are to be written, or of those that are not.
static uint64_t run_of(const uint8_t *bytes, uint64_t size, bool skips_zeros, bool *is_skipped)
{
    uint64_t run = 0;
    *is_skipped = skips_zeros && is_zero(bytes);
    do
        run += PAGE_SIZE;
    while (run < size && (skips_zeros && is_zero(bytes + run)) == *is_skipped);
    return run;
}

static bool put_runs(struct saved_writer *writer, uint64_t at, const uint8_t *bytes, uint64_t size,
                     bool skips_zeros)
{
    bool is_skipped;
    for (uint64_t done = 0, run; done < size; done += run) {
        run = run_of(bytes + done, size - done, skips_zeros, &is_skipped);
        if (!is_skipped && !saved_put(writer, SAVED_PAGES, at + done, bytes + done, (uint32_t)run))
            return false;
    }
    return true;
}

bool saved_put_space(struct saved_writer *writer, const char *name, uint64_t size,
                     const struct gmem *memory, bool begins_as_zeros)
{
    const uint8_t *bytes;
    uint64_t part;
    if (!saved_put(writer, SAVED_SPACE, size, name, (uint32_t)strlen(name)))
        return false;
    for (uint64_t at = 0; (bytes = gmem_next(memory, &at, SAVED_RUN, &part)); at += part)
        if (!put_runs(writer, at, bytes, part, begins_as_zeros) ||
            (writer->pause && !writer->pause(writer)))
            return false;
    return true;
}

// ---- in ----

static bool get(struct saved_reader *reader, void *to, uint64_t length)
{
    if (!reader->get(reader, to, length))
        return false;
    add_words(&reader->sums, to, length);
    reader->read += length;
    return true;
}

static status_t ends(const struct saved_reader *reader, struct explanation *why)
{
    return explain(why, STATUS_TRUNCATED, "the state ends after %lu bytes: it is not whole",
                   reader->read);
}

status_t saved_open(struct saved_reader *reader, struct explanation *why)
{
    uint8_t header[HEADER];
    if (!get(reader, header, sizeof(header)))
        return ends(reader, why);
    if (memcmp(header, magic, sizeof(magic)) != 0)
        return explain(why, STATUS_INVALID, "this is no saved VM: it does not begin with CORBELVM");
    if (get32(header + 8) != SAVED_VERSION || get32(header + 12))
        return explain(why, STATUS_UNSUPPORTED, "it is a saved VM of version %u, we know %u",
                       get32(header + 8), SAVED_VERSION);
    return STATUS_OK;
}

// Whole words of a body that nobody wants.
static status_t pass_over(struct saved_reader *reader, uint64_t length, struct explanation *why)
{
    for (uint64_t part; length; length -= part) {
        part = MIN(length, sizeof(reader->page));
        if (!get(reader, reader->page, part))
            return ends(reader, why);
        if (reader->pause && !reader->pause(reader))
            return explain(why, STATUS_INVALID, "called off");
    }
    return STATUS_OK;
}

status_t saved_next(struct saved_reader *reader, struct saved_record *record,
                    struct explanation *why)
{
    for (;;) {
        reader->before = reader->sums;
        if (!get(reader, record, sizeof(*record)))
            return ends(reader, why);
        if (record->length > SAVED_BODY_MOST)
            return explain(why, STATUS_RANGE, "a record of %u bytes: at most %u", record->length,
                           SAVED_BODY_MOST);
        if (record->type < SAVED_TYPES)
            return STATUS_OK;
        if (!(record->type & SAVED_OPTIONAL))
            return explain(why, STATUS_UNSUPPORTED,
                           "a record of type %u, which we do not know, and must: update",
                           record->type);
        status_t status = pass_over(reader, align_up(record->length, 8), why);
        if (status != STATUS_OK)
            return status;
    }
}

static const char *type_name(uint32_t type)
{
    static const char *const names[SAVED_TYPES] = {"END",  "VM",    "CPU",   "TIME",
                                                   "vCPU", "BOARD", "SPACE", "PAGES"};
    return names[index_below(type, SAVED_TYPES)];
}

status_t saved_expect(struct saved_reader *reader, enum saved_type type,
                      struct saved_record *record, struct explanation *why)
{
    status_t status = saved_next(reader, record, why);
    if (status == STATUS_OK && record->type != type)
        return explain(why, STATUS_INVALID, "%s stands where %s is expected",
                       type_name(record->type), type_name(type));
    return status;
}

status_t saved_body(struct saved_reader *reader, const struct saved_record *record, void *to,
                    uint32_t least, uint32_t most, struct explanation *why)
{
    uint8_t last[8];
    uint32_t whole = record->length & ~7U;
    if (record->length < least || record->length > most)
        return explain(why, STATUS_RANGE, "%s has %u bytes: not %u to %u", type_name(record->type),
                       record->length, least, most);
    if (!get(reader, to, whole) || (whole != record->length && !get(reader, last, sizeof(last))))
        return ends(reader, why);
    memcpy((uint8_t *)to + whole, last, record->length - whole);
    return STATUS_OK;
}

status_t saved_text(struct saved_reader *reader, const struct saved_record *record,
                    char text[SAVED_TEXT], struct explanation *why)
{
    status_t status = saved_body(reader, record, text, 0, SAVED_TEXT - 1, why);
    if (status != STATUS_OK)
        return status;
    text[record->length] = '\0';
    for (uint32_t i = 0; i < record->length; i++)
        if ((text[i] < ' ' || text[i] > '~') && text[i] != '\n')
            return explain(why, STATUS_INVALID, "%s is no text", type_name(record->type));
    return STATUS_OK;
}

status_t saved_pages(struct saved_reader *reader, const struct saved_record *record,
                     const struct gmem *memory, struct explanation *why)
{
    if (!is_aligned(record->at | record->length, PAGE_SIZE))
        return explain(why, STATUS_INVALID, "%u bytes at %#lx are no pages", record->length,
                       record->at);
    for (uint64_t done = 0; done < record->length; done += PAGE_SIZE) {
        uint64_t at = record->at + done;
        if (!get(reader, reader->page, PAGE_SIZE))
            return ends(reader, why);
        if (at < record->at || !gmem_is_ram(memory, gpa(at), PAGE_SIZE))
            return explain(why, STATUS_RANGE, "a page at %#lx, where there is none", at);
        if (!gmem_write(memory, gpa(at), reader->page, PAGE_SIZE))
            return explain(why, STATUS_NO_MEMORY, "no memory for the page at %#lx", at);
    }
    return !reader->pause || reader->pause(reader) ? STATUS_OK
                                                   : explain(why, STATUS_INVALID, "called off");
}

status_t saved_finish(struct saved_reader *reader, const struct saved_record *record,
                      struct explanation *why)
{
    struct saved_sums said;
    status_t status = saved_body(reader, record, &said, sizeof(said), sizeof(said), why);
    if (status != STATUS_OK)
        return status;
    return said.sum == reader->before.sum && said.sums == reader->before.sums
               ? STATUS_OK
               : explain(why, STATUS_INVALID, "its sums are not right: it was damaged on the way");
}
