// vm/config.c and its helpers: what a good vms.conf says, and the line that each mistake gets.

#include "tests/unit/support.h"

#include "vm/config.h"
#include "vm/feature.h"
#include "vm/suggest.h"
#include "vm/trap.h"

static struct vm_config vms[CONFIG_VMS];
static struct config_errors errors;
static unsigned count;

static status_t parse(const char *text)
{
    memset(vms, 0xa5, sizeof(vms));
    return config_parse(text, strlen(text), vms, CONFIG_VMS, &count, &errors);
}

// One mistake, one line.
static void assert_error(const char *text, const char *line)
{
    parse(text);
    assert_string_equal(errors.count ? errors.error[0].text : "no error", line);
    assert_int_equal(errors.count, 1);
    assert_int_equal(count, 0);
}

static void an_empty_section_has_the_defaults(void **state)
{
    (void)state;
    assert_int_equal(parse("[vm a]"), STATUS_OK);
    assert_int_equal(count, 1);
    struct vm_config expected;
    config_defaults(&expected);
    memcpy(expected.name, "a", 2);
    expected.line = 1;
    assert_memory_equal(&vms[0], &expected, sizeof(expected));
    assert_int_equal(expected.cpus, 1);
    assert_int_equal(expected.memory, 256 << 20);
    assert_int_equal(expected.weight, 256);
    assert_int_equal(expected.on_reboot, ACTION_RESTART);
}

// Every key, with comments, quotes and line ends of all kinds.
static void parse_two_machines(void)
{
    assert_int_equal(parse("# two machines\r\n"
                           "\n"
                           "[vm web-1.x_]   ; the first\r\n"
                           "cpus    = 2\r\n"
                           "memory=512m\n"
                           "  kernel  = vmlinuz          # names of other modules\n"
                           "initrd  = \"initrd # 1.gz\"\n"
                           "cmdline = console=ttyS0 dyndbg=\"file x.c # +p\" a;b it's\n"
                           "modules = a.bin, b.bin -x  7 ,c\n"
                           "boot = flat@0x8000:real\n"
                           "on_poweroff = preserve\n"
                           "on_reboot = destroy\n"
                           "on_crash = restart\n"
                           "weight = 512\n"
                           "cap = 50\n"
                           "pin = 3, 0-1\n"
                           "cpuid = -x2apic, +pku\n"
                           "msr_unknown = ignore\n"
                           "testdev = on\n"
                           "uart2 = yes\n"
                           "watchdog = 30\n"
                           "exit_stats = cpuid\n"
                           "stats_leaves = exits, cycles, reason_both, none\n"
                           "trap = cr3, Descriptor-Tables,rdtscp, 6,#gp\n"
                           "[ vm  two ]\n"
                           "memory = 0x1G\n"
                           "boot = multiboot2"),
                     STATUS_OK);
    assert_int_equal(count, 2);
}

static void what_a_vm_is_made_of_is_stored(void **state)
{
    (void)state;
    parse_two_machines();
    assert_string_equal(vms[0].name, "web-1.x_");
    assert_int_equal(vms[0].line, 3);
    assert_int_equal(vms[0].cpus, 2);
    assert_int_equal(vms[0].memory, 512 << 20);
    assert_string_equal(vms[0].kernel, "vmlinuz");
    assert_string_equal(vms[0].initrd, "initrd # 1.gz");
    assert_string_equal(vms[0].cmdline, "console=ttyS0 dyndbg=\"file x.c # +p\" a;b it's");
    assert_int_equal(vms[0].module_count, 3);
    assert_string_equal(vms[0].module[0].name, "a.bin");
    assert_string_equal(vms[0].module[0].cmdline, "");
    assert_string_equal(vms[0].module[1].name, "b.bin");
    assert_string_equal(vms[0].module[1].cmdline, "-x  7");
    assert_string_equal(vms[0].module[2].name, "c");
    assert_int_equal(vms[0].boot, BOOT_FLAT);
    assert_int_equal(vms[0].flat_address, 0x8000);
    assert_int_equal(vms[0].flat_mode, FLAT_REAL);
    assert_string_equal(vms[1].name, "two");
    assert_int_equal(vms[1].line, 25);
    assert_int_equal(vms[1].memory, 1 << 30);
    assert_int_equal(vms[1].boot, BOOT_MULTIBOOT2);
}

static void how_a_vm_is_treated_is_stored(void **state)
{
    (void)state;
    parse_two_machines();
    assert_int_equal(vms[0].on_poweroff, ACTION_PRESERVE);
    assert_int_equal(vms[0].on_reboot, ACTION_DESTROY);
    assert_int_equal(vms[0].on_crash, ACTION_RESTART);
    assert_int_equal(vms[0].weight, 512);
    assert_int_equal(vms[0].cap, 50);
    assert_int_equal(vms[0].pin_count, 3);
    assert_memory_equal(vms[0].pin, "\3\0\1", 3);
    assert_int_equal(vms[0].feature_count, 2);
    assert_string_equal(cpu_features[vms[0].feature[0].index].name, "x2apic");
    assert_false(vms[0].feature[0].enable);
    assert_string_equal(cpu_features[vms[0].feature[1].index].name, "pku");
    assert_true(vms[0].feature[1].enable);
    assert_int_equal(vms[0].msr_unknown, MSR_UNKNOWN_IGNORE);
    assert_true(vms[0].testdev && vms[0].uart2);
    assert_int_equal(vms[0].watchdog, 30);
    assert_int_equal(vms[1].watchdog, 0);
    assert_int_equal(vms[0].exit_stats, EXIT_STATS_CPUID);
    assert_memory_equal(vms[0].stats_leaf, "\1\2\7\0", STATS_LEAVES);
    assert_int_equal(vms[1].exit_stats, EXIT_STATS_PRINT);
    assert_memory_equal(vms[1].stats_leaf, "\6\5\2\1", STATS_LEAVES);
    assert_int_equal(vms[0].traps,
                     TRAP_CR3_LOAD | TRAP_CR3_STORE | TRAP_DESCRIPTOR_TABLES | TRAP_RDTSC);
    assert_int_equal(vms[0].trap_vectors, 1 << 6 | 1 << 13);
}

// Its first words were those of a switch.
static void exit_stats_is_also_a_switch(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum exit_stats_mode mode;
    } cases[] = {
        {"[vm a]\nexit_stats = on", EXIT_STATS_PRINT},
        {"[vm a]\nexit_stats = off", EXIT_STATS_OFF},
        {"[vm a]\nexit_stats = yes", EXIT_STATS_PRINT},
        {"[vm a]\nexit_stats = no", EXIT_STATS_OFF},
        {"[vm a]\nexit_stats = print", EXIT_STATS_PRINT},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_int_equal(parse(cases[i].text), STATUS_OK);
        assert_int_equal(vms[0].exit_stats, cases[i].mode);
    }
}

static void each_mistake_has_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } cases[] = {
        {"", "vms.conf:1: no VM is described; write [vm NAME] and its keys"},
        {"# nothing\n", "vms.conf:1: no VM is described; write [vm NAME] and its keys"},
        {"[vm a]\nwatchdog = 1", "vms.conf:2: watchdog = 1: give a number from 2 to 86400"},
        {"[vm a]\nexit_stats = maybe",
         "vms.conf:2: exit_stats = maybe: give one of: print, off, cpuid, on, yes, no"},
        {"[vm a]\nstats_leaves = exits",
         "vms.conf:2: stats_leaves: name what each of the 4 leaves from 4FFFFFFCh on shows"},
        {"[vm a]\nstats_leaves = exits,exits,exits,exits,exits",
         "vms.conf:2: stats_leaves: name what each of the 4 leaves from 4FFFFFFCh on shows"},
        {"[vm a]\nstats_leaves = exits,exit,exits,exits",
         "vms.conf:2: stats_leaves = exit: give one of: none, exits, cycles, both, reason_exits, "
         "reason_cycles, reason_both"},
        {"cpus = 1", "vms.conf:1: \"cpus\" stands before the first section; begin with [vm NAME]"},
        {"[vm]", "vms.conf:1: the section has no name; write [vm NAME]"},
        {"[vm a", "vms.conf:1: the section has no closing ]; write [vm NAME]"},
        {"[", "vms.conf:1: the section has no closing ]; write [vm NAME]"},
        {"[]", "vms.conf:1: unknown section []; write [vm NAME]"},
        {"[host x]", "vms.conf:1: unknown section [host x]; write [vm NAME]"},
        {"[vm a b]",
         "vms.conf:1: the name \"a b\" may have letters, digits, '.', '-' and '_' only"},
        {"[vm abcdefghijklmnopqrstuvwxyz012345]",
         "vms.conf:1: the name has 32 letters; at most 31 are possible"},
        {"[vm a]\nnonsense", "vms.conf:2: \"nonsense\" is neither [vm NAME] nor key = value"},
        {"[vm a]\nmemroy = 1G", "vms.conf:2: unknown key \"memroy\"; did you mean \"memory\"?"},
        {"[vm a]\nflavour = 1", "vms.conf:2: unknown key \"flavour\"; remove the line"},
        {"[vm a]\n= 1", "vms.conf:2: unknown key \"\"; remove the line"},
        {"[vm a]\ncpus = 1\ncpus = 1",
         "vms.conf:3: cpus is set twice in this section; remove one of the lines"},
        {"[vm a]\ncpus = 0", "vms.conf:2: cpus = 0: give a number from 1 to 64"},
        {"[vm a]\ncpus = 65", "vms.conf:2: cpus = 65: give a number from 1 to 64"},
        {"[vm a]\ncpus =", "vms.conf:2: cpus = : give a number from 1 to 64"},
        {"[vm a]\ncpus = 0x", "vms.conf:2: cpus = 0x: give a number from 1 to 64"},
        {"[vm a]\ncpus = -1", "vms.conf:2: cpus = -1: give a number from 1 to 64"},
        {"[vm a]\ncpus = 18446744073709551617",
         "vms.conf:2: cpus = 18446744073709551617: give a number from 1 to 64"},
        {"[vm a]\nmemory = 256", "vms.conf:2: memory = 256: add a unit, K, M or G"},
        {"[vm a]\nmemory = M", "vms.conf:2: memory = M: give a size such as 256M or 2G"},
        {"[vm a]\nmemory =", "vms.conf:2: memory = : give a size such as 256M or 2G"},
        {"[vm a]\nmemory = 1023K", "vms.conf:2: memory = 1023K: give a size from 1M to 1024G"},
        {"[vm a]\nmemory = 1025G", "vms.conf:2: memory = 1025G: give a size from 1M to 1024G"},
        {"[vm a]\nmemory = 17179869185G",
         "vms.conf:2: memory = 17179869185G: give a size from 1M to 1024G"},
        {"[vm a]\nmemory = 1025K", "vms.conf:2: memory = 1025K: give a multiple of 4K"},
        {"[vm a]\nkernel =",
         "vms.conf:2: kernel is empty; give the name of a boot module or leave the line out"},
        {"[vm a]\nkernel = 0123456789012345678901234567890123456789012345678901234567890123",
         "vms.conf:2: kernel has 64 characters; at most 63 are possible"},
        {"[vm a]\nkernel = \"x",
         "vms.conf:2: the value begins with \" and has no closing one; add it"},
        {"[vm a]\nkernel = 'x' y",
         "vms.conf:2: text follows the closing ' of the value; quote the whole value"},
        {"[vm a]\nmodules = a,,b",
         "vms.conf:2: modules is empty; give the name of a boot module or leave the line out"},
        {"[vm a]\nmodules = 1,2,3,4,5,6,7,8,9",
         "vms.conf:2: modules lists more than 8 modules; remove some"},
        {"[vm a]\nboot = grub", "vms.conf:2: boot = grub: give one of: auto, linux, multiboot, "
                                "multiboot2, pvh, sector, flat@ADDRESS:MODE"},
        {"[vm a]\nboot = flat", "vms.conf:2: boot = flat: write flat@ADDRESS:MODE, for example "
                                "flat@0x100000:long"},
        {"[vm a]\nboot = flat@0x100:", "vms.conf:2: boot = flat@0x100:: write flat@ADDRESS:MODE, "
                                       "for example flat@0x100000:long"},
        {"[vm a]\nboot = flat@1:16", "vms.conf:2: the mode of boot = flat@... = 16: give one of: "
                                     "real, protected, long"},
        {"[vm a]\non_crash = halt",
         "vms.conf:2: on_crash = halt: give one of: destroy, restart, preserve"},
        {"[vm a]\nweight = 0", "vms.conf:2: weight = 0: give a number from 1 to 65535"},
        {"[vm a]\ncap = 6401", "vms.conf:2: cap = 6401: give a number from 0 to 6400"},
        {"[vm a]\npin = 2-1",
         "vms.conf:2: pin: \"2-1\" is no list of CPUs; write numbers below 64: 0,2-3"},
        {"[vm a]\npin = 64",
         "vms.conf:2: pin: \"64\" is no list of CPUs; write numbers below 64: 0,2-3"},
        {"[vm a]\npin = 0-63,0", "vms.conf:2: pin lists more than 64 CPUs; remove some"},
        {"[vm a]\npin =", "vms.conf:2: pin is empty; write numbers of CPUs: 0,2-3"},
        {"[vm a]\ncpuid = x2apic", "vms.conf:2: cpuid: write +NAME or -NAME instead of \"x2apic\""},
        {"[vm a]\ncpuid = -x2apci",
         "vms.conf:2: cpuid: unknown feature \"x2apci\"; did you mean \"x2apic\"?"},
        {"[vm a]\ncpuid = -quantum",
         "vms.conf:2: cpuid: unknown feature \"quantum\"; use the names of /proc/cpuinfo"},
        {"[vm a]\ncpuid = "
         "-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-pku",
         "vms.conf:2: cpuid lists more than 16 features; remove some"},
        {"[vm a]\nmsr_unknown = x", "vms.conf:2: msr_unknown = x: give one of: gp, ignore"},
        {"[vm a]\ntestdev = 1", "vms.conf:2: testdev = 1: give one of: on, off, yes, no"},
        {"[vm a]\ntrap = 32", "vms.conf:2: trap: unknown exit \"32\"; an exception is a name such "
                              "as pf or a number below "
                              "32, the other words stand in docs/settings.md"},
        {"[vm a]\ntrap = io,invlgp",
         "vms.conf:2: trap: unknown exit \"invlgp\"; did you mean \"invlpg\"?"},
        {"[vm a]\ntrap = #pf",
         "vms.conf:2: trap is empty (after a space a # begins a comment: write pf for #pf)"},
        {"[vm a]\n\001", "vms.conf:2: byte 0x01 at column 1; this must be a plain text file"},
        {"[vm a]\ncmdline = \303\251\nx = \303\251\n",
         "vms.conf:3: unknown key \"x\"; remove the line"},
        {"[vm a]\rcpus = 1\r", "vms.conf:1: byte 0x0d at column 7; this must be a plain text file"},
        {"[vm a]\nmsr_unknown = \303\251", "vms.conf:2: msr_unknown = ??: give one of: gp, ignore"},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_error(cases[i].text, cases[i].line);
}

static void a_broken_section_is_left_out_and_the_others_stand(void **state)
{
    (void)state;
    assert_int_equal(parse("[vm a]\ncpus = 0\nfoo = 1\n[vm b]\ncpus = 2\n[vm b]\n[vm a]\n"),
                     STATUS_INVALID);
    assert_int_equal(errors.count, 3);
    assert_string_equal(errors.error[2].text,
                        "vms.conf:6: a VM \"b\" is on line 4 already; choose another name");
    assert_int_equal(count, 2);
    assert_string_equal(vms[0].name, "b");
    assert_int_equal(vms[0].cpus, 2);
    assert_string_equal(vms[1].name, "a");
    assert_int_equal(vms[1].cpus, 1);
}

static void a_nul_is_reported_where_it_stands(void **state)
{
    (void)state;
    static const char text[] = "[vm a]\ncp\0us = 1\n";
    assert_int_equal(config_parse(text, sizeof(text) - 1, vms, CONFIG_VMS, &count, &errors),
                     STATUS_INVALID);
    assert_string_equal(errors.error[0].text,
                        "vms.conf:2: byte 0x00 at column 3; this must be a plain text file");
}

static void a_byte_order_mark_is_skipped(void **state)
{
    (void)state;
    assert_int_equal(parse("\xef\xbb\xbf[vm a]\n"), STATUS_OK);
    assert_int_equal(count, 1);
}

static void the_number_of_vms_is_bounded(void **state)
{
    (void)state;
    static const char text[] = "[vm a]\n[vm b]\n[vm c]\ncpus = 77\n";
    assert_int_equal(config_parse(text, strlen(text), vms, 2, &count, &errors), STATUS_INVALID);
    assert_int_equal(count, 2);
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.error[0].text,
                        "vms.conf:3: VM \"c\" is one too many; at most 2 are possible");
}

static void the_number_of_errors_is_bounded(void **state)
{
    (void)state;
    char text[4096] = "[vm a]\n";
    for (int i = 0; i < 40; i++)
        strcat(text, "bad\n");
    assert_int_equal(parse(text), STATUS_INVALID);
    assert_int_equal(errors.count, CONFIG_ERRORS);
    assert_int_equal(errors.dropped, 40 - CONFIG_ERRORS);
}

static void the_longest_command_line_fits(void **state)
{
    (void)state;
    static char text[2 * CONFIG_LINE] = "[vm a]\ncmdline = ";
    size_t head = strlen(text);
    memset(text + head, 'x', CONFIG_CMDLINE - 1);
    assert_int_equal(parse(text), STATUS_OK);
    assert_int_equal(strlen(vms[0].cmdline), CONFIG_CMDLINE - 1);
    text[head + CONFIG_CMDLINE - 1] = 'x';
    assert_error(text, "vms.conf:2: cmdline has 2048 characters; at most 2047 are possible");
    memset(text + head, 'x', CONFIG_LINE);
    assert_error(text, "vms.conf:2: the line has 2122 characters; at most 2112 are possible");
}

static void edit_distance_counts_slips(void **state)
{
    (void)state;
    assert_int_equal(suggest_distance("memory", 6, "memory"), 0);
    assert_int_equal(suggest_distance("memroy", 6, "memory"), 1);
    assert_int_equal(suggest_distance("memor", 5, "memory"), 1);
    assert_int_equal(suggest_distance("mmemory", 7, "memory"), 1);
    assert_int_equal(suggest_distance("", 0, "abc"), 3);
    assert_int_equal(suggest_distance("kitten", 6, "sitting"), 3);
    assert_int_equal(suggest_distance("01234567890123456789012345678901", 32, "a"), ~0U);
}

static void no_feature_stands_twice_in_the_table(void **state)
{
    (void)state;
    for (unsigned i = 0; i < cpu_feature_count; i++)
        for (unsigned j = 0; j < i; j++) {
            const struct cpu_feature *a = &cpu_features[i], *b = &cpu_features[j];
            assert_string_not_equal(a->name, b->name);
            assert_int_not_equal(a->bit, b->bit);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_section_has_the_defaults),
        cmocka_unit_test(what_a_vm_is_made_of_is_stored),
        cmocka_unit_test(how_a_vm_is_treated_is_stored),
        cmocka_unit_test(exit_stats_is_also_a_switch),
        cmocka_unit_test(each_mistake_has_its_line),
        cmocka_unit_test(a_broken_section_is_left_out_and_the_others_stand),
        cmocka_unit_test(a_nul_is_reported_where_it_stands),
        cmocka_unit_test(a_byte_order_mark_is_skipped),
        cmocka_unit_test(the_number_of_vms_is_bounded),
        cmocka_unit_test(the_number_of_errors_is_bounded),
        cmocka_unit_test(the_longest_command_line_fits),
        cmocka_unit_test(edit_distance_counts_slips),
        cmocka_unit_test(no_feature_stands_twice_in_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
