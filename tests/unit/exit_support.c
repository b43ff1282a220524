// See exit_support.h.

#include "tests/unit/exit_support.h"
#include "tests/ram.h"

struct fixture fixture;
uint32_t exit_dirty;
uint32_t exit_requests;

static struct lapic_page lapic_page;
static uint8_t fpu_image[4096] __attribute__((aligned(64)));

static void kick(struct vcpu *vcpu) {}

static uint64_t wall_clock(struct vm *vm)
{
    return 1700000000;
}

static const struct vm_host host = {.kick = kick, .wall_clock = wall_clock};

// A recent server CPU: every feature that the policy lets through.
static const struct cpuid_leaf leaves[] = {
    {0x0, 0, 0x16, 0x756e6547, 0x6c65746e, 0x49656e69},
    {0x1, 0, 0x50654, 0x00100800, 0xffffffff, 0xffffffff},
    {0x7, 0, 1, 0xffffffff, 0xfffeffff, 0xffffffff}, // without LA57
    {0xd, 0, 0x2e7, 0xa88, 0xa88, 0},
    {0xd, 1, 0xf, 0xa00, 0, 0},
    {0xd, 2, 0x100, 0x240, 0, 0},
    {0xd, 5, 0x40, 0x440, 0, 0},
    {0xd, 6, 0x200, 0x480, 0, 0},
    {0xd, 7, 0x400, 0x680, 0, 0},
    {0xd, 9, 0x8, 0xa80, 0, 0},
    {0x80000000, 0, 0x80000008, 0, 0, 0},
    {0x80000001, 0, 0, 0, 0x121, 0x2c100800},
    {0x80000007, 0, 0, 0, 0, 0x100},
    {0x80000008, 0, 0x3028, 0, 0, 0},
};

static void build_cpuid(void)
{
    static struct cpuid_leaves list;
    const struct cpuid_inputs inputs = {
        .tsc_hz = 2000000000,
        .apic_hz = 1000000000,
        .vcpu_count = 1,
        .arch_capabilities = 0x2b,
        .flags = CPUID_HOST_RDTSCP | CPUID_HOST_INVPCID | CPUID_HOST_XSAVES | CPUID_HOST_USER_WAIT |
                 CPUID_HOST_SPECULATION,
    };
    list.count = ARRAY_LENGTH(leaves);
    memcpy(list.leaf, leaves, sizeof(leaves));
    assert_int_equal(cpuid_build(&fixture.vm.cpuid, &list, &inputs), STATUS_OK);
}

static struct segment flat(uint16_t selector, uint32_t access)
{
    return (struct segment){.selector = selector, .limit = 0xffffffff, .access = access};
}

void fixture_init(void)
{
    memset(&fixture, 0, sizeof(fixture));
    struct vm *vm = &fixture.vm;
    vm->vcpu_count = 1;
    vm->vcpu[0] = VCPU;
    vm->host = &host;
    ram_is(&vm->memory, fixture.ram, RAM_SIZE);
    clock_init(&vm->clock, 2000000000, 1000);
    build_cpuid();
    bus_index(&vm->ports);
    bus_index(&vm->mmio);

    VCPU->vm = vm;
    VCPU->fpu = fpu_image;
    lapic_init(VCPU, &lapic_page);
    vcpu_reset(VCPU, false);
    for (unsigned i = 0; i < 16; i++)
        VCPU->gpr[i] = UINT64_C(0x1111111111111111) * i;
    VCPU->rip = 0x1000;
    VCPU->rflags = RFLAGS_FIXED | RFLAGS_IF;
    VCPU->cr0 = CR0_PE | CR0_NE | CR0_ET | CR0_PG | CR0_WP;
    VCPU->cr4 = CR4_PAE | CR4_PGE | CR4_OSXSAVE;
    VCPU->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    vcpu_mirror_cr4(VCPU);
    for (unsigned i = ES; i <= GS; i++)
        VCPU->segment[i] = flat(0x18, 0xc093);
    VCPU->segment[CS] = flat(0x10, 0xa09b);
    VCPU->requests = 0;
}

void fixture_protected_mode(void)
{
    fixture_init();
    VCPU->cr0 = CR0_PE | CR0_NE | CR0_ET;
    VCPU->cr4 = 0;
    VCPU->efer = 0;
    VCPU->segment[CS] = flat(0x10, 0xc09b);
    vcpu_mirror_cr4(VCPU);
}

void fixture_real_mode(void)
{
    fixture_protected_mode();
    VCPU->cr0 = CR0_NE | CR0_ET;
    for (unsigned i = ES; i <= GS; i++)
        VCPU->segment[i] = (struct segment){.limit = 0xffff, .access = 0x93};
    VCPU->segment[CS].access = 0x9b;
}

// What belongs to each group of state.
static const struct {
    uint32_t group;
    struct change field;
} members[] = {
    {STATE_FLOW, CHANGED(rip)},
    {STATE_FLOW, CHANGED(rflags)},
    {STATE_FLOW, CHANGED(interruptibility)},
    {STATE_STACK, CHANGED(gpr[RSP])},
    {STATE_CONTROL, CHANGED(cr0)},
    {STATE_CONTROL, CHANGED(cr3)},
    {STATE_CONTROL, CHANGED(cr4)},
    {STATE_CONTROL, CHANGED(efer)},
    {STATE_SEGMENTS, CHANGED(segment[ES])},
    {STATE_SEGMENTS, CHANGED(segment[CS].selector)},
    {STATE_SEGMENTS, CHANGED(segment[CS].limit)},
    {STATE_SEGMENTS, CHANGED(segment[CS].base)},
    {STATE_SEGMENTS, CHANGED(segment[SS])},
    {STATE_SEGMENTS, CHANGED(segment[DS])},
    {STATE_SEGMENTS, CHANGED(segment[FS])},
    {STATE_SEGMENTS, CHANGED(segment[GS])},
    {STATE_SEGMENTS, CHANGED(segment[LDTR])},
    {STATE_SEGMENTS, CHANGED(segment[TR])},
    {STATE_SEGMENTS | STATE_MODE, CHANGED(segment[CS].access)},
    {STATE_SEGMENTS, CHANGED(gdtr)},
    {STATE_SEGMENTS, CHANGED(idtr)},
    {STATE_SEGMENTS | STATE_MODE, CHANGED(cpl)},
    {STATE_DEBUG, CHANGED(dr7)},
    {STATE_DEBUG, CHANGED(debugctl)},
    {STATE_DEBUG, CHANGED(pending_debug)},
    {STATE_SYSTEM, CHANGED(sysenter_cs)},
    {STATE_SYSTEM, CHANGED(sysenter_esp)},
    {STATE_SYSTEM, CHANGED(sysenter_eip)},
    {STATE_SYSTEM, CHANGED(pat)},
    {STATE_SYSTEM, CHANGED(pdpte)},
    {STATE_DR, CHANGED(dr)},
    {STATE_DR, CHANGED(dr6)},
    {STATE_MSR, CHANGED(live)},
};

#define ALWAYS_VALID (STATE_TSC | STATE_XCR0)

// The vCPU as the handler sees it with only `fetched` valid.
static void show(struct vcpu *seen, const struct vcpu *truth, uint32_t fetched)
{
    *seen = *truth;
    seen->fetched = fetched | ALWAYS_VALID;
    for (unsigned i = 0; i < ARRAY_LENGTH(members); i++)
        if (!(fetched & members[i].group))
            memset((uint8_t *)seen + members[i].field.offset, 0xa5, members[i].field.size);
}

// The groups that are valid go back into the truth.
static void keep(struct vcpu *truth, const struct vcpu *seen, uint32_t fetched)
{
    struct vcpu result = *seen;
    for (unsigned i = 0; i < ARRAY_LENGTH(members); i++)
        if (!(fetched & members[i].group))
            memcpy((uint8_t *)&result + members[i].field.offset,
                   (const uint8_t *)truth + members[i].field.offset, members[i].field.size);
    *truth = result;
}

static void assert_unchanged(const struct vcpu *before, const struct vcpu *after,
                             const struct change *allowed, size_t count)
{
    static struct vcpu expected;
    expected = *before;
    for (size_t i = 0; i < count; i++)
        memcpy((uint8_t *)&expected + allowed[i].offset, (const uint8_t *)after + allowed[i].offset,
               allowed[i].size);
    expected.dirty = after->dirty;
    expected.fetched = after->fetched;
    expected.requests = after->requests;
    const uint8_t *is = (const uint8_t *)after, *should = (const uint8_t *)&expected;
    for (size_t i = 0; i < sizeof(expected); i++)
        if (is[i] != should[i])
            fail_msg("byte %zu of struct vcpu changed from %#x to %#x", i, should[i], is[i]);
}

verdict_t exit_run_listed(const struct exit *exit, const struct change *allowed, size_t count)
{
    static struct vcpu truth, before;
    const struct exit_row *row = &exit_table[exit->reason];
    uint32_t fetched = row->needs & STATE_ALL;
    if (row->needs & FACT_INSTRUCTION)
        fetched |= STATE_FLOW;
    if (fetched & STATE_SEGMENTS)
        fetched |= STATE_MODE;
    VCPU->dirty &= STATE_STICKY;
    truth = *VCPU;

    verdict_t verdict;
    for (unsigned calls = 0;; calls++) {
        assert_in_range(calls, 0, 8);
        show(VCPU, &truth, fetched);
        before = *VCPU;
        verdict = row->handler(VCPU, exit);
        if (verdict.kind != VERDICT_NEED)
            break;
        assert_int_not_equal(verdict.value & ~fetched, 0); // else it would never end
        assert_memory_equal(&before, VCPU, sizeof(before));
        fetched |= verdict.value | (verdict.value & STATE_SEGMENTS ? STATE_MODE : 0);
    }
    assert_unchanged(&before, VCPU, allowed, count);
    exit_dirty = VCPU->dirty & STATE_ALL;
    assert_int_equal(exit_dirty & ~(fetched | ALWAYS_VALID), 0);
    exit_requests = VCPU->requests;
    keep(&truth, VCPU, fetched);
    *VCPU = truth;
    VCPU->requests = 0;
    return verdict;
}
