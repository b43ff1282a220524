// A vCPU's state as a whole, by its table of fields: save and load. While the vCPU runs some of it
// is in its VMCS and in the CPU's registers: it is fetched before (STATE_ALL). Called by whoever
// holds the vCPU.
#include "lib/string.h"
#include "vm/fpu_image.h"
#include "vm/kvmsteal.h"
#include "vm/vm.h"

#define VERSION 0

static const char *name_of(const struct vcpu *vcpu, char name[16])
{
    format_text(name, 16, "vCPU %u", vcpu->id);
    return name;
}

size_t vcpu_save_state(struct vcpu *vcpu, uint8_t *to, size_t room)
{
    char name[16];
    lapic_arrive(vcpu);
    if (atomic_fetch_and(&vcpu->requests, ~(uint32_t)REQUEST_UNHALT) & REQUEST_UNHALT)
        vcpu->unhalted = true;
    return section_save(name_of(vcpu, name), vcpu_fields, VERSION, vcpu, to, room);
}

status_t vcpu_load_state(struct vcpu *vcpu, struct section_input *input, bool commit,
                         struct explanation *why)
{
    char name[16];
    struct section section;
    status_t status = section_open(input, name_of(vcpu, name), VERSION, &section, why);
    if (status != STATUS_OK)
        return status;
    if (commit)
        vcpu_reset(vcpu, false); // what an older state does not hold
    return fields_load(vcpu_fields, vcpu, section.version, section.records, section.length, commit,
                       name, why);
}

// ---- loaded ----

// The CPU faults at what is reserved in an image.
static void mend_fpu(struct vcpu *vcpu)
{
    const struct cpuid_policy *cpuid = &vcpu->vm->cpuid;
    struct fpu_image *fpu = vcpu->fpu;
    fpu->mxcsr &= 0xffff;
    fpu->xstate_bv = cpuid_has(cpuid, CPUID_XSAVE) ? fpu->xstate_bv & cpuid->xcr0_allowed : 3;
    memset(fpu->header, 0, sizeof(fpu->header));
}

// Whether it is an event as handlers and exits leave it.
static bool is_event(struct event event)
{
    uint32_t type = (uint32_t)FIELD_GET(EVENT_TYPE, event.info), vector = event.info & EVENT_VECTOR;
    if ((event.info & ~(EVENT_TYPE | EVENT_VECTOR | EVENT_HAS_ERROR)) != EVENT_VALID)
        return false;
    if (event.info & EVENT_HAS_ERROR)
        return type == EVENT_EXCEPTION && vector < 32;
    return type == EVENT_NMI         ? vector == VECTOR_NMI
           : type == EVENT_EXCEPTION ? vector < 32
                                     : type != 1;
}

void vcpu_loaded(struct vcpu *vcpu)
{
    vcpu->fetched = vcpu->dirty = STATE_ALL & ~(vcpu->fpu ? 0 : STATE_FPU);
    vcpu->dirty |= STATE_BREAKPOINTS; // perhaps
    vcpu->cr2_dirty = true;
    vcpu_mirror_cr4(vcpu);
    if (!cpuid_accepts_xcr0(&vcpu->vm->cpuid, vcpu->xcr0))
        vcpu->xcr0 = 1;
    if (vcpu->fpu)
        mend_fpu(vcpu);
    if (!is_event(vcpu->events.pending))
        vcpu->events.pending.info = 0;
    msr_loaded(vcpu);
    kvmsteal_loaded(vcpu);
    lapic_loaded(vcpu);
    vcpu_note(vcpu, REQUEST_SIGNAL | REQUEST_MACHINE_CHECK | REQUEST_CLOCK | REQUEST_FLUSH_TLB |
                        REQUEST_FLUSH_EPT);
}
