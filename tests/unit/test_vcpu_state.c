// The table of fields of a vCPU, and one that is saved and loaded.
#include "tests/unit/apics.h"
#include "tests/unit/marks.h"
#include "tests/unit/padding.h"

static _Alignas(64) uint8_t images[VCPUS][4096];
static uint8_t state_one[16 << 10], state_other[16 << 10];
static struct vcpu *const one = &vcpus[1], *const other = &vcpus[2];

static int with_images(void **state)
{
    fresh_vm(state);
    vm.cpuid.leaves.leaf[0].ecx |= BIT32(26); // XSAVE
    vm.cpuid.leaves.leaf[1] =
        (struct cpuid_leaf){.leaf = 0xd, .subleaf = 2, .eax = 256, .ebx = 576};
    vm.cpuid.leaves.leaf[2] = (struct cpuid_leaf){.leaf = 0x80000001, .edx = BIT32(29)}; // LM
    vm.cpuid.slot[cpuid_slot_of(0x80000001)].first = 2;
    vm.cpuid.leaves.count = 3;
    vm.cpuid.xcr0_allowed = 7;
    vm.cpuid.linear_width = 48;
    for (unsigned i = 0; i < VCPUS; i++) {
        vcpus[i].fpu = images[i];
        vcpu_reset(&vcpus[i], false);
    }
    other->id = one->id; // so that it takes its state
    other->apic_id = one->apic_id;
    return 0;
}

static void every_byte_has_a_name(void **state)
{
    uint8_t *bytes = malloc(sizeof(struct vcpu));
    memset(bytes, 0xff, sizeof(struct vcpu));
    padding_of_vcpu((struct vcpu *)(void *)bytes);
    assert_each_byte_named("vCPU", vcpu_fields, bytes, sizeof(struct vcpu));
    free(bytes);
    static uint8_t page[sizeof(struct lapic_page)];
    memset(page, 0xff, sizeof(page));
    for (const struct field *field = lapic_fields; field->kind; field++)
        if (field->kind == FIELD_STRUCT && field->is_behind)
            assert_each_byte_named("APIC page", field->nested, page, sizeof(page));
    assert_int_equal(page[0], 0);
}

// Each number of the table, nested ones too, gets a value of its own within its range.
static void number(const struct field *fields, void *object, uint64_t *next)
{
    for (const struct field *field = fields; field->kind; field++)
        for (unsigned i = 0; i < field_count(field, object); i++) {
            void *at = field_element(field, object, i);
            *next = *next * UINT64_C(6364136223846793005) + 1442695040888963407;
            uint64_t value = *next >> 3 ^ *next << 40;
            if (field->kind == FIELD_STRUCT)
                number(field->nested, at, next);
            if (field->kind != FIELD_NUMBER)
                continue;
            if (value < field->least || value > field->most)
                value = field->least + value % (field->most - field->least + 1);
            memcpy(at, &value, field->size);
        }
}

static size_t save(struct vcpu *vcpu, uint8_t *to)
{
    size_t length = vcpu_save_state(vcpu, to, sizeof(state_one));
    assert_in_range(length, 1000, sizeof(state_one));
    assert_int_equal(vcpu_save_state(vcpu, NULL, 0), length);
    return length;
}

static status_t load(struct vcpu *vcpu, const uint8_t *from, size_t length, struct explanation *why)
{
    struct section_input input = {from, length};
    status_t status = vcpu_load_state(vcpu, &input, false, why);
    if (status != STATUS_OK)
        return status;
    assert_int_equal(input.left, 0);
    input = (struct section_input){from, length};
    assert_int_equal(vcpu_load_state(vcpu, &input, true, why), STATUS_OK);
    vcpu_loaded(vcpu);
    return STATUS_OK;
}

// What no CPU takes is mended the first time; from then on nothing is lost or changed.
static void what_was_loaded_is_saved_the_same(void **state)
{
    struct explanation why;
    uint64_t next = 1;
    for (unsigned round = 0; round < 50; round++) {
        number(vcpu_fields, one, &next);
        size_t length = section_save("vCPU 1", vcpu_fields, 0, one, state_one, sizeof(state_one));
        assert_int_equal(load(one, state_one, length, &why), STATUS_OK);
        assert_int_equal(save(one, state_one), length);
        assert_int_equal(load(other, state_one, length, &why), STATUS_OK);
        assert_int_equal(save(other, state_other), length);
        assert_memory_equal(state_one, state_other, length);
    }
    assert_memory_equal(images[1], images[2], 832);
}

static void every_register_comes_along(void **state)
{
    struct explanation why;
    one->gpr[R15] = 0x1515;
    one->rip = 0x1234;
    one->segment[TR] = (struct segment){.base = 0x5000, .limit = 0x67, .selector = 0x40};
    one->idtr.base = 0x7000;
    one->dr[3] = 0x3333;
    one->live.lstar = UINT64_C(0xffffffff81000000);
    one->msr.mce[3][3] = 0x33;
    one->msr.mtrr_variable[15] = 0x15;
    one->pdpte[3] = 0x3001;
    one->xcr0 = 7;
    one->tsc_offset = 77;
    one->activity = ACTIVITY_HALTED;
    one->events.pending =
        (struct event){.info = EVENT_VALID | 0x300 | 14 | EVENT_HAS_ERROR, .error = 6};
    one->events.nmi_queued = 1;
    images[1][600] = 0xfb;
    vcpu_request(one, REQUEST_UNHALT);
    vcpu_send_nmi(one);
    mce_post(one, gpa(0x3000));
    size_t length = save(one, state_one);
    assert_int_equal(load(other, state_one, length, &why), STATUS_OK);
    assert_int_equal(other->gpr[R15], 0x1515);
    assert_int_equal(other->rip, 0x1234);
    assert_memory_equal(&other->segment, &one->segment, sizeof(one->segment));
    assert_int_equal(other->idtr.base, 0x7000);
    assert_int_equal(other->dr[3], 0x3333);
    assert_int_equal(other->live.lstar, one->live.lstar);
    assert_int_equal(other->msr.mce[3][3], 0x33);
    assert_int_equal(other->msr.mtrr_variable[15], 0x15);
    assert_int_equal(other->pdpte[3], 0x3001);
    assert_int_equal(other->xcr0, 7);
    assert_int_equal(other->tsc_offset, 77);
    assert_int_equal(other->activity, ACTIVITY_HALTED);
    assert_int_equal(other->events.pending.error, 6);
    assert_int_equal(other->events.nmi_queued, 1);
    assert_int_equal(images[2][600], 0xfb);
    assert_true(other->unhalted);
    assert_int_equal(other->signals, one->signals);
    assert_int_equal(other->posted_error, one->posted_error);
    assert_int_equal(other->dirty & STATE_ALL, STATE_ALL);
    assert_true(other->cr2_dirty);
    assert_int_equal(other->requests & (REQUEST_SIGNAL | REQUEST_MACHINE_CHECK | REQUEST_APIC),
                     REQUEST_SIGNAL | REQUEST_MACHINE_CHECK | REQUEST_APIC);
}

static void interrupts_on_their_way_come_along(void **state)
{
    struct explanation why;
    lapic_set(&one->lapic, LAPIC_SVR, 0x1ff);
    lapic_post(one, 0x41, false);
    lapic_post(one, 0x52, true);
    lapic_set(&one->lapic, LAPIC_LVT_TIMER, 0x31);
    lapic_timer_set_count(one, 1000, 5000);
    size_t length = save(one, state_one);
    assert_int_equal(load(other, state_one, length, &why), STATUS_OK);
    assert_int_equal(lapic_timer_current(other, 5500), lapic_timer_current(one, 5500));
    lapic_tick(other, 7000);
    assert_int_equal(lapic_take(other), 0x52);
    assert_int_equal(lapic_pending(other), -1);
    lapic_eoi(other);
    assert_int_equal(lapic_take(other), 0x41);
    lapic_eoi(other);
    assert_int_equal(lapic_take(other), 0x31);
    assert_int_equal(lapic_take(one), 0x52); // and it has them still
}

static void what_would_fault_in_the_host_is_mended(void **state)
{
    struct explanation why;
    one->xcr0 = 4; // AVX without SSE and x87
    one->live.lstar = BIT(63);
    one->live.fmask = BIT(32);
    one->live.star = BIT(63);
    one->live.tsc_aux = 1; // no RDTSCP here
    one->msr.kvm_steal = BIT(40) | 1;
    one->events.pending.info = EVENT_VALID | 0x100;
    images[1][27] = 0xff;  // MXCSR
    images[1][512] = 0xff; // XSTATE_BV
    images[1][527] = 0x80; // XCOMP_BV: compacted
    one->lapic.base = APIC_BASE_X2APIC;
    size_t length = section_save("vCPU 1", vcpu_fields, 0, one, state_one, sizeof(state_one));
    assert_int_equal(load(other, state_one, length, &why), STATUS_OK);
    assert_int_equal(other->xcr0, 1);
    assert_int_equal(other->live.lstar | other->live.fmask | other->live.tsc_aux, 0);
    assert_int_equal(other->msr.kvm_steal | other->events.pending.info, 0);
    assert_int_equal(images[2][27], 0);
    assert_int_equal(images[2][512], 7);
    assert_int_equal(images[2][527], 0);
    assert_int_equal(other->lapic.base, APIC_BASE_DEFAULT | APIC_BASE_ENABLE);
}

static void wrong_states_are_named(void **state)
{
    struct explanation why;
    one->live.xss = 1;
    size_t length = section_save("vCPU 1", vcpu_fields, 0, one, state_one, sizeof(state_one));
    assert_int_equal(load(other, state_one, length, &why), STATUS_RANGE);
    assert_string_equal(why.text, "vCPU 1: xss is 0x1: not 0x0 to 0x0");
    one->live.xss = 0;
    length = save(one, state_one);
    vm.cpuid.xcr0_allowed = 3; // a machine without AVX
    assert_int_equal(load(other, state_one, length, &why), STATUS_INVALID);
    assert_string_equal(why.text, "vCPU 1: fpu has 832 bytes: not 576");
    vm.cpuid.xcr0_allowed = 7;
    assert_int_equal(load(&vcpus[3], state_one, length, &why), STATUS_INVALID);
    assert_string_equal(why.text, "another name stands where vCPU 3 is expected");
    for (size_t cut = 0; cut < length; cut += 97)
        assert_int_not_equal(load(other, state_one, cut, &why), STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_byte_has_a_name, with_images),
        cmocka_unit_test_setup(what_was_loaded_is_saved_the_same, with_images),
        cmocka_unit_test_setup(every_register_comes_along, with_images),
        cmocka_unit_test_setup(interrupts_on_their_way_come_along, with_images),
        cmocka_unit_test_setup(what_would_fault_in_the_host_is_mended, with_images),
        cmocka_unit_test_setup(wrong_states_are_named, with_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
