// The set of VMs, and what others ask of it: start, pause, look, reset, end.

#include "boot/vms.h"

#include "arch/x86_64/cpu.h"
#include "arch/x86_64/tsc.h"
#include "boot/consoles.h"
#include "boot/instance.h"
#include "boot/slots.h"
#include "boot/uart2.h"
#include "lib/string.h"
#include "mm/frames.h"
#include "vmx/loop.h"
#include "vmx/run.h"
#include "vmx/setup.h"
#include "vmx/state.h"

#define SCROLL_BACK 32768

struct slot slots[CONFIG_VMS];
unsigned slot_count;
struct vms_inputs vms_inputs;
static uint64_t frames_at_start;

void vms_init(const struct vms_inputs *given)
{
    vms_inputs = *given;
    frames_at_start = frames_free_count();
}

static status_t fill(struct slot *slot, const struct vm_config *config, struct explanation *why)
{
    uint8_t *scroll_back = frames_allocate(SCROLL_BACK, PAGE_SIZE);
    if (!scroll_back)
        return explain(why, STATUS_NO_MEMORY, "%s: no memory for its console", config->name);
    frames_at_start -= SCROLL_BACK / PAGE_SIZE; // it is kept
    slot->config = config;
    slot_count++;
    mux_attach(&consoles, (unsigned)(slot - slots), &slot->console, config->name, scroll_back,
               SCROLL_BACK);
    status_t status = slot_begin(slot, why);
    while (slot->phase == PHASE_FILLING && status == STATUS_OK) // nobody else wants this CPU yet
        status = slot_fill(slot, NEVER, why);
    return status;
}

status_t vms_start(const struct vm_config *config, struct explanation *why)
{
    if (slot_count == CONFIG_VMS)
        return explain(why, STATUS_FULL, "%s: there are %u VMs already", config->name, CONFIG_VMS);
    return fill(&slots[slot_count], config, why);
}

status_t vms_start_again(unsigned slot, struct explanation *why)
{
    if (slots[slot].phase == PHASE_ENDED)
        return slot_begin(&slots[slot], why);
    slots[slot].again = true; // what it was is still being cleared
    return STATUS_OK;
}

unsigned vms_slots(void)
{
    return slot_count;
}

unsigned vms_count(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < slot_count; i++)
        count += slots[i].instance != NULL;
    return count;
}

struct vm *vms_at(unsigned slot)
{
    if (slot >= slot_count)
        return NULL;
    enum slot_phase phase = slots[slot].phase;
    bool is_there = phase == PHASE_RUNNING || phase == PHASE_SPEAKING || phase == PHASE_PRESERVED;
    return is_there ? &slots[slot].instance->vm : NULL;
}

bool vms_is_starting(unsigned slot)
{
    const struct slot *s = &slots[slot];
    return s->phase == PHASE_FILLING || (s->phase == PHASE_CLEARING && s->again);
}

const struct vm_config *vms_config(unsigned slot)
{
    return slot < slot_count ? slots[slot].config : NULL;
}

void vms_console_room(void)
{
    for (unsigned i = 0; i < slot_count; i++)
        if (vms_at(i))
            board_uart_room(vms_at(i));
}

static struct instance *instance_of(struct vm *vm)
{
    return CONTAINER_OF(vm, struct instance, vm);
}

// ---- pausing: VM time and the guest's TSC stand still ----

void vms_pause(struct vm *vm)
{
    struct instance *instance = instance_of(vm);
    if (instance->paused_at)
        return;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        loop_remove(vmx_vcpu(vm->vcpu[i]));
    instance->paused_at = rdtsc();
}

void vms_continue(struct vm *vm)
{
    struct instance *instance = instance_of(vm);
    if (!instance->paused_at)
        return;
    uint64_t away = rdtsc() - instance->paused_at;
    vm->clock.epoch += away;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        vm->vcpu[i]->tsc_offset -= away;
        vm->vcpu[i]->dirty |= STATE_TSC;
    }
    instance->paused_at = 0;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        vcpu_note(vm->vcpu[i], REQUEST_TIMER | REQUEST_CLOCK);
        if (!vmx_vcpu(vm->vcpu[i])->left)
            loop_add(vmx_vcpu(vm->vcpu[i]));
    }
}

bool vms_is_paused(struct vm *vm)
{
    return instance_of(vm)->paused_at != 0;
}

bool vms_is_preserved(struct vm *vm)
{
    return slots[vm->id - 1].phase == PHASE_PRESERVED;
}

void vms_hold(struct vm *vm)
{
    struct instance *instance = instance_of(vm);
    instance->is_held = !instance->paused_at && !instance->has_left;
    if (instance->is_held)
        vms_pause(vm);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        struct vmx_vcpu *vcpu = vmx_vcpu(vm->vcpu[i]);
        vcpu_load(vcpu);
        state_fetch(vcpu, STATE_ALL);
        vcpu_unload(vcpu);
    }
}

void vms_release(struct vm *vm)
{
    if (instance_of(vm)->is_held)
        vms_continue(vm);
    instance_of(vm)->is_held = false;
}

status_t vms_watch(struct vm *vm, bool on)
{
    vms_hold(vm);
    status_t status = instance_watch(instance_of(vm), on);
    vms_release(vm);
    return status;
}

// ---- ending ----

static void end(struct vm *vm, enum stop_reason reason)
{
    if (vms_is_preserved(vm)) {
        slot_end(&slots[vm->id - 1], reason == STOP_RESET);
        return;
    }
    vm_stop(vm, reason, 0);
    vms_continue(vm); // a paused one has to run to leave
}

void vms_kill(unsigned slot)
{
    struct vm *vm = vms_at(slot);
    if (vm) {
        instance_of(vm)->is_killed = true; // also if it is on its way to a restart
        end(vm, STOP_KILLED);
    } else if (slots[slot].instance) { // none of its vCPUs runs
        slot_kill(&slots[slot]);
    }
}

void vms_reset(struct vm *vm)
{
    instance_of(vm)->is_reset = true;
    end(vm, STOP_RESET);
}

void vms_kill_all(void)
{
    for (unsigned slot = 0; slot < slot_count; slot++)
        vms_kill(slot);
}

void vms_tell_frames(void)
{
    tell("corbel: %lu frames free, %lu before the first VM\n", frames_free_count(),
         frames_at_start);
}
