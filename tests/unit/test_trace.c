// monitor/trace.c: lines byte for byte, and how many of them are printed.

#include "tests/unit/support.h"

#include "tests/unit/text.h"
#include "monitor/trace.h"

static struct vm vm;
static struct vcpu vcpu;
static struct watch watch;

static struct text said = {.printer.write = collect};

static int set_up(void **state)
{
    memset(&vm, 0, sizeof(vm));
    memset(&watch, 0, sizeof(watch));
    vm.traits.name = "web";
    vm.vcpu_count = 1;
    clock_init(&vm.clock, 1000, 0);
    vm.vcpu[0] = &vcpu;
    vcpu.vm = &vm;
    vcpu.id = 2;
    vcpu.watch = &watch;
    said.length = 0;
    return 0;
}

#define CODE(bytes) .code = bytes, .length = sizeof(bytes) - 1, .bits = 64

static void a_line_says_what_was_executed_and_why(void **state)
{
    const struct {
        struct watch_entry entry;
        const char *line;
    } rows[] = {
        {{.reason = EXIT_CPUID,
          .rip = 0x1000,
          .rax = 7,
          .rcx = 1,
          .cycles = 90,
          .verdict = next(),
          CODE("\x0f\xa2")},
         "1000 CPUID: CPUID (0f a2): leaf 0x7, 0x1: next, 90 cycles"},
        {{.reason = EXIT_IO,
          .qualification = UINT64_C(0x3f8) << 16,
          .value = 0xffffff41,
          .verdict = next(),
          CODE("\xee")},
         "0 port I/O: OUT DX, AL (ee): port 0x3f8 <- 0x41: next, 0 cycles"},
        {{.reason = EXIT_TPR_THRESHOLD,
          .verdict = again(),
          CODE("\xdb\xe3\x90\x90\x90\x90\x90\x90\x90")},
         "0 TPR below threshold: - (db e3 90 90 90 90 90 90 ..): -: again, 0 cycles"},
        {{.reason = EXIT_IO,
          .qualification = UINT64_C(0x60) << 16 | BIT(6) | BIT(3) | 1,
          .value = 0x30102,
          .verdict = next(),
          CODE("\x66\xe5\x60")},
         "0 port I/O: IN AX, 0x60 (66 e5 60): port 0x60 -> 0x0102: next, 0 cycles"},
        {{.reason = EXIT_IO,
          .qualification = UINT64_C(0x1f0) << 16 | BIT(5) | BIT(4) | BIT(3) | 3,
          .verdict = again(),
          CODE("\xf3\x6d")},
         "0 port I/O: REP INSD (f3 6d): port 0x1f0, 4 byte(s): again, 0 cycles"},
        {{.reason = EXIT_CR_ACCESS,
          .qualification = 7 << 8 | 3,
          .verdict = next(),
          CODE("\x0f\x22\xdf")},
         "0 control-register access: MOV CR3, RDI (0f 22 df): -: next, 0 cycles"},
        {{.reason = EXIT_CR_ACCESS,
          .qualification = 9 << 8 | 1 << 4 | 8,
          .verdict = next(),
          CODE("\x45\x0f\x20\xc1")},
         "0 control-register access: MOV R9, CR8 (45 0f 20 c1): -: next, 0 cycles"},
        {{.reason = EXIT_CR_ACCESS,
          .qualification = UINT64_C(0x8001) << 16 | 3 << 4,
          .verdict = fault_gp(0),
          CODE("\x0f\x01\xf0")},
         "0 control-register access: LMSW 0x8001 (0f 01 f0): -: #GP(0x0), 0 cycles"},
        {{.reason = EXIT_MOV_DR,
          .qualification = 7,
          .verdict = fault(VECTOR_DB),
          CODE("\x0f\x23\xf8")},
         "0 MOV DR: MOV DR7, RAX (0f 23 f8): -: #DB, 0 cycles"},
        {{.reason = EXIT_WRMSR,
          .rcx = UINT64_C(0xffffffff0000001b),
          .value = 0xfee00900,
          .verdict = fault_gp(0),
          CODE("\x0f\x30")},
         "0 WRMSR: WRMSR (0f 30): MSR 0x1b IA32_APIC_BASE <- 0xfee00900: #GP(0x0), 0 cycles"},
        {{.reason = EXIT_GDTR_IDTR,
          .instruction_info = 3U << 28,
          .verdict = next(),
          CODE("\x0f\x01\x18")},
         "0 access to GDTR or IDTR: LIDT [RAX] (0f 01 18): -: next, 0 cycles"},
        {{.reason = EXIT_RDRAND,
          .instruction_info = 8 << 3,
          .verdict = next(),
          CODE("\x41\x0f\xc7\xf0")},
         "0 RDRAND: RDRAND R8 (41 0f c7 f0): -: next, 0 cycles"},
        {{.reason = EXIT_INVLPG, .qualification = 0x5000, .verdict = next(), CODE("\x0f\x01\x38")},
         "0 INVLPG: INVLPG (0f 01 38): linear 0x5000: next, 0 cycles"},
        {{.reason = EXIT_EPT_VIOLATION,
          .qualification = BIT(8) | BIT(7) | 2,
          .linear = 0x7fec0010,
          .physical = 0xfec00010,
          .verdict = next_len(2),
          CODE("\x89\x07\x90\x90\x90\x90\x90\x90\x90\x90")},
         "0 EPT violation: MOV [RDI], EAX (89 07): write of 0xfec00010, linear 0x7fec0010: next, 0 "
         "cycles"},
        {{.reason = EXIT_EPT_VIOLATION,
          .qualification = BIT(7) | 1,
          .linear = 0x1000,
          .physical = 0xd0000000,
          .verdict = stop(STOP_BAD_MEMORY, 0),
          .bits = 64},
         "0 EPT violation: - (): read of 0xd0000000, linear 0x1000 on its page walk: stop: no "
         "memory there, 0 cycles"},
        {{.reason = EXIT_EXCEPTION_NMI,
          .interruption_info = EVENT_VALID | EVENT_HAS_ERROR | 14,
          .interruption_error = 2,
          .qualification = 0xdead,
          .verdict = fault_code(VECTOR_PF, 2),
          CODE("\x89\x07")},
         "0 exception or NMI: MOV [RDI], EAX (89 07): #PF, error 0x2, address 0xdead: #PF(0x2), 0 "
         "cycles"},
        {{.reason = EXIT_EXTERNAL_INTERRUPT,
          .interruption_info = EVENT_VALID | 0x31,
          CODE("\xeb\xfe")},
         "0 external interrupt: - (eb fe): vector 0x31: the host's, 0 cycles"},
        {{.reason = EXIT_TASK_SWITCH,
          .qualification = UINT64_C(2) << 30 | 0x28,
          .verdict = again(),
          .bits = 32},
         "0 task switch: - (): to selector 0x28 by JMP: again, 0 cycles"},
        {{.reason = EXIT_HLT, .rip = UINT64_C(0xffffffff81000000), .verdict = wait(), CODE("\xf4")},
         "ffffffff81000000 HLT: HLT (f4): -: waits, 0 cycles"},
        {{.reason = EXIT_PAUSE, .verdict = yield(), CODE("\xf3\x90")},
         "0 PAUSE: PAUSE (f3 90): -: yields, 0 cycles"},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        char line[TRACE_LINE], expected[TRACE_LINE];
        struct watch_entry entry = rows[i].entry;
        entry.tsc = 1500;
        size_t length = trace_format(line, &vcpu, &entry);
        snprintf(expected, sizeof(expected), "[web:2] 1.500000 %s\n", rows[i].line);
        assert_in_range(length, 1, TRACE_LINE - 1);
        line[length] = 0;
        assert_string_equal(line, expected);
    }
}

static void a_line_is_never_too_long(void **state)
{
    char line[TRACE_LINE];
    struct watch_entry entry;
    memset(&entry, 0xff, sizeof(entry));
    entry.verdict = stop(STOP_UNEMULATED, 0);
    entry.length = WATCH_CODE;
    char name[32] = {0};
    memset(name, 'w', sizeof(name) - 1);
    vm.traits.name = name;
    for (uint32_t reason = 0; reason < EXIT_REASONS; reason++) {
        entry.reason = reason;
        size_t length = trace_format(line, &vcpu, &entry);
        assert_in_range(length, 1, TRACE_LINE);
        assert_int_equal(line[length - 1], '\n');
    }
    vm.traits.name = "web";
}

static unsigned lines(void)
{
    unsigned count = 0;
    for (const char *at = said.buffer; (at = strchr(at, '\n')) != NULL; at++)
        count++;
    return count;
}

static void note(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        *watch_entry_now(&watch) = (struct watch_entry){.reason = EXIT_HLT, .rip = watch.noted};
        watch.noted++;
    }
}

static void fifty_lines_a_second_and_what_was_left_out(void **state)
{
    struct trace_budget budget = {0};
    const uint64_t second = UINT64_C(1000000000);
    note(3);
    trace_attend(&said.printer, &vm, &budget, second);
    assert_int_equal(lines(), 3);
    trace_attend(&said.printer, &vm, &budget, second);
    assert_int_equal(lines(), 3); // nothing new
    note(100);
    trace_attend(&said.printer, &vm, &budget, second + second / 2);
    assert_int_equal(lines(), 50);
    assert_non_null(strstr(said.buffer, "[web:2] 0.000000 31 HLT")); // the fiftieth
    note(WATCH_ENTRIES);
    trace_attend(&said.printer, &vm, &budget, second * 2 - 1);
    assert_int_equal(lines(), 50);
    said.length = 0;
    trace_attend(&said.printer, &vm, &budget, second * 2);
    assert_string_equal(said.buffer, "[web:2] 565 exits not shown\n");
    note(1);
    trace_attend(&said.printer, &vm, &budget, second * 2);
    assert_int_equal(lines(), 2);
    assert_int_equal(watch.shown, watch.noted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_says_what_was_executed_and_why, set_up),
        cmocka_unit_test_setup(a_line_is_never_too_long, set_up),
        cmocka_unit_test_setup(fifty_lines_a_second_and_what_was_left_out, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
