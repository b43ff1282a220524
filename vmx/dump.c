// Dumps of guest state, into the log.

#include "vmx/dump.h"

#include "arch/x86_64/tsc.h"
#include "lib/log.h"
#include "vmx/check/check.h"
#include "vmx/instructions.h"
#include "vmx/policy/fields.h"
#include "vmx/context.h"

static uint64_t read_field(void *context, uint32_t field)
{
    uint64_t value;
    (void)vmread_safe(field, &value);
    return value;
}

static unsigned check_current(struct vmx_vcpu *v, struct printer *to)
{
    struct check check = {
        .capabilities = &host_capabilities,
        .read = read_field,
        .virtual_apic = (const uint8_t *)v->guest.lapic.page,
        .to = to,
    };
    return check_entry(&check);
}

void dump_check_first(struct vmx_vcpu *v)
{
    struct printer *to = LOG_PRINTER_OF(LOG_ERROR, v->guest.vm->traits.name);
    if (v->checked)
        return;
    v->checked = true;
    if (check_current(v, to))
        print_to(to, "a CPU of silicon would refuse this VM entry\n");
}

void dump_entry_failure(struct vmx_vcpu *v, uint32_t reason)
{
    struct printer *to = LOG_PRINTER_OF(LOG_ERROR, v->guest.vm->traits.name);
    if (!vm_end_is_logged(v->guest.vm, rdtsc()))
        return;
    if (reason >= EXIT_REASONS && !(reason & BIT32(31)))
        print_to(to, "VM entry failed: VM-instruction error %lu\n",
                 read_field(NULL, VMCS_INSTRUCTION_ERROR));
    else
        print_to(to, "VM entry failed: exit reason %#x, qualification %lu\n", reason,
                 read_field(NULL, VMCS_EXIT_QUALIFICATION));
    if (check_current(v, to) == 0)
        print_to(to, "the VM-entry checker finds nothing wrong\n");
}

void dump_vmcs(struct printer *to, struct vcpu *vcpu)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);
    vcpu_load(v);
    for (unsigned i = 0; i < fields_count; i++) {
        uint64_t value;
        uint32_t field = fields_table[i].encoding;
        if (vmread_safe(field, &value))
            print_to(to, "%-46s %0*lx\n", fields_table[i].name, (int)fields_digits(field), value);
    }
    vcpu_unload(v);
}
