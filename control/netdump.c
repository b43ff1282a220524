// Called by the monitor, and by the switch for each frame of a port.

#include "control/netdump.h"

#include "drivers/virt/net/pcap.h"
#include "lib/print.h"
#include "lib/string.h"
#include "mm/tables/frames.h"

#define RING_BYTES  (UINT64_C(256) << 10)
#define SNAP_BYTES  2048        // of a frame: a whole one, if it is not one of an offload
#define PRINT_BYTES (16U << 10) // at a time: the line takes seconds for them
#define LINE_BYTES  32U

// ---- the switch's side ----

static void put(struct netdump *dump, uint64_t at, const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        dump->ring[(at + i) % RING_BYTES] = bytes[i];
}

static void record(struct net_capture *capture, const uint8_t *header,
                   const struct net_packet *packet, uint32_t captured)
{
    struct netdump *dump = CONTAINER_OF(capture, struct netdump, capture);
    uint64_t at = dump->written;
    uint8_t part[64];
    bool is_whole = RING_BYTES - (at - dump->read) >= NET_PCAP_RECORD + captured;
    if (is_whole)
        put(dump, at, header, NET_PCAP_RECORD);
    for (uint32_t done = 0, count; is_whole && done < captured; done += count) {
        count = MIN(captured - done, (uint32_t)sizeof(part));
        is_whole = net_packet_read(packet, done, part, count);
        if (is_whole)
            put(dump, at + NET_PCAP_RECORD + done, part, count);
    }
    if (is_whole) {
        dump->frames++;
        dump->written = at + NET_PCAP_RECORD + captured;
    } else {
        dump->lost++;
    }
}

// ---- the monitor's side ----

// Once it has ended and all of it was printed.
static void give_back(struct netdump *dump)
{
    if (dump->is_on || dump->read != dump->written || !dump->ring)
        return;
    frames_free(dump->ring, RING_BYTES, FRAMES_CORBEL);
    dump->ring = NULL;
}

status_t netdump_switch(struct netdump *dump, struct net_port *port, bool on)
{
    net_port_capture(port, NULL);
    dump->is_on = false;
    if (!on) {
        give_back(dump);
        return STATUS_OK;
    }
    if (!dump->ring)
        dump->ring = frames_allocate(RING_BYTES, PAGE_SIZE, FRAMES_CORBEL);
    if (!dump->ring)
        return STATUS_NO_MEMORY;
    dump->capture = (struct net_capture){.snap = SNAP_BYTES, .record = record};
    dump->written = dump->read = dump->frames = dump->lost = 0;
    dump->is_on = true;
    net_port_capture(port, &dump->capture);
    return STATUS_OK;
}

// Bytes to lines of digits.
struct hex {
    struct printer *to;
    unsigned column;
};

static void print_hex(struct hex *hex, uint8_t byte)
{
    print_to(hex->to, "%02x", byte);
    if (++hex->column == LINE_BYTES) {
        print_to(hex->to, "\n");
        hex->column = 0;
    }
}

static uint32_t ring_u32(const struct netdump *dump, uint64_t at)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++)
        value |= (uint32_t)dump->ring[(at + i) % RING_BYTES] << 8 * i;
    return value;
}

void netdump_print(struct printer *to, struct netdump *dump, const char *name)
{
    struct hex hex = {.to = to};
    uint8_t header[NET_PCAP_FILE];
    uint64_t at = dump->read, end = dump->written, printed = 0;
    if (!dump->ring || at == end) {
        print_to(to, "%s: nothing was captured\n", name);
        return;
    }
    print_to(to, "--- begin %s.pcap ---\n", name);
    net_pcap_file(header, SNAP_BYTES);
    for (unsigned i = 0; i < sizeof(header); i++)
        print_hex(&hex, header[i]);
    while (at < end && printed < PRINT_BYTES) {
        uint64_t next = at + NET_PCAP_RECORD + ring_u32(dump, at + 8);
        for (printed += next - at; at < next; at++)
            print_hex(&hex, dump->ring[at % RING_BYTES]);
    }
    dump->read = at;
    print_to(to, "%s--- end %s.pcap: %lu bytes are left, %lu frames were lost ---\n",
             hex.column ? "\n" : "", name, end - at, dump->lost);
    give_back(dump);
}

void netdump_print_state(struct printer *to, const struct netdump *dump)
{
    if (dump->is_on || dump->written != dump->read)
        print_to(to, " \\ netdump %s: %lu frames, %lu bytes to be shown, %lu frames lost\n",
                 dump->is_on ? "on" : "off", dump->frames, dump->written - dump->read, dump->lost);
}
