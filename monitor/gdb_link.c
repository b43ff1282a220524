// Packets in and out. See monitor/gdb_link.h.

#include "monitor/gdb_link.h"

#include "lib/span.h"

enum { LINK_IDLE, LINK_BODY, LINK_ESCAPED, LINK_SUM_HIGH, LINK_SUM_LOW };

#define INTERRUPT   3
#define ESCAPE      '}'
#define ESCAPE_FLIP 0x20

static void begin_reply(struct gdb_link *link)
{
    link->out[0] = '$';
    link->out_length = 1;
    link->out_sent = 0;
    link->has_reply = false;
}

static void print_reply(struct printer *printer, const char *text, size_t length)
{
    struct gdb_link *link = CONTAINER_OF(printer, struct gdb_link, reply);
    if (link->has_reply) // it has not been acknowledged, and never will be
        begin_reply(link);
    for (size_t i = 0; i < length && link->out_length < GDB_PACKET + 1; i++)
        link->out[link->out_length++] = text[i];
}

void gdb_link_init(struct gdb_link *link, struct stream_end *end)
{
    *link = (struct gdb_link){.reply = {print_reply}, .end = end, .acknowledges = true};
    begin_reply(link);
}

void gdb_link_send(struct gdb_link *link)
{
    uint8_t sum = 0;
    if (link->has_reply)
        begin_reply(link);
    for (unsigned i = 1; i < link->out_length; i++)
        sum += (uint8_t)link->out[i];
    link->out[link->out_length++] = '#';
    link->out[link->out_length++] = "0123456789abcdef"[sum >> 4];
    link->out[link->out_length++] = "0123456789abcdef"[sum & 15];
    link->has_reply = true;
    link->awaits = link->acknowledges;
}

// It has arrived, or nobody will ask for it again.
static void settle(struct gdb_link *link)
{
    link->awaits = false;
    if (link->has_reply && link->out_sent == link->out_length)
        begin_reply(link);
}

bool gdb_link_flush(struct gdb_link *link)
{
    if (link->acknowledgement && stream_give(link->end, &link->acknowledgement, 1))
        link->acknowledgement = 0;
    if (link->acknowledgement)
        return false;
    if (!link->has_reply)
        return true;
    link->out_sent += (unsigned)stream_give(link->end, link->out + link->out_sent,
                                            link->out_length - link->out_sent);
    if (link->out_sent < link->out_length)
        return false;
    if (!link->awaits)
        settle(link);
    return true;
}

static void store(struct gdb_link *link, uint8_t byte)
{
    if (link->in_length < GDB_PACKET)
        link->in[link->in_length++] = (char)byte;
    else
        link->is_too_long = true;
}

static enum gdb_event end_packet(struct gdb_link *link)
{
    bool is_good = !link->acknowledges || link->sum == link->given_sum;
    link->state = LINK_IDLE;
    if (link->acknowledges)
        link->acknowledgement = is_good ? '+' : '-';
    if (link->is_too_long) // nothing that we know
        link->in_length = 0;
    link->in[link->in_length] = '\0';
    return is_good ? GDB_PACKET_READY : GDB_NOTHING;
}

static enum gdb_event begin_packet(struct gdb_link *link)
{
    settle(link);
    link->state = LINK_BODY;
    link->in_length = link->sum = 0;
    link->is_too_long = false;
    return GDB_NOTHING;
}

static enum gdb_event take_outside(struct gdb_link *link, uint8_t byte)
{
    bool is_expected;
    switch (byte) {
    case '$':
        return begin_packet(link);
    case '+':
        is_expected = link->acknowledges || link->awaits;
        settle(link);
        return is_expected ? GDB_NOTHING : GDB_GREETING;
    case '-':
        if (link->awaits)
            link->out_sent = 0;
        return GDB_NOTHING;
    case INTERRUPT:
        return GDB_INTERRUPT;
    }
    return GDB_NOTHING;
}

static enum gdb_event take(struct gdb_link *link, uint8_t byte)
{
    switch (link->state) {
    case LINK_BODY:
    case LINK_ESCAPED:
        if (byte == '$') // the end of the one before was lost
            return begin_packet(link);
        if (byte == '#') { // also behind an escape: a packet ends here, whatever it is
            link->state = LINK_SUM_HIGH;
            return GDB_NOTHING;
        }
        link->sum += byte;
        if (link->state == LINK_BODY && byte == ESCAPE) {
            link->state = LINK_ESCAPED;
            return GDB_NOTHING;
        }
        store(link, link->state == LINK_ESCAPED ? byte ^ ESCAPE_FLIP : byte);
        link->state = LINK_BODY;
        return GDB_NOTHING;
    case LINK_SUM_HIGH:
        link->given_sum = (uint8_t)(span_digit((char)byte) << 4);
        link->state = LINK_SUM_LOW;
        return GDB_NOTHING;
    case LINK_SUM_LOW:
        link->given_sum |= span_digit((char)byte) & 15;
        return end_packet(link);
    default:
        return take_outside(link, byte);
    }
}

static bool may_take(const struct gdb_link *link)
{
    return !link->acknowledgement && !(link->has_reply && link->out_sent < link->out_length);
}

enum gdb_event gdb_link_receive(struct gdb_link *link)
{
    enum gdb_event event = GDB_NOTHING;
    const uint8_t *bytes = NULL;
    uint64_t length, used;
    do {
        if (!gdb_link_flush(link))
            return GDB_NOTHING;
        length = stream_piece(link->end, &bytes);
        for (used = 0; event == GDB_NOTHING && used < length && may_take(link); used++)
            event = take(link, bytes[used]);
        stream_took(link->end, used);
    } while (event == GDB_NOTHING && used);
    return event;
}
