// What QMP tells of a VM, by QEMU's QAPI schema: machine.json, run-state.json, block-core.json.

#include "lib/string.h"
#include "monitor/qmp_command.h"

#define SAY(qmp, ...) print_to(&(qmp)->printer, __VA_ARGS__)

bool qmp_query_version(struct qmp *qmp)
{
    SAY(qmp, "{\"qemu\": {\"major\": 7, \"minor\": 2, \"micro\": 0}, \"package\": ");
    json_print(&qmp->printer, qmp->monitor.host->version);
    SAY(qmp, "}");
    return false;
}

bool qmp_query_name(struct qmp *qmp)
{
    SAY(qmp, "{\"name\": ");
    json_print(&qmp->printer, qmp_vm(qmp).name);
    SAY(qmp, "}");
    return false;
}

bool qmp_query_uuid(struct qmp *qmp)
{
    char text[UUID_TEXT];
    struct vm_traits traits = config_traits(qmp_vm(qmp).config);
    uuid_format(&traits.uuid, text);
    SAY(qmp, "{\"UUID\": \"%s\"}", text);
    return false;
}

// The hypervisor is this one.
bool qmp_query_kvm(struct qmp *qmp)
{
    SAY(qmp, "{\"enabled\": false, \"present\": false}");
    return false;
}

bool qmp_query_memory(struct qmp *qmp)
{
    SAY(qmp, "{\"base-memory\": %lu}", qmp_vm(qmp).config->memory);
    return false;
}

static const char *run_state(const struct monitor_vm *found)
{
    switch (found->state) {
    case MONITOR_STARTING:
        return "prelaunch";
    case MONITOR_RUNNING:
        return "running";
    case MONITOR_PAUSED:
        return "paused";
    case MONITOR_PRESERVED:
        return found->vm->stop_reason == STOP_GUEST_PANIC  ? "guest-panicked"
               : found->vm->stop_reason < STOP_GUEST_PANIC ? "shutdown"
                                                           : "internal-error";
    case MONITOR_NO_VM:
    case MONITOR_ENDED:
    case MONITOR_ENDING:
        break;
    }
    return "shutdown";
}

bool qmp_query_status(struct qmp *qmp)
{
    struct monitor_vm found = qmp_vm(qmp);
    SAY(qmp, "{\"status\": \"%s\", \"singlestep\": false, \"running\": %s}", run_state(&found),
        found.state == MONITOR_RUNNING ? "true" : "false");
    return false;
}

bool qmp_query_cpus(struct qmp *qmp)
{
    struct vm *vm = qmp_vm(qmp).vm;
    unsigned i = qmp->piece;
    SAY(qmp, i ? "" : "[");
    if (vm && i < vm->vcpu_count) // the host's thread is the CPU where it ran last
        SAY(qmp,
            "%s{\"cpu-index\": %u, \"qom-path\": \"/machine/unattached/device[%u]\", "
            "\"thread-id\": %u, \"props\": {\"socket-id\": 0, \"core-id\": %u, \"thread-id\": 0}, "
            "\"target\": \"x86_64\"}",
            i ? ", " : "", i, i, qmp->monitor.host->vcpu(vm->vcpu[i]).cpu, i);
    if (vm && i + 1 < vm->vcpu_count)
        return true;
    SAY(qmp, "]");
    return false;
}

static void print_disk(struct qmp *qmp, const struct config_disk *disk, unsigned i)
{
    bool is_read_only = disk->module[0] && !disk->overlay;
    char file[CONFIG_PATH + 8];
    format_text(file, sizeof(file), "%s%s", disk->module[0] ? "module:" : "ram:", disk->module);
    SAY(qmp,
        "%s{\"device\": \"disk%u\", \"type\": \"unknown\", \"removable\": false, \"locked\": "
        "false, "
        "\"io-status\": \"ok\", \"inserted\": {\"drv\": \"raw\", \"ro\": %s, \"encrypted\": false, "
        "\"backing_file_depth\": 0, \"bps\": 0, \"bps_rd\": 0, \"bps_wr\": 0, \"iops\": 0, "
        "\"iops_rd\": 0, \"iops_wr\": 0, \"detect_zeroes\": \"off\", \"write_threshold\": 0, "
        "\"cache\": {\"writeback\": true, \"direct\": false, \"no-flush\": false}, ",
        i ? ", " : "", i, is_read_only ? "true" : "false");
    SAY(qmp,
        "\"file\": \"%s\", \"image\": {\"filename\": \"%s\", \"format\": \"raw\", "
        "\"virtual-size\": %lu}}}",
        file, file, qmp->monitor.host->disk_bytes(qmp->monitor.slot, i));
}

bool qmp_query_block(struct qmp *qmp)
{
    const struct vm_config *config = qmp_vm(qmp).config;
    unsigned i = qmp->piece;
    SAY(qmp, i ? "" : "[");
    if (i < config->disk_count)
        print_disk(qmp, &config->disk[i], i);
    if (i + 1 < config->disk_count)
        return true;
    SAY(qmp, "]");
    return false;
}

bool qmp_query_balloon(struct qmp *qmp)
{
    struct monitor_balloon balloon;
    struct vm *vm = qmp_vm(qmp).vm;
    if (!vm || !qmp->monitor.host->balloon(vm, &balloon))
        return qmp_fail(qmp, QMP_INACTIVE, "No balloon device has been activated");
    SAY(qmp, "{\"actual\": %lu}", balloon.actual);
    return false;
}

void qmp_print_event(struct printer *to, const struct news_item *item)
{
    static const char *const names[NEWS_KINDS] = {
        "STOP", "RESUME", "SHUTDOWN", "RESET", "POWERDOWN", "GUEST_PANICKED", "BALLOON_CHANGE"};
    static const char *const causes[NEWS_CAUSES] = {
        "host-error",     "host-qmp-quit", "host-qmp-system-reset",
        "guest-shutdown", "guest-reset",   "guest-panic"};
    print_to(to, "\"event\": \"%s\"", names[item->kind]);
    if (item->kind == NEWS_SHUTDOWN || item->kind == NEWS_RESET)
        print_to(to, ", \"data\": {\"guest\": %s, \"reason\": \"%s\"}",
                 item->cause >= NEWS_GUEST_SHUTDOWN ? "true" : "false", causes[item->cause]);
    else if (item->kind == NEWS_GUEST_PANICKED)
        print_to(to, ", \"data\": {\"action\": \"%s\"}", item->is_preserved ? "pause" : "poweroff");
    else if (item->kind == NEWS_BALLOON_CHANGE)
        print_to(to, ", \"data\": {\"actual\": %lu}", item->value);
}
