#include "tests/unit/apics.h"

#define MSR_OF(offset) (MSR_X2APIC_FIRST + (offset) / 16)

static struct vcpu *const cpu = &vcpus[0];
static struct lapic *const apic = &vcpus[0].lapic;

static bool reads(uint32_t index)
{
    uint64_t value = 0xbad;
    bool good = lapic_read_msr(cpu, index, &value, 0);
    if (!good)
        assert_int_equal(value, 0xbad);
    return good;
}

// ---- reset ----

static void state_after_power_on(void **state)
{
    assert_int_equal(read_ok(&vcpus[0], MSR_APIC_BASE), 0xfee00900);
    assert_int_equal(read_ok(&vcpus[3], MSR_APIC_BASE), 0xfee00800);
    assert_int_equal(mmio_read(&vcpus[3], LAPIC_ID), 0x03000000);
    assert_int_equal(mmio_read(cpu, LAPIC_VERSION), 0x00060014);
    assert_int_equal(mmio_read(cpu, LAPIC_DFR), 0xffffffff);
    assert_int_equal(mmio_read(cpu, LAPIC_SVR), 0xff);
    static const uint16_t lvts[] = {0x2f0, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370};
    for (unsigned i = 0; i < ARRAY_LENGTH(lvts); i++)
        assert_int_equal(mmio_read(cpu, lvts[i]), 0x10000);
    static const uint16_t zeroes[] = {0x080, 0x0a0, 0x0d0, 0x280, 0x300,
                                      0x310, 0x380, 0x390, 0x3e0};
    for (unsigned i = 0; i < ARRAY_LENGTH(zeroes); i++)
        assert_int_equal(mmio_read(cpu, zeroes[i]), 0);
    assert_true(lapic_enabled(cpu));
    assert_int_equal(cpu->lapic.deadline, NEVER);
}

static void init_clears_all_but_the_base(void **state)
{
    write_ok(cpu, MSR_APIC_BASE, 0xfee00d00);
    lapic_post(cpu, 0x40, true);
    lapic_raise(cpu, 0x50);
    assert_int_equal(take_vector(cpu), 0x50);
    lapic_post(cpu, 0x60, false);
    lapic_reset(cpu, true);
    assert_int_equal(read_ok(cpu, MSR_APIC_BASE), 0xfee00d00);
    assert_int_equal(read_ok(cpu, MSR_OF(LAPIC_LDR)), 1); // x2APIC mode remains
    assert_int_equal(lapic_pending(cpu), -1);
    for (unsigned offset = LAPIC_ISR; offset < LAPIC_ESR; offset += 16)
        assert_int_equal(lapic_get(apic, offset), 0);
    lapic_reset(cpu, false);
    assert_int_equal(read_ok(cpu, MSR_APIC_BASE), 0xfee00900);
}

// ---- IA32_APIC_BASE ----

static void mode_transitions(void **state)
{
    enum { DISABLED, INVALID, XAPIC, X2APIC };
    static const bool legal[4][4] = {
        [DISABLED] = {[DISABLED] = true, [XAPIC] = true},
        [XAPIC] = {[DISABLED] = true, [XAPIC] = true, [X2APIC] = true},
        [X2APIC] = {[DISABLED] = true, [X2APIC] = true},
    };
    for (unsigned from = DISABLED; from <= X2APIC; from++)
        for (unsigned to = DISABLED; to <= X2APIC; to++) {
            if (from == INVALID)
                continue;
            fresh_vm(state);
            uint64_t base = APIC_BASE_DEFAULT | APIC_BASE_BSP;
            write_ok(cpu, MSR_APIC_BASE, base | (uint64_t)from << 10);
            bool good = lapic_write_msr(cpu, MSR_APIC_BASE, base | (uint64_t)to << 10, 0);
            assert_int_equal(good, legal[from][to]);
            assert_int_equal(read_ok(cpu, MSR_APIC_BASE), base | (uint64_t)(good ? to : from)
                                                                     << 10);
        }
}

static void base_has_reserved_bits(void **state)
{
    static const uint64_t reserved[] = {BIT(0), BIT(7), BIT(9), BIT(39), BIT(52), BIT(63)};
    for (unsigned i = 0; i < ARRAY_LENGTH(reserved); i++)
        assert_false(lapic_write_msr(cpu, MSR_APIC_BASE, 0xfee00900 | reserved[i], 0));
    write_ok(cpu, MSR_APIC_BASE, 0x7f12345900);
    vm.cpuid.leaves.leaf[0].ecx = 0; // no x2APIC
    assert_false(lapic_write_msr(cpu, MSR_APIC_BASE, 0xfee00d00, 0));
}

static void the_page_moves_and_hides(void **state)
{
    assert_true(lapic_mmio_claims(cpu, 0xfee00000));
    assert_true(lapic_mmio_claims(cpu, 0xfee00fff));
    assert_false(lapic_mmio_claims(cpu, 0xfedfffff));
    assert_false(lapic_mmio_claims(cpu, 0xfee01000));
    write_ok(cpu, MSR_APIC_BASE, 0x12345900);
    assert_false(lapic_mmio_claims(cpu, 0xfee00000));
    assert_true(lapic_mmio_claims(cpu, 0x12345080));
    write_ok(cpu, MSR_APIC_BASE, 0x12345d00);
    assert_false(lapic_mmio_claims(cpu, 0x12345080));
    write_ok(cpu, MSR_APIC_BASE, 0x12345100);
    assert_false(lapic_mmio_claims(cpu, 0x12345080));
    assert_false(lapic_enabled(cpu));
}

static void enabling_resets(void **state)
{
    mmio_write(cpu, LAPIC_SVR, 0x1ff);
    mmio_write(cpu, LAPIC_TPR, 0x20);
    mmio_write(cpu, LAPIC_LVT_TIMER, 0x20040);
    mmio_write(cpu, LAPIC_INITIAL_COUNT, 1000);
    lapic_raise(cpu, 0x80);
    write_ok(cpu, MSR_APIC_BASE, APIC_BASE_DEFAULT);
    assert_int_equal(lapic_pending(cpu), -1);
    assert_int_equal(cpu->lapic.deadline, NEVER);
    write_ok(cpu, MSR_APIC_BASE, APIC_BASE_DEFAULT | APIC_BASE_ENABLE);
    assert_int_equal(mmio_read(cpu, LAPIC_TPR), 0);
    assert_int_equal(mmio_read(cpu, LAPIC_SVR), 0xff);
}

static void x2apic_keeps_registers(void **state)
{
    for (unsigned i = 0; i < VCPUS; i++)
        vcpus[i].apic_id = 0x12 + i;
    mmio_write(cpu, LAPIC_SVR, 0x1ff);
    mmio_write(cpu, LAPIC_TPR, 0x35);
    mmio_write(cpu, LAPIC_LVT_LINT0, 0x8700);
    mmio_write(cpu, LAPIC_LDR, 0x80000000);
    write_ok(cpu, MSR_APIC_BASE, 0xfee00d00);
    assert_int_equal(read_ok(cpu, 0x802), 0x12);
    assert_int_equal(read_ok(cpu, 0x80d), 0x00010004);
    assert_int_equal(read_ok(cpu, 0x808), 0x35);
    assert_int_equal(read_ok(cpu, 0x80f), 0x1ff);
    assert_int_equal(read_ok(cpu, 0x835), 0x8700);
}

// ---- who may access what ----

static void msrs_exist_in_x2apic_mode_only(void **state)
{
    for (uint32_t index = 0x800; index <= 0x8ff; index++) {
        assert_false(reads(index));
        assert_false(lapic_write_msr(cpu, index, 0, 0));
    }
}

static void x2apic_register_map(void **state)
{
    // For each MSR from 800H: r, w, b (both), - (none). SDM: "Local APIC Register Address Map
    // Supported by x2APIC".
    static const char map[] = "--rr----b-rw-r-b" // 800
                              "rrrrrrrrrrrrrrrr" // 810 ISR, TMR
                              "rrrrrrrrb------b" // 820 IRR, ESR, CMCI
                              "b-bbbbbbbr----bw" // 830
        ;
    for (uint32_t index = 0x800; index <= 0x8ff; index++) {
        char access = index < 0x840 ? map[index - 0x800] : '-';
        assert_int_equal(reads(index), access == 'r' || access == 'b');
        uint64_t value = index == 0x830 ? 0x20 : index == 0x83f ? 0x20 : 0;
        assert_int_equal(lapic_write_msr(cpu, index, value, 0), access == 'w' || access == 'b');
    }
}

static void x2apic_reserved_bits(void **state)
{
    static const struct {
        uint32_t index;
        uint64_t allowed;
    } registers[] = {
        {0x808, 0xff},       {0x80b, 0},       {0x80f, 0x3ff},
        {0x828, 0},          {0x82f, 0x117ff}, {0x830, 0xffffffff000cdfff},
        {0x832, 0x710ff},    {0x833, 0x117ff}, {0x834, 0x117ff},
        {0x835, 0x1f7ff},    {0x836, 0x1f7ff}, {0x837, 0x110ff},
        {0x838, 0xffffffff}, {0x83e, 0xb},     {0x83f, 0xff},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(registers); i++)
        for (unsigned bit = 0; bit < 64; bit++) {
            x2apic_vm(state);
            assert_int_equal(lapic_write_msr(cpu, registers[i].index, BIT(bit), 0),
                             (registers[i].allowed & BIT(bit)) != 0);
        }
}

static void mmio_register_map(void **state)
{
    // xAPIC registers that take what is written, with the bits that stick.
    static const struct {
        uint16_t offset;
        uint32_t sticks, always;
    } registers[] = {
        {LAPIC_TPR, 0xff, 0},
        {LAPIC_LDR, 0xff000000, 0},
        {LAPIC_DFR, 0xf0000000, 0x0fffffff},
        {LAPIC_SVR, 0x3ff, 0},
        {LAPIC_LVT_CMCI, 0x107ff, 0},
        {LAPIC_ICR_HIGH, 0xff000000, 0},
        {LAPIC_LVT_TIMER, 0x700ff, 0},
        {LAPIC_LVT_THERMAL, 0x107ff, 0},
        {LAPIC_LVT_PMC, 0x107ff, 0},
        {LAPIC_LVT_LINT0, 0x1a7ff, 0},
        {LAPIC_LVT_LINT1, 0x1a7ff, 0},
        {LAPIC_LVT_ERROR, 0x100ff, 0},
        {LAPIC_DIVIDE, 0xb, 0},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(registers); i++) {
        mmio_write(cpu, registers[i].offset, 0xffffffff);
        assert_int_equal(mmio_read(cpu, registers[i].offset),
                         registers[i].sticks | registers[i].always);
    }
    mmio_write(cpu, LAPIC_ESR, 0);
    assert_int_equal(mmio_read(cpu, LAPIC_ESR), 0); // none of these was an error
    static const uint16_t read_only[] = {LAPIC_ID, LAPIC_VERSION, LAPIC_PPR, LAPIC_ISR, LAPIC_IRR};
    for (unsigned i = 0; i < ARRAY_LENGTH(read_only); i++) {
        uint32_t before = mmio_read(cpu, read_only[i]);
        mmio_write(cpu, read_only[i], ~before);
        assert_int_equal(mmio_read(cpu, read_only[i]), before);
    }
}

// A VM whose CPUID has no TSC deadline has no such timer mode: its bit is reserved.
static void a_hidden_timer_mode_is_reserved(void **state)
{
    fresh_vm(state);
    vm.cpuid.leaves.leaf[0].ecx &= ~BIT32(24);
    mmio_write(cpu, LAPIC_SVR, 0x1ff);
    mmio_write(cpu, LAPIC_LVT_TIMER, 0x40031);
    assert_int_equal(mmio_read(cpu, LAPIC_LVT_TIMER), 0x31);
    x2apic_vm(state);
    vm.cpuid.leaves.leaf[0].ecx &= ~BIT32(24);
    write_ok(cpu, MSR_X2APIC_FIRST + LAPIC_LVT_TIMER / 16, 0x20031);
    assert_false(lapic_write_msr(cpu, MSR_X2APIC_FIRST + LAPIC_LVT_TIMER / 16, 0x40031, 0));
    assert_int_equal(read_ok(cpu, MSR_X2APIC_FIRST + LAPIC_LVT_TIMER / 16) & 0x700ff, 0x20031);
}

static uint64_t read_sized(unsigned offset, uint8_t size)
{
    struct access access = {.offset = APIC_BASE_DEFAULT + offset, .size = size};
    lapic_mmio_access(cpu, &access);
    return access.value;
}

static void mmio_of_other_sizes(void **state)
{
    assert_int_equal(read_sized(LAPIC_VERSION, 1), 0x14);
    assert_int_equal(read_sized(LAPIC_VERSION + 2, 1), 0x06);
    assert_int_equal(read_sized(LAPIC_VERSION + 2, 2), 0x06);
    assert_int_equal(read_sized(LAPIC_VERSION, 8), 0x60014);
    assert_int_equal(read_sized(LAPIC_VERSION + 4, 4), 0);
    static const uint8_t sizes[] = {1, 2, 8};
    for (unsigned i = 0; i < ARRAY_LENGTH(sizes); i++) {
        struct access access = {.offset = APIC_BASE_DEFAULT + LAPIC_TPR,
                                .size = sizes[i],
                                .write = true,
                                .value = 0x77};
        lapic_mmio_access(cpu, &access);
        assert_int_equal(mmio_read(cpu, LAPIC_TPR), 0);
    }
    struct access access = {
        .offset = APIC_BASE_DEFAULT + LAPIC_TPR + 4, .size = 4, .write = true, .value = 0x77};
    lapic_mmio_access(cpu, &access);
    assert_int_equal(mmio_read(cpu, LAPIC_TPR), 0);
}

// ---- errors, software disable ----

static void error_status_is_latched_by_writes(void **state)
{
    mmio_write(cpu, LAPIC_LVT_ERROR, 0xfe);
    mmio_read(cpu, 0x040); // reserved
    assert_int_equal(mmio_read(cpu, LAPIC_ESR), 0);
    assert_int_equal(take_vector(cpu), 0xfe);
    lapic_eoi(cpu);
    lapic_post(cpu, 15, false); // an illegal vector arrives
    assert_int_equal(take_vector(cpu), 0xfe);
    lapic_eoi(cpu);
    mmio_write(cpu, LAPIC_ESR, 0);
    assert_int_equal(mmio_read(cpu, LAPIC_ESR), 0xc0);
    mmio_write(cpu, LAPIC_ESR, 0);
    assert_int_equal(mmio_read(cpu, LAPIC_ESR), 0);
}

static void reserved_addresses_are_errors(void **state)
{
    static const uint16_t reserved[] = {0x000, 0x010, 0x040, 0x070, 0x290,
                                        0x3a0, 0x3d0, 0x3f0, 0x400, 0xff0};
    for (unsigned i = 0; i < ARRAY_LENGTH(reserved); i++)
        for (unsigned write = 0; write < 2; write++) {
            if (write)
                mmio_write(cpu, reserved[i], 1);
            else
                assert_int_equal(mmio_read(cpu, reserved[i]), 0);
            mmio_write(cpu, LAPIC_ESR, 0);
            assert_int_equal(mmio_read(cpu, LAPIC_ESR), LAPIC_ERROR_REGISTER);
        }
}

static void illegal_error_vector_ends_there(void **state)
{
    mmio_write(cpu, LAPIC_LVT_ERROR, 3);
    mmio_read(cpu, 0x040);
    assert_int_equal(lapic_pending(cpu), -1);
    mmio_write(cpu, LAPIC_ESR, 0);
    assert_int_equal(mmio_read(cpu, LAPIC_ESR), LAPIC_ERROR_REGISTER | LAPIC_ERROR_RECEIVE_VECTOR);
}

static void software_disable_masks_the_table(void **state)
{
    mmio_write(cpu, LAPIC_LVT_TIMER, 0x40);
    mmio_write(cpu, LAPIC_LVT_LINT0, 0x700);
    lapic_raise(cpu, 0x66);
    take_requests(cpu);
    mmio_write(cpu, LAPIC_SVR, 0xff);
    assert_true(take_requests(cpu) & REQUEST_APIC); // no CPU may accept anything for it
    assert_int_equal(mmio_read(cpu, LAPIC_LVT_TIMER), 0x10040);
    assert_int_equal(mmio_read(cpu, LAPIC_LVT_LINT0), 0x10700);
    mmio_write(cpu, LAPIC_LVT_LINT0, 0x700); // masks cannot be cleared now
    assert_int_equal(mmio_read(cpu, LAPIC_LVT_LINT0), 0x10700);
    assert_int_equal(take_vector(cpu), 0x66); // what was pending is still delivered
    mmio_write(cpu, LAPIC_SVR, 0x1ff);
    assert_int_equal(mmio_read(cpu, LAPIC_LVT_LINT0), 0x10700);
    mmio_write(cpu, LAPIC_LVT_LINT0, 0x700);
    assert_int_equal(mmio_read(cpu, LAPIC_LVT_LINT0), 0x700);
}

int main(void)
{
#define FRESH(test)   cmocka_unit_test_setup(test, fresh_vm)
#define ENABLED(test) cmocka_unit_test_setup(test, enabled_vm)
#define X2APIC(test)  cmocka_unit_test_setup(test, x2apic_vm)
    const struct CMUnitTest tests[] = {
        FRESH(state_after_power_on),
        FRESH(init_clears_all_but_the_base),
        FRESH(mode_transitions),
        FRESH(base_has_reserved_bits),
        FRESH(the_page_moves_and_hides),
        FRESH(enabling_resets),
        FRESH(x2apic_keeps_registers),
        FRESH(msrs_exist_in_x2apic_mode_only),
        X2APIC(x2apic_register_map),
        X2APIC(x2apic_reserved_bits),
        ENABLED(mmio_register_map),
        cmocka_unit_test(a_hidden_timer_mode_is_reserved),
        ENABLED(mmio_of_other_sizes),
        ENABLED(error_status_is_latched_by_writes),
        ENABLED(reserved_addresses_are_errors),
        ENABLED(illegal_error_vector_ends_there),
        ENABLED(software_disable_masks_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
