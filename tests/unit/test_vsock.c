// drivers/virt/stream/vsock.c: connections, credit, and how they end.
#include "tests/unit/vsock_peer.h"

#define SECOND UINT64_C(1000000000)

static void shutdown(uint32_t guest_port, unsigned flags)
{
    struct vsock_header header = packet(guest_port, VSOCK_SHUTDOWN);
    header.flags = flags;
    assert_null(vsock_hear(&vsock, &header));
}

static void a_port_that_nobody_serves_is_refused(void **state)
{
    struct vsock_header header = packet(1000, VSOCK_REQUEST);
    header.to_port = SERVICE + 1;
    assert_null(vsock_hear(&vsock, &header));
    struct vsock_header answer = hear();
    assert_int_equal(answer.operation, VSOCK_RST);
    assert_int_equal(answer.from_cid, VSOCK_HOST);
    assert_int_equal(answer.to_cid, CID);
    assert_int_equal(answer.from_port, SERVICE + 1);
    assert_int_equal(answer.to_port, 1000);
    assert_int_equal(answer.type, VSOCK_STREAM);
    assert_int_equal(hear().operation, 0);
}

static void bytes_go_both_ways(void **state)
{
    uint8_t bytes[16] = {0};
    struct stream_end *end = connect(1000);
    assert_true(send(1000, "hello", 5));
    assert_int_equal(stream_take(end, bytes, sizeof(bytes)), 5);
    assert_memory_equal(bytes, "hello", 5);
    roused = 0;
    assert_int_equal(stream_give(end, "who?", 4), 4);
    assert_int_equal(roused, 0); // taking has roused it already
    struct vsock_header header = hear();
    assert_int_equal(header.operation, VSOCK_RW);
    assert_int_equal(header.length, 4);
    assert_int_equal(header.from_port, SERVICE);
    assert_int_equal(header.to_port, 1000);
    assert_int_equal(header.room, RING);
    assert_int_equal(header.taken, 5);
    assert_memory_equal(got, "who?", 4);
    assert_int_equal(hear().operation, 0);
    assert_int_equal(stream_give(end, "who?", 4), 4);
    assert_int_equal(roused, 1);
}

static void what_a_service_says_first_comes_behind_the_answer(void **state)
{
    assert_null(say(1000, VSOCK_REQUEST));
    assert_int_equal(stream_give(&last->end[1], "welcome", 7), 7);
    assert_int_equal(hear().operation, VSOCK_RESPONSE);
    assert_int_equal(hear().length, 7);
}

// It may send what fits; Corbel tells what it took when half of that is used.
static void credit_of_the_guest(void **state)
{
    uint8_t bytes[RING] = {0};
    struct stream_end *end = connect(1000);
    assert_true(send(1000, bytes, RING));
    assert_int_equal(stream_take(end, bytes, RING / 2 - 1), RING / 2 - 1);
    assert_int_equal(hear().operation, 0);
    assert_int_equal(stream_take(end, bytes, 1), 1);
    struct vsock_header header = hear();
    assert_int_equal(header.operation, VSOCK_CREDIT_UPDATE);
    assert_int_equal(header.taken, RING / 2);
    assert_int_equal(hear().operation, 0);
    assert_true(send(1000, bytes, RING / 2));
    assert_null(say(1000, VSOCK_CREDIT_REQUEST));
    header = hear();
    assert_int_equal(header.operation, VSOCK_CREDIT_UPDATE);
    assert_int_equal(header.taken, RING / 2);
    assert_false(send(1000, bytes, 1)); // beyond it
    assert_int_equal(hear().operation, VSOCK_RST);
    assert_int_equal(vsock.open, 0);
    assert_int_equal(vsock.broken, 1);
    // What it sent before is there for the service, and then the end.
    assert_int_equal(stream_take(end, bytes, RING), RING);
    assert_true(stream_is_at_end(end));
    stream_close(end);
    assert_int_equal(streams, 0);
}

static void credit_of_corbel(void **state)
{
    uint8_t bytes[RING] = {0};
    struct stream_end *end = connect(1000);
    struct vsock_header update = packet(1000, VSOCK_CREDIT_UPDATE);
    update.room = 10;
    assert_null(vsock_hear(&vsock, &update));
    assert_int_equal(stream_give(end, bytes, 25), 25);
    assert_int_equal(hear().length, 10);
    assert_int_equal(hear().operation, 0);
    update.taken = 4;
    assert_null(vsock_hear(&vsock, &update));
    assert_int_equal(hear().length, 4);
    update.taken = 20; // more than there was: it is not believed
    assert_null(vsock_hear(&vsock, &update));
    assert_int_equal(hear().operation, 0);
    update.taken = 14;
    update.room = UINT32_MAX;
    assert_null(vsock_hear(&vsock, &update));
    assert_int_equal(hear().length, 11);
}

static void a_guest_that_leaves_is_answered(void **state)
{
    struct stream_end *end = connect(1000);
    assert_true(send(1000, "bye", 3));
    shutdown(1000, VSOCK_SHUT);
    assert_int_equal(hear().operation, VSOCK_RST);
    assert_int_equal(vsock.open, 0);
    uint8_t bytes[4];
    assert_int_equal(stream_take(end, bytes, 4), 3);
    assert_true(stream_is_at_end(end));
    assert_true(stream_is_unheard(end));
    assert_int_equal(streams, 1);
    stream_close(end);
    assert_int_equal(streams, 0);
}

// `echo question | socat - ...`: the answer comes though the guest has no more to say.
static void a_half_that_is_closed_leaves_the_other(void **state)
{
    uint8_t bytes[8];
    struct stream_end *end = connect(1000);
    assert_true(send(1000, "ask", 3));
    shutdown(1000, VSOCK_SENDS_NOT);
    assert_int_equal(stream_take(end, bytes, 8), 3);
    assert_true(stream_is_at_end(end));
    assert_false(stream_is_unheard(end));
    assert_int_equal(stream_give(end, "answer", 6), 6);
    stream_close(end);
    struct vsock_header header = hear();
    assert_int_equal(header.operation, VSOCK_RW);
    assert_int_equal(header.length, 6);
    header = hear();
    assert_int_equal(header.operation, VSOCK_SHUTDOWN);
    assert_int_equal(header.flags, VSOCK_SHUT);
    assert_int_equal(streams, 0);
    assert_int_equal(vsock.open, 1);
    assert_null(say(1000, VSOCK_RST));
    assert_int_equal(vsock.open, 0);
    assert_false(send(1000, "x", 1));
    assert_int_equal(hear().operation, VSOCK_RST);
}

static void who_has_shut_his_half_may_not_send(void **state)
{
    struct stream_end *end = connect(1000);
    shutdown(1000, VSOCK_SENDS_NOT);
    assert_false(send(1000, "x", 1));
    assert_int_equal(hear().operation, VSOCK_RST);
    stream_close(end);
    assert_int_equal(streams, 0);
}

static void a_deaf_guest_is_sent_nothing(void **state)
{
    struct stream_end *end = connect(1000);
    assert_int_equal(stream_give(end, "lost", 4), 4);
    shutdown(1000, VSOCK_RECEIVES_NOT);
    assert_true(stream_is_unheard(end));
    assert_int_equal(hear().operation, 0);
    stream_finish(end);
    struct vsock_header header = hear();
    assert_int_equal(header.operation, VSOCK_SHUTDOWN);
    assert_int_equal(header.flags, VSOCK_SENDS_NOT);
    assert_true(send(1000, "heard", 5)); // the other half goes on
    stream_close(end);
    assert_int_equal(hear().flags, VSOCK_SHUT);
}

static void what_nobody_hears_costs_no_credit(void **state)
{
    uint8_t bytes[RING] = {0};
    struct stream_end *end = connect(1000);
    stream_deafen(end);
    struct vsock_header header = hear();
    assert_int_equal(header.operation, VSOCK_SHUTDOWN);
    assert_int_equal(header.flags, VSOCK_RECEIVES_NOT);
    for (unsigned i = 0; i < 3; i++)
        assert_false(send(1000, bytes, RING)); // it is dropped
    assert_int_equal(vsock.open, 1);
    assert_int_equal(vsock.broken, 0);
    header = hear();
    assert_int_equal(header.operation, VSOCK_CREDIT_UPDATE);
    assert_int_equal(header.taken, 3 * RING);
}

static void who_does_not_take_leave_is_reset(void **state)
{
    stream_close(connect(1000));
    assert_int_equal(hear_at(5 * SECOND).operation, VSOCK_SHUTDOWN);
    assert_int_equal(vsock.due, 13 * SECOND);
    assert_null(say(1000, VSOCK_RW)); // it has not heard of it
    vsock_expire(&vsock, 13 * SECOND - 1);
    assert_int_equal(hear().operation, 0);
    vsock_expire(&vsock, 13 * SECOND);
    assert_int_equal(hear().operation, VSOCK_RST);
    assert_int_equal(vsock.open, 0);
    assert_int_equal(vsock.due, NEVER);
}

static void both_take_leave_at_once(void **state)
{
    stream_close(connect(1000));
    assert_int_equal(hear().operation, VSOCK_SHUTDOWN);
    shutdown(1000, VSOCK_SHUT);
    assert_int_equal(hear().operation, VSOCK_RST);
    assert_int_equal(vsock.open, 0);
}

// ---- Corbel calls ----

static struct stream_end *call(uint32_t guest_port, struct vsock_header *request)
{
    struct stream *stream = new_stream();
    assert_true(vsock_call(&vsock, &stream->end[0], guest_port, SECOND));
    *request = hear();
    assert_int_equal(request->operation, VSOCK_REQUEST);
    assert_int_equal(request->to_port, guest_port);
    return &stream->end[1];
}

static struct vsock_header answer(const struct vsock_header *request, unsigned operation)
{
    struct vsock_header header = packet(request->to_port, operation);
    header.to_port = request->from_port;
    return header;
}

static void a_call_is_answered(void **state)
{
    struct vsock_header request;
    struct stream_end *end = call(22, &request);
    assert_int_equal(stream_give(end, "early", 5), 5);
    assert_int_equal(hear().operation, 0);
    struct vsock_header header = answer(&request, VSOCK_RESPONSE);
    assert_null(vsock_hear(&vsock, &header));
    assert_int_equal(hear().length, 5);
    vsock_expire(&vsock, 100 * SECOND);
    assert_int_equal(vsock.open, 1);
    assert_null(vsock_hear(&vsock, &header)); // once is enough
    assert_int_equal(hear().operation, VSOCK_RST);
    assert_true(stream_is_unheard(end));
}

static void a_call_is_refused(void **state)
{
    struct vsock_header request;
    struct stream_end *end = call(22, &request);
    struct vsock_header header = answer(&request, VSOCK_RST);
    assert_null(vsock_hear(&vsock, &header));
    assert_true(stream_is_at_end(end));
    assert_int_equal(vsock.open, 0);
}

static void a_call_is_not_answered(void **state)
{
    struct vsock_header request;
    struct stream_end *end = call(22, &request);
    assert_int_equal(vsock.due, 3 * SECOND);
    vsock_expire(&vsock, 3 * SECOND);
    assert_true(stream_is_at_end(end));
    assert_true(stream_is_unheard(end));
    assert_int_equal(hear().operation, VSOCK_RST);
    assert_int_equal(vsock.open, 0);
}

// Its port is none of the services', and no other call's.
static void calls_have_their_own_ports(void **state)
{
    struct vsock_header first, second;
    call(22, &first);
    call(22, &second);
    assert_int_not_equal(first.from_port, second.from_port);
    assert_true(first.from_port > 0xffff && second.from_port > 0xffff);
}

// ---- hostile guests ----

static void packets_of_no_connection_are_reset(void **state)
{
    static const unsigned operations[] = {
        VSOCK_RESPONSE, VSOCK_SHUTDOWN, VSOCK_RW, VSOCK_CREDIT_UPDATE, 0, 99};
    for (unsigned i = 0; i < ARRAY_LENGTH(operations); i++) {
        assert_null(say(1000, operations[i]));
        assert_int_equal(hear().operation, VSOCK_RST);
    }
    assert_null(say(1000, VSOCK_RST));
    assert_int_equal(hear().operation, 0);
    assert_int_equal(asked, 0);
}

static void what_is_not_for_corbel_is_reset_by_its_name(void **state)
{
    struct vsock_header header = packet(1000, VSOCK_REQUEST);
    header.to_cid = 4; // another VM
    assert_null(vsock_hear(&vsock, &header));
    assert_int_equal(hear().from_cid, 4);
    header = packet(1000, VSOCK_REQUEST);
    header.type = 2;
    assert_null(vsock_hear(&vsock, &header));
    assert_int_equal(hear().type, 2);
    header = packet(1000, VSOCK_REQUEST);
    header.from_cid = 4; // who it is not
    assert_null(vsock_hear(&vsock, &header));
    assert_int_equal(hear().operation, 0);
    assert_int_equal(vsock.broken, 1);
    assert_int_equal(asked, 0);
}

static void what_may_not_be_said_ends_a_connection(void **state)
{
    static const unsigned operations[] = {VSOCK_REQUEST, VSOCK_RESPONSE, 0, 8, 0xffff};
    for (unsigned i = 0; i < ARRAY_LENGTH(operations); i++) {
        struct stream_end *end = connect(1000);
        assert_null(say(1000, operations[i]));
        assert_int_equal(hear().operation, VSOCK_RST);
        assert_true(stream_is_unheard(end));
        stream_close(end);
    }
    assert_int_equal(streams, 0);
    assert_int_equal(vsock.open, 0);
}

// Answers wait for buffers; their list is bounded, and the guest's packets wait for it.
static void refusals_are_bounded(void **state)
{
    unsigned heard = 0;
    for (; vsock_can_hear(&vsock); heard++)
        assert_null(say(heard, VSOCK_RW));
    assert_int_equal(heard, VSOCK_REFUSALS);
    for (unsigned i = 0; i < heard; i++) {
        struct vsock_header header = hear();
        assert_int_equal(header.operation, VSOCK_RST);
        assert_int_equal(header.to_port, i);
        assert_true(vsock_can_hear(&vsock));
    }
    assert_int_equal(hear().operation, 0);
}

static void a_table_that_is_full_refuses(void **state)
{
    for (unsigned i = 0; i < VSOCK_CONNECTIONS; i++)
        connect(i * VSOCK_BUCKETS); // all in one bucket
    assert_null(say(1, VSOCK_REQUEST));
    assert_int_equal(hear().operation, VSOCK_RST);
    assert_int_equal(asked, VSOCK_CONNECTIONS);
    assert_false(vsock_call(&vsock, NULL, 22, 0));
    for (unsigned i = 0; i < VSOCK_CONNECTIONS; i += 2)
        assert_null(say(i * VSOCK_BUCKETS, VSOCK_RST));
    assert_int_equal(vsock.open, VSOCK_CONNECTIONS / 2);
    for (unsigned i = 1; i < VSOCK_CONNECTIONS; i += 2)
        assert_true(send(i * VSOCK_BUCKETS, "x", 1));
    connect(1);
    vsock_reset(&vsock);
    assert_int_equal(vsock.open, 0);
    for (unsigned i = 0; i < STREAMS; i++)
        if (services[i].is_taken)
            stream_close(&services[i].stream.end[1]);
    assert_int_equal(streams, 0);
}

// Each has its turn, whoever has more to send.
static void turns_go_around(void **state)
{
    struct stream_end *end[3];
    uint8_t bytes[RING] = {0};
    for (unsigned i = 0; i < 3; i++)
        end[i] = connect(1000 + i);
    for (unsigned turn = 0; turn < 5; turn++) {
        unsigned heard[3] = {0};
        for (unsigned i = 0; i < 3; i++)
            stream_give(end[i], bytes, i == 0 ? RING : 1);
        for (unsigned i = 0; i < 3; i++)
            heard[hear().to_port - 1000]++;
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(heard[i], 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_port_that_nobody_serves_is_refused, new_vsock),
        cmocka_unit_test_setup(bytes_go_both_ways, new_vsock),
        cmocka_unit_test_setup(what_a_service_says_first_comes_behind_the_answer, new_vsock),
        cmocka_unit_test_setup(credit_of_the_guest, new_vsock),
        cmocka_unit_test_setup(credit_of_corbel, new_vsock),
        cmocka_unit_test_setup(a_guest_that_leaves_is_answered, new_vsock),
        cmocka_unit_test_setup(a_half_that_is_closed_leaves_the_other, new_vsock),
        cmocka_unit_test_setup(who_has_shut_his_half_may_not_send, new_vsock),
        cmocka_unit_test_setup(a_deaf_guest_is_sent_nothing, new_vsock),
        cmocka_unit_test_setup(what_nobody_hears_costs_no_credit, new_vsock),
        cmocka_unit_test_setup(who_does_not_take_leave_is_reset, new_vsock),
        cmocka_unit_test_setup(both_take_leave_at_once, new_vsock),
        cmocka_unit_test_setup(a_call_is_answered, new_vsock),
        cmocka_unit_test_setup(a_call_is_refused, new_vsock),
        cmocka_unit_test_setup(a_call_is_not_answered, new_vsock),
        cmocka_unit_test_setup(calls_have_their_own_ports, new_vsock),
        cmocka_unit_test_setup(packets_of_no_connection_are_reset, new_vsock),
        cmocka_unit_test_setup(what_is_not_for_corbel_is_reset_by_its_name, new_vsock),
        cmocka_unit_test_setup(what_may_not_be_said_ends_a_connection, new_vsock),
        cmocka_unit_test_setup(refusals_are_bounded, new_vsock),
        cmocka_unit_test_setup(a_table_that_is_full_refuses, new_vsock),
        cmocka_unit_test_setup(turns_go_around, new_vsock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
