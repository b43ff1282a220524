// The VM-entry checker on any VMCS: every field may hold anything. It must end, count what it
// prints, and never read outside the fields that exist. The input is a list of fields and values
// over a valid state.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/vmcs_image.h"
#include "vmx/policy/fields.h"

struct lines {
    struct printer printer;
    unsigned count;
};

static void count_lines(struct printer *to, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ((struct lines *)to)->count += text[i] == '\n';
}

static uint64_t read_known(void *context, uint32_t field)
{
    if (fields_name(field) == NULL)
        abort();
    return image_read(context, field);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct vmx_raw *const cpus[] = {&bochs_icelake, &bochs_skylake, &bochs_tigerlake,
                                                 &kvm_host};
    typedef void start_state(struct vmcs_image *, const struct vmcs_config *);
    static start_state *const start[] = {image_long_mode, image_protected_mode, image_pae,
                                         image_real_mode, image_virtual_8086};
    static struct vmcs_image image;
    static uint8_t virtual_apic[4096];
    if (size < 2)
        return 0;
    struct vmx_capabilities cpu = decoded(cpus[data[0] % ARRAY_LENGTH(cpus)]);
    if (data[0] & 0x80) // a CPU with every control
        for (unsigned word = 0; word < CONTROL_WORDS; word++)
            cpu.control[word].may = UINT32_MAX;
    struct vmcs_config config;
    vmcs_config_make(&config, &cpu, vmcs_config_default(), 0);
    start[data[1] % ARRAY_LENGTH(start)](&image, &config);

    for (size_t at = 2; at + 9 <= size; at += 9) {
        uint64_t value;
        memcpy(&value, data + at + 1, sizeof(value));
        uint32_t field = fields_table[data[at] % fields_count].encoding;
        image.value[field] = value & (UINT64_MAX >> (64 - 4 * fields_digits(field)));
    }
    struct lines lines = {.printer.write = count_lines}, parts = lines;
    struct check check = {&cpu, read_known, &image, virtual_apic, &lines.printer, 0};
    if (check_entry(&check) != lines.count)
        abort();
    struct check part = {&cpu, read_known, &image, NULL, &parts.printer, 0};
    check_guest(&part);
    check_host(&part);
    check_controls(&part);
    if (part.violations > check.violations)
        abort();
    return 0;
}
