// What is printed when a VM ends.

#include "tests/unit/support.h"

#include "tests/unit/text.h"
#include "monitor/summary.h"
#include "tests/ram.h"

static struct text said = {.printer.write = collect};
static struct vm vm;
static struct vcpu vcpus[2];

static int set_up(void **state)
{
    memset(&vm, 0, sizeof(vm));
    memset(vcpus, 0, sizeof(vcpus));
    vm.traits.name = "web";
    vm.vcpu_count = 2;
    for (unsigned i = 0; i < 2; i++) {
        vm.vcpu[i] = &vcpus[i];
        vcpus[i].id = (uint16_t)i;
    }
    said.length = 0;
    return 0;
}

static void assert_says(const char *text)
{
    if (!strstr(said.buffer, text))
        fail_msg("no \"%s\" in:\n%s", text, said.buffer);
}

static void the_end_has_its_reason_and_code(void **state)
{
    vm.stop_reason = STOP_DEBUG_EXIT;
    vm.stop_code = 0x2a;
    summary_end(&said.printer, &vm);
    assert_says("corbel: VM web ended: ");
    assert_says(" (0x2a)\n");
}

static void the_table_of_exits_comes_if_it_is_wanted(void **state)
{
    const uint64_t received[2] = {0};
    for (unsigned i = 0; i < 3; i++)
        access_counts_add(&vm.unclaimed_ports, 0x80);
    summary_figures(&said.printer, &vm, 1, received);
    assert_null(strstr(said.buffer, "exit reason"));
    assert_says("unclaimed: 3 port, 0 MMIO accesses");
    vm.traits.exit_stats = EXIT_STATS_PRINT;
    summary_figures(&said.printer, &vm, 1, received);
    assert_says("exit reason");
    assert_says("total");
}

// Byte for byte, and not longer than a screen.
static void a_vm_that_died_shows_where_its_vcpu_stands(void **state)
{
    static uint8_t ram[8192];
    struct vcpu *vcpu = &vcpus[1];
    ram_is(&vm.memory, ram, sizeof(ram));
    vm.stop_reason = STOP_UNEMULATED;
    vm.stopped_by = vcpu;
    vcpu->vm = &vm;
    vcpu->fetched = STATE_ALL;
    vcpu->rip = 0x1ffc - 0x1000;
    vcpu->cr0 = CR0_PE;
    vcpu->segment[CS] = (struct segment){0x1000, 0xffff, 0x9b, 0x8};
    vcpu->gpr[RCX] = 0x1234;
    vcpu->cr2 = 0xdead;
    memcpy(&ram[0x1ffc], "\xdd\x07\x90\xcc", 4);
    summary_end(&said.printer, &vm);
    summary_state(&said.printer, &vm);
    assert_string_equal(
        said.buffer,
        "corbel: VM web ended: instruction not emulated\n"
        "vCPU 1, 16-bit protected mode, at RIP: dd 07 90 cc\n"
        "RAX=0000000000000000 RBX=0000000000000000 RCX=0000000000001234\n"
        "RDX=0000000000000000 RSI=0000000000000000 RDI=0000000000000000\n"
        "RBP=0000000000000000 RSP=0000000000000000 R8 =0000000000000000\n"
        "R9 =0000000000000000 R10=0000000000000000 R11=0000000000000000\n"
        "R12=0000000000000000 R13=0000000000000000 R14=0000000000000000\n"
        "R15=0000000000000000\n"
        "RIP=0000000000000ffc RFL=00000000 [---------] CPL=0 HLT=0 interruptibility=0\n"
        "ES =0000 0000000000000000 00000000 00000\n"
        "CS =0008 0000000000001000 0000ffff 0009b\n"
        "SS =0000 0000000000000000 00000000 00000\n"
        "DS =0000 0000000000000000 00000000 00000\n"
        "FS =0000 0000000000000000 00000000 00000\n"
        "GS =0000 0000000000000000 00000000 00000\n"
        "LDT=0000 0000000000000000 00000000 00000\n"
        "TR =0000 0000000000000000 00000000 00000\n"
        "GDT=0000000000000000 0000 IDT=0000000000000000 0000\n"
        "CR0=00000001 CR2=000000000000dead CR3=0000000000000000 CR4=00000000 EFER=0\n");
    said.length = 0;
    vcpu->rip = 0x100000; // where nothing is
    summary_state(&said.printer, &vm);
    assert_says("vCPU 1, 16-bit protected mode, at RIP: no memory\n");
}

static void times_are_parts_of_the_life(void **state)
{
    const uint64_t received[2] = {UINT64_C(1500250999), 0};
    summary_figures(&said.printer, &vm, UINT64_C(6000000000), received);
    assert_says("vCPU 0: ran 1500.250 of 6000.000 ms: 25.0% of a CPU\n"
                "vCPU 1: ran 0.000 of 6000.000 ms: 0.0% of a CPU\n");
    said.length = 0;
    vm.vcpu_count = 1;
    summary_figures(&said.printer, &vm, 0, received + 1); // ended before its clock moved
    assert_says("vCPU 0: ran 0.000 of 0.001 ms: 0.0% of a CPU\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_end_has_its_reason_and_code, set_up),
        cmocka_unit_test_setup(the_table_of_exits_comes_if_it_is_wanted, set_up),
        cmocka_unit_test_setup(a_vm_that_died_shows_where_its_vcpu_stands, set_up),
        cmocka_unit_test_setup(times_are_parts_of_the_life, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
