// exits/io.c, string_io.c, ept.c, exception.c: ports, memory that is not there, and reflected
// exceptions.

#include "tests/unit/exit_support.h"

#include "exits/io.h"
#include "vm/debug.h"

#define OUT(port, size)      ((uint64_t)(port) << 16 | ((size)-1))
#define IN(port, size)       (OUT(port, size) | BIT(3))
#define STRING               BIT(4)
#define REP                  BIT(5)
#define INFO(bytes, segment) ((uint32_t)((bytes) / 4 << 7 | (segment) << 15))

// A device at ports 100H to 10FH: remembers what was written, reads as a running number.
static uint64_t written[1024];
static unsigned writes, reads;
static struct access last;

static bool device_access(struct vdev *device, struct access *access)
{
    (void)device;
    last = *access;
    if (access->write)
        written[writes++ % ARRAY_LENGTH(written)] = access->value;
    else
        access->value = (UINT64_C(0x8070605040302010) + reads++) & size_mask(access->size);
    return true;
}

static uint64_t no_deadline(struct vdev *device)
{
    (void)device;
    return NEVER;
}

static struct vdev device = {.name = "test", .access = device_access};

static int set_up(void **state)
{
    (void)state;
    machine_init();
    writes = reads = 0;
    device.deadline = NULL;
    machine.vm.ports.frozen = false;
    assert_int_equal(bus_insert(&machine.vm.ports, 0x100, 16, &device, NULL), STATUS_OK);
    bus_freeze(&machine.vm.ports);
    return 0;
}

static void in_merges_by_operand_size(void **state)
{
    (void)state;
    static const struct {
        unsigned size;
        uint64_t rax;
    } rows[] = {{1, UINT64_C(0xaaaaaaaaaaaaaa10)},
                {2, UINT64_C(0xaaaaaaaaaaaa2010)},
                {4, UINT64_C(0x0000000040302010)}};
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct exit exit = {
            .reason = EXIT_IO, .qualification = IN(0x104, rows[i].size), .tsc = 1000 + 2 * 42};
        reads = 0;
        VCPU->gpr[RAX] = UINT64_C(0xaaaaaaaaaaaaaaaa);
        assert_verdict(exit_run(&exit, FIELD(gpr[RAX])), next());
        assert_int_equal(VCPU->gpr[RAX], rows[i].rax);
        assert_int_equal(last.offset, 4);
        assert_int_equal(last.size, rows[i].size);
    }
}

static void a_device_with_a_clock_gets_the_time(void **state)
{
    (void)state;
    struct exit exit = {.reason = EXIT_IO, .qualification = OUT(0x104, 1), .tsc = 1000 + 2 * 42};
    device.deadline = no_deadline;
    assert_verdict(exit_run(&exit), next());
    assert_int_equal(last.now, 42);
    // Nor is it lost when the device gets but a part of the access.
    exit.qualification = OUT(0x10e, 4);
    assert_verdict(exit_run(&exit), next());
    assert_int_equal(last.now, 42);
}

static void an_access_over_a_region_edge_is_shared(void **state)
{
    (void)state;
    struct exit exit = {.reason = EXIT_IO, .qualification = IN(0x10e, 4)};
    assert_verdict(exit_run(&exit, FIELD(gpr[RAX])), next());
    assert_int_equal(VCPU->gpr[RAX], 0xffff1110);
    reads = 0;
    exit.qualification = IN(0xfd, 4);
    assert_verdict(exit_run(&exit, FIELD(gpr[RAX])), next());
    assert_int_equal(VCPU->gpr[RAX], 0x10ffffff);
    assert_int_equal(last.offset, 0);
    assert_int_equal(machine.vm.unclaimed_ports, 0); // somebody answered
}

static void out_passes_only_its_bytes(void **state)
{
    (void)state;
    VCPU->gpr[RAX] = UINT64_C(0x8877665544332211);
    static const uint64_t expected[] = {0x11, 0x2211, 0x44332211};
    for (unsigned i = 0; i < 3; i++) {
        struct exit exit = {.reason = EXIT_IO, .qualification = OUT(0x100, 1U << i)};
        assert_verdict(exit_run(&exit), next());
        assert_int_equal(written[i], expected[i]);
    }
    assert_int_equal(writes, 3);
}

static void unclaimed_ports_read_ones_and_are_counted(void **state)
{
    (void)state;
    struct exit exit = {.reason = EXIT_IO, .qualification = IN(0x5658, 4)};
    assert_verdict(exit_run(&exit, FIELD(gpr[RAX])), next());
    assert_int_equal(VCPU->gpr[RAX], 0xffffffff);
    assert_int_equal(machine.vm.unclaimed_ports, 1);
}

// ---- strings; without paging, so that linear addresses are physical ----

static verdict_t string(uint64_t qualification, uint32_t info)
{
    struct exit exit = {
        .reason = EXIT_IO, .qualification = qualification | STRING, .instruction_info = info};
    return exit_run(&exit, FIELD(gpr[RSI]), FIELD(gpr[RDI]), FIELD(gpr[RCX]), FIELD(cr2),
                    FIELD(cr2_dirty), FIELD(pending_debug), FIELD(rflags), FIELD(interruptibility));
}

static void rep_outs_runs_in_bounded_chunks(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++)
        machine.ram[0x8000 + i] = (uint8_t)i;
    VCPU->gpr[RSI] = 0x8000;
    VCPU->gpr[RCX] = 150;
    unsigned exits = 1;
    verdict_t verdict;
    while ((verdict = string(OUT(0x100, 1) | REP, INFO(4, DS))).kind == VERDICT_AGAIN) {
        assert_true(VCPU->rflags & RFLAGS_RF); // its breakpoint is not met again
        exits++;
    }
    assert_verdict(verdict, next());
    assert_int_equal(writes, 150);
    assert_in_range(exits, 2, 10);
    for (unsigned i = 0; i < 150; i++)
        assert_int_equal(written[i], i);
    assert_int_equal(VCPU->gpr[RSI], 0x8000 + 150);
    assert_int_equal(VCPU->gpr[RCX], 0);
}

static int set_up_protected(void **state)
{
    (void)state;
    machine_protected_mode();
    writes = reads = 0;
    machine.vm.ports.frozen = false;
    assert_int_equal(bus_insert(&machine.vm.ports, 0x100, 16, &device, NULL), STATUS_OK);
    bus_freeze(&machine.vm.ports);
    return 0;
}

static void ins_goes_down_with_df_and_wraps_at_16_bits(void **state)
{
    (void)state;
    VCPU->rflags |= RFLAGS_DF;
    VCPU->gpr[RDI] = UINT64_C(0xabcd0000);
    VCPU->gpr[RCX] = UINT64_C(0x77770002);
    assert_verdict(string(IN(0x100, 2) | REP, INFO(0, ES)), next());
    assert_int_equal(VCPU->gpr[RDI], UINT64_C(0xabcdfffc));
    assert_int_equal(VCPU->gpr[RCX], UINT64_C(0x77770000));
    assert_int_equal(machine.ram[0], 0x10);
    assert_int_equal(machine.ram[1], 0x20);
    assert_int_equal(machine.ram[0xfffe], 0x11);
}

static void a_single_ins_leaves_rcx_alone(void **state)
{
    (void)state;
    VCPU->gpr[RDI] = 0x9000;
    VCPU->gpr[RCX] = 5;
    assert_verdict(string(IN(0x100, 4), INFO(4, ES)), next());
    assert_int_equal(VCPU->gpr[RCX], 5);
    assert_int_equal(VCPU->gpr[RDI], 0x9004);
    assert_memory_equal(&machine.ram[0x9000], "\x10\x20\x30\x40", 4);
}

static void rep_with_nothing_to_do_does_nothing(void **state)
{
    (void)state;
    VCPU->gpr[RCX] = UINT64_C(0xffff0000);
    assert_verdict(string(IN(0x100, 1) | REP, INFO(0, ES)), next());
    assert_int_equal(VCPU->gpr[RCX], UINT64_C(0xffff0000));
    assert_int_equal(reads, 0);
}

static void a_fault_comes_before_the_port_is_read(void **state)
{
    (void)state;
    VCPU->segment[ES].limit = 0x9001;
    VCPU->gpr[RDI] = 0x9000;
    VCPU->gpr[RCX] = 4;
    assert_verdict(string(IN(0x100, 2) | REP, INFO(4, ES)), fault_gp(0));
    assert_int_equal(reads, 1); // the first element was good, and is done
    assert_int_equal(VCPU->gpr[RDI], 0x9002);
    assert_int_equal(VCPU->gpr[RCX], 3);
    VCPU->segment[ES].access &= ~UINT32_C(2); // read-only
    VCPU->gpr[RDI] = 0x8000;
    assert_verdict(string(IN(0x100, 2), INFO(4, ES)), fault_gp(0));
    assert_int_equal(reads, 1);
}

static void single_stepping_traps_after_each_element(void **state)
{
    (void)state;
    VCPU->rflags |= RFLAGS_TF;
    VCPU->gpr[RSI] = 0x8000;
    VCPU->gpr[RCX] = 2;
    assert_verdict(string(OUT(0x100, 1) | REP, INFO(4, DS)), again());
    assert_int_equal(writes, 1);
    assert_int_equal(VCPU->pending_debug, PENDING_DEBUG_BS);
    assert_int_equal(exit_dirty, STATE_FLOW | STATE_DEBUG);
    assert_verdict(string(OUT(0x100, 1) | REP, INFO(4, DS)), next());
    assert_int_equal(writes, 2);

    VCPU->debugctl = DEBUGCTL_BTF; // no branch
    VCPU->pending_debug = 0;
    VCPU->gpr[RCX] = 2;
    assert_verdict(string(OUT(0x100, 1) | REP, INFO(4, DS)), again());
    assert_int_equal(VCPU->pending_debug, 0);
}

static void string_io_meets_breakpoints_at_the_port_and_in_memory(void **state)
{
    (void)state;
    VCPU->cr4 |= CR4_DE;
    VCPU->dr7 = 0x400 | BIT(0) | BIT(2) | BIT(17) | BITS(21, 20); // port; reads and writes
    VCPU->dr[0] = 0x100;
    VCPU->dr[1] = 0x8001;
    VCPU->gpr[RSI] = 0x8000;
    VCPU->gpr[RCX] = 3;
    VCPU->dirty = STATE_BREAKPOINTS;
    assert_verdict(string(OUT(0x104, 1) | REP, INFO(4, DS)), again());
    assert_int_equal(writes, 2);
    assert_int_equal(VCPU->pending_debug, BIT(1) | PENDING_DEBUG_BREAKPOINT);
    assert_int_equal(exit_dirty, STATE_FLOW | STATE_DEBUG);
    VCPU->pending_debug = 0;
    VCPU->dirty = STATE_BREAKPOINTS;
    assert_verdict(string(OUT(0x100, 1) | REP, INFO(4, DS)), next());
    assert_int_equal(VCPU->pending_debug, BIT(0) | PENDING_DEBUG_BREAKPOINT);
}

static void in_and_out_meet_breakpoints_at_their_ports(void **state)
{
    (void)state;
    struct exit exit = {.reason = EXIT_IO, .qualification = IN(0x0fd, 4)};
    VCPU->cr4 |= CR4_DE;
    VCPU->dr7 = 0x400 | BIT(0) | BIT(17);
    VCPU->dr[0] = 0x100;
    VCPU->dirty = STATE_BREAKPOINTS;
    VCPU->fetched = STATE_ALL;
    io_breakpoints(VCPU, &exit);
    assert_int_equal(VCPU->pending_debug, BIT(0) | PENDING_DEBUG_BREAKPOINT);
    assert_true(VCPU->interruptibility & BLOCKING_BY_TRAP);
    VCPU->pending_debug = 0;
    exit.qualification = OUT(0x101, 1);
    io_breakpoints(VCPU, &exit);
    assert_int_equal(VCPU->pending_debug, 0);
}

// ---- EPT violations ----

#define VIOLATION(access) ((access) | BIT(7) | BIT(8))

static struct exit violation(uint64_t qualification, uint64_t physical)
{
    return (struct exit){.reason = EXIT_EPT_VIOLATION,
                         .qualification = qualification,
                         .physical = gpa(physical),
                         .linear = gva(UINT64_C(0xffff800012345678))};
}

static void code_and_tables_outside_memory_end_a_kernel(void **state)
{
    (void)state;
    struct exit exit = violation(VIOLATION(BIT(2)), 0xd0000000);
    assert_verdict(exit_run(&exit), stop(STOP_BAD_MEMORY, 0xd0000));
    exit = violation(BIT(0) | BIT(7), 0xd0000000);
    assert_verdict(exit_run(&exit), stop(STOP_BAD_MEMORY, 0xd0000));
    exit = violation(BIT(0), 0xd0000000); // PDPTEs of a MOV to CR3
    assert_verdict(exit_run(&exit), stop(STOP_BAD_MEMORY, 0xd0000));
}

static void user_code_gets_a_fault_instead(void **state)
{
    (void)state;
    VCPU->cpl = 3;
    struct exit exit = violation(VIOLATION(BIT(2)), 0xd0000000);
    assert_verdict(exit_run(&exit), fault_ud());
    exit = violation(BIT(1) | BIT(7), 0xd0000000);
    assert_verdict(exit_run(&exit, FIELD(cr2), FIELD(cr2_dirty)), fault_code(VECTOR_PF, 0xf));
    assert_int_equal(VCPU->cr2, UINT64_C(0xffff800012345678));
}

static void delivery_into_nothing_is_a_triple_fault(void **state)
{
    (void)state;
    struct exit exit = violation(VIOLATION(BIT(1)), 0xd0000000);
    exit.idt_info = EVENT_VALID | 0x20;
    assert_verdict(exit_run(&exit), stop(STOP_TRIPLE_FAULT, 0));
}

static bool fault_served;
static bool serve_fault(struct vcpu *vcpu, gpa_t at, uint64_t qualification)
{
    assert_ptr_equal(vcpu, VCPU);
    assert_int_equal(at.value, 0x5000);
    assert_int_equal(qualification, VIOLATION(BIT(1)));
    return fault_served;
}

static void violations_on_ram_are_the_machine_halfs(void **state)
{
    (void)state;
    struct vm_host host = *machine.vm.host;
    struct exit exit = violation(VIOLATION(BIT(1)), 0x5000);
    assert_verdict(exit_run(&exit), stop(STOP_BUG, EXIT_EPT_VIOLATION));
    host.memory_fault = serve_fault;
    machine.vm.host = &host;
    fault_served = true;
    assert_verdict(exit_run(&exit), again());
    fault_served = false;
    assert_verdict(exit_run(&exit), stop(STOP_BUG, EXIT_EPT_VIOLATION));
}

static void an_iret_that_failed_blocks_nmis_again(void **state)
{
    (void)state;
    struct exit exit = violation(VIOLATION(BIT(1)) | BIT(12), 0x5000);
    assert_verdict(exit_run(&exit, FIELD(interruptibility)), stop(STOP_BUG, EXIT_EPT_VIOLATION));
    assert_int_equal(VCPU->interruptibility, BLOCKING_BY_NMI);
    VCPU->interruptibility = 0;
    exit.idt_info = EVENT_VALID | 0x20;
    assert_verdict(exit_run(&exit), stop(STOP_BUG, EXIT_EPT_VIOLATION));
}

static void a_misconfiguration_is_our_bug(void **state)
{
    (void)state;
    struct exit exit = {.reason = EXIT_EPT_MISCONFIGURATION};
    assert_verdict(exit_run(&exit), stop(STOP_BUG, EXIT_EPT_MISCONFIGURATION));
}

// ---- exceptions ----

static struct exit exception(enum event_type type, unsigned vector, uint32_t more)
{
    return (struct exit){.reason = EXIT_EXCEPTION_NMI,
                         .interruption_info = EVENT_VALID | type << 8 | vector | more,
                         .interruption_error = 0x1234,
                         .instruction_length = 1,
                         .qualification = UINT64_C(0x7fff00001000)};
}

static void hardware_exceptions_are_reflected(void **state)
{
    (void)state;
    struct exit exit = exception(EVENT_EXCEPTION, VECTOR_UD, 0);
    assert_verdict(exit_run(&exit), fault_ud());
    exit = exception(EVENT_EXCEPTION, VECTOR_GP, EVENT_HAS_ERROR);
    assert_verdict(exit_run(&exit), fault_gp(0x1234));
    exit = exception(EVENT_EXCEPTION, VECTOR_AC, EVENT_HAS_ERROR);
    assert_verdict(exit_run(&exit), fault_code(VECTOR_AC, 0x1234));
    exit = exception(EVENT_EXCEPTION, VECTOR_PF, EVENT_HAS_ERROR);
    assert_verdict(exit_run(&exit, FIELD(cr2), FIELD(cr2_dirty)), fault_code(VECTOR_PF, 0x1234));
    assert_int_equal(VCPU->cr2, UINT64_C(0x7fff00001000));
    assert_true(VCPU->cr2_dirty);
}

static void software_exceptions_keep_their_type_and_length(void **state)
{
    (void)state;
    struct exit exit = exception(EVENT_SOFTWARE_EXCEPTION, VECTOR_BP, 0);
    assert_verdict(exit_run(&exit, FIELD(events)), again());
    assert_int_equal(VCPU->events.pending.info, EVENT_VALID | 6 << 8 | 3);
    assert_int_equal(VCPU->events.pending.length, 1);
    assert_int_equal(exit_requests, REQUEST_EVENT);
}

static void a_debug_exception_updates_the_debug_registers(void **state)
{
    (void)state;
    VCPU->dr7 = 0x400 | BIT(13);
    VCPU->dr6 = 0xffff0ff2;
    VCPU->debugctl = 2;
    VCPU->interruptibility = BLOCKING_BY_MOV_SS;
    struct exit exit = exception(EVENT_EXCEPTION, VECTOR_DB, 0);
    exit.qualification = BIT(14) | BIT(0);
    assert_verdict(exit_run(&exit, FIELD(events), FIELD(dr6), FIELD(dr7), FIELD(debugctl),
                            FIELD(interruptibility)),
                   again());
    assert_int_equal(VCPU->dr6, 0xffff0ff0 | BIT(14) | BIT(0));
    assert_int_equal(VCPU->dr7, 0x400);
    assert_int_equal(VCPU->debugctl, 0);
    assert_int_equal(VCPU->events.pending.info, EVENT_VALID | EVENT_EXCEPTION << 8 | VECTOR_DB);
}

static void an_exception_in_iret_blocks_nmis_again(void **state)
{
    (void)state;
    struct exit exit = exception(EVENT_EXCEPTION, VECTOR_GP, EVENT_HAS_ERROR | EVENT_UNBLOCKING);
    assert_verdict(exit_run(&exit, FIELD(interruptibility)), fault_gp(0x1234));
    assert_int_equal(VCPU->interruptibility, BLOCKING_BY_NMI);
}

static void the_hosts_own_events_only_resume(void **state)
{
    (void)state;
    struct exit exit = exception(EVENT_NMI, VECTOR_NMI, 0);
    assert_verdict(exit_run(&exit), again());
    exit = exception(EVENT_EXCEPTION, VECTOR_MC, 0);
    assert_verdict(exit_run(&exit), again());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(in_merges_by_operand_size, set_up),
        cmocka_unit_test_setup(out_passes_only_its_bytes, set_up),
        cmocka_unit_test_setup(a_device_with_a_clock_gets_the_time, set_up),
        cmocka_unit_test_setup(an_access_over_a_region_edge_is_shared, set_up),
        cmocka_unit_test_setup(unclaimed_ports_read_ones_and_are_counted, set_up),
        cmocka_unit_test_setup(rep_outs_runs_in_bounded_chunks, set_up_protected),
        cmocka_unit_test_setup(ins_goes_down_with_df_and_wraps_at_16_bits, set_up_protected),
        cmocka_unit_test_setup(a_single_ins_leaves_rcx_alone, set_up_protected),
        cmocka_unit_test_setup(rep_with_nothing_to_do_does_nothing, set_up_protected),
        cmocka_unit_test_setup(a_fault_comes_before_the_port_is_read, set_up_protected),
        cmocka_unit_test_setup(single_stepping_traps_after_each_element, set_up_protected),
        cmocka_unit_test_setup(string_io_meets_breakpoints_at_the_port_and_in_memory,
                               set_up_protected),
        cmocka_unit_test_setup(in_and_out_meet_breakpoints_at_their_ports, set_up_protected),
        cmocka_unit_test_setup(code_and_tables_outside_memory_end_a_kernel, set_up),
        cmocka_unit_test_setup(user_code_gets_a_fault_instead, set_up),
        cmocka_unit_test_setup(delivery_into_nothing_is_a_triple_fault, set_up),
        cmocka_unit_test_setup(violations_on_ram_are_the_machine_halfs, set_up),
        cmocka_unit_test_setup(an_iret_that_failed_blocks_nmis_again, set_up),
        cmocka_unit_test_setup(a_misconfiguration_is_our_bug, set_up),
        cmocka_unit_test_setup(hardware_exceptions_are_reflected, set_up),
        cmocka_unit_test_setup(software_exceptions_keep_their_type_and_length, set_up),
        cmocka_unit_test_setup(a_debug_exception_updates_the_debug_registers, set_up),
        cmocka_unit_test_setup(an_exception_in_iret_blocks_nmis_again, set_up),
        cmocka_unit_test_setup(the_hosts_own_events_only_resume, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
