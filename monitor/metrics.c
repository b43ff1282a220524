// A family of metrics is a row of a table, and a function that knows the value of each item of a
// VM, or of the machine. Whoever asks walks along families, VMs and items, a line a step.
#include "monitor/metrics.h"

#include "lib/string.h"
#include "monitor/summary.h"

#define PIECE      64   // lines at once
#define ASKED_MOST 8192 // bytes of a request
#define SECOND     UINT64_C(1000000000)

struct sample {
    char label[96]; // behind the VM's: ,name="value"
    uint64_t value;
    bool is_none; // of this item
};

// False: there is no such item, nor one behind it.
typedef bool sample_function(const struct metrics *metrics, const struct vm *vm,
                             struct sample *sample);

__attribute__((format(printf, 3, 4))) static bool give(struct sample *sample, uint64_t value,
                                                       const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    format_text_va(sample->label, sizeof(sample->label), format, arguments);
    va_end(arguments);
    sample->value = value;
    return true;
}

// ---- VMs ----

static bool memory(const struct metrics *m, const struct vm *vm, struct sample *sample)
{
    (void)m;
    return !m->item && give(sample, vm->traits.memory, "%s", "");
}

static bool held(const struct metrics *m, const struct vm *vm, struct sample *sample)
{
    uint64_t alone, shared;
    (void)vm;
    m->host->held(m->slot, &alone, &shared);
    return m->item < 2 &&
           give(sample, m->item ? shared : alone, ",with=\"%s\"", m->item ? "others" : "nobody");
}

static bool exits(const struct metrics *m, const struct vm *vm, struct sample *sample)
{
    struct exit_counter counter = {0};
    for (unsigned i = 0; i < vm->vcpu_count && m->item < STATS_REASONS; i++)
        stats_add(&counter, &vm->vcpu[i]->stats, m->item);
    sample->is_none = !counter.count;
    return m->item < STATS_REASONS &&
           give(sample, counter.count, ",reason=\"%s\"", summary_reason(m->item));
}

static bool exit_cycles(const struct metrics *m, const struct vm *vm, struct sample *sample)
{
    struct exit_counter counter = {0};
    for (unsigned i = 0; i < vm->vcpu_count && m->item < STATS_REASONS; i++)
        stats_add(&counter, &vm->vcpu[i]->stats, m->item);
    sample->is_none = !counter.count;
    return m->item < STATS_REASONS &&
           give(sample, counter.cycles, ",reason=\"%s\"", summary_reason(m->item));
}

static bool run_time(const struct metrics *m, const struct vm *vm, struct sample *sample)
{
    return m->item < vm->vcpu_count &&
           give(sample, m->host->vcpu(vm->vcpu[m->item]).received, ",vcpu=\"%u\"", m->item);
}

static bool wait_time(const struct metrics *m, const struct vm *vm, struct sample *sample)
{
    return m->item < vm->vcpu_count &&
           give(sample, m->host->vcpu(vm->vcpu[m->item]).waited, ",vcpu=\"%u\"", m->item);
}

static bool net(const struct metrics *m, bool frames, struct sample *sample)
{
    struct monitor_card card;
    bool sent = m->item % 2;
    if (!m->host->card(m->slot, m->item / 2, &card))
        return false;
    return give(sample,
                frames ? (sent ? card.sent_frames : card.received_frames)
                       : (sent ? card.sent_bytes : card.received_bytes),
                ",card=\"net%u\",direction=\"%s\"", m->item / 2, sent ? "sent" : "received");
}

static bool net_bytes(const struct metrics *m, const struct vm *vm, struct sample *sample)
{
    (void)vm;
    return net(m, false, sample);
}

static bool net_frames(const struct metrics *m, const struct vm *vm, struct sample *sample)
{
    (void)vm;
    return net(m, true, sample);
}

static bool net_dropped(const struct metrics *m, const struct vm *vm, struct sample *sample)
{
    struct monitor_card card;
    (void)vm;
    return m->host->card(m->slot, m->item, &card) &&
           give(sample, card.dropped, ",card=\"net%u\"", m->item);
}

static bool streams(const struct metrics *m, const struct vm *vm, struct sample *sample)
{
    struct monitor_streams found;
    (void)vm;
    if (m->item || !m->host->streams(m->slot, &found))
        return false;
    return give(sample, found.open, "%s", "");
}

static bool streams_ever(const struct metrics *m, const struct vm *vm, struct sample *sample)
{
    static const char *const ends[] = {"opened", "refused", "broken"};
    struct monitor_streams found;
    (void)vm;
    if (m->item >= ARRAY_LENGTH(ends) || !m->host->streams(m->slot, &found))
        return false;
    const uint64_t values[] = {found.opened, found.refused, found.broken};
    return give(sample, values[m->item], ",what=\"%s\"", ends[m->item]);
}

// ---- the machine ----

static bool idle_time(const struct metrics *m, const struct vm *vm, struct sample *sample)
{
    struct monitor_cpu cpu = {0};
    (void)vm;
    bool is_there = m->host->cpu(m->item, &cpu);
    sample->is_none = !cpu.is_online;
    return is_there && give(sample, cpu.idle, "cpu=\"%u\"", m->item);
}

static bool machine_memory(const struct metrics *m, const struct vm *vm, struct sample *sample)
{
    static const char *const kinds[] = {"free", "total", "corbel"};
    uint64_t bytes[3];
    (void)vm;
    m->host->memory(&bytes[0], &bytes[1], &bytes[2]);
    return m->item < ARRAY_LENGTH(kinds) &&
           give(sample, bytes[m->item], "kind=\"%s\"", kinds[m->item]);
}

static bool up_time(const struct metrics *m, const struct vm *vm, struct sample *sample)
{
    (void)vm;
    return !m->item && give(sample, m->host->uptime(), "%s", "");
}

static const struct family {
    const char *name, *help;
    sample_function *sample;
    bool is_gauge;
    bool is_time;     // nanoseconds, shown as seconds
    bool is_machines; // not a VM's: for whoever may observe all
} families[] = {
    {NULL, NULL, NULL, false, false, false}, // the answer's head
    {"vm_memory_bytes", "RAM by its description", memory, true, false, false},
    {"vm_held_bytes", "memory of the machine's that it holds, alone and with other VMs", held, true,
     false, false},
    {"vm_exits_total", "exits by reason", exits, false, false, false},
    {"vm_exit_cycles_total", "TSC cycles in Corbel by exit reason", exit_cycles, false, false,
     false},
    {"vcpu_run_seconds_total", "CPU time that it got", run_time, false, true, false},
    {"vcpu_wait_seconds_total", "time that it could have run and did not", wait_time, false, true,
     false},
    {"net_bytes_total", "bytes of a network card", net_bytes, false, false, false},
    {"net_frames_total", "frames of a network card", net_frames, false, false, false},
    {"net_dropped_total", "frames that its port dropped", net_dropped, false, false, false},
    {"streams_open", "connections of its socket device", streams, true, false, false},
    {"streams_total", "connections that were opened, refused, or broke the rules", streams_ever,
     false, false, false},
    {"cpu_idle_seconds_total", "time in which a host CPU had nothing to do", idle_time, false, true,
     true},
    {"memory_bytes", "the machine's memory", machine_memory, true, false, true},
    {"uptime_seconds", "since Corbel began", up_time, true, true, true},
};

// ---- the walk ----

static bool may_see_all(const struct metrics *m)
{
    for (unsigned slot = 0; slot < CONFIG_VMS; slot++)
        if (m->rights[slot] == RIGHT_NONE && m->host->vm(slot).state != MONITOR_NO_VM)
            return false;
    return true;
}

static void next_family(struct metrics *m)
{
    m->family++;
    m->slot = m->item = 0;
    m->is_named = false;
}

__attribute__((format(printf, 2, 3))) static void put(struct metrics *m, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t length = format_text_va(m->line, METRICS_LINE, format, arguments);
    va_end(arguments);
    m->length = (unsigned)MIN(length, METRICS_LINE - 1);
    m->given = 0;
}

static void put_sample(struct metrics *m, const struct family *family, const char *name,
                       const struct sample *sample)
{
    char label[sizeof(sample->label) + CONFIG_NAME + 8] = "", value[24];
    if (name)
        format_text(label, sizeof(label), "{vm=\"%s\"%s}", name, sample->label);
    else if (sample->label[0])
        format_text(label, sizeof(label), "{%s}", sample->label);
    if (family->is_time)
        format_text(value, sizeof(value), "%lu.%09lu", sample->value / SECOND,
                    sample->value % SECOND);
    else
        format_text(value, sizeof(value), "%lu", sample->value);
    put(m, "corbel_%s%s %s\n", family->name, label, value);
}

// The next item of the family, in a line if it has one.
static void step_sample(struct metrics *m)
{
    const struct family *family = &families[m->family];
    struct sample sample = {.label = ""};
    struct monitor_vm vm = {.vm = NULL};
    if (!family->is_machines && m->rights[m->slot] != RIGHT_NONE)
        vm = m->host->vm(m->slot);
    bool is_there = family->is_machines ? may_see_all(m) : vm.vm != NULL;
    if (is_there && family->sample(m, vm.vm, &sample)) {
        m->item++;
        if (!sample.is_none)
            put_sample(m, family, vm.name, &sample);
        return;
    }
    m->item = 0;
    if (family->is_machines || ++m->slot == CONFIG_VMS)
        next_family(m);
}

static void step(struct metrics *m)
{
    const struct family *family = &families[m->family];
    if (!m->family) {
        bool is_get = memcmp(m->request, "GET /", sizeof(m->request)) == 0;
        put(m, "HTTP/1.0 %s\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n",
            is_get ? "200 OK" : "400 Bad Request");
        m->family = is_get ? 0 : ARRAY_LENGTH(families) - 1;
        next_family(m);
    } else if (!m->is_named) {
        put(m, "# HELP corbel_%s %s\n# TYPE corbel_%s %s\n", family->name, family->help,
            family->name, family->is_gauge ? "gauge" : "counter");
        m->is_named = true;
    } else {
        step_sample(m);
    }
}

// ---- the stream ----

// Up to the empty line behind the request.
static void hear(struct metrics *m)
{
    const uint8_t *bytes;
    uint64_t length, at = 0;
    while (!m->is_asked && (length = stream_piece(m->end, &bytes))) {
        for (at = 0; at < length && !m->is_asked; at++) {
            if (m->asked < sizeof(m->request))
                m->request[m->asked] = (char)bytes[at];
            m->is_asked = (bytes[at] == '\n' && m->is_blank) || ++m->asked == ASKED_MOST;
            m->is_blank = bytes[at] == '\n' || (bytes[at] == '\r' && m->is_blank);
        }
        stream_took(m->end, at);
    }
}

void metrics_begin(struct metrics *metrics, const struct monitor_host *host, const uint8_t *rights,
                   struct stream_end *end)
{
    *metrics = (struct metrics){.host = host, .rights = rights, .end = end};
}

enum metrics_result metrics_step(struct metrics *m)
{
    hear(m);
    if (!m->is_asked)
        return stream_is_at_end(m->end) ? METRICS_END : METRICS_WAITS;
    for (unsigned i = 0; i < PIECE; i++) {
        m->given += (unsigned)stream_give(m->end, m->line + m->given, m->length - m->given);
        if (m->given < m->length)
            return METRICS_WAITS;
        if (m->family == ARRAY_LENGTH(families))
            return METRICS_END;
        step(m);
    }
    return METRICS_MORE;
}
