#include "tests/unit/apics.h"

static _Alignas(64) uint8_t fpu[4096];

static void check_segment(const struct segment *segment, uint16_t selector, uint64_t base,
                          uint32_t access)
{
    assert_int_equal(segment->selector, selector);
    assert_int_equal(segment->base, base);
    assert_int_equal(segment->limit, 0xffff);
    assert_int_equal(segment->access, access);
}

static void check_common(const struct vcpu *vcpu)
{
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(vcpu->gpr[i], i == RDX ? 0x50654 : 0);
    assert_int_equal(vcpu->rip, 0xfff0);
    assert_int_equal(vcpu->rflags, 2);
    assert_int_equal(vcpu->interruptibility, 0);
    assert_int_equal(vcpu->cr2 | vcpu->cr3 | vcpu->cr4 | vcpu->efer, 0);
    assert_true(vcpu->cr2_dirty);
    assert_int_equal(vcpu->cr4_mirror, 0);
    check_segment(&vcpu->segment[CS], 0xf000, 0xffff0000, 0x9b);
    static const enum segment_register data[] = {ES, SS, DS, FS, GS};
    for (unsigned i = 0; i < ARRAY_LENGTH(data); i++)
        check_segment(&vcpu->segment[data[i]], 0, 0, 0x93);
    check_segment(&vcpu->segment[LDTR], 0, 0, 0x82);
    check_segment(&vcpu->segment[TR], 0, 0, 0x8b);
    assert_int_equal(vcpu->gdtr.base | vcpu->idtr.base, 0);
    assert_int_equal(vcpu->gdtr.limit, 0xffff);
    assert_int_equal(vcpu->idtr.limit, 0xffff);
    assert_int_equal(vcpu->dr6, 0xffff0ff0);
    assert_int_equal(vcpu->dr7, 0x400);
    assert_int_equal(vcpu->dr[0] | vcpu->dr[1] | vcpu->dr[2] | vcpu->dr[3], 0);
    assert_int_equal(vcpu->debugctl | vcpu->pending_debug, 0);
    assert_int_equal(vcpu->events.pending.info, 0);
    assert_int_equal(vcpu->events.nmi_queued, 0);
}

// Everything that a reset must not leave behind.
static void fill(struct vcpu *vcpu)
{
    memset(vcpu->gpr, 0x5a, sizeof(vcpu->gpr));
    memset(vcpu->segment, 0x5a, sizeof(vcpu->segment));
    vcpu->interruptibility = 8;
    vcpu->rip = vcpu->rflags = vcpu->cr2 = vcpu->cr3 = vcpu->cr4 = vcpu->efer = 0x5a5a5a5a;
    vcpu->cr4_mirror = CR4_OSXSAVE;
    vcpu->gdtr = vcpu->idtr = (struct table_register){0x5a5a, 0x5a};
    memset(vcpu->dr, 0x5a, sizeof(vcpu->dr));
    vcpu->dr6 = vcpu->dr7 = vcpu->debugctl = vcpu->pending_debug = 0x5a;
    vcpu->sysenter_cs = vcpu->sysenter_esp = vcpu->sysenter_eip = vcpu->pat = 0x5a;
    vcpu->xcr0 = 7;
    vcpu->live = (struct msr_live){.lstar = 0x5a, .xss = 0x5a};
    vcpu->events.pending.info = 0x5a;
    vcpu->events.nmi_queued = 2;
    vcpu->events.interrupt_held = true;
    vcpu->cpl = 3;
    vcpu->cr2_dirty = false;
    vcpu->fetched = vcpu->dirty = 0;
    memset(fpu, 0x5a, sizeof(fpu));
    vcpu->fpu = fpu;
}

static void power_on(void **state)
{
    struct vcpu *vcpu = &vcpus[0];
    fill(vcpu);
    vm.cpuid.leaves.leaf[0].ecx |= BIT32(26); // XSAVE
    vcpu_reset(vcpu, false);
    check_common(vcpu);
    assert_int_equal(vcpu->cr0, 0x60000010);
    assert_int_equal(vcpu->pat, 0x0007040600070406);
    assert_int_equal(vcpu->sysenter_cs | vcpu->sysenter_esp | vcpu->sysenter_eip, 0);
    assert_int_equal(vcpu->xcr0, 1);
    assert_int_equal(vcpu->live.lstar | vcpu->live.xss, 0);
    assert_int_equal(vcpu->fetched, STATE_ALL);
    assert_int_equal(vcpu->dirty, STATE_ALL);
    assert_int_equal(vcpu->activity, ACTIVITY_ACTIVE);
    assert_true(vcpu->events.has_virtual_nmi);
    // FCW 40H, abridged tag word FFH, MXCSR 1F80H, and only the x87 part taken from here.
    assert_int_equal(fpu[0] | fpu[1] << 8, 0x40);
    assert_int_equal(fpu[4], 0xff);
    assert_int_equal(fpu[24] | fpu[25] << 8, 0x1f80);
    assert_int_equal(fpu[512], 1);
    for (unsigned i = 0; i < 576; i++)
        if (i != 0 && i != 4 && i != 24 && i != 25 && i != 512)
            assert_int_equal(fpu[i], 0);
}

// FXSAVE does not say what is in use: all that it stores is.
static void power_on_without_xsave(void **state)
{
    fill(&vcpus[0]);
    vcpu_reset(&vcpus[0], false);
    assert_int_equal(fpu[512], 3);
}

static void without_an_fpu_image(void **state)
{
    fill(&vcpus[0]);
    vcpus[0].fpu = NULL;
    vcpu_reset(&vcpus[0], false);
    assert_int_equal(vcpus[0].dirty, STATE_ALL & ~STATE_FPU);
}

static void init_keeps_what_the_manual_says(void **state)
{
    static const uint64_t caches[] = {0, CR0_CD, CR0_NW, CR0_CD | CR0_NW};
    for (unsigned i = 0; i < ARRAY_LENGTH(caches); i++) {
        struct vcpu *vcpu = &vcpus[1];
        fill(vcpu);
        vcpu->cr0 = CR0_PE | CR0_PG | CR0_NE | caches[i];
        vcpu_reset(vcpu, true);
        check_common(vcpu);
        assert_int_equal(vcpu->cr0, CR0_ET | caches[i]);
        assert_int_equal(vcpu->pat, 0x5a);
        assert_int_equal(vcpu->sysenter_eip, 0x5a);
        assert_int_equal(vcpu->xcr0, 7);
        assert_int_equal(vcpu->live.lstar, 0x5a);
        assert_int_equal(fpu[512], 0x5a);
        assert_int_equal(vcpu->dirty, STATE_ALL & ~(STATE_SYSTEM | STATE_XCR0 | STATE_FPU |
                                                    STATE_MSR | STATE_TSC));
        assert_int_equal(vcpu->fetched, vcpu->dirty);
        assert_int_equal(vcpu->activity, ACTIVITY_WAIT_FOR_SIPI);
    }
}

static void init_restarts_the_bootstrap_processor(void **state)
{
    vcpus[0].activity = ACTIVITY_HALTED;
    vcpu_send_init(&vcpus[0]);
    vcpu_take_requests(&vcpus[0], atomic_exchange(&vcpus[0].requests, 0));
    check_common(&vcpus[0]);
    assert_int_equal(vcpus[0].activity, ACTIVITY_ACTIVE);
    // Paging is off now, and the local APIC disabled by software.
    assert_int_equal(vcpus[0].requests, REQUEST_FLUSH_TLB | REQUEST_APIC);
}

static void sipi_starts_one_that_waits(void **state)
{
    struct vcpu *vcpu = &vcpus[1];
    vcpu->dirty = 0;
    vcpu_sipi(vcpu, 0xab);
    assert_int_equal(vcpu->activity, ACTIVITY_ACTIVE);
    check_segment(&vcpu->segment[CS], 0xab00, 0xab000, 0x9b);
    assert_int_equal(vcpu->rip, 0);
    assert_int_equal(vcpu->dirty, STATE_FLOW | STATE_SEGMENTS);
    vcpu_sipi(vcpu, 0x12); // the second one is ignored
    check_segment(&vcpu->segment[CS], 0xab00, 0xab000, 0x9b);
}

// What each step sends before the vCPU looks: I an INIT, digits start-up IPIs of this page, N an
// NMI.
static void signals_act_in_their_order(void **state)
{
    static const struct {
        const char *sent;
        char page; // it runs from there; 0: waits; 'r': goes on as it did
        uint8_t nmis;
    } waiting[] = {{"I", 0, 0},      {"1", '1', 0},      {"12", '1', 0},   {"I12", '1', 0},
                   {"1I", 0, 0},     {"1I2", '2', 0},    {"I1I", 0, 0},    {"N", 0, 0},
                   {"N1", '1', 0},   {"1N", '1', 1},     {"NN1N", '1', 1}, {"1NNN", '1', 2},
                   {"1NI2", '2', 0}, {"IN1NN2N", '1', 2}},
      running[] = {{"1", 'r', 0},   {"N", 'r', 1},     {"NN", 'r', 2},   {"NNN", 'r', 2},
                   {"N1N", 'r', 2}, {"NN1NN", 'r', 2}, {"NI", 0, 0},     {"NIN", 0, 0},
                   {"1I", 0, 0},    {"I12", '1', 0},   {"NI1N", '1', 1}, {"1I2I3N", '3', 1}};
    for (unsigned i = 0; i < ARRAY_LENGTH(waiting) + ARRAY_LENGTH(running); i++) {
        fresh_vm(state);
        struct vcpu *vcpu = &vcpus[1];
        bool waits = i < ARRAY_LENGTH(waiting);
        unsigned j = waits ? i : i - (unsigned)ARRAY_LENGTH(waiting);
        const char *sent = waits ? waiting[j].sent : running[j].sent;
        char page = waits ? waiting[j].page : running[j].page;
        if (!waits)
            vcpu_sipi(vcpu, 'r');
        for (; *sent; sent++)
            if (*sent == 'I')
                vcpu_send_init(vcpu);
            else if (*sent == 'N')
                vcpu_send_nmi(vcpu);
            else
                vcpu_send_sipi(vcpu, (uint8_t)*sent);
        assert_int_equal(vcpu->requests, REQUEST_SIGNAL);
        vcpu_take_requests(vcpu, atomic_exchange(&vcpu->requests, 0));
        assert_int_equal(vcpu->activity, page ? ACTIVITY_ACTIVE : ACTIVITY_WAIT_FOR_SIPI);
        if (page)
            assert_int_equal(vcpu->segment[CS].base, page << 12);
        assert_int_equal(vcpu->events.nmi_queued, waits ? waiting[j].nmis : running[j].nmis);
        vcpu_take_requests(vcpu, REQUEST_SIGNAL); // nothing more
        assert_int_equal(vcpu->events.nmi_queued, waits ? waiting[j].nmis : running[j].nmis);
    }
}

// Who waits is called by what may end its waiting, and by nothing else: its neighbours would pay.
static void who_waits_is_called_by_what_may_wake_it(void **state)
{
    static const struct {
        uint8_t activity;
        bool open;        // RFLAGS.IF
        const char *sent; // as above
        uint32_t requests;
        bool calls;
    } cases[] = {
        {ACTIVITY_HALTED, true, "", REQUEST_EVENT, true},
        {ACTIVITY_HALTED, false, "", REQUEST_EVENT, false},
        {ACTIVITY_HALTED, false, "", REQUEST_UNHALT, true},
        {ACTIVITY_HALTED, false, "", REQUEST_MACHINE_CHECK, true},
        {ACTIVITY_HALTED, false, "", REQUEST_SCHEDULE, true},
        {ACTIVITY_HALTED, false, "", REQUEST_TIMER, true},
        {ACTIVITY_HALTED, true, "", REQUEST_FLUSH_EPT | REQUEST_CLOCK, false},
        {ACTIVITY_HALTED, false, "N", 0, true},
        {ACTIVITY_HALTED, false, "I", 0, true},
        {ACTIVITY_HALTED, true, "1", 0, false},
        {ACTIVITY_HALTED, true, "1N", 0, true},
        {ACTIVITY_WAIT_FOR_SIPI, true, "", REQUEST_EVENT | REQUEST_UNHALT, false},
        {ACTIVITY_WAIT_FOR_SIPI, true, "I", 0, false},
        {ACTIVITY_WAIT_FOR_SIPI, true, "N", 0, false},
        {ACTIVITY_WAIT_FOR_SIPI, true, "I1", 0, true},
        {ACTIVITY_WAIT_FOR_SIPI, true, "", REQUEST_SCHEDULE, true},
        {ACTIVITY_STOPPED, true, "", REQUEST_EVENT, false},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        fresh_vm(state);
        struct vcpu *vcpu = &vcpus[1];
        vcpu->activity = cases[i].activity;
        vcpu->rflags = RFLAGS_FIXED | (cases[i].open ? RFLAGS_IF : 0);
        event_wait(vcpu);
        assert_false(vcpu_is_called(vcpu));
        for (const char *sent = cases[i].sent; *sent; sent++)
            if (*sent == 'I')
                vcpu_send_init(vcpu);
            else if (*sent == 'N')
                vcpu_send_nmi(vcpu);
            else
                vcpu_send_sipi(vcpu, (uint8_t)*sent);
        vcpu_note(vcpu, cases[i].requests);
        if (vcpu_is_called(vcpu) != cases[i].calls)
            fail_msg("case %u", i);
    }
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup(test, fresh_vm)
    const struct CMUnitTest tests[] = {
        FRESH(power_on),
        FRESH(power_on_without_xsave),
        FRESH(without_an_fpu_image),
        FRESH(init_keeps_what_the_manual_says),
        FRESH(init_restarts_the_bootstrap_processor),
        FRESH(sipi_starts_one_that_waits),
        FRESH(signals_act_in_their_order),
        FRESH(who_waits_is_called_by_what_may_wake_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
