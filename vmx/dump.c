// Dumps of guest state, a line at a time into the VM's log.

#include "vmx/dump.h"

#include "arch/x86_64/tsc.h"
#include "lib/panic.h"
#include "lib/print.h"
#include "vmx/check.h"
#include "vmx/instructions.h"
#include "vmx/state.h"

__attribute__((format(printf, 2, 3))) static void log_line(struct vmx_vcpu *v, const char *format,
                                                           ...)
{
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    format_text_va(text, sizeof(text), format, arguments);
    va_end(arguments);
    v->guest.vm->host->log(v->guest.vm, text);
}

#ifdef COUNT
uint32_t vmx_accesses;
#endif

void vmx_access_failed(const char *instruction, uint32_t field)
{
    panic("%s of VMCS field %#x failed", instruction, field);
}

// The checker prints in pieces; the log takes lines.
struct line_printer {
    struct printer printer;
    struct vmx_vcpu *vcpu;
    char text[200];
    size_t length;
};

static void line_write(struct printer *printer, const char *text, size_t length)
{
    struct line_printer *line = CONTAINER_OF(printer, struct line_printer, printer);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n' || line->length + 1 == sizeof(line->text)) {
            line->text[line->length] = 0;
            log_line(line->vcpu, "%s", line->text);
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

static unsigned check_current(struct vmx_vcpu *v)
{
    struct line_printer line = {.printer = {line_write}, .vcpu = v};
    struct check check = {
        .capabilities = &machine_capabilities,
        .read = read_field,
        .virtual_apic = (const uint8_t *)v->guest.lapic.page,
        .to = &line.printer,
    };
    return check_entry(&check);
}

void dump_check_first(struct vmx_vcpu *v)
{
    if (v->checked)
        return;
    v->checked = true;
    if (check_current(v))
        log_line(v, "a CPU of silicon would refuse this VM entry");
}

void dump_entry_failure(struct vmx_vcpu *v, uint32_t reason)
{
    uint64_t error = 0, qualification = 0;
    if (!vm_is_told(v->guest.vm, rdtsc()))
        return;
    if (reason >= EXIT_REASONS && !(reason & BIT32(31))) {
        (void)vmread_safe(VMCS_INSTRUCTION_ERROR, &error);
        log_line(v, "VM entry failed: VM-instruction error %lu", error);
    } else {
        (void)vmread_safe(VMCS_EXIT_QUALIFICATION, &qualification);
        log_line(v, "VM entry failed: exit reason %#x, qualification %lu", reason, qualification);
    }
    if (check_current(v) == 0)
        log_line(v, "the VM-entry checker finds nothing wrong");
}
