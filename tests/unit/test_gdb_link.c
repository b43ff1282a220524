// monitor/gdb_link.c: packets with checksums, acknowledgements, escapes, whatever a client sends.
#include "tests/unit/support.h"

#include "monitor/gdb_link.h"

#define RING 8192

static struct stream stream;
static uint8_t bytes[2 * RING];
static struct gdb_link gdb;
static struct stream_end *const client = &stream.end[0];

static int set_up(void **state)
{
    stream_init(&stream, bytes, RING, NULL);
    gdb_link_init(&gdb, &stream.end[1]);
    return 0;
}

static void send(const char *text)
{
    assert_int_equal(stream_give(client, text, strlen(text)), strlen(text));
}

static const char *heard(void)
{
    static char text[RING + 1];
    (void)gdb_link_flush(&gdb);
    text[stream_take(client, text, RING)] = 0;
    return text;
}

static void reply(const char *text)
{
    print_to(&gdb.reply, "%s", text);
    gdb_link_send(&gdb);
}

static void a_packet_with_its_checksum_is_taken_and_acknowledged(void **state)
{
    send("noise+$g#67");
    assert_int_equal(gdb_link_receive(&gdb), GDB_PACKET_READY);
    assert_string_equal(gdb.in, "g");
    reply("OK");
    assert_string_equal(heard(), "+$OK#9a");
    send("+");
    assert_int_equal(gdb_link_receive(&gdb), GDB_NOTHING);
    reply("");
    assert_string_equal(heard(), "$#00");
}

static void a_wrong_checksum_is_refused(void **state)
{
    send("$m10,$g#67"); // the end of the first was lost
    assert_int_equal(gdb_link_receive(&gdb), GDB_PACKET_READY);
    assert_string_equal(gdb.in, "g");
    assert_string_equal(heard(), "+");
    send("$g#68");
    assert_int_equal(gdb_link_receive(&gdb), GDB_NOTHING);
    assert_string_equal(heard(), "-");
    send("$g#67");
    assert_int_equal(gdb_link_receive(&gdb), GDB_PACKET_READY);
}

static void a_reply_is_sent_again_when_it_is_refused(void **state)
{
    reply("OK");
    assert_string_equal(heard(), "$OK#9a");
    send("-");
    assert_int_equal(gdb_link_receive(&gdb), GDB_NOTHING);
    assert_string_equal(heard(), "$OK#9a");
    send("--");
    assert_int_equal(gdb_link_receive(&gdb), GDB_NOTHING);
    assert_string_equal(heard(), "$OK#9a$OK#9a");
    send("+-");
    assert_int_equal(gdb_link_receive(&gdb), GDB_NOTHING);
    assert_string_equal(heard(), "");
}

static void without_acknowledgements_a_greeting_is_a_new_client(void **state)
{
    reply("OK");
    gdb.acknowledges = false; // the reply to QStartNoAckMode is acknowledged still
    assert_string_equal(heard(), "$OK#9a");
    send("+$g#00");
    assert_int_equal(gdb_link_receive(&gdb), GDB_PACKET_READY);
    reply("E01");
    assert_string_equal(heard(), "$E01#a6");
    send("$m#6d");
    assert_int_equal(gdb_link_receive(&gdb), GDB_PACKET_READY);
    send("+");
    assert_int_equal(gdb_link_receive(&gdb), GDB_GREETING);
}

static void escapes_are_taken_out(void **state)
{
    send("$X}\x03}\x04}]}#\x00"); // '#' ends it wherever it stands
    gdb.acknowledges = false;
    send("00");
    assert_int_equal(gdb_link_receive(&gdb), GDB_PACKET_READY);
    assert_int_equal(gdb.in_length, 4);
    assert_memory_equal(gdb.in, "X#$}", 5);
}

static void control_c_is_an_interrupt_between_packets_alone(void **state)
{
    send("\x03$a\x03#64");
    assert_int_equal(gdb_link_receive(&gdb), GDB_INTERRUPT);
    assert_int_equal(gdb_link_receive(&gdb), GDB_PACKET_READY);
    assert_memory_equal(gdb.in, "a\x03", 3);
}

static void too_much_is_nothing_that_is_known(void **state)
{
    static char long_one[GDB_PACKET + 2];
    memset(long_one, 'a', GDB_PACKET);
    gdb.acknowledges = false;
    send("$");
    send(long_one);
    send("#00");
    assert_int_equal(gdb_link_receive(&gdb), GDB_PACKET_READY);
    assert_int_equal(gdb.in_length, GDB_PACKET);
    long_one[GDB_PACKET] = 'a';
    send("$");
    send(long_one);
    send("#00");
    assert_int_equal(gdb_link_receive(&gdb), GDB_PACKET_READY);
    assert_string_equal(gdb.in, "");
    for (unsigned i = 0; i < 3; i++)
        reply(long_one); // is cut
    assert_int_equal(strlen(heard()), 1 + GDB_PACKET + 3);
}

static void a_stream_that_is_full_is_waited_for(void **state)
{
    static char junk[RING];
    assert_int_equal(stream_give(&stream.end[1], junk, RING - 3), RING - 3);
    send("$g#67$m#6d");
    assert_int_equal(gdb_link_receive(&gdb), GDB_PACKET_READY);
    reply("OK");
    assert_false(gdb_link_flush(&gdb));
    assert_int_equal(gdb_link_receive(&gdb), GDB_NOTHING); // it would be answered
    assert_string_equal(gdb.in, "g");
    assert_int_equal(stream_take(client, junk, RING - 3), RING - 3);
    assert_string_equal(heard(), "+$OK#9a");
    assert_int_equal(gdb_link_receive(&gdb), GDB_PACKET_READY);
    assert_string_equal(gdb.in, "m");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_packet_with_its_checksum_is_taken_and_acknowledged, set_up),
        cmocka_unit_test_setup(a_wrong_checksum_is_refused, set_up),
        cmocka_unit_test_setup(a_reply_is_sent_again_when_it_is_refused, set_up),
        cmocka_unit_test_setup(without_acknowledgements_a_greeting_is_a_new_client, set_up),
        cmocka_unit_test_setup(escapes_are_taken_out, set_up),
        cmocka_unit_test_setup(control_c_is_an_interrupt_between_packets_alone, set_up),
        cmocka_unit_test_setup(too_much_is_nothing_that_is_known, set_up),
        cmocka_unit_test_setup(a_stream_that_is_full_is_waited_for, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
