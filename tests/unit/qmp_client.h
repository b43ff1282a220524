// A client of QMP over a stream, against the desk's machine half.
#pragma once

#include "monitor/qmp.h"
#include "tests/unit/desk.h"

#define RING 16384

static struct stream stream;
static uint8_t bytes[2 * RING];
static struct stream_end *const client = &stream.end[0];
static struct qmp qmp;
static char said[4 * RING]; // to the client, since it last asked
static unsigned rouses;

static void release(struct stream *which)
{
    assert_ptr_equal(which, &stream);
}

static void rouse(struct news_reader *reader)
{
    assert_ptr_equal(reader, &qmp.reader);
    rouses++;
}

static enum qmp_state work(void)
{
    enum qmp_state state;
    unsigned pieces = 0;
    while ((state = qmp_step(&qmp)) == QMP_GOES_ON)
        assert_true(++pieces < 100000);
    return state;
}

// What has come, as far as it fits the client.
static const char *hear(void)
{
    size_t length = 0;
    said[0] = 0;
    for (size_t taken = 1; taken; length += taken) {
        work();
        taken = stream_take(client, said + length, sizeof(said) - 1 - length);
    }
    said[length] = 0;
    return said;
}

static const char *ask(const char *request)
{
    size_t length = strlen(request), given = 0;
    while (given < length) {
        given += stream_give(client, request + given, length - given);
        work();
    }
    return hear();
}

static void begin(unsigned slot, enum right right, uint32_t ring)
{
    desk_reset();
    rouses = 0;
    stream_init(&stream, bytes, ring, release);
    memset(&qmp, 0xa5, sizeof(qmp));
    qmp.reader.wake = rouse;
    qmp_begin(&qmp, &desk_host, slot, right, &stream.end[1]);
}

static void negotiate(unsigned slot, enum right right)
{
    begin(slot, right, RING);
    hear();
    assert_string_equal(ask("{\"execute\":\"qmp_capabilities\"}"), "{\"return\": {}}\r\n");
}

#define GENERIC(desc)   "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" desc "\"}}\r\n"
#define NOT_FOUND(desc) "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"" desc "\"}}\r\n"
#define STAMP           "{\"timestamp\": {\"seconds\": 1700000000, \"microseconds\": 123456}, "
#define DONE            "{\"return\": {}}\r\n"
