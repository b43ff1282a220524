// What the monitor shows: monitor/info*.c, against a machine half that answers with known figures.

#include "tests/unit/support.h"

#include "tests/unit/desk.h"
#include "vm/watch.h"

static void assert_says(const char *command, const char *expected)
{
    if (!strstr(desk_run(command), expected))
        fail_msg("'%s' does not say '%s' but:\n%s", command, expected, desk.text);
}

static int reset(void **state)
{
    desk_reset();
    return 0;
}

static void vcpus_have_a_state_and_a_place(void **state)
{
    desk.vm[0].vcpu[1].activity = ACTIVITY_HALTED;
    desk.vm[0].vcpu[1].rip = 0xffffffff81000000;
    desk.vm[0].vcpu[1].apic_id = 4;
    assert_says("info cpus", "* vCPU 0: active");
    assert_says("info cpus",
                "  vCPU 1: halted         on CPU 2, RIP ffffffff81000000, CPL 0, APIC ID 4\n");
}

static void memory_is_the_machines_and_the_vms(void **state)
{
    assert_says("info mem", "machine: 8192 KiB, 3072 KiB of them free, 1024 KiB Corbel's\n");
    assert_says("info mem", "web              000000000000-000000001fff RAM, at ");
}

static void the_scheduler_shows_cpus_and_vcpus(void **state)
{
    assert_says("info sched",
                "CPU 0   APIC ID 0   idle  50% (5000.000 of 10000.000 ms)  runs vCPU 1 of web\n");
    assert_says("info sched", "CPU 1   APIC ID 2   offline\n");
    assert_says("info sched",
                "web                 0 running       1      -    -    256             12\n");
    assert_says("info sched",
                "web                 1 running       2      3  50%    256             12\n");
}

static void the_rest_comes_from_the_machine(void **state)
{
    assert_says("info version", "Corbel under test, up 0:00:10\n");
    assert_says("info capabilities", "EPT\n");
    desk.vm[0].vm.traits.uuid = uuid_of_name("web");
    desk.vm[0].vm.generation = uuid_of_name("x");
    assert_says("info vm-generation-id", "dfe69e30-213e-5c93-9d6a-98d56a05149b\n");
    assert_says("info uuid", "f4520f7b-f53e-5445-acfc-3b74e7430043\n");
}

static void count(unsigned vcpu, uint32_t reason, uint32_t cycles)
{
    stats_count(&desk.vm[0].vcpu[vcpu].stats, STATS_AT(reason), cycles);
}

static void exits_are_a_table_csv_or_json(void **state)
{
    count(0, EXIT_CPUID, 100);
    count(0, EXIT_CPUID, 200);
    count(1, EXIT_CPUID, 60);
    count(1, EXIT_HLT, 9);
    assert_says("info exits",
                "CPUID                                       3          120          200\n");
    assert_says("info exits", "total                                       4           92\n");
    assert_says("info exits db", "total                                       0            0\n");
    assert_string_equal(desk_run("info exits -c"),
                        "vm,vcpu,number,reason,count,cycles,max,histogram\n"
                        "web,0,10,\"CPUID\",2,300,200,\"6:1 7:1\"\n"
                        "web,1,10,\"CPUID\",1,60,60,\"5:1\"\n"
                        "web,1,12,\"HLT\",1,9,9,\"3:1\"\n");
    assert_string_equal(desk_run("info exits -j web"),
                        "{\"vm\":\"web\",\"vcpu\":0,\"number\":10,\"reason\":\"CPUID\",\"count\":2,"
                        "\"cycles\":300,\"max\":200,\"histogram\":{\"6\":1,\"7\":1}}\n"
                        "{\"vm\":\"web\",\"vcpu\":1,\"number\":10,\"reason\":\"CPUID\",\"count\":1,"
                        "\"cycles\":60,\"max\":60,\"histogram\":{\"5\":1}}\n"
                        "{\"vm\":\"web\",\"vcpu\":1,\"number\":12,\"reason\":\"HLT\",\"count\":1,"
                        "\"cycles\":9,\"max\":9,\"histogram\":{\"3\":1}}\n");
    assert_says("info exits -h", "vCPU 0, exits by cycles: 2^n:k are k exits of 2^n to 2^(n+1)-1\n"
                                 "CPUID                            2^6:1 2^7:1\n"
                                 "vCPU 1, ");
}

static void unclaimed_addresses_are_listed(void **state)
{
    access_counts_add(&desk.vm[0].vm.unclaimed_ports, 0x80);
    access_counts_add(&desk.vm[0].vm.unknown_msrs, 0x34);
    access_counts_add(&desk.vm[0].vm.unclaimed_mmio, 0xfed00000);
    assert_says("info exits -pmg", "unclaimed ports: 0x80:1; 1 in all\n"
                                   "vCPU 0 is not watched; 'trace on web' begins it\n");
    assert_says("info exits -m", "unknown MSRs: 0x34:1; 1 in all\n");
    assert_says("info exits -g", "unclaimed guest-physical addresses: 0xfed00000:1; 1 in all\n");
    assert_null(strstr(desk.text, "exit reason"));
}

static void make_exit(struct vcpu *vcpu, uint32_t reason, uint64_t qualification, uint64_t tsc)
{
    watch_begin(vcpu->watch, vcpu, reason, tsc);
    watch_entry_now(vcpu->watch)->qualification = qualification;
    watch_entry_now(vcpu->watch)->length = 1;
    watch_end(vcpu->watch, vcpu, 300);
}

static void watched_exits_are_shown_closely(void **state)
{
    struct vcpu *vcpu = &desk.vm[0].vcpu[0];
    assert_says("trace on", "each exit of web has a line from now on");
    vcpu->rip = 0x1c00;
    memcpy(desk.vm[0].ram + 0x1c00, "\xee\xeb\xfd", 3);
    make_exit(vcpu, EXIT_IO, UINT64_C(0x3f8) << 16, 1000);
    make_exit(vcpu, EXIT_IO, UINT64_C(0x3f8) << 16, 5000);
    access_counts_add(&desk.vm[0].vm.unclaimed_ports, 0x80);
    assert_says("info exits -p", "\nports: 0x3f8:2; 2 in all\n");
    assert_says("info exits -m", "\nMSRs: none\n");
    assert_says("info exits -g", "\nguest-physical pages: none\n");
    assert_string_equal(desk_run("info exits -cp"), "vm,vcpu,what,address,count\n"
                                                    "web,,unclaimed ports,0x80,1\n"
                                                    "web,0,ports,0x3f8,2\n");
    vcpu->watch->ports.others = 5;
    assert_string_equal(
        desk_run("info exits -j -p"),
        "{\"vm\":\"web\",\"vcpu\":null,\"what\":\"unclaimed ports\",\"address\":128,\"count\":1}\n"
        "{\"vm\":\"web\",\"vcpu\":0,\"what\":\"ports\",\"address\":1016,\"count\":2}\n"
        "{\"vm\":\"web\",\"vcpu\":0,\"what\":\"ports\",\"address\":null,\"count\":5}\n");
    assert_says("info trace", "vCPU 0: 2 exits were noted\n"
                              "[web:0] 0.000000 1c00 port I/O: OUT DX, AL (ee): port "
                              "0x3f8 <- 0x00: next, 300 cycles\n");
    assert_says("trace on web reason=rdtsc reason=PORT_I/O port=0x3f8 msr=ia32_efer msr=0x1b",
                "each such exit of web");
    assert_int_equal(vcpu->watch->filter.count, 5);
    assert_int_equal(vcpu->watch->filter.wanted[0].value, EXIT_RDTSC);
    assert_int_equal(vcpu->watch->filter.wanted[1].value, EXIT_IO);
    assert_int_equal(vcpu->watch->filter.wanted[3].kind, WATCH_MSR);
    assert_int_equal(vcpu->watch->filter.wanted[3].value, 0xc0000080);
    assert_says("trace on port=0x60", "each such exit of web");
    assert_says("trace on msr=efer", "msr=efer: msr= takes a number, or a name such as IA32_EFER");
    assert_says("trace on port=65536", "port= takes a number to 0xffff");
    assert_says("trace on reason=x", "takes a number, or a name of 'info exits' with _ for blanks");
    assert_says("trace on web rip=4", "rip=4: exits are chosen by reason=, port= and msr=");
    assert_says("trace off", "");
    assert_says("info trace", "vCPU 1 is not watched");
    assert_says("trace maybe", "trace on [vm] [WHICH ...], or trace off [vm]\n");
    desk.refuses = true;
    assert_says("trace on db", "no memory to watch all vCPUs of db\n");
    assert_string_equal(desk.asked, "watch 0;watch 0;watch 0;unwatch 0;watch 1;");
}

static void a_long_trace_is_cut_unless_asked_for(void **state)
{
    desk_run("trace on db");
    for (unsigned i = 0; i < WATCH_ENTRIES + 5; i++)
        make_exit(&desk.vm[1].vcpu[0], EXIT_RDTSC, 0, i);
    unsigned lines = 0;
    for (const char *at = desk_run("info trace db"); (at = strstr(at, ": RDTSC ")); at++)
        lines++;
    assert_int_equal(lines, 20);
    lines = 0;
    for (const char *at = desk_run("info trace -a db"); (at = strstr(at, ": RDTSC ")); at++)
        lines++;
    assert_int_equal(lines, WATCH_ENTRIES - 1); // one place is the next exit's
}

static void registers_are_those_of_the_chosen_vcpu_or_all(void **state)
{
    struct vcpu *vcpu = &desk.vm[0].vcpu[1];
    vcpu->gpr[RAX] = 0x1234;
    vcpu->gpr[R15] = 0xfedc;
    vcpu->rip = 0xfff0;
    vcpu->rflags = RFLAGS_FIXED | RFLAGS_IF | RFLAGS_ZF;
    vcpu->segment[CS] = (struct segment){0xffff0000, 0xffff, 0x9b, 0xf000};
    vcpu->segment[FS].access = AR_UNUSABLE;
    vcpu->cr0 = 0x60000010;
    assert_null(strstr(desk_run("info registers"), "1234"));
    assert_null(strstr(desk.text, "vCPU 1"));
    desk_run("cpu 1");
    assert_says("info registers", "RAX=0000000000001234 RBX=");
    assert_says("info registers", "R15=000000000000fedc\n");
    assert_says("info registers", "RIP=000000000000fff0 RFL=00000242 [I----Z---] CPL=0");
    assert_says("info registers", "\nCS =f000 00000000ffff0000 0000ffff 0009b\n");
    assert_says("info registers", "\nFS =0000 0000000000000000 00000000 10000\n");
    assert_says("info registers", "CR0=60000010 ");
    assert_null(strstr(desk.text, "vCPU 0"));
    assert_says("info registers -a", "vCPU 0\n");
    assert_says("info registers -a", "vCPU 1\n");
    assert_null(strstr(desk_run("info registers db"), "vCPU")); // it has but one
}

static void interrupt_controllers_are_shown(void **state)
{
    struct lapic *lapic = &desk.vm[0].vcpu[1].lapic;
    lapic->base = APIC_BASE_DEFAULT | APIC_BASE_ENABLE;
    lapic_set(lapic, LAPIC_SVR, LAPIC_SVR_ENABLE | 0xff);
    lapic_set(lapic, LAPIC_LVT_TIMER, 0xec);
    lapic_set(lapic, LAPIC_LVT_LINT0, 0x700);
    lapic_set(lapic, LAPIC_LVT_LINT1, LVT_MASKED | 0x400);
    lapic_set(lapic, LAPIC_ISR + 0x70, BIT32(12));
    lapic_set(lapic, LAPIC_IRR + 0x10, BIT32(1) | BIT32(31));
    lapic->page->posted.request[7] = BIT32(4);
    assert_says("info irq", "board of web\n");
    assert_says("info qtree", "board of web\n");
    assert_says("info pci", "board of web\n");
    assert_says("info irq", "vCPU 0: APIC ID 0 disabled");
    assert_says("info irq", "vCPU 1: APIC ID 0 xAPIC, TPR 00, spurious vector ff\n");
    assert_says("info irq", "timer fixed ec LINT0 ExtINT 00 LINT1 masked ");
    assert_says("info irq", "  in service: ec\n  requested: 21 3f\n");
    assert_says("info irq", "  on their way: vectors from e0: 00000010\n");
    desk.prompt.monitor.vcpu = 1;
    lapic->tsc_deadline = 0x1234;
    assert_says("info vcpu", "  lapic.tsc_deadline = 0x1234\n");
    assert_says("info vcpu", "  segment[1].selector = 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(vcpus_have_a_state_and_a_place, reset),
        cmocka_unit_test_setup(memory_is_the_machines_and_the_vms, reset),
        cmocka_unit_test_setup(the_scheduler_shows_cpus_and_vcpus, reset),
        cmocka_unit_test_setup(the_rest_comes_from_the_machine, reset),
        cmocka_unit_test_setup(exits_are_a_table_csv_or_json, reset),
        cmocka_unit_test_setup(unclaimed_addresses_are_listed, reset),
        cmocka_unit_test_setup(watched_exits_are_shown_closely, reset),
        cmocka_unit_test_setup(a_long_trace_is_cut_unless_asked_for, reset),
        cmocka_unit_test_setup(registers_are_those_of_the_chosen_vcpu_or_all, reset),
        cmocka_unit_test_setup(interrupt_controllers_are_shown, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
