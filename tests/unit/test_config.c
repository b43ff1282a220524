// vm/config/config.c and its helpers: what a good vms.conf says, and the line that each mistake
// gets.

#include "tests/unit/support.h"

#include "vm/config/config.h"
#include "vm/cpu/feature.h"
#include "lib/suggest.h"

static struct vm_config vms[CONFIG_VMS];
static struct config_switches switches;
static struct notes errors;
static unsigned count;

static status_t parse(const char *text)
{
    memset(vms, 0xa5, sizeof(vms));
    return config_parse(text, strlen(text), vms, CONFIG_VMS, false, &count, &switches, &errors);
}

// One mistake, one line.
static void assert_error(const char *text, const char *line)
{
    parse(text);
    assert_string_equal(errors.count ? errors.line[0].text : "no error", line);
    assert_int_equal(errors.count, 1);
    assert_int_equal(count, 0);
}

static void an_empty_section_has_the_defaults(void **state)
{
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
                           "disk = ram:64M\n"
                           "disk = module: root.img , overlay\n"
                           "disk = module:cd.iso\n"
                           "console = virtio\n"
                           "guest_agent = on\n"
                           "rng = yes\n"
                           "rng_rate = 1000\n"
                           "boot = multiboot2"),
                     STATUS_OK);
    assert_int_equal(count, 2);
}

static void what_a_vm_is_made_of_is_stored(void **state)
{
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
    assert_int_equal(vms[1].disk_count, 3);
    assert_int_equal(vms[1].disk[0].size, 64 << 20);
    assert_string_equal(vms[1].disk[0].module, "");
    assert_string_equal(vms[1].disk[1].module, "root.img");
    assert_true(vms[1].disk[1].overlay);
    assert_string_equal(vms[1].disk[2].module, "cd.iso");
    assert_false(vms[1].disk[2].overlay);
    assert_int_equal(vms[1].disk[2].line, vms[1].line + 4);
    assert_false(vms[0].traits.virtio_console);
    assert_true(vms[1].traits.virtio_console);
    assert_false(vms[0].traits.guest_agent);
    assert_true(vms[1].traits.guest_agent);
    assert_false(vms[0].traits.rng);
    assert_true(vms[1].traits.rng);
    assert_int_equal(vms[0].traits.rng_rate, 65536);
    assert_int_equal(vms[1].traits.rng_rate, 1000);
}

static void how_a_vm_is_treated_is_stored(void **state)
{
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
    assert_int_equal(vms[0].traits.msr_unknown, MSR_UNKNOWN_IGNORE);
    assert_true(vms[0].traits.testdev && vms[0].traits.uart2);
    assert_int_equal(vms[0].watchdog, 30);
    assert_int_equal(vms[1].watchdog, 0);
    assert_int_equal(vms[0].traits.exit_stats, EXIT_STATS_CPUID);
    assert_memory_equal(vms[0].traits.stats_leaf, "\1\2\7\0", STATS_LEAVES);
    assert_int_equal(vms[1].traits.exit_stats, EXIT_STATS_OFF);
    assert_memory_equal(vms[1].traits.stats_leaf, "\6\5\2\1", STATS_LEAVES);
    assert_int_equal(vms[0].traits.traps,
                     TRAP_CR3_LOAD | TRAP_CR3_STORE | TRAP_DESCRIPTOR_TABLES | TRAP_RDTSC);
    assert_int_equal(vms[0].traits.trap_vectors, 1 << 6 | 1 << 13);
}

// Its first words were those of a switch.
static void exit_stats_is_also_a_switch(void **state)
{
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
        assert_int_equal(vms[0].traits.exit_stats, cases[i].mode);
    }
}

static void each_mistake_has_its_line(void **state)
{
    static const struct {
        const char *text, *line;
    } cases[] = {
        {"", "vms.conf:1: no VM is described; write [vm NAME] and its keys"},
        {"# nothing\n", "vms.conf:1: no VM is described; write [vm NAME] and its keys"},
        {"[vm a]\nwatchdog = 1", "vms.conf:2: VM a: watchdog = 1: give a number from 2 to 86400"},
        {"[vm a]\nexit_stats = maybe",
         "vms.conf:2: VM a: exit_stats = maybe: give one of: print, off, cpuid, on, yes, no"},
        {"[vm a]\nstats_leaves = exits",
         "vms.conf:2: VM a: stats_leaves: name what each of the 4 leaves from 4FFFFFFCh on shows"},
        {"[vm a]\nstats_leaves = exits,exits,exits,exits,exits",
         "vms.conf:2: VM a: stats_leaves: name what each of the 4 leaves from 4FFFFFFCh on shows"},
        {"[vm a]\nstats_leaves = exits,exit,exits,exits",
         "vms.conf:2: VM a: stats_leaves = exit: give one of: none, exits, cycles, both, "
         "reason_exits, "
         "reason_cycles, reason_both"},
        {"cpus = 1", "vms.conf:1: \"cpus\" stands before the first section; begin with [vm NAME]"},
        {"[vm]", "vms.conf:1: the section has no name; write [vm NAME]"},
        {"[vm a", "vms.conf:1: the section has no closing ]; write [vm NAME]"},
        {"[", "vms.conf:1: the section has no closing ]; write [vm NAME]"},
        {"[]", "vms.conf:1: unknown section []; write [vm NAME] or [switch NAME]"},
        {"[host x]", "vms.conf:1: unknown section [host x]; write [vm NAME] or [switch NAME]"},
        {"[vm a b]",
         "vms.conf:1: the name \"a b\" may have letters, digits, '.', '-' and '_' only"},
        {"[vm abcdefghijklmnopqrstuvwxyz012345]",
         "vms.conf:1: the name has 32 letters; at most 31 are possible"},
        {"[vm a]\nnonsense", "vms.conf:2: VM a: \"nonsense\" is neither [vm NAME] nor key = value"},
        {"[vm a]\nmemroy = 1G",
         "vms.conf:2: VM a: unknown key \"memroy\"; did you mean \"memory\"?"},
        {"[vm a]\nflavour = 1", "vms.conf:2: VM a: unknown key \"flavour\"; remove the line"},
        {"[vm a]\n= 1", "vms.conf:2: VM a: unknown key \"\"; remove the line"},
        {"[vm a]\ncpus = 1\ncpus = 1",
         "vms.conf:3: VM a: cpus is set twice in this section; remove one of the lines"},
        {"[vm a]\ncpus = 0", "vms.conf:2: VM a: cpus = 0: give a number from 1 to 64"},
        {"[vm a]\ncpus = 65", "vms.conf:2: VM a: cpus = 65: give a number from 1 to 64"},
        {"[vm a]\ncpus =", "vms.conf:2: VM a: cpus = : give a number from 1 to 64"},
        {"[vm a]\ncpus = 0x", "vms.conf:2: VM a: cpus = 0x: give a number from 1 to 64"},
        {"[vm a]\ncpus = -1", "vms.conf:2: VM a: cpus = -1: give a number from 1 to 64"},
        {"[vm a]\ncpus = 18446744073709551617",
         "vms.conf:2: VM a: cpus = 18446744073709551617: give a number from 1 to 64"},
        {"[vm a]\nmemory = 256", "vms.conf:2: VM a: memory = 256: add a unit, K, M or G"},
        {"[vm a]\nmemory = M", "vms.conf:2: VM a: memory = M: give a size such as 256M or 2G"},
        {"[vm a]\nmemory =", "vms.conf:2: VM a: memory = : give a size such as 256M or 2G"},
        {"[vm a]\nmemory = 1023K",
         "vms.conf:2: VM a: memory = 1023K: give a size from 1M to 1024G"},
        {"[vm a]\nmemory = 1025G",
         "vms.conf:2: VM a: memory = 1025G: give a size from 1M to 1024G"},
        {"[vm a]\nmemory = 17179869185G",
         "vms.conf:2: VM a: memory = 17179869185G: give a size from 1M to 1024G"},
        {"[vm a]\nmemory = 1025K", "vms.conf:2: VM a: memory = 1025K: give a multiple of 4K"},
        {"[vm a]\nkernel =",
         "vms.conf:2: VM a: kernel is empty; give the name of a boot module or leave the line out"},
        {"[vm a]\nkernel = 0123456789012345678901234567890123456789012345678901234567890123",
         "vms.conf:2: VM a: kernel has 64 characters; at most 63 are possible"},
        {"[vm a]\nkernel = \"x",
         "vms.conf:2: VM a: the value begins with \" and has no closing one; add it"},
        {"[vm a]\nkernel = 'x' y",
         "vms.conf:2: VM a: text follows the closing ' of the value; quote the whole value"},
        {"[vm a]\nmodules = a,,b", "vms.conf:2: VM a: modules is empty; give the name of a boot "
                                   "module or leave the line out"},
        {"[vm a]\nmodules = 1,2,3,4,5,6,7,8,9",
         "vms.conf:2: VM a: modules lists more than 8 modules; remove some"},
        {"[vm a]\ndisk = web.img",
         "vms.conf:2: VM a: disk = web.img: write ram:64M, module:NAME or module:NAME,overlay"},
        {"[vm a]\ndisk = module:",
         "vms.conf:2: VM a: disk = module:: write ram:64M, module:NAME or module:NAME,overlay"},
        {"[vm a]\ndisk = module:a,ro",
         "vms.conf:2: VM a: disk: \"ro\" behind the module's name: write overlay or nothing"},
        {"[vm a]\ndisk = ram:64", "vms.conf:2: VM a: disk = ram:SIZE = 64: add a unit, K, M or G"},
        {"[vm a]\ndisk = ram:1K",
         "vms.conf:2: VM a: disk = ram:SIZE = 1K: give a size from 64K to 1024G"},
        {"[vm a]\ndisk = ram:1M\ndisk = ram:1M\ndisk = ram:1M\ndisk = ram:1M\ndisk = ram:1M\n"
         "disk = ram:1M\ndisk = ram:1M\ndisk = ram:1M\ndisk = ram:1M",
         "vms.conf:10: VM a: disk: more than 8 disks; remove some"},
        {"[vm a]\nconsole = hvc0", "vms.conf:2: VM a: console = hvc0: give one of: serial, virtio"},
        {"[vm a]\nrng_rate = 0",
         "vms.conf:2: VM a: rng_rate = 0: give a number from 1 to 67108864"},
        {"[vm a]\nboot = grub",
         "vms.conf:2: VM a: boot = grub: give one of: auto, linux, multiboot, "
         "multiboot2, pvh, sector, flat@ADDRESS:MODE"},
        {"[vm a]\nboot = flat",
         "vms.conf:2: VM a: boot = flat: write flat@ADDRESS:MODE, for example "
         "flat@0x100000:long"},
        {"[vm a]\nboot = flat@0x100:",
         "vms.conf:2: VM a: boot = flat@0x100:: write flat@ADDRESS:MODE, "
         "for example flat@0x100000:long"},
        {"[vm a]\nboot = flat@1:16",
         "vms.conf:2: VM a: the mode of boot = flat@... = 16: give one of: "
         "real, protected, long"},
        {"[vm a]\non_crash = halt",
         "vms.conf:2: VM a: on_crash = halt: give one of: destroy, restart, preserve"},
        {"[vm a]\nweight = 0", "vms.conf:2: VM a: weight = 0: give a number from 1 to 65535"},
        {"[vm a]\ncap = 6401", "vms.conf:2: VM a: cap = 6401: give a number from 0 to 6400"},
        {"[vm a]\npin = 2-1",
         "vms.conf:2: VM a: pin: \"2-1\" is no list of CPUs; write numbers below 64: 0,2-3"},
        {"[vm a]\npin = 64",
         "vms.conf:2: VM a: pin: \"64\" is no list of CPUs; write numbers below 64: 0,2-3"},
        {"[vm a]\npin = 0-63,0", "vms.conf:2: VM a: pin lists more than 64 CPUs; remove some"},
        {"[vm a]\npin =", "vms.conf:2: VM a: pin is empty; write numbers of CPUs: 0,2-3"},
        {"[vm a]\ncpuid = x2apic",
         "vms.conf:2: VM a: cpuid: write +NAME or -NAME instead of \"x2apic\""},
        {"[vm a]\ncpuid = -x2apci",
         "vms.conf:2: VM a: cpuid: unknown feature \"x2apci\"; did you mean \"x2apic\"?"},
        {"[vm a]\ncpuid = -quantum",
         "vms.conf:2: VM a: cpuid: unknown feature \"quantum\"; use the names of /proc/cpuinfo"},
        {"[vm a]\ncpuid = "
         "-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-avx,-pku",
         "vms.conf:2: VM a: cpuid lists more than 16 features; remove some"},
        {"[vm a]\nmsr_unknown = x", "vms.conf:2: VM a: msr_unknown = x: give one of: gp, ignore"},
        {"[vm a]\ntestdev = 1", "vms.conf:2: VM a: testdev = 1: give one of: on, off, yes, no"},
        {"[vm a]\ntrap = 32",
         "vms.conf:2: VM a: trap: unknown exit \"32\"; an exception is a name such "
         "as pf or a number below "
         "32, the other words stand in docs/settings.md"},
        {"[vm a]\ntrap = io,invlgp",
         "vms.conf:2: VM a: trap: unknown exit \"invlgp\"; did you mean \"invlpg\"?"},
        {"[vm a]\ntrap = #pf",
         "vms.conf:2: VM a: trap is empty (after a space a # begins a comment: write pf for #pf)"},
        {"[vm a]\n\001", "vms.conf:2: VM a: byte 0x01 at column 1; this must be a plain text file"},
        {"[vm a]\ncmdline = \303\251\nx = \303\251\n",
         "vms.conf:3: VM a: unknown key \"x\"; remove the line"},
        {"[vm a]\rcpus = 1\r", "vms.conf:1: byte 0x0d at column 7; this must be a plain text file"},
        {"[vm a]\nmsr_unknown = \303\251",
         "vms.conf:2: VM a: msr_unknown = ??: give one of: gp, ignore"},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_error(cases[i].text, cases[i].line);
}

static void firmware_boots_from_disks(void **state)
{
    assert_int_equal(parse("[vm a]\nfirmware = seabios\n[vm b]\nfirmware = ovmf\n"), STATUS_OK);
    assert_int_equal(vms[0].traits.firmware, FIRMWARE_SEABIOS);
    assert_string_equal(config_traits(&vms[0]).kernel, "seabios");
    assert_int_equal(vms[1].traits.firmware, FIRMWARE_OVMF);
    assert_error("[vm a]\nfirmware = uefi\n",
                 "vms.conf:2: VM a: firmware = uefi: give one of: seabios, ovmf");
    assert_error("[vm a]\nkernel = x\nfirmware = ovmf\nmemory = 64M\n",
                 "vms.conf:2: VM a: kernel: a VM with firmware boots from its disks; remove this "
                 "line or that of firmware");
    assert_int_equal(parse("[vm a]\nnvram = mine.fd\nfirmware = ovmf\n"), STATUS_OK);
    assert_string_equal(vms[0].nvram, "mine.fd");
    assert_error("[vm a]\nfirmware = seabios\nnvram = mine.fd\n",
                 "vms.conf:3: VM a: nvram: only firmware = ovmf has variables; write that, or "
                 "remove this line");
    parse("[vm a]\nfirmware = seabios\ninitrd = x\ncmdline = y\nmodules = z\nboot = linux\n");
    assert_int_equal(errors.count, 4);
}

static void a_broken_section_is_left_out_and_the_others_stand(void **state)
{
    assert_int_equal(parse("[vm a]\ncpus = 0\nfoo = 1\n[vm b]\ncpus = 2\n[vm b]\n[vm a]\n"),
                     STATUS_INVALID);
    assert_int_equal(errors.count, 3);
    assert_string_equal(errors.line[2].text,
                        "vms.conf:6: a VM \"b\" is on line 4 already; choose another name");
    assert_int_equal(count, 2);
    assert_string_equal(vms[0].name, "b");
    assert_int_equal(vms[0].cpus, 2);
    assert_string_equal(vms[1].name, "a");
    assert_int_equal(vms[1].cpus, 1);
}

static void a_later_mistake_has_the_line_of_its_key(void **state)
{
    struct explanation why;
    assert_int_equal(parse("[vm a]\n\nmemory = 4G\n[vm b]\npin = 7"), STATUS_OK);
    assert_int_equal(config_explain(&why, STATUS_NO_MEMORY, &vms[0], "memory", "%s", "too much"),
                     STATUS_NO_MEMORY);
    assert_string_equal(why.text, "vms.conf:3: VM a: too much");
    (void)config_explain(&why, STATUS_INVALID, &vms[1], "pin", "pin = %u", 7);
    assert_string_equal(why.text, "vms.conf:5: VM b: pin = 7");
    (void)config_explain(&why, STATUS_INVALID, &vms[1], "memory", "memory"); // not set
    assert_string_equal(why.text, "vms.conf:4: VM b: memory");
    (void)config_explain(&why, STATUS_INVALID, &vms[1], NULL, "all");
    assert_string_equal(why.text, "vms.conf:4: VM b: all");
    vms[1].line = 0; // built in
    (void)config_explain(&why, STATUS_INVALID, &vms[1], "memory", "memory");
    assert_string_equal(why.text, "VM b: memory");
    assert_int_equal(config_explain(NULL, STATUS_FULL, &vms[1], NULL, "all"), STATUS_FULL);
}

static void a_broken_section_stays_if_wanted(void **state)
{
    static const char text[] = "[vm a]\ncpus = 0\nkernel = x\n[vm b]\n[vm a]";
    assert_int_equal(
        config_parse(text, strlen(text), vms, CONFIG_VMS, true, &count, &switches, &errors),
        STATUS_INVALID);
    assert_int_equal(count, 2);
    assert_string_equal(vms[0].kernel, "x");
    assert_int_equal(errors.count, 2);
    assert_string_equal(errors.line[1].text,
                        "vms.conf:5: a VM \"a\" is on line 1 already; choose another name");
}

static void a_nul_is_reported_where_it_stands(void **state)
{
    static const char text[] = "[vm a]\ncp\0us = 1\n";
    assert_int_equal(
        config_parse(text, sizeof(text) - 1, vms, CONFIG_VMS, false, &count, &switches, &errors),
        STATUS_INVALID);
    assert_string_equal(errors.line[0].text,
                        "vms.conf:2: VM a: byte 0x00 at column 3; this must be a plain text file");
}

static void a_byte_order_mark_is_skipped(void **state)
{
    assert_int_equal(parse("\xef\xbb\xbf[vm a]\n"), STATUS_OK);
    assert_int_equal(count, 1);
}

static void a_vm_has_a_uuid(void **state)
{
    struct uuid said = {{0x12, 0x3e, 0x45, 0x67, 0xe8, 0x9b, 0x12, 0xd3, 0xa4, 0x56, 0x42, 0x66,
                         0x14, 0x17, 0x40, 0x0f}};
    struct uuid made = uuid_of_name("b");
    assert_int_equal(parse("[vm a]\nuuid = 123E4567-e89b-12d3-a456-42661417400f\n[vm b]\n"),
                     STATUS_OK);
    assert_memory_equal(config_traits(&vms[0]).uuid.bytes, said.bytes, sizeof(said));
    assert_memory_equal(config_traits(&vms[1]).uuid.bytes, made.bytes, sizeof(made));
    static const char *const wrong[] = {"00000000-0000-0000-0000-000000000000",
                                        "ffffffff-ffff-ffff-ffff-ffffffffffff", "1", ""};
    for (unsigned i = 0; i < ARRAY_LENGTH(wrong); i++) {
        char text[80], line[160];
        snprintf(text, sizeof(text), "[vm a]\nuuid = %s\n", wrong[i]);
        snprintf(
            line, sizeof(line),
            "vms.conf:2: VM a: uuid = %s: write 8-4-4-4-12 hexadecimal digits, as uuidgen does",
            wrong[i]);
        assert_error(text, line);
    }
}

static void a_uuid_is_one_vms(void **state)
{
#define UUID "uuid = 123e4567-e89b-12d3-a456-42661417400f\n"
    assert_int_equal(parse("[vm a]\n" UUID "[vm b]\n" UUID "[vm c]\n" UUID), STATUS_INVALID);
    assert_int_equal(errors.count, 2);
    assert_string_equal(errors.line[0].text,
                        "vms.conf:4: VM b: uuid: it is that of VM a, on line 2; choose another or "
                        "leave it out");
    assert_string_equal(errors.line[1].text,
                        "vms.conf:6: VM c: uuid: it is that of VM a, on line 2; choose another or "
                        "leave it out");
    assert_int_equal(count, 1);
    // That of a name, before it or behind it.
    char text[200], uuid[UUID_TEXT];
    struct uuid made = uuid_of_name("b");
    uuid_format(&made, uuid);
    for (unsigned behind = 0; behind < 2; behind++) {
        snprintf(text, sizeof(text), "%s[vm a]\nuuid = %s\n%s", behind ? "" : "[vm b]\n", uuid,
                 behind ? "[vm b]\n" : "");
        assert_int_equal(parse(text), STATUS_INVALID);
        assert_int_equal(errors.count, 1);
        assert_string_equal(errors.line[0].text,
                            behind ? "vms.conf:2: VM a: uuid: it is that of VM b, on line 3; "
                                     "choose another or leave it out"
                                   : "vms.conf:3: VM a: uuid: it is that of VM b, on line 1; "
                                     "choose another or leave it out");
        assert_int_equal(count, 1);
        assert_string_equal(vms[0].name, "b");
    }
}

static void the_number_of_vms_is_bounded(void **state)
{
    static const char text[] = "[vm a]\n[vm b]\n[vm c]\ncpus = 77\n";
    assert_int_equal(config_parse(text, strlen(text), vms, 2, false, &count, &switches, &errors),
                     STATUS_INVALID);
    assert_int_equal(count, 2);
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.line[0].text,
                        "vms.conf:3: VM \"c\" is one too many; at most 2 are possible");
}

static void the_number_of_errors_is_bounded(void **state)
{
    char text[4096] = "[vm a]\n";
    for (int i = 0; i < 40; i++)
        strcat(text, "bad\n");
    assert_int_equal(parse(text), STATUS_INVALID);
    assert_int_equal(errors.count, NOTES_MAX);
    assert_int_equal(errors.left_out, 40 - NOTES_MAX);
}

static void the_longest_command_line_fits(void **state)
{
    static char text[2 * CONFIG_LINE] = "[vm a]\ncmdline = ";
    size_t head = strlen(text);
    memset(text + head, 'x', CONFIG_CMDLINE - 1);
    assert_int_equal(parse(text), STATUS_OK);
    assert_int_equal(strlen(vms[0].cmdline), CONFIG_CMDLINE - 1);
    text[head + CONFIG_CMDLINE - 1] = 'x';
    assert_error(text, "vms.conf:2: VM a: cmdline has 2048 characters; at most 2047 are possible");
    memset(text + head, 'x', CONFIG_LINE);
    assert_error(text, "vms.conf:2: VM a: the line has 2122 characters; at most 2112 are possible");
}

static void edit_distance_counts_slips(void **state)
{
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
        cmocka_unit_test(firmware_boots_from_disks),
        cmocka_unit_test(a_broken_section_is_left_out_and_the_others_stand),
        cmocka_unit_test(a_later_mistake_has_the_line_of_its_key),
        cmocka_unit_test(a_broken_section_stays_if_wanted),
        cmocka_unit_test(a_nul_is_reported_where_it_stands),
        cmocka_unit_test(a_byte_order_mark_is_skipped),
        cmocka_unit_test(a_vm_has_a_uuid),
        cmocka_unit_test(a_uuid_is_one_vms),
        cmocka_unit_test(the_number_of_vms_is_bounded),
        cmocka_unit_test(the_number_of_errors_is_bounded),
        cmocka_unit_test(the_longest_command_line_fits),
        cmocka_unit_test(edit_distance_counts_slips),
        cmocka_unit_test(no_feature_stands_twice_in_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
