// The other end of a gdb session with the desk's first VM: sends packets, and checks how they are
// answered.
#pragma once

#include "tests/unit/support.h"

#include "monitor/gdb.h"
#include "tests/unit/desk.h"
#include "vm/fpu_image.h"

#define CLIENT_RING 16384

static struct {
    struct gdb gdb;
    struct stream stream;
    uint8_t bytes[2 * CLIENT_RING];
    _Alignas(64) struct fpu_image fpu[2];
    char said[CLIENT_RING + 1]; // the last reply
} client;

#define WEB      (desk.vm[0])
#define WEB_VCPU (&desk.vm[0].vcpu[0])

static inline void client_reset(void)
{
    memset(&client, 0, sizeof(client));
    desk_reset();
    for (unsigned i = 0; i < 2; i++)
        WEB.vcpu[i].fpu = &client.fpu[i];
    stream_init(&client.stream, client.bytes, CLIENT_RING, NULL);
    gdb_init(&client.gdb, &desk_host, 0, &client.stream.end[1]);
}

static inline void client_run(void)
{
    while (gdb_step(&client.gdb))
        ;
    assert_int_equal(WEB.held, 0);
}

static inline void client_give(const char *bytes, size_t length)
{
    assert_int_equal(stream_give(&client.stream.end[0], bytes, length), length);
    client_run();
}

static inline void client_send(const char *packet, size_t length)
{
    char text[GDB_PACKET * 2 + 8];
    uint8_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum += (uint8_t)packet[i];
    text[0] = '$';
    memcpy(text + 1, packet, length);
    snprintf(text + 1 + length, 4, "#%02x", sum);
    client_give(text, length + 4);
}

// What has come, all of it.
static inline const char *client_heard(void)
{
    size_t length = stream_take(&client.stream.end[0], client.said, CLIENT_RING);
    client.said[length] = 0;
    return client.said;
}

// A packet that came, acknowledged.
static inline const char *client_reply(const char *heard)
{
    uint8_t sum = 0;
    char expected[4], *end = strchr(heard, '#');
    assert_int_equal(heard[0], '$');
    assert_non_null(end);
    for (const char *at = heard + 1; at < end; at++)
        sum += (uint8_t)*at;
    snprintf(expected, sizeof(expected), "%02x", sum);
    assert_string_equal(end + 1, expected);
    *end = 0;
    client_give("+", 1);
    assert_string_equal(client_heard() + strlen(client.said), "");
    return heard + 1;
}

static inline const char *client_ask_bytes(const char *packet, size_t length)
{
    static char reply[CLIENT_RING + 1];
    client_send(packet, length);
    assert_int_equal(client_heard()[0], '+');
    memcpy(reply, client.said + 1, strlen(client.said));
    return reply[0] ? client_reply(reply) : reply; // or none yet
}

static inline const char *client_ask(const char *packet)
{
    return client_ask_bytes(packet, strlen(packet));
}
