// Cases for the VM-entry checker: a valid state, fields to corrupt, and the lines that must come
// out. For test_check.c and test_check_guest.c.
#pragma once

#include "tests/unit/text.h"
#include "tests/unit/vmcs_image.h"

typedef void start_state(struct vmcs_image *, const struct vmcs_config *);

struct corruption {
    start_state *start;
    struct {
        uint32_t field;
        uint64_t value;
    } change[4];
    // the lines that must come: the field's name and a part of the rule; NULL: none
    const char *says[2];
    unsigned lines; // 0: as many as `says`
};

static struct vmcs_image image;
static uint8_t virtual_apic[4096];

// A CPU that has everything the checker knows of, so that rules about new controls can be tried.
static inline struct vmx_capabilities everything(void)
{
    struct vmx_capabilities cpu = decoded(&bochs_icelake);
    for (unsigned word = 0; word < CONTROL_WORDS; word++)
        cpu.control[word].may |= 0xffffffff;
    cpu.cr4.may |= CR4_CET;
    return cpu;
}

static inline unsigned lines_with(const char *text, const char *name, const char *rule)
{
    unsigned count = 0;
    while (*text != '\0') {
        const char *end = strchr(text, '\n');
        char line[256];
        snprintf(line, sizeof(line), "%.*s", (int)(end - text), text);
        char *equals = strstr(line, " = ");
        assert_non_null(equals);
        count += strncmp(line, name, (size_t)(equals - line)) == 0 &&
                 strlen(name) == (size_t)(equals - line) && strstr(equals, rule) != NULL;
        text = end + 1;
    }
    return count;
}

static inline void run_on(const struct vmx_capabilities *cpu, const struct corruption *cases,
                          unsigned count, void (*part)(struct check *))
{
    struct vmcs_config config;
    vmcs_config_make(&config, cpu, vmcs_config_default(), 0);
    for (unsigned i = 0; i < count; i++) {
        struct text text = {.printer.write = collect};
        struct check check = {cpu, image_read, &image, virtual_apic, &text.printer, 0};
        unsigned expected = 0;
        cases[i].start(&image, &config);
        for (unsigned c = 0; c < ARRAY_LENGTH(cases[i].change); c++)
            if (cases[i].change[c].field != 0 || cases[i].change[c].value != 0)
                image.value[cases[i].change[c].field] = cases[i].change[c].value;
        // The corruption must be found by its own part, and by nothing else.
        assert_int_equal(check_entry(&check), check.violations);
        for (; expected < 2 && cases[i].says[expected] != NULL; expected++) {
            char name[64];
            const char *colon = strchr(cases[i].says[expected], ':');
            snprintf(name, sizeof(name), "%.*s", (int)(colon - cases[i].says[expected]),
                     cases[i].says[expected]);
            if (lines_with(text.buffer, name, colon + 1) == 0)
                fail_msg("case %u: \"%s\" is not among:\n%s", i, cases[i].says[expected],
                         text.buffer);
        }
        if (cases[i].lines != 0)
            expected = cases[i].lines;
        if (check.violations != expected)
            fail_msg("case %u: %u violations, expected %u:\n%s", i, check.violations, expected,
                     text.buffer);
        struct text own = {.printer.write = collect};
        struct check one = {cpu, image_read, &image, virtual_apic, &own.printer, 0};
        part(&one);
        assert_int_equal(one.violations, expected);
    }
}

#define RUN(cpu, cases, part) run_on(cpu, cases, ARRAY_LENGTH(cases), part)

#define LONG .start = image_long_mode
#define PROT .start = image_protected_mode
#define REAL .start = image_real_mode
#define V86  .start = image_virtual_8086
#define PAE  .start = image_pae

// The words as chosen on the CPU with everything, for cases that change one bit of them.
#define PIN       UINT64_C(0x7f)
#define PRIMARY   UINT64_C(0xb6206dfa)
#define SECONDARY UINT64_C(0x001214ea)
#define EXIT      UINT64_C(0x007befff)
#define ENTRY     UINT64_C(0x0000d1ff)
#define ENTRY64   UINT64_C(0x0000d3ff)
