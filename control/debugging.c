// A serial line as the one end of a stream, and a session of gdb's at the other.

#include "control/debugging.h"

#include "control/consoles.h"
#include "control/monitor_host.h"
#include "control/vms.h"
#include "drivers/host/console/uart.h"
#include "lib/log.h"
#include "mm/tables/frames.h"
#include "monitor/gdb.h"

#define RING_BYTES   4096
#define MOST_AT_ONCE 8 // packets

struct line {
    struct uart uart;
    struct stream stream; // end 0 is the UART's
    struct gdb gdb;
    const char *vm;
    bool has_session;
    uint8_t rings[2 * RING_BYTES];
};

static struct line *line; // NULL: none was asked for

void debugging_init(const struct boot_options *options)
{
    if (!options->stream_port)
        return;
    line = frames_allocate(align_up(sizeof(*line), PAGE_SIZE), PAGE_SIZE, FRAMES_CORBEL);
    if (!line || !consoles_open_line(&line->uart, options->stream_port)) {
        log_warning("corbel: stream: no serial line answers at %#x\n", options->stream_port);
        line = NULL;
        return;
    }
    stream_init(&line->stream, line->rings, RING_BYTES, NULL);
    line->vm = options->stream_vm;
    line->has_session = false;
}

// Its place is known once all are described.
static bool begin_session(void)
{
    const struct vm_config *config;
    unsigned slot = 0;
    while ((config = vms_config(slot)) && strcmp(config->name, line->vm))
        slot++;
    if (config) {
        gdb_init(&line->gdb, &monitor_host, slot, &line->stream.end[1]);
        log_info("corbel: gdb is heard at serial line %#x, for %s\n", line->uart.port, line->vm);
    } else {
        log_warning("corbel: stream: there is no VM %s\n", line->vm);
        line = NULL;
    }
    return config != NULL;
}

static void receive(void)
{
    uint8_t *to;
    for (int byte;
         stream_room(&line->stream.end[0], &to) && (byte = uart_read(&line->uart)) >= 0;) {
        *to = (uint8_t)byte;
        stream_gave(&line->stream.end[0], 1);
    }
}

bool debugging_poll(void)
{
    bool more = true;
    if (!line || !(line->has_session || begin_session()))
        return false;
    line->has_session = true;
    struct ring *ring = &line->stream.end[1].given;
    for (unsigned i = 0; more && i < MOST_AT_ONCE; i++) {
        receive();
        more = gdb_step(&line->gdb);
    }
    uart_drain(&line->uart, ring);
    return more || ring_used(ring);
}
