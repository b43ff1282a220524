// Building a domain's VM and clearing it away: what takes long, done by a task of the domain's, so
// that neighbours keep their time. A VM pays for it out of its share: one that does nothing but
// reset itself takes no time from the others.

#include "control/domain.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/random.h"
#include "control/agents.h"
#include "control/consoles.h"
#include "control/saving.h"
#include "control/tasks.h"
#include "lib/log.h"
#include "mm/tables/frames.h"
#include "vmx/loop.h"
#include "vmx/ram.h"
#include "vmx/ram_pages.h"

// ---- services for the guest half ----

static uint64_t wall_clock(struct vm *vm)
{
    return CONTAINER_OF(vm, struct instance, vm)->wall_clock;
}

static void tell_debugger(struct vm *vm)
{
    (void)vm;
    task_wake(&operator_task);
}

static const struct vm_host services = {
    .kick = loop_kick,
    .notify = loop_notify,
    .is_here = loop_is_here,
    .memory_fault = ram_fault,
    .memory_drop = ram_drop,
    .memory_hide = ram_hide,
    .memory_give = ram_give,
    .memory_settle = ram_settle,
    .memory_is_gone = ram_is_gone,
    .memory_log = ram_log,
    .memory_written = ram_written,
    .copy_file = instance_copy,
    .entropy = random_fill,
    .debug_stop = tell_debugger,
    .wall_clock = wall_clock,
};

// ---- building ----

// pin = names a CPU for each vCPU in turn.
static uint16_t pinned_cpu(const struct vm_config *config, unsigned vcpu)
{
    if (!config->pin_count)
        return SCHED_ANY_CPU;
    unsigned cpu = config->pin[vcpu % config->pin_count];
    if (cpu < cpu_count && cpus[cpu].online)
        return (uint16_t)cpu;
    struct explanation why;
    (void)config_explain(&why, STATUS_NOT_FOUND, config, "pin",
                         "pin = %u: there is no such CPU: vCPU %u may run anywhere", cpu, vcpu);
    log_warning("corbel: %s\n", why.text);
    return SCHED_ANY_CPU;
}

// A VM that starts anew goes on where the one before stood, and pays for its making.
static void schedule(struct domain *domain)
{
    struct instance *instance = domain->instance;
    const struct vm_config *config = domain->config;
    uint64_t debt = domain->task.sched.received - domain->charged;
    unsigned count = instance->vm.vcpu_count;
    domain->charged += debt;
    instance->vmx.group = (struct sched_group){
        .member = instance->vmx.entity,
        .count = count,
        .weight = config->weight,
        .cap = config->cap,
    };
    for (unsigned i = 0; i < count; i++) {
        struct vmx_vcpu *vcpu = vmx_vcpu(instance->vm.vcpu[i]);
        vcpu->sched = (struct sched_entity){
            .pinned = pinned_cpu(config, i),
            .group = &instance->vmx.group,
            .debt = debt / count,
            .own = {.vruntime = domain->vruntime},
        };
        instance->vmx.entity[i] = &vcpu->sched;
    }
    for (unsigned i = 0; i < count; i++)
        loop_add(vmx_vcpu(instance->vm.vcpu[i]));
}

static status_t create(struct domain *domain, struct explanation *why)
{
    domain->instance = instance_create(domain->config, domain->index + 1, &domain->rom,
                                       &domain->disks, domain->networks, &services, why);
    if (!domain->instance) {
        domain_post(domain, LIFE_REFUSED);
        return STATUS_NO_MEMORY;
    }
    domain->instance->vm.generation = domain->generation;
    // Ever fewer lines tell of restarts.
    domain->instance->vm.is_quiet = (domain->restarts & (domain->restarts + 1)) != 0;
    return STATUS_OK;
}

status_t domain_start(struct domain *domain, struct explanation *why)
{
    if (domain_post(domain, LIFE_START) != STATUS_OK)
        return config_explain(why, STATUS_INVALID, domain->config, NULL, "it has not ended");
    return domain_life(domain).state == LIFE_BUILDING ? create(domain, why) : STATUS_OK;
}

// What the VM costs us, all included, but what its disks hold.
static void note_overhead(const struct domain *domain)
{
    const struct vm *vm = &domain->instance->vm;
    uint64_t bytes = (frames_held(vm->id).alone + domain->kept) * PAGE_SIZE + sizeof(*domain);
    log_debug("corbel: VM %s takes %lu KiB besides its RAM\n", domain->config->name,
              (bytes - align_up(vm->traits.memory, PAGE_2M)) >> 10);
}

status_t domain_build(struct domain *domain, struct explanation *why)
{
    rom_fill(&domain->rom, &domain->instance->is_called_off);
    bool restores = saving_restores(domain);
    status_t status = instance_fill(domain->instance, !restores, why);
    if (status == STATUS_OK && restores)
        status = saving_restore(domain, why);
    task_wait(0); // then all that it took is known
    if (domain->instance->is_called_off)
        return STATUS_OK;
    if (status != STATUS_OK) {
        domain_post(domain, LIFE_REFUSED);
        return status;
    }
    note_overhead(domain);
    if (!restores)
        instance_start_clock(domain->instance);
    domain_post(domain, LIFE_BUILT);
    agents_connect(&domain->instance->vm);
    consoles_connect(&domain->instance->vm, &domain->instance->lines);
    networks_connect(domain->networks, &domain->instance->vm);
    schedule(domain);
    return STATUS_OK;
}

// ---- clearing ----

static void note_restart(struct domain *domain, enum stop_reason reason)
{
    unsigned count = ++domain->restarts;
    if (!domain->is_logged)
        return;
    log_info("corbel: VM %s: %s: restart %u\n", domain->config->name, stop_reason_text(reason),
             count);
    log_debug("corbel: %lu frames free\n", frames_free_count());
}

static status_t clear(struct domain *domain, struct explanation *why)
{
    struct instance *instance = domain->instance;
    enum stop_reason reason = STOP_NONE;
    if (instance) {
        reason = instance->vm.stop_reason;
        instance->is_called_off = false; // clearing is not
        networks_disconnect(domain->networks, &instance->vm);
        instance_close_streams(instance);
        instance_clear(instance);
        instance_destroy(instance);
    }
    domain->instance = NULL;
    domain_post(domain, LIFE_CLEARED);
    if (domain_life(domain).state == LIFE_BUILDING) {
        note_restart(domain, reason);
        return create(domain, why);
    }
    domain->charged = domain->task.sched.received;
    return STATUS_OK;
}

// ---- the task ----

static void work(struct task *task)
{
    struct domain *domain = CONTAINER_OF(task, struct domain, task);
    struct explanation why;
    for (;;) {
        enum life_state state = domain_life(domain).state;
        status_t status = STATUS_OK;
        if (state == LIFE_BUILDING)
            status = domain_build(domain, &why);
        else if (state == LIFE_CLEARING)
            status = clear(domain, &why);
        else if (domain->is_saving)
            saving_work(domain);
        else
            task_wait(NEVER);
        if (status != STATUS_OK)
            log_error("corbel: %s\n", why.text);
    }
}

status_t domain_make_task(struct domain *domain)
{
    domain->task = (struct task){
        .main = work,
        .strand = &control,
        .pinned = SCHED_ANY_CPU,
        .weight = (uint16_t)domain->config->weight,
    };
    return task_give_stack(&domain->task);
}
