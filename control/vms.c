// The set of VMs: which VM an order means.

#include "control/vms.h"

#include "arch/x86_64/random.h"
#include "arch/x86_64/tsc.h"
#include "control/agents.h"
#include "control/consoles.h"
#include "control/domain.h"
#include "control/instance_inputs.h"
#include "control/saving.h"
#include "control/tasks.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "mm/tables/frames.h"
#include "mm/paging.h"

#define SCROLL_BACK 32768

static struct domain domains[CONFIG_VMS];
static unsigned domain_count; // none is ever freed
static uint64_t frames_at_start;

void vms_init(void)
{
    frames_at_start = frames_free_count();
}

static struct domain *domain_of(const struct vm *vm)
{
    return &domains[vm->id - 1];
}

// ---- beginning ----

// It must not come again, also not in another machine: where there is no source of randomness it is
// made of the time.
static struct uuid new_generation(void)
{
    char when[UUID_NAME + 1];
    format_text(when, sizeof(when), "%lx %lx", instance_inputs.wall_clock, rdtsc());
    struct uuid generation = uuid_of_name(when);
    if (random_init())
        (void)random_fill(generation.bytes, sizeof(generation.bytes));
    return generation;
}

// What a domain has for good: a port stays at its switch, so this is last.
static status_t keep(struct domain *domain, const struct vm_config *config, struct explanation *why)
{
    uint64_t before = frames_held(FRAMES_CORBEL).alone;
    uint8_t *scroll_back = frames_allocate(SCROLL_BACK, PAGE_SIZE, FRAMES_CORBEL);
    status_t status = scroll_back ? domain_make_task(domain) : STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status = networks_make(&domain->networks, config, why);
    else
        (void)config_explain(why, status, config, NULL, "no memory for its console and its task");
    domain->kept = frames_held(FRAMES_CORBEL).alone - before;
    frames_at_start -= domain->kept;
    if (status == STATUS_OK)
        mux_attach(&consoles, domain_count, &domain->console, config->name, scroll_back,
                   SCROLL_BACK);
    return status;
}

static status_t add(struct domain *domain, const struct vm_config *config, struct explanation *why)
{
    unsigned id = domain_count + 1;
    domain->config = config;
    domain->generation = new_generation();
    status_t status = rom_make(&domain->rom, config, id, why);
    if (status != STATUS_OK)
        return status;
    status = disks_make(&domain->disks, config, id, why);
    if (status == STATUS_OK) {
        status = keep(domain, config, why);
        if (status != STATUS_OK)
            disks_release(&domain->disks, id);
    }
    if (status != STATUS_OK)
        rom_release(&domain->rom, id);
    else
        domain->index = domain_count++;
    return status;
}

status_t vms_start(const struct vm_config *config, struct explanation *why)
{
    if (domain_count == CONFIG_VMS)
        return config_explain(why, STATUS_FULL, config, NULL, "there are %u VMs already",
                              CONFIG_VMS);
    struct domain *domain = &domains[domain_count];
    status_t status = add(domain, config, why);
    if (status == STATUS_OK)
        status = domain_start(domain, why);
    if (status == STATUS_OK)
        status = domain_build(domain, why);
    return status;
}

status_t vms_start_again(unsigned index, struct explanation *why)
{
    return domain_start(&domains[index], why);
}

// ---- looking ----

unsigned vms_described(void)
{
    return domain_count;
}

bool vms_have_ended(void)
{
    for (unsigned i = 0; i < domain_count; i++)
        if (domain_life(&domains[i]).state != LIFE_ABSENT)
            return false;
    return true;
}

struct vm *vms_at(unsigned index)
{
    return index < domain_count ? domain_vm(&domains[index]) : NULL;
}

const struct vm_config *vms_config(unsigned index)
{
    return index < domain_count ? domains[index].config : NULL;
}

struct networks *vms_networks(unsigned index)
{
    return index < domain_count ? domains[index].networks : NULL;
}

struct news *vms_news(unsigned index)
{
    return &domains[index].news;
}

uint64_t vms_disk_bytes(unsigned index, unsigned disk)
{
    return domains[index].disks.disk[disk].block.sectors * BLOCK_SECTOR;
}

struct life vms_life(unsigned index)
{
    return domain_life(&domains[index]);
}

void vms_print_frames(void)
{
    uint64_t free = frames_free_count() + paging_splits();
    for (unsigned i = 0; i < domain_count; i++)
        free += disks_frames(i + 1); // which outlive them
    log_debug("corbel: %lu frames free, %lu before the first VM\n", free, frames_at_start);
}

const char *vms_end_text(void)
{
    return domain_last_end();
}

// ---- orders ----

status_t vms_pause(struct vm *vm)
{
    struct domain *domain = domain_of(vm);
    bool waits = domain->waits_for_memory; // it stands still already, and shall not go on by itself
    domain->waits_for_memory = false;
    status_t status = domain_post(domain, LIFE_PAUSE);
    return waits ? STATUS_OK : status;
}

status_t vms_resume(struct vm *vm)
{
    return domain_post(domain_of(vm), LIFE_RESUME);
}

void vms_hold(struct vm *vm)
{
    status_t status = domain_post(domain_of(vm), LIFE_HOLD);
    assert(status == STATUS_OK); // wherever there is a VM
}

void vms_release(struct vm *vm)
{
    status_t status = domain_post(domain_of(vm), LIFE_RELEASE);
    assert(status == STATUS_OK);
}

status_t vms_watch(struct vm *vm, const struct watch_filter *filter)
{
    vms_hold(vm);
    status_t status = instance_watch(domain_of(vm)->instance, filter);
    vms_release(vm);
    return status;
}

status_t vms_save(struct vm *vm, struct explanation *why)
{
    return saving_order(domain_of(vm), NULL, why);
}

status_t vms_save_to(unsigned index, struct stream_end *to, struct explanation *why)
{
    return saving_order(&domains[index], to, why);
}

status_t vms_restore_from(unsigned index, struct stream_end *from, struct explanation *why)
{
    struct domain *domain = &domains[index];
    status_t status = saving_order_restore(domain, from, why);
    if (status == STATUS_OK)
        status = domain_start(domain, why);
    if (status != STATUS_OK)
        saving_forget(domain, from);
    return status;
}

bool vms_stream_goes_on(unsigned index, const struct stream_end *stream)
{
    return saving_goes_on(&domains[index], stream);
}

void vms_stream_forget(unsigned index, const struct stream_end *stream)
{
    saving_forget(&domains[index], stream);
}

void vms_reset(struct vm *vm)
{
    status_t status = domain_post(domain_of(vm), LIFE_RESET);
    assert(status == STATUS_OK);
}

bool vms_power_down(struct vm *vm)
{
    bool is_heard = agents_power_down(vm);
    if (is_heard)
        domain_tell(domain_of(vm), (struct news_item){.kind = NEWS_POWERDOWN});
    return is_heard;
}

// One that has ended, or does so for good, is what was wanted.
void vms_kill(unsigned index)
{
    (void)domain_post(&domains[index], LIFE_KILL);
}

void vms_kill_all(void)
{
    for (unsigned i = 0; i < domain_count; i++)
        vms_kill(i);
}

// ---- tasks ----

void vms_stopped(struct vm *vm)
{
    domain_left(domain_of(vm));
    task_wake(&operator_task);
}

void vms_start_tasks(void)
{
    for (unsigned i = 0; i < domain_count; i++)
        task_add(&domains[i].task);
}

void vms_attend(void)
{
    for (unsigned i = 0; i < domain_count; i++) {
        domain_flush(&domains[i]);
        domain_feed(&domains[i]);
        if (news_has_readers(&domains[i].news))
            domain_watch_balloon(&domains[i]);
        disks_settle(&domains[i].disks);
    }
}
