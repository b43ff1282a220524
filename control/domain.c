// The orders that a VM's life gets, and its end. What takes long is in control/domain_work.c.

#include "control/domain.h"

#include "arch/x86_64/tsc.h"
#include "control/consoles.h"
#include "control/instance_inputs.h"
#include "control/state/life_news.h"
#include "drivers/host/console/console.h"
#include "drivers/virt/board_report.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "monitor/summary.h"
#include "vmx/context.h"
#include "vmx/loop.h"
#include "vmx/ram_pages.h"
#include "vmx/state.h"

#define SUMMARY_BYTES 4096 // room on the line for what is printed when a VM ends
#define FLUSH_SECONDS 10   // a line that is stuck for so long is waited for no more

static char last_end[64] = "stopped no VM could be started";

struct life domain_life(struct domain *domain)
{
    spin_lock(&domain->lock);
    struct life life = domain->life;
    spin_unlock(&domain->lock);
    return life;
}

struct vm *domain_vm(struct domain *domain)
{
    struct life life = domain_life(domain);
    return life_has_vm(&life) ? &domain->instance->vm : NULL;
}

const char *domain_last_end(void)
{
    return last_end;
}

static void note_end(enum stop_reason reason, uint32_t code)
{
    if (reason == STOP_POWEROFF)
        format_text(last_end, sizeof(last_end), "poweroff");
    else if (reason == STOP_DEBUG_EXIT)
        format_text(last_end, sizeof(last_end), "debug-exit %u", code);
    else
        format_text(last_end, sizeof(last_end), "stopped %s", stop_reason_text(reason));
}

// ---- standing still ----

static void park(struct instance *instance)
{
    if (instance->parked_at)
        return;
    for (unsigned i = 0; i < instance->vm.vcpu_count; i++)
        loop_remove(vmx_vcpu(instance->vm.vcpu[i]));
    instance->parked_at = rdtsc();
}

// VM time and the guest's TSC stood still.
static void unpark(struct instance *instance)
{
    struct vm *vm = &instance->vm;
    if (!instance->parked_at)
        return;
    uint64_t away = rdtsc() - instance->parked_at;
    vm->clock.epoch += away;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        vm->vcpu[i]->tsc_offset -= away;
        vm->vcpu[i]->dirty |= STATE_TSC;
    }
    instance->parked_at = 0;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        vcpu_note(vm->vcpu[i], REQUEST_TIMER | REQUEST_CLOCK);
        if (!vmx_vcpu(vm->vcpu[i])->left)
            loop_add(vmx_vcpu(vm->vcpu[i]));
    }
}

static void fetch_all(struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct vmx_vcpu *vcpu = vmx_vcpu(vm->vcpu[i]);
        vcpu_load(vcpu);
        state_fetch(vcpu, STATE_ALL);
        vcpu_unload(vcpu);
    }
}

// ---- events ----

static void perform(struct domain *domain, enum life_event event, uint32_t effects)
{
    struct instance *instance = domain->instance;
    if (effects & LIFE_PARK)
        park(instance);
    if (effects & LIFE_STOP)
        vm_stop(&instance->vm, event == LIFE_RESET ? STOP_RESET : STOP_KILLED, 0);
    if (effects & LIFE_UNPARK)
        unpark(instance);
    if (effects & LIFE_REPORT) {
        note_end(STOP_KILLED, 0);
        log_info("corbel: VM %s ended: %s\n", domain->config->name, stop_reason_text(STOP_KILLED));
    }
    if ((effects & LIFE_CLEAR) && instance) {
        consoles_disconnect(&instance->vm);
        instance->is_called_off = true;
    }
    if (event == LIFE_HOLD)
        fetch_all(&instance->vm);
}

void domain_tell(struct domain *domain, struct news_item item)
{
    item.time = inputs_wall_clock(rdtsc());
    news_add(&domain->news, &item);
}

static void tell(struct domain *domain, const struct life *from, const struct life *to,
                 enum life_event event, enum stop_reason reason)
{
    struct news_item items[LIFE_NEWS];
    unsigned count = life_news(from, to, event, reason, items);
    for (unsigned i = 0; i < count; i++)
        domain_tell(domain, items[i]);
}

// The effects are waited for without the lock: a vCPU that leaves its loop may be the last one.
status_t domain_post(struct domain *domain, enum life_event event)
{
    uint32_t effects;
    spin_lock(&domain->lock);
    struct life before = domain->life;
    status_t status = life_step(&domain->life, event, ACTION_DESTROY, &effects);
    struct life after = domain->life;
    spin_unlock(&domain->lock);
    if (status == STATUS_OK) {
        perform(domain, event, effects);
        tell(domain, &before, &after, event, STOP_NONE);
    }
    if (after.state == LIFE_BUILDING || after.state == LIFE_CLEARING)
        task_wake(&domain->task);
    return status;
}

void domain_left(struct domain *domain)
{
    uint32_t effects;
    enum stop_reason reason = domain->instance->vm.stop_reason;
    networks_disconnect(domain->networks, &domain->instance->vm); // its memory is as it was left
    instance_close_streams(domain->instance);
    spin_lock(&domain->lock);
    domain->flushing_since = rdtsc();
    struct life before = domain->life;
    status_t status =
        life_step(&domain->life, LIFE_LEFT, life_configured(domain->config, reason), &effects);
    struct life after = domain->life;
    spin_unlock(&domain->lock);
    assert(status == STATUS_OK && !effects);
    tell(domain, &before, &after, LIFE_LEFT, reason);
}

// ---- the end ----

// What the guest printed last may still be in its serial ports. True: it is out.
static bool is_flushed(const struct domain *domain)
{
    return consoles_finish(&domain->instance->vm) && console_can_write(SUMMARY_BYTES);
}

static enum log_level level_of(const struct vm *vm)
{
    switch (vm->stop_reason) {
    case STOP_POWEROFF:
    case STOP_RESET:
    case STOP_KILLED:
    case STOP_DEBUG_EXIT:
        return LOG_INFO;
    default:
        return LOG_ERROR;
    }
}

static void print_summary(const struct instance *instance)
{
    uint64_t received[VM_VCPUS];
    const struct vm *vm = &instance->vm;
    bool is_wanted = vm->traits.exit_stats == EXIT_STATS_PRINT;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        received[i] = instance->vmx.entity[i]->received;
    summary_figures(LOG_PRINTER_OF(is_wanted ? LOG_INFO : LOG_DEBUG, vm->traits.name), vm,
                    clock_ns(&vm->clock, rdtsc()), received);
    summary_end(LOG_PRINTER(level_of(vm)), vm);
    summary_state(LOG_PRINTER_OF(level_of(vm), vm->traits.name), vm);
}

void domain_flush(struct domain *domain)
{
    uint64_t since = rdtsc();
    struct life life = domain_life(domain);
    if (life.state != LIFE_FLUSHING ||
        (!is_flushed(domain) && since - domain->flushing_since <= FLUSH_SECONDS * host_tsc_hz))
        return;
    struct instance *instance = domain->instance;
    note_end(instance->vm.stop_reason, instance->vm.stop_code);
    for (unsigned i = 0; i < instance->vm.vcpu_count; i++)
        domain->vruntime = MAX(domain->vruntime, instance->vmx.entity[i]->own.vruntime);
    domain->is_logged = vm_end_is_logged(&instance->vm, since);
    if (life.then != ACTION_RESTART)
        print_summary(instance);
    else if (domain->is_logged)
        summary_state(LOG_PRINTER_OF(level_of(&instance->vm), instance->vm.traits.name),
                      &instance->vm);
    domain->charged -= scale_32(rdtsc() - since, instance->vm.clock.ns_per_tsc);
    domain_post(domain, LIFE_FLUSHED);
}

// ---- without memory ----

void domain_feed(struct domain *domain)
{
    struct life life = domain_life(domain);
    struct instance *instance = domain->instance;
    bool runs = life.state == LIFE_RUNNING;
    if (!runs && life.state != LIFE_PAUSED)
        domain->waits_for_memory = false;
    if (!instance || !instance->vm.is_starved || !(runs || domain->waits_for_memory))
        return;
    (void)ram_settle(&instance->vm); // what it gave itself may be enough
    if (ram_can_go_on(&instance->vm)) {
        instance->vm.is_starved = domain->waits_for_memory = false;
        if (!runs && domain_post(domain, LIFE_RESUME) == STATUS_OK)
            log_info("[%s] there is memory again: it goes on\n", domain->config->name);
    } else if (runs && domain_post(domain, LIFE_PAUSE) == STATUS_OK) {
        domain->waits_for_memory = true;
        if (!ram_overcommit)
            log_info("[%s] paused until pages that it gave can be used again\n",
                     domain->config->name);
        else
            log_warning("[%s] paused: it needs memory that was given to others (overcommit): end a "
                        "VM, or let one give memory back ('balloon'), and it goes on\n",
                        domain->config->name);
    }
}

void domain_watch_balloon(struct domain *domain)
{
    struct balloon_report report;
    struct vm *vm = domain_vm(domain);
    uint64_t now = rdtsc();
    if (now - domain->balloon_seen < host_tsc_hz || !vm || !board_report_balloon(vm, &report))
        return;
    domain->balloon_seen = now;
    if (domain->balloon && domain->balloon != report.actual)
        domain_tell(domain,
                    (struct news_item){.kind = NEWS_BALLOON_CHANGE, .value = report.actual});
    domain->balloon = report.actual;
}
