// Dumps of guest state, a line at a time into the VM's log.

#include "vmx/dump.h"

#include "arch/x86_64/tsc.h"
#include "lib/panic.h"
#include "lib/print.h"
#include "vmx/check.h"
#include "vmx/instructions.h"
#include "vmx/state.h"

#ifdef COUNT
uint32_t vmx_accesses;
#endif

void vmx_access_failed(const char *instruction, uint32_t field)
{
    panic("%s of VMCS field %#x failed", instruction, field);
}

// Lines come in pieces; the VM's log takes them whole.
struct line_printer {
    struct printer printer;
    struct vm *vm;
    char text[200];
    size_t length;
};

static void line_write(struct printer *printer, const char *text, size_t length)
{
    struct line_printer *line = CONTAINER_OF(printer, struct line_printer, printer);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n' || line->length + 1 == sizeof(line->text)) {
            line->text[line->length] = 0;
            line->vm->host->log(line->vm, line->text);
            line->length = 0;
        }
        if (text[i] != '\n')
            line->text[line->length++] = text[i];
    }
}

static uint64_t read_field(void *context, uint32_t field)
{
    uint64_t value;
    (void)vmread_safe(field, &value);
    return value;
}

static unsigned check_current(struct vmx_vcpu *v, struct line_printer *line)
{
    struct check check = {
        .capabilities = &machine_capabilities,
        .read = read_field,
        .virtual_apic = (const uint8_t *)v->guest.lapic.page,
        .to = &line->printer,
    };
    return check_entry(&check);
}

void dump_check_first(struct vmx_vcpu *v)
{
    struct line_printer line = {.printer = {line_write}, .vm = v->guest.vm};
    if (v->checked)
        return;
    v->checked = true;
    if (check_current(v, &line))
        print_to(&line.printer, "a CPU of silicon would refuse this VM entry\n");
}

void dump_entry_failure(struct vmx_vcpu *v, uint32_t reason)
{
    struct line_printer line = {.printer = {line_write}, .vm = v->guest.vm};
    if (!vm_is_told(v->guest.vm, rdtsc()))
        return;
    if (reason >= EXIT_REASONS && !(reason & BIT32(31)))
        print_to(&line.printer, "VM entry failed: VM-instruction error %lu\n",
                 read_field(NULL, VMCS_INSTRUCTION_ERROR));
    else
        print_to(&line.printer, "VM entry failed: exit reason %#x, qualification %lu\n", reason,
                 read_field(NULL, VMCS_EXIT_QUALIFICATION));
    if (check_current(v, &line) == 0)
        print_to(&line.printer, "the VM-entry checker finds nothing wrong\n");
}
