// control/session.c, streams.c and services.c: what a program of a guest's asks of Corbel, the task
// that answers, and memory that comes back. The machine half around them is the desk's.
#include "tests/unit/support.h"

#include "control/consoles.h"
#include "control/services.h"
#include "control/streams.h"
#include "control/tasks.h"
#include "control/vms.h"
#include "drivers/virt/stream/vsock.h"
#include "lib/log.h"
#include "mm/tables/frames.h"
#include "tests/unit/desk.h"
#include "vm/deadlines.h"

#define ROOM 200000 // that the guest has

enum { WEB, DB, VMS };

// ---- the machine half ----

uint64_t host_tsc_hz = 50; // who looks now and then does so each time
struct mux consoles;
struct task operator_task;
struct strand control;

static bool is_woken;
static uint64_t allocated;
static struct vm_config configs[VMS];
static struct vm vms[VMS];
static struct mux_channel channels[VMS];
static uint8_t printed[VMS][4096];
static struct vsock vsocks[VMS];

void task_add(struct task *task)
{
    task_wake(task);
}

void task_wake(struct task *task)
{
    is_woken |= task == &session_task;
}

void *__wrap_frames_allocate(uint64_t size, uint64_t alignment, unsigned owner);
void *__wrap_frames_allocate(uint64_t size, uint64_t alignment, unsigned owner)
{
    assert_int_equal(owner, FRAMES_CORBEL);
    allocated += size;
    return memset(aligned_alloc(alignment, size), 0xee, size);
}

void __wrap_frames_free(void *start, uint64_t size, unsigned owner);
void __wrap_frames_free(void *start, uint64_t size, unsigned owner)
{
    assert_int_equal(owner, FRAMES_CORBEL);
    allocated -= size;
    free(start);
}

unsigned vms_described(void)
{
    return VMS;
}

const struct vm_config *vms_config(unsigned index)
{
    assert_true(index < VMS);
    return &configs[index];
}

// What became of a saved VM's stream.
static struct stream_end *vm_stream;

status_t vms_save_to(unsigned index, struct stream_end *to, struct explanation *why)
{
    vm_stream = to;
    return index == DB ? STATUS_OK : explain(why, STATUS_INVALID, "it does not run");
}

status_t vms_restore_from(unsigned index, struct stream_end *from, struct explanation *why)
{
    return vms_save_to(index, from, why);
}

bool vms_stream_goes_on(unsigned index, const struct stream_end *stream)
{
    return index == DB && vm_stream == stream;
}

void vms_stream_forget(unsigned index, const struct stream_end *stream)
{
    if (vm_stream == stream)
        vm_stream = NULL;
}

struct vm *vms_at(unsigned index)
{
    assert_true(index < VMS);
    return &vms[index];
}

static bool can_write(size_t bytes)
{
    (void)bytes;
    return false;
}

static int set_up(void **state)
{
    static const struct mux_output terminal = {.can_write = can_write};
    static const char *const names[VMS] = {"web", "db"};
    (void)state;
    desk_reset();
    mux_init(&consoles, &terminal);
    memset(configs, 0, sizeof(configs));
    configs[WEB].control_count = configs[DB].control_count = 1;
    configs[WEB].control[0].right = RIGHT_TAKE; // over all
    configs[DB].control[0] = (struct config_control){.name = "db", .right = RIGHT_OBSERVE};
    for (unsigned i = 0; i < VMS; i++) {
        strcpy(configs[i].name, names[i]);
        vms[i].id = i + 1;
        mux_attach(&consoles, i, &channels[i], names[i], printed[i], sizeof(printed[i]));
        vsocks[i] = (struct vsock){.host = &streams_host, .owner = &vms[i], .cid = 3 + i};
        vsock_reset(&vsocks[i]);
    }
    streams_init();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_true(sessions_are_over());
    assert_int_equal(allocated, 0);
    return 0;
}

// ---- the guest ----

static char got[128 << 10]; // what it heard since it spoke
static size_t length;
static unsigned last_operation;
static uint32_t taken[2048]; // bytes by its ports

static void answer(struct vsock *vsock, const struct vsock_header *header)
{
    bool is_over = header->operation == VSOCK_SHUTDOWN && header->flags == VSOCK_SHUT;
    struct vsock_header back = {.from_cid = vsock->cid,
                                .to_cid = VSOCK_HOST,
                                .from_port = header->to_port,
                                .to_port = header->from_port,
                                .type = VSOCK_STREAM,
                                .operation = is_over ? VSOCK_RST : VSOCK_CREDIT_UPDATE,
                                .room = ROOM,
                                .taken = taken[header->to_port]};
    if (header->operation != VSOCK_RST)
        (void)vsock_hear(vsock, &back);
}

static bool hear(struct vsock *vsock)
{
    struct vsock_header header;
    const uint8_t *bytes = NULL;
    if (!vsock_has_packet(vsock))
        return false;
    vsock_packet(vsock, 4096, &header, &bytes);
    assert_true(length + header.length < sizeof(got) && header.to_port < ARRAY_LENGTH(taken));
    if (header.length)
        memcpy(got + length, bytes, header.length);
    length += header.length;
    got[length] = 0;
    taken[header.to_port] += header.length;
    last_operation = header.operation;
    vsock_sent(vsock, &header, 0);
    answer(vsock, &header);
    return true;
}

// Until nobody has anything to do.
static void run(unsigned vm)
{
    for (unsigned turns = 0; is_woken; turns++) {
        assert_true(turns < 10000);
        is_woken = false;
        is_woken |= session_task.run(&session_task, NEVER) == 0;
        while (hear(&vsocks[vm]))
            ;
    }
}

static void run_later(unsigned vm)
{
    is_woken = true;
    run(vm);
}

static unsigned say(unsigned vm, uint32_t from, uint32_t to, unsigned operation, const char *text)
{
    struct vsock *vsock = &vsocks[vm];
    if (operation == VSOCK_REQUEST)
        taken[from] = 0;
    struct vsock_header header = {.from_cid = vsock->cid,
                                  .to_cid = VSOCK_HOST,
                                  .from_port = from,
                                  .to_port = to,
                                  .length = (uint32_t)strlen(text),
                                  .type = VSOCK_STREAM,
                                  .operation = (uint16_t)operation,
                                  .flags = VSOCK_SENDS_NOT,
                                  .room = ROOM,
                                  .taken = taken[from]};
    struct vsock_connection *c = vsock_hear(vsock, &header);
    if (c)
        assert_int_equal(stream_give(c->end, text, header.length), header.length);
    length = last_operation = 0;
    got[0] = 0;
    is_woken = true;
    run(vm);
    return last_operation;
}

static bool is_refused(unsigned vm, uint32_t from, uint32_t to)
{
    return say(vm, from, to, VSOCK_REQUEST, "") == VSOCK_RST;
}

static void assert_got(const char *text)
{
    if (!strstr(got, text))
        fail_msg("no %s in %s", text, got);
}

static void end_vm(unsigned vm)
{
    vsock_reset(&vsocks[vm]);
    is_woken = true;
    run(vm);
}

// ---- services ----

static void the_monitor_answers(void **state)
{
    (void)state;
    assert_false(is_refused(WEB, 1000, 1));
    assert_string_equal(got, "\r\033[K(corbel) ");
    say(WEB, 1000, 1, VSOCK_RW, "info vms\n");
    assert_got("\r\n* 1 web              running");
    say(WEB, 1000, 1, VSOCK_RW, "help\nquit\n"); // one behind the other, whole
    assert_got("announce_self");
    assert_got("quit: it is the operator's");
    assert_string_equal(desk.asked, "");
    assert_int_equal(say(WEB, 1000, 1, VSOCK_SHUTDOWN, ""), VSOCK_SHUTDOWN);
    assert_int_equal(vsocks[WEB].open, 0);
    run_later(WEB);
}

static void an_answer_that_is_too_long_says_so(void **state)
{
    (void)state;
    for (unsigned vcpu = 0; vcpu < 2; vcpu++)
        memset(&desk.vm[WEB].vcpu[vcpu].stats, 0x55, sizeof(struct exit_stats));
    assert_false(is_refused(WEB, 1000, 1));
    say(WEB, 1000, 1, VSOCK_RW, "info exits -j -h web\n");
    assert_in_range(length, 64 << 10, sizeof(got));
    assert_got("\r\n(an answer was too long: ");
    assert_memory_equal(got + length - 9, "(corbel) ", 9);
    end_vm(WEB);
}

static void lines_of_the_log_come(void **state)
{
    (void)state;
    log_info("corbel: kept\n");
    assert_false(is_refused(WEB, 2000, 2));
    assert_got("corbel: kept\n");
    log_info("corbel: more\n");
    length = 0;
    run_later(WEB);
    assert_string_equal(got, "corbel: more\n");
    end_vm(WEB);
}

static void metrics_are_of_whom_it_may_observe(void **state)
{
    (void)state;
    assert_false(is_refused(DB, 2000, 3));
    assert_int_equal(say(DB, 2000, 3, VSOCK_RW, "GET / HTTP/1.0\r\n\r\n"), VSOCK_SHUTDOWN);
    assert_got("vm=\"db\"");
    assert_null(strstr(got, "vm=\"web\""));
    run_later(DB);
    assert_int_equal(vsocks[DB].open, 0);
}

static void a_console_goes_both_ways(void **state)
{
    (void)state;
    for (const char *text = "login: "; *text; text++)
        assert_true(ring_put(&channels[DB].console.printed, (uint8_t)*text));
    assert_false(is_refused(WEB, 1000, 1002));
    assert_string_equal(got, "login: ");
    say(WEB, 1000, 1002, VSOCK_RW, "root\n");
    assert_int_equal(ring_used(&channels[DB].console.typed), 5);
    assert_int_equal(ring_used(&channels[WEB].console.typed), 0);
    end_vm(WEB);
}

static void qmp_answers(void **state)
{
    (void)state;
    assert_false(is_refused(WEB, 1000, 2001));
    assert_got("{\"QMP\": ");
    say(WEB, 1000, 2001, VSOCK_RW, "{\"execute\": \"qmp_capabilities\"}\n");
    assert_string_equal(got, "{\"return\": {}}\r\n");
    end_vm(WEB);
}

static void a_vm_goes_out_and_comes_in(void **state)
{
    char bytes[8] = "";
    (void)state;
    assert_false(is_refused(WEB, 1000, 4002));
    assert_non_null(vm_stream);
    assert_int_equal(stream_give(vm_stream, "CORBELVM", 8), 8);
    run_later(WEB);
    assert_string_equal(got, "CORBELVM");
    vm_stream = NULL; // all is written
    run_later(WEB);
    assert_int_equal(vsocks[WEB].open, 0);
    assert_false(is_refused(WEB, 1000, 5002));
    say(WEB, 1000, 5002, VSOCK_RW, "CORBEL");
    assert_int_equal(stream_take(vm_stream, bytes, sizeof(bytes)), 6);
    assert_string_equal(bytes, "CORBEL");
    end_vm(WEB);
    assert_null(vm_stream);                    // nobody uses it any more
    assert_false(is_refused(WEB, 1000, 4001)); // its own: it ends at once
    assert_int_equal(vsocks[WEB].open, 0);
    assert_true(is_refused(DB, 1000, 4002)); // it may not take
    assert_true(is_refused(WEB, 1024, 4002));
}

static void who_may_not_is_refused(void **state)
{
    static const struct {
        unsigned vm;
        uint32_t from, to;
    } refused[] = {
        {WEB, 1024, 1},    {WEB, 1024, 1001},
        {WEB, 1024, 2001},                   // from a port that is not root's
        {DB, 1000, 2},                       // it may not observe all
        {DB, 1000, 1002},  {DB, 1000, 2001}, // nor operate, nor the other's
        {WEB, 1000, 0},    {WEB, 1000, 4},
        {WEB, 1000, 1000}, // nobody is there
        {WEB, 1000, 1003}, {WEB, 1000, UINT32_MAX},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_LENGTH(refused); i++)
        assert_true(is_refused(refused[i].vm, refused[i].from, refused[i].to));
    assert_int_equal(allocated, 0);
    assert_false(is_refused(DB, 1000, 2002)); // its own
    end_vm(DB);
    configs[DB].control_count = 0;
    for (unsigned port = 0; port < 2100; port++)
        assert_true(is_refused(DB, 1000, port));
}

// What one VM opens is bounded, and takes nothing from the other.
static void memory_is_bounded_and_comes_back(void **state)
{
    unsigned opened = 0;
    (void)state;
    for (unsigned port = 0; port < 1000; port++)
        opened += !is_refused(WEB, port, 2);
    assert_in_range(allocated, 3 << 20, 4 << 20);
    assert_in_range(opened, 200, 511);
    assert_false(is_refused(DB, 1000, 3));
    end_vm(DB);
    end_vm(WEB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_monitor_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_that_is_too_long_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_of_the_log_come, set_up, tear_down),
        cmocka_unit_test_setup_teardown(metrics_are_of_whom_it_may_observe, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_console_goes_both_ways, set_up, tear_down),
        cmocka_unit_test_setup_teardown(qmp_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_vm_goes_out_and_comes_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_may_not_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_bounded_and_comes_back, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
