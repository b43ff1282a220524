#include "tests/unit/apics.h"

#define LOGICAL    0x800u
#define ASSERT     0x4000u
#define LEVEL      0x8000u
#define TO_SELF    0x40000u
#define TO_ALL     0x80000u
#define TO_OTHERS  0xc0000u
#define MODE(mode) ((uint32_t)(mode) << 8)
#define WIDE(id)   ((uint64_t)(id) << 32)

static struct vcpu *const cpu = &vcpus[0];

static void send_xapic(struct vcpu *from, uint8_t destination, uint32_t icr)
{
    mmio_write(from, LAPIC_ICR_HIGH, (uint32_t)destination << 24);
    mmio_write(from, LAPIC_ICR, icr);
}

static unsigned requested(uint32_t request)
{
    unsigned mask = 0;
    for (unsigned i = 0; i < VCPUS; i++)
        if (take_requests(&vcpus[i]) & request)
            mask |= BIT32(i);
    return mask;
}

// ---- destinations ----

static void xapic_physical(void **state)
{
    for (uint8_t id = 0; id < VCPUS; id++) {
        send_xapic(&vcpus[1], id, ASSERT | 0x41);
        assert_int_equal(receivers(0x41), BIT32(id));
    }
    send_xapic(cpu, 9, ASSERT | 0x41);
    assert_int_equal(receivers(0x41), 0);
    send_xapic(cpu, 0xff, ASSERT | 0x41);
    assert_int_equal(receivers(0x41), 0xf);
}

static void shorthands(void **state)
{
    send_xapic(&vcpus[2], 0, TO_SELF | 0x41);
    assert_int_equal(receivers(0x41), 0x4);
    send_xapic(&vcpus[2], 0, TO_ALL | 0x41);
    assert_int_equal(receivers(0x41), 0xf);
    send_xapic(&vcpus[2], 0, TO_OTHERS | 0x41);
    assert_int_equal(receivers(0x41), 0xb);
}

static void xapic_logical_flat(void **state)
{
    for (unsigned i = 0; i < VCPUS; i++)
        mmio_write(&vcpus[i], LAPIC_LDR, BIT32(24 + i));
    for (unsigned mda = 0; mda < 0x100; mda++) {
        send_xapic(cpu, (uint8_t)mda, LOGICAL | 0x41);
        assert_int_equal(receivers(0x41), mda & 0xf);
    }
}

static void xapic_logical_cluster(void **state)
{
    static const uint8_t ids[VCPUS] = {0x11, 0x12, 0x21, 0x22};
    for (unsigned i = 0; i < VCPUS; i++) {
        mmio_write(&vcpus[i], LAPIC_DFR, 0);
        mmio_write(&vcpus[i], LAPIC_LDR, (uint32_t)ids[i] << 24);
    }
    static const struct {
        uint8_t mda;
        unsigned expected;
    } cases[] = {{0x11, 1}, {0x13, 3}, {0x1f, 3}, {0x21, 4},   {0x23, 12},
                 {0x14, 0}, {0x31, 0}, {0x10, 0}, {0xff, 0xf}, {0x01, 0}};
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        send_xapic(cpu, cases[i].mda, LOGICAL | 0x41);
        assert_int_equal(receivers(0x41), cases[i].expected);
    }
}

static void x2apic_destinations(void **state)
{
    vcpus[3].apic_id = 0x25; // cluster 2, bit 5
    lapic_reset(&vcpus[3], true);
    lapic_set(&vcpus[3].lapic, LAPIC_SVR, 0x1ff);
    static const struct {
        uint64_t icr;
        unsigned expected;
    } cases[] = {
        {WIDE(0x25), 8},
        {WIDE(2), 4},
        {WIDE(0xff), 0}, // no broadcast here
        {WIDE(0xffffffff), 0xf},
        {WIDE(0xffffffff) | LOGICAL, 0xf},
        {WIDE(0x00000005) | LOGICAL, 5},
        {WIDE(0x00020020) | LOGICAL, 8},
        {WIDE(0x00020001) | LOGICAL, 0},
        {WIDE(0x0002ffff) | LOGICAL, 8},
        {WIDE(0x00010001) | LOGICAL, 0},
        {TO_SELF, 1},
        {TO_OTHERS, 0xe},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(cases); i++) {
        write_ok(cpu, 0x830, cases[i].icr | 0x41);
        assert_int_equal(receivers(0x41), cases[i].expected);
        assert_int_equal(read_ok(cpu, 0x830), cases[i].icr | 0x41);
    }
    write_ok(cpu, 0x83f, 0x52);
    assert_int_equal(receivers(0x52), 1);
}

static void io_apic_messages_reach_x2apics(void **state)
{
    struct lapic_message message = {.destination = 2, .vector = 0x41};
    assert_true(lapic_deliver(&vm, NULL, &message));
    assert_int_equal(receivers(0x41), 4);
    message.destination = 0xff;
    assert_true(lapic_deliver(&vm, NULL, &message));
    assert_int_equal(receivers(0x41), 0xf);
    message.destination = 0x06; // bits of cluster 0
    message.logical = true;
    assert_true(lapic_deliver(&vm, NULL, &message));
    assert_int_equal(receivers(0x41), 6);
    message.destination = 0x40;
    assert_false(lapic_deliver(&vm, NULL, &message));
}

// ---- who accepts ----

static void disabled_apics_accept_nothing(void **state)
{
    mmio_write(&vcpus[1], LAPIC_SVR, 0xff);                // by software
    write_ok(&vcpus[2], MSR_APIC_BASE, APIC_BASE_DEFAULT); // altogether
    requested(0);
    send_xapic(cpu, 0, TO_ALL | 0x41);
    assert_int_equal(receivers(0x41), 0x9);
    requested(0);
    send_xapic(cpu, 0, TO_OTHERS | MODE(DELIVERY_NMI));
    assert_int_equal(requested(REQUEST_SIGNAL), 0xa); // NMIs pass a software disable
    mmio_write(cpu, LAPIC_SVR, 0xff);
    send_xapic(cpu, 0, TO_SELF | 0x41);
    assert_int_equal(receivers(0x41), 0);
}

static void own_interrupts_need_no_kick(void **state)
{
    write_ok(cpu, 0x830, WIDE(0) | 0x41);
    assert_int_equal(kicks[0], 0);
    assert_int_equal(take_requests(cpu), REQUEST_EVENT);
    write_ok(cpu, 0x830, WIDE(1) | 0x41);
    assert_int_equal(kicks[1], 1);
    write_ok(cpu, 0x830, WIDE(1) | 0x41); // it is on its way to look
    assert_int_equal(kicks[1], 1);
    assert_int_equal(take_requests(&vcpus[1]), REQUEST_EVENT);
    assert_int_equal(receivers(0x41), 3);
    write_ok(cpu, 0x830, WIDE(1) | 0x41);
    assert_int_equal(kicks[1], 2);
}

// A device's message to the vCPU whose exit this CPU serves takes no detour over posted bits.
static bool is_cpu(const struct vcpu *vcpu)
{
    return vcpu == cpu;
}

static void messages_to_who_is_here_are_raised(void **state)
{
    const struct vm_host *before = vm.host;
    struct vm_host host = *before;
    host.is_here = is_cpu;
    vm.host = &host;
    for (unsigned i = 0; i < 2; i++) {
        const struct lapic *lapic = &vcpus[i].lapic;
        assert_true(msi_deliver(&vm, MSI_ADDRESS | i << 12, 0x41));
        assert_int_equal(kicks[i], i);
        assert_int_equal(lapic->irr_groups, i ? 0 : BIT32(2));
        assert_int_equal(lapic->posted_groups, i ? BIT32(2) : 0);
        assert_true(vcpus[i].requests & REQUEST_EVENT);
        assert_int_equal(lapic_take(&vcpus[i]), 0x41);
    }
    assert_true(msi_deliver(&vm, MSI_ADDRESS, MSI_LEVEL | MSI_ASSERT | 0x42)); // by the TMR
    assert_int_equal(cpu->lapic.posted_groups, BIT32(2));
    assert_int_equal(lapic_take(cpu), -1); // of the same class
    mmio_write(cpu, LAPIC_EOI, 0);
    assert_int_equal(lapic_take(cpu), 0x42);
    vm.host = before;
}

static void illegal_vectors_are_not_sent(void **state)
{
    for (unsigned vector = 0; vector < 16; vector++) {
        send_xapic(cpu, 1, vector);
        send_xapic(cpu, 1, MODE(DELIVERY_LOWEST) | vector);
        assert_int_equal(requested(~0u), 0);
        mmio_write(cpu, LAPIC_ESR, 0);
        assert_int_equal(mmio_read(cpu, LAPIC_ESR), LAPIC_ERROR_SEND_VECTOR);
    }
}

// ---- modes ----

static void nmi_init_startup(void **state)
{
    send_xapic(cpu, 2, MODE(DELIVERY_NMI));
    assert_int_equal(requested(REQUEST_SIGNAL), 4);
    send_xapic(cpu, 2, MODE(DELIVERY_INIT) | ASSERT);
    assert_int_equal(requested(REQUEST_SIGNAL), 4);
    send_xapic(cpu, 2, MODE(DELIVERY_INIT) | ASSERT | LEVEL);
    assert_int_equal(requested(REQUEST_SIGNAL), 4);
    send_xapic(cpu, 2, MODE(DELIVERY_INIT) | LEVEL); // de-assert
    assert_int_equal(requested(~0u), 0);
    send_xapic(cpu, 0, TO_OTHERS | MODE(DELIVERY_STARTUP) | 0x9a);
    for (unsigned i = 1; i < VCPUS; i++) {
        uint32_t requests = take_requests(&vcpus[i]);
        assert_int_equal(requests, REQUEST_SIGNAL);
        vcpu_take_requests(&vcpus[i], requests);
        assert_int_equal(vcpus[i].segment[CS].base, 0x9a000);
        take_requests(&vcpus[i]);
    }
    send_xapic(cpu, 2, MODE(DELIVERY_SMI));
    send_xapic(cpu, 2, MODE(DELIVERY_RESERVED) | 0x41);
    send_xapic(cpu, 2, MODE(DELIVERY_EXTINT) | 0x41);
    assert_int_equal(requested(~0u), 0);
    assert_int_equal(receivers(0), 0);
}

// One INIT and one SIPI to all others, nothing in between.
static void all_others_start_without_a_delay(void **state)
{
    send_xapic(cpu, 0, TO_OTHERS | MODE(DELIVERY_INIT) | ASSERT);
    send_xapic(cpu, 0, TO_OTHERS | MODE(DELIVERY_STARTUP) | 0x08);
    for (unsigned i = 1; i < VCPUS; i++) {
        vcpus[i].activity = ACTIVITY_HALTED; // whatever it did before
        vcpu_take_requests(&vcpus[i], take_requests(&vcpus[i]));
        assert_int_equal(vcpus[i].activity, ACTIVITY_ACTIVE);
        assert_int_equal(vcpus[i].segment[CS].base, 0x8000);
        assert_int_equal(vcpus[i].rip, 0);
    }
    assert_int_equal(take_requests(cpu), 0);
}

// ---- arbitration ----

static void lowest_priority_goes_round(void **state)
{
    unsigned seen = 0;
    for (unsigned i = 0; i < VCPUS; i++) {
        send_xapic(cpu, 0xff, MODE(DELIVERY_LOWEST) | 0x41);
        unsigned winner = receivers(0x41);
        assert_int_equal(winner & (winner - 1), 0);
        assert_int_equal(seen & winner, 0);
        seen |= winner;
    }
    assert_int_equal(seen, 0xf);
}

static void lowest_priority_seeks_the_idlest(void **state)
{
    lapic_set_tpr(&vcpus[0], 0x30);
    lapic_set_tpr(&vcpus[1], 0x20);
    lapic_post(&vcpus[2], 0x81, false);
    assert_int_equal(take_vector(&vcpus[2]), 0x81);
    mmio_write(&vcpus[3], LAPIC_SVR, 0xff); // takes none at all
    for (unsigned i = 0; i < 5; i++) {
        send_xapic(cpu, 0xff, MODE(DELIVERY_LOWEST) | 0x41);
        assert_int_equal(take_vector(&vcpus[1]), 0x41);
        lapic_eoi(&vcpus[1]);
    }
    lapic_eoi(&vcpus[2]);
    send_xapic(cpu, 0xff, MODE(DELIVERY_LOWEST) | 0x41);
    assert_int_equal(receivers(0x41), 4);
    struct lapic_message nobody = {.destination = 3, .vector = 0x41, .mode = DELIVERY_LOWEST};
    assert_false(lapic_deliver(&vm, NULL, &nobody));
}

// ---- the LINT0 pins ----

static void lint0_delivers_as_its_entry_says(void **state)
{
    static const struct {
        uint32_t entry;
        bool fixed;
        uint32_t request;
    } rows[] = {
        {0x41, true, 0},
        {0x400, false, REQUEST_SIGNAL},
        {0x500, false, REQUEST_SIGNAL},
        {0x700, false, 0}, // asks the 8259 itself
        {0x241, false, 0}, // SMI
        {LVT_MASKED | 0x41, false, 0},
        {LVT_MASKED | 0x400, false, 0},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        for (unsigned v = 0; v < VCPUS; v++)
            lapic_set(&vcpus[v].lapic, LAPIC_LVT_LINT0, v % 2 ? LVT_MASKED : rows[i].entry);
        lapic_lint0_rise(&vm);
        assert_int_equal(receivers(0x41), rows[i].fixed ? 5 : 0);
        (void)requested(0);
        lapic_lint0_rise(&vm);
        assert_int_equal(requested(REQUEST_SIGNAL), rows[i].request ? 5 : 0);
        (void)receivers(0x41);
    }
}

static bool line;

static bool pic_line(void *pic)
{
    return line;
}

// By its registers: the remote IRR shows what waits for its EOI, and an entry that opens sees a
// level that has long been there.
static void a_level_at_lint0_is_seen_by_registers(void **state)
{
    const uint32_t level = LVT_LEVEL | 0x41, irr = BIT32(14);
    vm.irqchip.pic_line = pic_line;
    line = true;
    mmio_write(cpu, LAPIC_LVT_LINT0, LVT_MASKED | level);
    assert_int_equal(mmio_read(cpu, LAPIC_LVT_LINT0), LVT_MASKED | level);
    mmio_write(cpu, LAPIC_LVT_LINT0, level);
    assert_int_equal(mmio_read(cpu, LAPIC_LVT_LINT0), irr | level);
    assert_int_equal(lapic_take(cpu), 0x41);
    mmio_write(cpu, LAPIC_LVT_LINT0, level); // again: still one
    mmio_write(cpu, LAPIC_EOI, 0);
    assert_int_equal(lapic_take(cpu), 0x41);
    line = false;
    assert_int_equal(mmio_read(cpu, LAPIC_LVT_LINT0), irr | level);
    mmio_write(cpu, LAPIC_EOI, 0);
    assert_int_equal(lapic_take(cpu), -1);
    assert_int_equal(mmio_read(cpu, LAPIC_LVT_LINT0), level);
    lapic_lint0_rise(&vm); // by another CPU: the page shows it once the interrupt is here
    assert_int_equal(lapic_take(cpu), 0x41);
    assert_int_equal(lapic_get(&cpu->lapic, LAPIC_LVT_LINT0), irr | level);
    mmio_write(cpu, LAPIC_EOI, 0);
    assert_int_equal(lapic_get(&cpu->lapic, LAPIC_LVT_LINT0), level);
    line = true;
    mmio_write(cpu, LAPIC_LVT_LINT0, 0x41); // edge: it has risen before
    assert_int_equal(lapic_take(cpu), -1);
    mmio_write(cpu, LAPIC_LVT_LINT0, level);
    lapic_reset(cpu, true);
    assert_int_equal(mmio_read(cpu, LAPIC_LVT_LINT0), LVT_MASKED);
    vm.irqchip.pic_line = NULL;
}

int main(void)
{
#define XAPIC(test)  cmocka_unit_test_setup(test, enabled_vm)
#define X2APIC(test) cmocka_unit_test_setup(test, x2apic_vm)
    const struct CMUnitTest tests[] = {
        XAPIC(xapic_physical),
        XAPIC(shorthands),
        XAPIC(xapic_logical_flat),
        XAPIC(xapic_logical_cluster),
        X2APIC(x2apic_destinations),
        X2APIC(io_apic_messages_reach_x2apics),
        XAPIC(disabled_apics_accept_nothing),
        X2APIC(own_interrupts_need_no_kick),
        XAPIC(messages_to_who_is_here_are_raised),
        XAPIC(illegal_vectors_are_not_sent),
        XAPIC(nmi_init_startup),
        XAPIC(all_others_start_without_a_delay),
        XAPIC(lowest_priority_goes_round),
        XAPIC(lowest_priority_seeks_the_idlest),
        XAPIC(lint0_delivers_as_its_entry_says),
        XAPIC(a_level_at_lint0_is_seen_by_registers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
