// monitor/metrics.c: requests, who sees what, and a reader that is slow.
#include "tests/unit/support.h"

#include "monitor/metrics.h"
#include "tests/unit/desk.h"

static struct metrics metrics;
static struct stream stream;
static uint8_t bytes[2 * 1024];
static struct stream_end *const scraper = &stream.end[0], *const end = &stream.end[1];
static uint8_t rights[CONFIG_VMS];
static char answer[64 << 10];
static size_t length;

static void release(struct stream *which)
{
    (void)which;
}

static int set_up(void **state)
{
    (void)state;
    desk_reset();
    memset(rights, RIGHT_OBSERVE, sizeof(rights));
    stream_init(&stream, bytes, 1024, release);
    metrics_begin(&metrics, &desk_host, rights, end);
    length = 0;
    return 0;
}

static enum metrics_result read_some(size_t most)
{
    enum metrics_result result = metrics_step(&metrics);
    length += stream_take(scraper, answer + length, MIN(most, sizeof(answer) - 1 - length));
    answer[length] = 0;
    return result;
}

static const char *ask(const char *request)
{
    assert_int_equal(stream_give(scraper, request, strlen(request)), strlen(request));
    for (unsigned steps = 0; read_some(1024) != METRICS_END; steps++)
        assert_true(steps < 10000);
    while (stream_take(scraper, answer + length, 1))
        answer[++length] = 0;
    return answer;
}

static void assert_has(const char *line)
{
    if (!strstr(answer, line))
        fail_msg("no %s in %s", line, answer);
}

static void assert_has_not(const char *text)
{
    if (strstr(answer, text))
        fail_msg("%s in %s", text, answer);
}

static void count_exits(unsigned slot, unsigned vcpu, unsigned reason, unsigned cycles)
{
    stats_count(&desk.vm[slot].vcpu[vcpu].stats, STATS_AT(reason), cycles);
}

static void a_scrape_is_answered(void **state)
{
    (void)state;
    count_exits(0, 0, 10, 100);
    count_exits(0, 1, 10, 50);
    ask("GET /metrics HTTP/1.1\r\nHost: corbel\r\n\r\n");
    assert_memory_equal(answer,
                        "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n# ", 62);
    assert_has(
        "# HELP corbel_vm_exits_total exits by reason\n# TYPE corbel_vm_exits_total counter\n"
        "corbel_vm_exits_total{vm=\"web\",reason=\"CPUID\"} 2\n#");
    assert_has("corbel_vm_exit_cycles_total{vm=\"web\",reason=\"CPUID\"} 150\n");
    assert_has("corbel_vcpu_run_seconds_total{vm=\"web\",vcpu=\"1\"} 0.012000000\n");
    assert_has("corbel_vcpu_wait_seconds_total{vm=\"db\",vcpu=\"0\"} 3.000000005\n");
    assert_has("corbel_vm_held_bytes{vm=\"db\",with=\"nobody\"} 24576\n");
    assert_has("corbel_net_bytes_total{vm=\"web\",card=\"net0\",direction=\"sent\"} 1000\n");
    assert_has("corbel_net_dropped_total{vm=\"web\",card=\"net1\"} 1\n");
    assert_has("corbel_streams_open{vm=\"web\"} 2\n");
    assert_has("corbel_streams_total{vm=\"web\",what=\"refused\"} 7\n");
    assert_has("corbel_cpu_idle_seconds_total{cpu=\"0\"} 5.000000000\n");
    assert_has_not("cpu=\"1\"} 5"); // it is not online
    assert_has("corbel_memory_bytes{kind=\"free\"} 3145728\n");
    assert_has("# TYPE corbel_uptime_seconds gauge\ncorbel_uptime_seconds 10.000000000\n");
    assert_has_not("vm=\"old\""); // it has ended
    assert_int_equal(answer[length - 1], '\n');
}

// Whoever may not observe a VM does not know of it, nor of what the machine does for all.
static void rights_hold(void **state)
{
    (void)state;
    memset(rights, RIGHT_NONE, sizeof(rights));
    rights[1] = RIGHT_TAKE;
    ask("GET / HTTP/1.0\n\n");
    assert_has("corbel_vm_memory_bytes{vm=\"db\"}");
    assert_has_not("web");
    assert_has_not("corbel_memory_bytes{");
    assert_has_not("corbel_uptime_seconds 1");
}

static void a_slow_reader_gets_the_same(void **state)
{
    static char whole[sizeof(answer)];
    count_exits(1, 0, 12, 7);
    ask("GET / HTTP/1.0\r\n\r\n");
    strcpy(whole, answer);
    set_up(state);
    count_exits(1, 0, 12, 7);
    assert_int_equal(stream_give(scraper, "GET / HTTP/1.0\r\n\r\n", 18), 18);
    while (read_some(13) != METRICS_END)
        ;
    while (stream_take(scraper, answer + length, 1))
        answer[++length] = 0;
    assert_string_equal(answer, whole);
}

static void what_is_no_request_is_refused(void **state)
{
    char line[1000];
    (void)state;
    ask("POST / HTTP/1.0\r\n\r\n");
    assert_string_equal(
        answer, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n");
    set_up(state);
    assert_int_equal(read_some(100), METRICS_WAITS);
    stream_finish(scraper);
    assert_int_equal(read_some(100), METRICS_END);
    set_up(state);
    memset(line, 'x', sizeof(line)); // an end that never comes
    unsigned lines = 0;
    for (; lines < 20 && !metrics.is_asked; lines++) {
        assert_int_equal(stream_give(scraper, line, sizeof(line)), sizeof(line));
        (void)read_some(1024);
    }
    assert_int_equal(lines, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_scrape_is_answered, set_up),
        cmocka_unit_test_setup(rights_hold, set_up),
        cmocka_unit_test_setup(a_slow_reader_gets_the_same, set_up),
        cmocka_unit_test_setup(what_is_no_request_is_refused, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
