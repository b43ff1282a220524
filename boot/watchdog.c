// Once a second, a look at every VM that wants it, and at what machine checks left. Called by the
// operator's poll.

#include "boot/watchdog.h"

#include "arch/x86_64/machine_check.h"
#include "boot/consoles.h"
#include "boot/vms.h"
#include "mm/frames.h"
#include "mm/paging.h"
#include "vm/watchdog.h"
#include "vmx/machine.h"

static struct watchdog dogs[CONFIG_VMS];

// Only one that had no exits is stopped for a closer look.
static void look_at(struct watchdog *dog, struct vm *vm)
{
    bool is_alive = watchdog_sees_exits(dog, vm);
    if (!is_alive)
        vms_hold(vm);
    bool shows_life = is_alive || watchdog_sees_progress(dog, vm);
    char text[200];
    switch (watchdog_note(dog, shows_life, vm->config.watchdog)) {
    case WATCHDOG_NOTHING:
        break;
    case WATCHDOG_SILENT:
        watchdog_describe(dog, vm, text, sizeof(text));
        vm->host->log(vm, text);
        break;
    case WATCHDOG_BACK:
        vm->host->log(vm, "shows life again");
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
    for (unsigned slot = 0; slot < vms_slots(); slot++) {
        struct vm *vm = vms_at(slot);
        if (!vm || !gmem_find(&vm->memory, paging_window(hpa(frame)), &page))
            continue;
        format_text(text, sizeof(text), "the page at guest-physical %#lx is broken", page.value);
        vm->host->log(vm, text);
        if (is_latent)
            mce_post(vm->vcpu[0], page);
    }
}

// Memory that broke and was not used yet is used no more once its VM gives it back.
static void tell_machine_checks(void)
{
    struct mca_bank bank;
    uint64_t frame;
    while (machine_check_next(&bank)) {
        mca_print(&consoles.printer, &bank);
        if ((bank.severity != MCA_LATENT && bank.severity != MCA_CONSUMED) ||
            !mca_frame(&bank, &frame))
            continue;
        if (!frames_retire(hpa(frame)))
            tell("corbel: more memory breaks than can be remembered\n");
        name_owner(frame, bank.severity == MCA_LATENT);
    }
}

void watchdog_attend(uint64_t now)
{
    static uint64_t next;
    if (now < next)
        return;
    next = now + host_tsc_hz;
    tell_machine_checks();
    for (unsigned slot = 0; slot < vms_slots(); slot++) {
        struct vm *vm = vms_at(slot);
        if (vm && vm->config.watchdog && !vms_is_paused(vm) && !vms_is_preserved(vm))
            look_at(&dogs[slot], vm);
        else
            dogs[slot].silent = 0;
    }
}
