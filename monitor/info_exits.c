// Where a VM's exits go: tables for people, CSV and JSON lines for tools.

#include "lib/string.h"
#include "monitor/commands.h"
#include "monitor/summary.h"
#include "monitor/trace.h"

#define FEW_ENTRIES 20
#define COLUMNS     77 // and the sum fits

enum form { FORM_TEXT, FORM_CSV, FORM_JSON };

static enum form form_of(const struct args *args)
{
    return args_have(args, 'c') ? FORM_CSV : args_have(args, 'j') ? FORM_JSON : FORM_TEXT;
}

// ---- by reason ----

static void print_histogram(struct monitor *monitor, const struct exit_stats *stats,
                            unsigned reason, const char *format, const char *between)
{
    const char *before = "";
    for (unsigned bucket = 0; bucket < STATS_BUCKETS; bucket++) {
        uint64_t count = stats->histogram[STATS_AT(reason) + bucket];
        if (!count)
            continue;
        say(monitor, "%s", before);
        say(monitor, format, bucket, count);
        before = between;
    }
}

static void print_reason(struct monitor *monitor, enum form form, const struct vcpu *vcpu,
                         unsigned reason)
{
    const char *vm = vcpu->vm->traits.name, *name = summary_reason(reason);
    struct exit_counter counter = {0};
    stats_add(&counter, &vcpu->stats, reason);
    if (!counter.count)
        return;
    if (form == FORM_TEXT) {
        say(monitor, "%-32s ", name);
        print_histogram(monitor, &vcpu->stats, reason, "2^%u:%lu", " ");
        say(monitor, "\n");
    } else if (form == FORM_CSV) {
        say(monitor, "%s,%u,%u,\"%s\",%lu,%lu,%lu,\"", vm, vcpu->id, reason, name, counter.count,
            counter.cycles, counter.longest);
        print_histogram(monitor, &vcpu->stats, reason, "%u:%lu", " ");
        say(monitor, "\"\n");
    } else {
        say(monitor,
            "{\"vm\":\"%s\",\"vcpu\":%u,\"number\":%u,\"reason\":\"%s\",\"count\":%lu,"
            "\"cycles\":%lu,\"max\":%lu,\"histogram\":{",
            vm, vcpu->id, reason, name, counter.count, counter.cycles, counter.longest);
        print_histogram(monitor, &vcpu->stats, reason, "\"%u\":%lu", ",");
        say(monitor, "}}\n");
    }
}

static void print_reasons(struct monitor *monitor, enum form form, const struct vm *vm)
{
    if (form == FORM_CSV)
        say(monitor, "vm,vcpu,number,reason,count,cycles,max,histogram\n");
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        if (form == FORM_TEXT)
            say(monitor, "vCPU %u, exits by cycles: 2^n:k are k exits of 2^n to 2^(n+1)-1\n", i);
        for (unsigned reason = 0; reason < STATS_REASONS; reason++)
            print_reason(monitor, form, vm->vcpu[i], reason);
    }
}

// ---- by address ----

struct list {
    struct monitor *monitor;
    enum form form;
    const struct vm *vm;
    const struct vcpu *vcpu; // NULL: of all
    const char *what;
    unsigned column; // of the text
};

// Rows of 80 columns.
static void print_pair(struct list *list, const char *at, uint64_t count)
{
    char pair[48];
    unsigned length = (unsigned)format_text(pair, sizeof(pair), " %s:%lu", at, count);
    if (list->column + length >= COLUMNS) {
        say(list->monitor, "\n   ");
        list->column = 3;
    }
    say(list->monitor, "%s", pair);
    list->column += length;
}

static void print_row(struct list *list, const uint64_t *address, uint64_t count)
{
    struct monitor *monitor = list->monitor;
    char vcpu[8] = "", at[24] = "";
    bool is_json = list->form == FORM_JSON;
    if (list->vcpu)
        format_text(vcpu, sizeof(vcpu), "%u", list->vcpu->id);
    else if (is_json)
        format_text(vcpu, sizeof(vcpu), "null");
    if (address)
        format_text(at, sizeof(at), is_json ? "%lu" : "%#lx", *address);
    else if (is_json)
        format_text(at, sizeof(at), "null");
    if (is_json)
        say(monitor, "{\"vm\":\"%s\",\"vcpu\":%s,\"what\":\"%s\",\"address\":%s,\"count\":%lu}\n",
            list->vm->traits.name, vcpu, list->what, at, count);
    else if (list->form == FORM_CSV)
        say(monitor, "%s,%s,%s,%s,%lu\n", list->vm->traits.name, vcpu, list->what, at, count);
    else
        print_pair(list, address ? at : "others", count);
}

// What found no room in the table has no address.
static void print_counts(struct list *list, const struct access_counts *counts)
{
    unsigned position = 0;
    uint64_t address, count, sum = counts->others;
    if (list->form == FORM_TEXT)
        say(list->monitor, "%s:", list->what);
    list->column = (unsigned)strlen(list->what) + 1;
    for (; access_counts_next(counts, &position, &address, &count); sum += count)
        print_row(list, &address, count);
    if (counts->others)
        print_row(list, NULL, counts->others);
    if (list->form == FORM_TEXT && sum)
        say(list->monitor, "; %lu in all\n", sum);
    else if (list->form == FORM_TEXT)
        say(list->monitor, " none\n");
}

// What is counted always, accesses that nobody answers; and what is counted while it is watched.
static const struct kind {
    char letter;
    const char *unanswered, *watched;
    size_t in_vm, in_watch; // where the tallies are
} kinds[] = {
    {'p', "unclaimed ports", "ports", offsetof(struct vm, unclaimed_ports),
     offsetof(struct watch, ports)},
    {'m', "unknown MSRs", "MSRs", offsetof(struct vm, unknown_msrs), offsetof(struct watch, msrs)},
    {'g', "unclaimed guest-physical addresses", "guest-physical pages",
     offsetof(struct vm, unclaimed_mmio), offsetof(struct watch, pages)},
};

static void print_kind(struct list list, const struct kind *kind)
{
    list.what = kind->unanswered;
    print_counts(&list, (const void *)((const char *)list.vm + kind->in_vm));
    list.what = kind->watched;
    for (unsigned i = 0; i < list.vm->vcpu_count; i++) {
        list.vcpu = list.vm->vcpu[i];
        if (list.vcpu->watch)
            print_counts(&list, (const void *)((const char *)list.vcpu->watch + kind->in_watch));
        else if (list.form == FORM_TEXT)
            say(list.monitor, "vCPU %u is not watched; 'trace on %s' begins it\n", i,
                list.vm->traits.name);
    }
}

void info_exits(struct monitor *monitor, const struct args *args)
{
    bool has_list = false;
    struct list list = {.monitor = monitor, .form = form_of(args)};
    list.vm = find_vm(monitor, arg_at(args, 1)).vm;
    if (!list.vm)
        return;
    for (unsigned i = 0; i < ARRAY_LENGTH(kinds); i++)
        has_list = has_list || args_have(args, kinds[i].letter);
    if (args_have(args, 'h') || (list.form != FORM_TEXT && !has_list))
        print_reasons(monitor, list.form, list.vm);
    else if (!has_list)
        summary_exits(&monitor->printer, list.vm);
    if (list.form == FORM_CSV && has_list)
        say(monitor, "vm,vcpu,what,address,count\n");
    for (unsigned i = 0; i < ARRAY_LENGTH(kinds); i++)
        if (args_have(args, kinds[i].letter))
            print_kind(list, &kinds[i]);
}

// ---- one by one ----

static void print_trace(struct monitor *monitor, const struct vcpu *vcpu, uint64_t count)
{
    const struct watch *watch = vcpu->watch;
    uint64_t noted = atomic_load(&watch->noted);
    say(monitor, "vCPU %u: %lu exits were noted\n", vcpu->id, noted);
    for (uint64_t number = noted - MIN(noted, count); number < noted; number++) {
        char line[TRACE_LINE];
        struct watch_entry entry;
        if (watch_read(watch, number, &entry))
            say(monitor, "%.*s", (int)trace_format(line, vcpu, &entry), line);
    }
}

void info_trace(struct monitor *monitor, const struct args *args)
{
    struct vm *vm = find_vm(monitor, arg_at(args, 1)).vm;
    if (!vm)
        return;
    monitor->host->hold(vm);
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        if (vm->vcpu[i]->watch)
            print_trace(monitor, vm->vcpu[i], args_have(args, 'a') ? WATCH_ENTRIES : FEW_ENTRIES);
        else
            say(monitor, "vCPU %u is not watched; 'trace on %s' begins it\n", i, vm->traits.name);
    monitor->host->release(vm);
}
