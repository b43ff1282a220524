// vmx/policy/report*.c: what the capability screens say, and that they fit.

#include "tests/unit/support.h"

#include "tests/unit/text.h"
#include "tests/unit/vmx_cpus.h"
#include "vmx/policy/report.h"

static struct text text;

typedef void report_form(struct printer *, const struct report *);

static const char *reported(report_form *form, const struct vmx_raw *raw, const char *option)
{
    struct vmx_capabilities cpu = decoded(raw);
    struct vmcs_config config;
    uint32_t wanted = vmcs_config_default(), requested = 0;
    assert_int_equal(vmcs_config_parse(option, &wanted, &requested, NULL), STATUS_OK);
    vmcs_config_make(&config, &cpu, wanted, requested);
    struct report report = {&cpu, &config, "Intel(R) Core(TM) i7-1065G7 CPU @ 1.30GHz", 2};
    text = (struct text){.printer.write = collect};
    form(&text.printer, &report);
    return text.buffer;
}

static void has(const char *said, const char *part)
{
    if (strstr(said, part) == NULL)
        fail_msg("\"%s\" is not in:\n%s", part, said);
}

static void has_not(const char *said, const char *part)
{
    if (strstr(said, part) != NULL)
        fail_msg("\"%s\" is in:\n%s", part, said);
}

// The number of lines; none is longer than a screen is wide.
static unsigned lines_that_fit(const char *said)
{
    unsigned lines = 0;
    while (*said != '\0') {
        const char *end = strchr(said, '\n');
        assert_non_null(end);
        if (end - said > 80)
            fail_msg("too long: %.*s", (int)(end - said), said);
        said = end + 1;
        lines++;
    }
    return lines;
}

static void the_short_form_fits_a_screen(void **state)
{
    const struct vmx_raw *cpus[] = {&bochs_icelake, &bochs_skylake, &bochs_tigerlake, &kvm_host};
    for (unsigned i = 0; i < ARRAY_LENGTH(cpus); i++) {
        unsigned lines = lines_that_fit(reported(report_short, cpus[i], ""));
        assert_in_range(lines, 6, 12);
        // With the mitigations, the last words and the cursor it fills 25 lines at most.
        assert_in_range(lines_that_fit(reported(report_page, cpus[i], "")), 12, 20);
    }
}

static void the_short_form_tells_used_off_and_missing_apart(void **state)
{
    const char *said = reported(report_short, &kvm_host, "-vpid");
    has(said, "VMX: 2 CPUs Intel(R) Core(TM)");
    has(said, "revision 11e57ed0, 39-bit physical");
    has(said, "nested");
    has(said, "in use: preemption_timer vnmi invept_single");
    const char *off = strstr(said, "off:"), *missing = strstr(said, "not here:");
    assert_non_null(off);
    assert_non_null(missing);
    has(off, " vpid");
    has(missing, " ple");
    has(missing, " posted");
    has_not(missing, " vpid");
    has(said, "pin 7f primary b6206dfa secondary 001210ca");
    has_not(reported(report_short, &bochs_icelake, ""), "nested");
}

static void missing_requirements_come_with_their_remedy(void **state)
{
    struct vmx_raw raw = bochs_icelake;
    raw.msr[MSR_VMX_SECONDARY - VMX_MSR_FIRST] &= ~((uint64_t)SECONDARY_UNRESTRICTED_GUEST << 32);
    report_form *forms[] = {report_short, report_page};
    for (unsigned i = 0; i < 2; i++) {
        const char *said = reported(forms[i], &raw, "");
        has(said, "missing: unrestricted guest (MSR 48b=02977f7f00000000); use an Intel CPU");
        has(said, "Corbel cannot run here: 1 of ");
    }
    raw.feature_control = FEATURE_CONTROL_LOCK;
    const char *said = reported(report_short, &raw, "");
    has(said, "(MSR 3a=0x1); enable VT-x");
    has(said, "Corbel cannot run here: 1 of ");
}

static void the_full_form_says_it_for_each_control(void **state)
{
    const char *said = reported(report_full, &bochs_skylake, "-ple,posted");
    lines_that_fit(said);
    has(said, " 480 IA32_VMX_BASIC                00d810000000002b");
    has_not(said, " 492 ");
    has(said, "   0 external-interrupt exiting             may be 0, 1  used");
    has(said, "   7 process posted interrupts              may be 0     absent");
    has(said, "  27 monitor trap flag                      may be 0     absent");
    has(said, "   9 INVLPG exiting                         may be 0, 1  not used");
    has(said, "   2 interrupt-window exiting               may be 0, 1  on demand");
    has(said, "  17 1G pages                               yes");
    has(said, "   7 5-level walk                           no");
    has(said, "  ple              PAUSE-loop exiting                   off\n");
    has(said, "-> a spinning vCPU runs to the end of its slice");
    has(said, "  posted           posted interrupts                    asked for, missing\n");
    has_not(said, "tertiary controls:");
    said = reported(report_full, &bochs_icelake, "-vpid");
    has(said, "  invvpid_single   INVVPID single-context               needs another\n");
}

static void the_page_has_the_bare_numbers(void **state)
{
    const char *said = reported(report_page, &bochs_skylake, "");
    has(said, "     480 00d810000000002b\n");
    has(said, "3a 0000000000000005");
    has(said, "\n     all ");
    has(said, "requirements are met");
}

static void differences_are_named_and_likeness_is_silent(void **state)
{
    struct vmx_capabilities first = decoded(&bochs_icelake), one = first;
    text = (struct text){.printer.write = collect};
    report_differences(&text.printer, 1, &first, &one);
    assert_int_equal(text.length, 0);

    one = decoded(&kvm_host);
    one.raw.feature_control = FEATURE_CONTROL_LOCK;
    one.control[WORD_PRIMARY].must |= PRIMARY_CR3_LOAD_EXITING;
    report_differences(&text.printer, 3, &first, &one);
    has(text.buffer, "CPU 3 lacks PAUSE-loop exiting (bit 10)\n");
    has(text.buffer, "CPU 3 lacks UC structures (bit 8)\n");
    has(text.buffer, "CPU 3 alone forces CR3-load exiting (bit 15)\n");
    has(text.buffer, "CPU 3 has VMCS revision 11e57ed0, CPU 0 has 4\n");
    has(text.buffer, "at TSC / 32, CPU 0 at TSC / 1\n");
    has(text.buffer, "CPU 3 has 39-bit physical addresses, CPU 0 has 40\n");
    has(text.buffer, "CPU 3 cannot use VMX, CPU 0 can\n");
    text = (struct text){.printer.write = collect};
    report_differences(&text.printer, 1, &one, &first);
    has(text.buffer, "CPU 1 alone has PAUSE-loop exiting (bit 10)\n");
    has(text.buffer, "CPU 1 does not force CR3-load exiting (bit 15)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_short_form_fits_a_screen),
        cmocka_unit_test(the_short_form_tells_used_off_and_missing_apart),
        cmocka_unit_test(missing_requirements_come_with_their_remedy),
        cmocka_unit_test(the_full_form_says_it_for_each_control),
        cmocka_unit_test(the_page_has_the_bare_numbers),
        cmocka_unit_test(differences_are_named_and_likeness_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
