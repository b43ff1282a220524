// Once a second, a look at every VM that wants it, and at what machine checks left.

#include "control/watchdog.h"

#include "arch/x86_64/machine_check.h"
#include "arch/x86_64/tsc.h"
#include "control/tasks.h"
#include "control/vms.h"
#include "lib/log.h"
#include "mm/tables/frames.h"
#include "mm/paging.h"
#include "vm/watchdog.h"
#include "vmx/vmx.h"

static struct watchdog dogs[CONFIG_VMS];

// Only one that had no exits is stopped for a closer look.
static void look_at(struct watchdog *dog, struct vm *vm, unsigned seconds)
{
    bool is_alive = watchdog_sees_exits(dog, vm);
    if (!is_alive)
        vms_hold(vm);
    bool shows_life = is_alive || watchdog_sees_progress(dog, vm);
    char text[200];
    switch (watchdog_note(dog, shows_life, seconds)) {
    case WATCHDOG_NOTHING:
        break;
    case WATCHDOG_SILENT:
        watchdog_describe(dog, vm, text, sizeof(text));
        log_warning("[%s] %s\n", vm->traits.name, text);
        break;
    case WATCHDOG_BACK:
        log_info("[%s] shows life again\n", vm->traits.name);
        break;
    }
    if (!is_alive)
        vms_release(vm);
}

// Names the VM whose memory broke, which is told of what it has not used yet.
static void name_owner(uint64_t frame, bool is_latent)
{
    char text[80];
    gpa_t page;
    unsigned owner;
    struct vm *vm = frame_holders(hpa(frame), &owner) && owner ? vms_at(owner - 1) : NULL;
    if (!vm || !gmem_find(&vm->memory, paging_window(hpa(frame)), &page))
        return;
    format_text(text, sizeof(text), "the page at guest-physical %#lx is broken", page.value);
    log_warning("[%s] %s\n", vm->traits.name, text);
    if (is_latent)
        mce_post(vm->vcpu[0], page);
}

// Memory that broke and was not used yet is used no more once its VM gives it back.
static void report_machine_checks(void)
{
    struct mca_bank bank;
    uint64_t frame;
    while (machine_check_next(&bank)) {
        mca_print(LOG_PRINTER(LOG_ERROR), &bank);
        if ((bank.severity != MCA_LATENT && bank.severity != MCA_CONSUMED) ||
            !mca_frame(&bank, &frame))
            continue;
        frames_retire(hpa(frame));
        name_owner(frame, bank.severity == MCA_LATENT);
    }
}

static uint64_t attend(struct task *task, uint64_t until)
{
    (void)task;
    (void)until;
    report_machine_checks();
    for (unsigned i = 0; i < vms_described(); i++) {
        struct vm *vm = vms_at(i);
        if (vm && vms_config(i)->watchdog && vms_life(i).state == LIFE_RUNNING)
            look_at(&dogs[i], vm, vms_config(i)->watchdog);
        else
            dogs[i].silent = 0;
    }
    return rdtsc() + host_tsc_hz;
}

static struct task task = {
    .run = attend,
    .strand = &control,
    .pinned = SCHED_ANY_CPU,
    .weight = SCHED_WEIGHT_DEFAULT,
};

void watchdog_init(void)
{
    task_add(&task);
}
