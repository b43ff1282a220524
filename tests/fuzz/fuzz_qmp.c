// A client of QMP that says anything, in any pieces, and reads now and then: each line that it gets
// is good JSON and is a greeting, an answer or an event; nothing is asked of the host that it must
// not be asked; the session comes to an end.

#include <string.h>

#include "monitor/qmp.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/require.h"

#define RING 1024
#define LINE 65536

static struct stream stream;
static uint8_t rings[2 * RING];
static struct stream_end *const client = &stream.end[0];
static struct qmp qmp;
static struct news news;
static struct vm vm;
static struct vcpu vcpu;
static struct lapic_page page;
static struct vm_config config;
static enum monitor_state state;
static char line[LINE];
static size_t length;

// ---- the host: one VM, in the slot 3 ----

static struct monitor_vm get_vm(unsigned slot)
{
    bool is_there = state != MONITOR_ENDED && state != MONITOR_STARTING;
    if (slot != 3)
        return (struct monitor_vm){.state = MONITOR_RUNNING, .name = "other", .vm = NULL};
    return (struct monitor_vm){
        .state = state, .name = "web", .config = &config, .vm = is_there ? &vm : NULL};
}

static struct monitor_vcpu get_vcpu(struct vcpu *which)
{
    require(which == &vcpu);
    return (struct monitor_vcpu){.state = "running"};
}

static void tell(enum news_kind kind)
{
    news_add(&news, &(struct news_item){.kind = kind});
}

static status_t move(struct vm *which, enum monitor_state from, enum monitor_state to)
{
    require(which == &vm);
    if (state != from)
        return STATUS_INVALID;
    state = to;
    tell(to == MONITOR_PAUSED ? NEWS_STOP : NEWS_RESUME);
    return STATUS_OK;
}

static status_t pause_vm(struct vm *which)
{
    return move(which, MONITOR_RUNNING, MONITOR_PAUSED);
}

static status_t resume_vm(struct vm *which)
{
    return move(which, MONITOR_PAUSED, MONITOR_RUNNING);
}

static void kill_vm(unsigned slot)
{
    require(slot == 3);
    state = MONITOR_ENDED;
    tell(NEWS_SHUTDOWN);
}

static void reset_vm(struct vm *which)
{
    require(which == &vm);
    tell(NEWS_RESET);
}

static bool power_down(struct vm *which)
{
    require(which == &vm && state == MONITOR_RUNNING);
    return true;
}

static status_t start_vm(unsigned slot, struct explanation *why)
{
    require(slot == 3 && state == MONITOR_ENDED);
    state = MONITOR_RUNNING;
    return explain(why, STATUS_NO_MEMORY, "\x01\x80");
}

static bool set_balloon(struct vm *which, uint64_t bytes)
{
    require(which == &vm && bytes && bytes <= vm.traits.memory);
    return true;
}

static bool get_balloon(struct vm *which, struct monitor_balloon *balloon)
{
    *balloon = (struct monitor_balloon){.actual = 4096};
    return which == &vm;
}

static status_t ask_agent(struct vm *which, enum agent_order order, struct explanation *why)
{
    require(which == &vm && order);
    return explain(why, STATUS_NOT_FOUND, "none");
}

static struct news *get_news(unsigned slot)
{
    require(slot == 3);
    return &news;
}

static uint64_t disk_bytes(unsigned slot, unsigned disk)
{
    require(slot == 3 && disk < config.disk_count);
    return 512;
}

static unsigned cards(unsigned slot)
{
    require(slot == 3);
    return 1;
}

static void set_link(unsigned slot, unsigned card, bool is_up)
{
    require(slot == 3 && card == 0);
}

static void announce(unsigned slot, unsigned card)
{
    require(slot == 3 && card == 0);
}

static void hold(struct vm *which)
{
    require(which == &vm);
}

static void print_vm(struct printer *to, struct vm *which)
{
    require(which == &vm);
    for (unsigned i = 0; i < 200; i++) // more than there is room for
        print_to(to, "%u\x1b\"\\\xff\n", i);
}

static void print_cards(struct printer *to, unsigned slot)
{
    require(slot == 3);
}

static uint64_t uptime(void)
{
    return 0;
}

// What is the operator's, or needs the right to take the VM out, is not here.
static const struct monitor_host host = {
    .vm = get_vm,
    .vcpu = get_vcpu,
    .pause = pause_vm,
    .resume = resume_vm,
    .kill = kill_vm,
    .reset = reset_vm,
    .power_down = power_down,
    .agent = ask_agent,
    .start = start_vm,
    .hold = hold,
    .release = hold,
    .set_balloon = set_balloon,
    .balloon = get_balloon,
    .news = get_news,
    .disk_bytes = disk_bytes,
    .cards = cards,
    .set_link = set_link,
    .announce = announce,
    .print_cards = print_cards,
    .uptime = uptime,
    .print_irq = print_vm,
    .print_pci = print_vm,
    .version = "test",
};

// ---- the client ----

static void judge(struct span text)
{
    struct span value;
    require(json_is_good(text) && json_is(text, '{'));
    require(json_member(text, "QMP", &value) || json_member(text, "return", &value) ||
            json_member(text, "error", &value) || json_member(text, "event", &value));
}

static void hear(void)
{
    uint8_t byte;
    while (stream_take(client, &byte, 1)) {
        require(length < LINE && byte < 0x80);
        line[length++] = (char)byte;
        if (byte != '\n')
            continue;
        require(length > 2 && line[length - 2] == '\r');
        judge((struct span){line, length - 2});
        length = 0;
    }
}

static bool work(bool reads)
{
    unsigned pieces = 0;
    enum qmp_state now;
    do {
        now = qmp_step(&qmp);
        require(++pieces < 100000);
        if (reads)
            hear();
    } while (now == QMP_GOES_ON);
    return now != QMP_HAS_ENDED;
}

static void release(struct stream *which)
{
    (void)which;
}

static void wake(struct news_reader *reader)
{
    require(reader == &qmp.reader);
}

static void kick(struct vcpu *which)
{
    (void)which;
}

static void begin(enum right right)
{
    static const struct vm_host services = {.kick = kick};
    static const char negotiation[] = "{\"execute\":\"qmp_capabilities\"}";
    memset(&vm, 0, sizeof(vm));
    memset(&vcpu, 0, sizeof(vcpu));
    memset(&news, 0, sizeof(news));
    vm.host = &services;
    vm.traits = (struct vm_traits){.name = "web", .memory = 1 << 20};
    vm.vcpu_count = 1;
    vm.vcpu[0] = &vcpu;
    vcpu.vm = &vm;
    vcpu.lapic.page = &page;
    config.disk_count = 2;
    state = MONITOR_RUNNING;
    length = 0;
    stream_init(&stream, rings, RING, release);
    qmp.reader.wake = wake;
    qmp_begin(&qmp, &host, 3, right, &stream.end[1]);
    require(stream_give(client, negotiation, sizeof(negotiation) - 1) == sizeof(negotiation) - 1);
    require(work(true));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Bytes below 80h are said; the others are what happens meanwhile.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum monitor_state states[] = {MONITOR_ENDED,   MONITOR_STARTING,
                                                MONITOR_RUNNING, MONITOR_PAUSED,
                                                MONITOR_ENDING,  MONITOR_PRESERVED};
    bool reads = true;
    begin(size && data[0] & 1 ? RIGHT_OPERATE : RIGHT_OBSERVE);
    for (size_t i = 0; i < size && i < 4096; i++) {
        uint8_t byte = data[i];
        if (byte >= 0xf8)
            reads = byte & 1;
        else if (byte >= 0xf0)
            state = states[byte % ARRAY_LENGTH(states)];
        else if (byte >= 0xe0)
            tell((enum news_kind)(byte % NEWS_KINDS));
        else if (byte >= 0xd8)
            require(work(reads));
        else
            while (!stream_give(client, &byte, 1)) {
                require(work(reads));
                reads = true;
            }
    }
    stream_finish(client);
    while (work(true))
        ;
    require(length == 0); // no answer is left half said
    qmp_end(&qmp);
    require(!news.readers);
    return 0;
}
