// What is printed when a VM ends.

#include "tests/unit/support.h"

#include "lib/print.h"
#include "monitor/summary.h"

static char output[4096];
static size_t output_length;

static void collect(struct printer *printer, const char *text, size_t length)
{
    (void)printer;
    assert_true(output_length + length < sizeof(output));
    memcpy(output + output_length, text, length);
    output_length += length;
    output[output_length] = 0;
}

static struct printer printer = {.write = collect};
static struct vm vm;
static struct vcpu vcpus[2];

static int set_up(void **state)
{
    (void)state;
    memset(&vm, 0, sizeof(vm));
    memset(vcpus, 0, sizeof(vcpus));
    strcpy(vm.config.name, "web");
    vm.vcpu_count = 2;
    for (unsigned i = 0; i < 2; i++) {
        vm.vcpu[i] = &vcpus[i];
        vcpus[i].id = (uint16_t)i;
    }
    output_length = 0;
    return 0;
}

static void assert_says(const char *text)
{
    if (!strstr(output, text))
        fail_msg("no \"%s\" in:\n%s", text, output);
}

static void the_end_has_its_reason_and_code(void **state)
{
    (void)state;
    vm.stop_reason = STOP_DEBUG_EXIT;
    vm.stop_code = 0x2a;
    vm.unclaimed_ports = 3;
    summary_print(&printer, &vm);
    assert_says("corbel: VM web ended: ");
    assert_says(" (0x2a)\n");
    assert_says("unclaimed: 3 port, 0 MMIO accesses");
}

static void the_table_of_exits_is_left_out_if_it_is_not_wanted(void **state)
{
    (void)state;
    vm.stop_reason = STOP_POWEROFF;
    summary_print(&printer, &vm);
    assert_says("exit reason");
    output_length = 0;
    vm.config.exit_stats = EXIT_STATS_OFF;
    summary_print(&printer, &vm);
    assert_null(strstr(output, "exit reason"));
}

static void times_are_parts_of_the_life(void **state)
{
    (void)state;
    const uint64_t received[2] = {UINT64_C(1500250999), 0};
    summary_times(&printer, &vm, UINT64_C(6000000000), received);
    assert_string_equal(output, "vCPU 0: ran 1500.250 of 6000.000 ms: 25.0% of a CPU\n"
                                "vCPU 1: ran 0.000 of 6000.000 ms: 0.0% of a CPU\n");
    output_length = 0;
    vm.vcpu_count = 1;
    summary_times(&printer, &vm, 0, received + 1); // ended before its clock moved
    assert_string_equal(output, "vCPU 0: ran 0.000 of 0.001 ms: 0.0% of a CPU\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_end_has_its_reason_and_code, set_up),
        cmocka_unit_test_setup(the_table_of_exits_is_left_out_if_it_is_not_wanted, set_up),
        cmocka_unit_test_setup(times_are_parts_of_the_life, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
