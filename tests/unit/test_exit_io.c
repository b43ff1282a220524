// exits/io.c, string_io.c, ept.c, exception.c: ports, memory that is not there, and reflected
// exceptions.

#include "tests/unit/exit_support.h"

#include "exits/io.h"
#include "vm/cpu/debug.h"

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
    last = *access;
    if (access->write)
        written[writes++ % ARRAY_LENGTH(written)] = access->value;
    else
        access->value = (UINT64_C(0x8070605040302010) + reads++) & size_mask(access->size);
    return true;
}

static uint64_t no_deadline(struct vdev *device)
{
    return NEVER;
}

static struct vdev_class class = {.access = device_access};
static struct vdev device = {
    .name = "test", .class = &class, .deadlines = &fixture.vm.deadlines, .deadline.at = NEVER};

static int set_up(void **state)
{
    fixture_init();
    writes = reads = 0;
    class.deadline = NULL;
    fixture.vm.ports.count = 0;
    assert_int_equal(bus_insert(&fixture.vm.ports, 0x100, 16, &device, NULL), STATUS_OK);
    bus_index(&fixture.vm.ports);
    return 0;
}

static void in_merges_by_operand_size(void **state)
{
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
        assert_verdict(exit_run(&exit, CHANGED(gpr[RAX])), next());
        assert_int_equal(VCPU->gpr[RAX], rows[i].rax);
        assert_int_equal(last.offset, 4);
        assert_int_equal(last.size, rows[i].size);
    }
}

static void a_device_with_a_clock_gets_the_time(void **state)
{
    struct exit exit = {.reason = EXIT_IO, .qualification = OUT(0x104, 1), .tsc = 1000 + 2 * 42};
    class.deadline = no_deadline;
    assert_verdict(exit_run(&exit), next());
    assert_int_equal(last.now, 42);
    // Nor is it lost when the device gets but a part of the access.
    exit.qualification = OUT(0x10e, 4);
    assert_verdict(exit_run(&exit), next());
    assert_int_equal(last.now, 42);
}

static void an_access_over_a_region_edge_is_shared(void **state)
{
    struct exit exit = {.reason = EXIT_IO, .qualification = IN(0x10e, 4)};
    assert_verdict(exit_run(&exit, CHANGED(gpr[RAX])), next());
    assert_int_equal(VCPU->gpr[RAX], 0xffff1110);
    reads = 0;
    exit.qualification = IN(0xfd, 4);
    assert_verdict(exit_run(&exit, CHANGED(gpr[RAX])), next());
    assert_int_equal(VCPU->gpr[RAX], 0x10ffffff);
    assert_int_equal(last.offset, 0);
    assert_int_equal(access_counts_total(&fixture.vm.unclaimed_ports), 0); // somebody answered
}

static void out_passes_only_its_bytes(void **state)
{
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
    struct exit exit = {.reason = EXIT_IO, .qualification = IN(0x5658, 4)};
    assert_verdict(exit_run(&exit, CHANGED(gpr[RAX])), next());
    assert_int_equal(VCPU->gpr[RAX], 0xffffffff);
    assert_int_equal(access_counts_total(&fixture.vm.unclaimed_ports), 1);
}

// ---- strings; without paging, so that linear addresses are physical ----

static verdict_t string(uint64_t qualification, uint32_t info)
{
    struct exit exit = {
        .reason = EXIT_IO, .qualification = qualification | STRING, .instruction_info = info};
    return exit_run(&exit, CHANGED(gpr[RSI]), CHANGED(gpr[RDI]), CHANGED(gpr[RCX]), CHANGED(cr2),
                    CHANGED(cr2_dirty), CHANGED(pending_debug), CHANGED(rflags),
                    CHANGED(interruptibility));
}

static void rep_outs_runs_in_bounded_chunks(void **state)
{
    for (unsigned i = 0; i < 200; i++)
        fixture.ram[0x8000 + i] = (uint8_t)i;
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
    fixture_protected_mode();
    writes = reads = 0;
    fixture.vm.ports.count = 0;
    assert_int_equal(bus_insert(&fixture.vm.ports, 0x100, 16, &device, NULL), STATUS_OK);
    bus_index(&fixture.vm.ports);
    return 0;
}

static void ins_goes_down_with_df_and_wraps_at_16_bits(void **state)
{
    VCPU->rflags |= RFLAGS_DF;
    VCPU->gpr[RDI] = UINT64_C(0xabcd0000);
    VCPU->gpr[RCX] = UINT64_C(0x77770002);
    assert_verdict(string(IN(0x100, 2) | REP, INFO(0, ES)), next());
    assert_int_equal(VCPU->gpr[RDI], UINT64_C(0xabcdfffc));
    assert_int_equal(VCPU->gpr[RCX], UINT64_C(0x77770000));
    assert_int_equal(fixture.ram[0], 0x10);
    assert_int_equal(fixture.ram[1], 0x20);
    assert_int_equal(fixture.ram[0xfffe], 0x11);
}

static void a_single_ins_leaves_rcx_alone(void **state)
{
    VCPU->gpr[RDI] = 0x9000;
    VCPU->gpr[RCX] = 5;
    assert_verdict(string(IN(0x100, 4), INFO(4, ES)), next());
    assert_int_equal(VCPU->gpr[RCX], 5);
    assert_int_equal(VCPU->gpr[RDI], 0x9004);
    assert_memory_equal(&fixture.ram[0x9000], "\x10\x20\x30\x40", 4);
}

static void rep_with_nothing_to_do_does_nothing(void **state)
{
    VCPU->gpr[RCX] = UINT64_C(0xffff0000);
    assert_verdict(string(IN(0x100, 1) | REP, INFO(0, ES)), next());
    assert_int_equal(VCPU->gpr[RCX], UINT64_C(0xffff0000));
    assert_int_equal(reads, 0);
}

static void a_fault_comes_before_the_port_is_read(void **state)
{
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
    struct exit exit = violation(VIOLATION(BIT(2)), 0xd0000000);
    assert_verdict(exit_run(&exit), stop(STOP_BAD_MEMORY, 0xd0000));
    exit = violation(BIT(0) | BIT(7), 0xd0000000);
    assert_verdict(exit_run(&exit), stop(STOP_BAD_MEMORY, 0xd0000));
    exit = violation(BIT(0), 0xd0000000); // PDPTEs of a MOV to CR3
    assert_verdict(exit_run(&exit), stop(STOP_BAD_MEMORY, 0xd0000));
}

static void the_reset_vector_resets(void **state)
{
    struct exit exit = violation(VIOLATION(BIT(2)), 0xfffffff0);
    assert_verdict(exit_run(&exit), stop(STOP_RESET, 0));
    exit = violation(BIT(2) | BIT(7), 0xfffffff0); // tables there are another matter
    assert_verdict(exit_run(&exit), stop(STOP_BAD_MEMORY, 0xfffff));
    VCPU->cpl = 3;
    exit = violation(VIOLATION(BIT(2)), 0xfffffff0);
    assert_verdict(exit_run(&exit), fault_ud());
}

static void user_code_gets_a_fault_instead(void **state)
{
    VCPU->cpl = 3;
    struct exit exit = violation(VIOLATION(BIT(2)), 0xd0000000);
    assert_verdict(exit_run(&exit), fault_ud());
    exit = violation(BIT(1) | BIT(7), 0xd0000000);
    assert_verdict(exit_run(&exit, CHANGED(cr2), CHANGED(cr2_dirty)), fault_code(VECTOR_PF, 0xf));
    assert_int_equal(VCPU->cr2, UINT64_C(0xffff800012345678));
}

static void delivery_into_nothing_is_a_triple_fault(void **state)
{
    struct exit exit = violation(VIOLATION(BIT(1)), 0xd0000000);
    exit.idt_info = EVENT_VALID | 0x20;
    assert_verdict(exit_run(&exit), stop(STOP_TRIPLE_FAULT, 0));
}

// It chose its stack itself, and the gate or INT n leaves it there.
static void delivery_of_user_code_into_nothing_is_its_fault(void **state)
{
    VCPU->cpl = 3;
    static const uint64_t accesses[] = {VIOLATION(BIT(1)), VIOLATION(BIT(0)), BIT(0) | BIT(7)};
    for (unsigned i = 0; i < ARRAY_LENGTH(accesses); i++) {
        struct exit exit = violation(accesses[i], 0xd0000000);
        exit.idt_info = EVENT_VALID | EVENT_SOFTWARE_INTERRUPT << 8 | 0x20;
        assert_verdict(exit_run(&exit), fault_gp(0));
    }
    // The kernel's own stack is no memory either: that ends, too.
    assert_true(event_raise(VCPU, VECTOR_GP, true, 0));
    assert_true(event_raise(VCPU, VECTOR_GP, true, 0));
    assert_false(event_raise(VCPU, VECTOR_GP, true, 0));
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
    struct vm_host host = *fixture.vm.host;
    struct exit exit = violation(VIOLATION(BIT(1)), 0x5000);
    assert_verdict(exit_run(&exit), stop(STOP_BUG, EXIT_EPT_VIOLATION));
    host.memory_fault = serve_fault;
    fixture.vm.host = &host;
    fault_served = true;
    assert_verdict(exit_run(&exit), again());
    fault_served = false;
    assert_verdict(exit_run(&exit), stop(STOP_BUG, EXIT_EPT_VIOLATION));
}

// Its reads are the machine half's as RAM's are, its writes a device's; locked ones, too.
static void rom_is_read_as_ram_and_written_as_a_device(void **state)
{
    static const uint8_t locked[] = {0xf0, 0x80, 0x08, 0x01}; // LOCK OR byte [EAX], 1
    static const uint8_t code[] = {0x88, 0x08};               // MOV [EAX], CL
    static struct gmem_piece piece[1];
    static struct gmem rom;
    struct vm_host host = *fixture.vm.host;
    fixture.vm.host = &host;
    fixture.vm.mmio.count = 0;
    assert_int_equal(bus_insert(&fixture.vm.mmio, 0xfff00000, 4096, &device, NULL), STATUS_OK);
    gmem_init(&rom, piece, 1);
    gmem_add(&rom, gpa(0), fixture.ram + 0x6000, 4096);
    fixture.vm.memory.rom.memory = &rom;
    fixture.vm.memory.rom.start = gpa(0xfff00000);
    fixture.vm.memory.rom.size = 4096;

    memcpy(fixture.ram + VCPU->rip, code, sizeof(code));
    VCPU->gpr[RAX] = 0xfff00008;
    VCPU->gpr[RCX] = 0x5a;
    struct exit exit = violation(VIOLATION(BIT(1)), 0xfff00008);
    assert_verdict(exit_run(&exit), next_len(sizeof(code)));
    assert_int_equal(written[0], 0x5a);
    assert_int_equal(last.offset, 8);
    memcpy(fixture.ram + VCPU->rip, locked, sizeof(locked));
    assert_verdict(exit_run(&exit, CHANGED(rflags)), next_len(sizeof(locked)));
    assert_int_equal(reads, 1);
    assert_int_equal(written[1], 0x11);

    exit = violation(VIOLATION(BIT(0)), 0xfff00008);
    assert_verdict(exit_run(&exit), stop(STOP_BUG, EXIT_EPT_VIOLATION)); // nobody there
    exit = violation(VIOLATION(BIT(2)), 0xfff00008);
    assert_verdict(exit_run(&exit), stop(STOP_BUG, EXIT_EPT_VIOLATION));
    exit = violation(BIT(1) | BIT(7), 0xfff00008); // the CPU marks page tables in it
    assert_verdict(exit_run(&exit), stop(STOP_BAD_MEMORY, 0xfff00));
    // Hidden, it is a device in all.
    gmem_hide_rom(&fixture.vm.memory, 4096);
    exit = violation(VIOLATION(BIT(0)), 0xfff00008);
    memcpy(fixture.ram + VCPU->rip, (uint8_t[]){0x8a, 0x08}, 2); // MOV CL, [EAX]
    assert_verdict(exit_run(&exit, CHANGED(gpr[RCX])), next_len(2));
    assert_int_equal(VCPU->gpr[RCX], 0x11);
}

static void an_iret_that_failed_blocks_nmis_again(void **state)
{
    struct exit exit = violation(VIOLATION(BIT(1)) | BIT(12), 0x5000);
    assert_verdict(exit_run(&exit, CHANGED(interruptibility)), stop(STOP_BUG, EXIT_EPT_VIOLATION));
    assert_int_equal(VCPU->interruptibility, BLOCKING_BY_NMI);
    VCPU->interruptibility = 0;
    exit.idt_info = EVENT_VALID | 0x20;
    assert_verdict(exit_run(&exit), stop(STOP_BUG, EXIT_EPT_VIOLATION));
}

static void a_full_list_of_written_pages_is_collected(void **state)
{
    struct exit exit = {.reason = EXIT_PML_FULL};
    assert_verdict(exit_run(&exit), again());
    assert_int_equal(exit_requests, REQUEST_PML);
    exit.qualification = BIT(12);
    assert_verdict(exit_run(&exit, CHANGED(interruptibility)), again());
    assert_int_equal(VCPU->interruptibility, BLOCKING_BY_NMI);
}

static void a_misconfiguration_is_our_bug(void **state)
{
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
    struct exit exit = exception(EVENT_EXCEPTION, VECTOR_UD, 0);
    assert_verdict(exit_run(&exit), fault_ud());
    exit = exception(EVENT_EXCEPTION, VECTOR_GP, EVENT_HAS_ERROR);
    assert_verdict(exit_run(&exit), fault_gp(0x1234));
    exit = exception(EVENT_EXCEPTION, VECTOR_AC, EVENT_HAS_ERROR);
    assert_verdict(exit_run(&exit), fault_code(VECTOR_AC, 0x1234));
    exit = exception(EVENT_EXCEPTION, VECTOR_PF, EVENT_HAS_ERROR);
    assert_verdict(exit_run(&exit, CHANGED(cr2), CHANGED(cr2_dirty)),
                   fault_code(VECTOR_PF, 0x1234));
    assert_int_equal(VCPU->cr2, UINT64_C(0x7fff00001000));
    assert_true(VCPU->cr2_dirty);
}

static void software_exceptions_keep_their_type_and_length(void **state)
{
    struct exit exit = exception(EVENT_SOFTWARE_EXCEPTION, VECTOR_BP, 0);
    assert_verdict(exit_run(&exit, CHANGED(events)), again());
    assert_int_equal(VCPU->events.pending.info, EVENT_VALID | 6 << 8 | 3);
    assert_int_equal(VCPU->events.pending.length, 1);
    assert_int_equal(exit_requests, REQUEST_EVENT);
}

// The exit takes what MOV SS held back: with its shadow and TF, entries would be refused.
static void int1_ends_the_shadow(void **state)
{
    static const uint32_t shadows[] = {BLOCKING_BY_STI, BLOCKING_BY_MOV_SS};
    for (unsigned i = 0; i < ARRAY_LENGTH(shadows); i++) {
        VCPU->interruptibility = shadows[i] | BLOCKING_BY_NMI;
        struct exit exit = exception(EVENT_PRIVILEGED_EXCEPTION, VECTOR_DB, 0);
        assert_verdict(exit_run(&exit, CHANGED(events), CHANGED(interruptibility)), again());
        VCPU->fetched = STATE_ALL;
        event_choose(VCPU);
        assert_int_equal(VCPU->events.plan.inject.info, EVENT_VALID | 5 << 8 | 1);
        assert_int_equal(VCPU->events.plan.inject.length, 1);
        assert_int_equal(VCPU->interruptibility, BLOCKING_BY_NMI);
        assert_false(event_settle(&VCPU->events, false));
    }
}

static void a_debug_exception_updates_the_debug_registers(void **state)
{
    VCPU->dr7 = 0x400 | BIT(13);
    VCPU->dr6 = 0xffff0ff2;
    VCPU->debugctl = 2;
    struct exit exit = exception(EVENT_EXCEPTION, VECTOR_DB, 0);
    exit.qualification = BIT(14) | BIT(0);
    assert_verdict(exit_run(&exit, CHANGED(events), CHANGED(dr6), CHANGED(dr7), CHANGED(debugctl)),
                   again());
    assert_int_equal(VCPU->dr6, 0xffff0ff0 | BIT(14) | BIT(0));
    assert_int_equal(VCPU->dr7, 0x400);
    assert_int_equal(VCPU->debugctl, 0);
    assert_int_equal(VCPU->events.pending.info, EVENT_VALID | EVENT_EXCEPTION << 8 | VECTOR_DB);
}

static void an_exception_in_iret_blocks_nmis_again(void **state)
{
    struct exit exit = exception(EVENT_EXCEPTION, VECTOR_GP, EVENT_HAS_ERROR | EVENT_UNBLOCKING);
    assert_verdict(exit_run(&exit, CHANGED(interruptibility)), fault_gp(0x1234));
    assert_int_equal(VCPU->interruptibility, BLOCKING_BY_NMI);
}

static void the_hosts_own_events_only_resume(void **state)
{
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
        cmocka_unit_test_setup(the_reset_vector_resets, set_up),
        cmocka_unit_test_setup(user_code_gets_a_fault_instead, set_up),
        cmocka_unit_test_setup(delivery_into_nothing_is_a_triple_fault, set_up),
        cmocka_unit_test_setup(delivery_of_user_code_into_nothing_is_its_fault, set_up),
        cmocka_unit_test_setup(violations_on_ram_are_the_machine_halfs, set_up),
        cmocka_unit_test_setup(rom_is_read_as_ram_and_written_as_a_device, set_up_protected),
        cmocka_unit_test_setup(an_iret_that_failed_blocks_nmis_again, set_up),
        cmocka_unit_test_setup(a_full_list_of_written_pages_is_collected, set_up),
        cmocka_unit_test_setup(a_misconfiguration_is_our_bug, set_up),
        cmocka_unit_test_setup(hardware_exceptions_are_reflected, set_up),
        cmocka_unit_test_setup(software_exceptions_keep_their_type_and_length, set_up),
        cmocka_unit_test_setup(int1_ends_the_shadow, set_up),
        cmocka_unit_test_setup(a_debug_exception_updates_the_debug_registers, set_up),
        cmocka_unit_test_setup(an_exception_in_iret_blocks_nmis_again, set_up),
        cmocka_unit_test_setup(the_hosts_own_events_only_resume, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
