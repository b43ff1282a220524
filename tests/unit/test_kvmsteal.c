// KVM's steal time: the record in guest memory while a vCPU comes and goes; and the wake-up of a
// halted vCPU by a kick.
#include "tests/unit/apics.h"

#include "vm/kvmsteal.h"
#include "tests/ram.h"

#define RECORD 0x40

static struct vcpu *const cpu = &vcpus[0];
static _Alignas(4096) uint8_t ram[0x1000];

static int with_memory(void **state)
{
    x2apic_vm(state);
    memset(ram, 0, sizeof(ram));
    ram_is(&vm.memory, ram, sizeof(ram));
    cpu->stolen = 1000;
    return 0;
}

static uint64_t steal(void)
{
    uint64_t value;
    memcpy(&value, ram + RECORD, sizeof(value));
    return value;
}

static uint32_t version(void)
{
    uint32_t value;
    memcpy(&value, ram + RECORD + 8, sizeof(value));
    return value;
}

static uint8_t *const preempted = ram + RECORD + 16;

static void the_record_must_be_memory(void **state)
{
    static const uint64_t wrong[] = {RECORD | 3, RECORD | 2, RECORD | 0x21, 0x1001,
                                     0xffffffffffffffc1};
    for (unsigned i = 0; i < ARRAY_LENGTH(wrong); i++) {
        assert_false(kvmsteal_set(cpu, MSR_KVM_STEAL_TIME, wrong[i], 0));
        assert_int_equal(cpu->msr.kvm_steal, 0);
    }
    assert_true(kvmsteal_set(cpu, MSR_KVM_STEAL_TIME, 0xfc0 | 1, 0));
    assert_true(kvmsteal_set(cpu, MSR_KVM_STEAL_TIME, 0xdead0000, 0)); // off: any address
}

static void time_counts_from_when_it_was_asked_for(void **state)
{
    assert_true(kvmsteal_set(cpu, MSR_KVM_STEAL_TIME, RECORD | 1, 0));
    assert_int_equal(steal(), 0);
    uint32_t before = version();
    assert_int_equal(before & 1, 0);
    kvmsteal_leaves(cpu);
    cpu->stolen += 77;
    kvmsteal_runs(cpu);
    assert_int_equal(steal(), 77);
    assert_int_equal(version() & 1, 0);
    assert_true(version() > before);
    cpu->stolen += 3;
    kvmsteal_runs(cpu);
    assert_int_equal(steal(), 80);
}

static void an_odd_version_is_mended(void **state)
{
    ram[RECORD + 8] = 7;
    assert_true(kvmsteal_set(cpu, MSR_KVM_STEAL_TIME, RECORD | 1, 0));
    assert_int_equal(version() & 1, 0);
}

static void a_vcpu_that_is_away_flushes_when_it_comes_back(void **state)
{
    assert_true(kvmsteal_set(cpu, MSR_KVM_STEAL_TIME, RECORD | 1, 0));
    assert_int_equal(*preempted, 0);
    kvmsteal_leaves(cpu);
    assert_int_equal(*preempted, 1);
    take_requests(cpu);
    kvmsteal_runs(cpu);
    assert_int_equal(*preempted, 0);
    assert_int_equal(take_requests(cpu), 0);

    kvmsteal_leaves(cpu);
    *preempted |= 2;
    kvmsteal_leaves(cpu); // must not lose the request
    assert_int_equal(*preempted, 3);
    kvmsteal_runs(cpu);
    assert_int_equal(*preempted, 0);
    assert_int_equal(take_requests(cpu), REQUEST_FLUSH_TLB);
}

static void without_a_record_nothing_is_written(void **state)
{
    static const uint8_t untouched[sizeof(ram)];
    kvmsteal_leaves(cpu);
    kvmsteal_runs(cpu);
    assert_memory_equal(ram, untouched, sizeof(ram));
    assert_true(kvmsteal_set(cpu, MSR_KVM_STEAL_TIME, RECORD | 1, 0));
    vcpu_reset(cpu, true);
    memset(ram, 0, sizeof(ram));
    kvmsteal_leaves(cpu);
    kvmsteal_runs(cpu);
    assert_memory_equal(ram, untouched, sizeof(ram));
}

static void rom_is_no_place(void **state)
{
    static _Alignas(4096) uint8_t rom[0x1000];
    static struct gmem_piece pieces[1];
    static struct gmem chip;
    gmem_init(&chip, pieces, 1);
    gmem_add(&chip, gpa(0), rom, sizeof(rom));
    vm.memory.rom.memory = &chip;
    vm.memory.rom.start = gpa(0xfffff000);
    vm.memory.rom.size = sizeof(rom);
    assert_non_null(gmem_at(&vm.memory, gpa(0xfffff000), 64));
    assert_false(kvmsteal_set(cpu, MSR_KVM_STEAL_TIME, 0xfffff000 | 1, 0));
    vm.memory.rom.size = 0;
}

static uint8_t *take_nothing(const struct gmem *memory, gpa_t page)
{
    return NULL;
}

static void a_page_that_does_not_come_again_is_not_told(void **state)
{
    assert_true(kvmsteal_set(cpu, MSR_KVM_STEAL_TIME, RECORD | 1, 0));
    static uint8_t *table[512];
    gmem_split(&vm.memory, gpa(0), table);
    gmem_set_page(&vm.memory, gpa(0), NULL);
    vm.memory.take = take_nothing;
    cpu->stolen = 2000;
    kvmsteal_runs(cpu);
    kvmsteal_leaves(cpu);
}

static void a_kick_wakes_with_interrupts_off(void **state)
{
    cpu->activity = ACTIVITY_HALTED;
    cpu->rflags = RFLAGS_FIXED;
    assert_false(event_wakes(cpu));
    vcpu_request(cpu, REQUEST_UNHALT);
    vcpu_take_requests(cpu, take_requests(cpu));
    assert_true(event_wakes(cpu));
    vcpu_reset(cpu, true);
    assert_false(cpu->unhalted);
    cpu->activity = ACTIVITY_WAIT_FOR_SIPI;
    vcpu_take_requests(cpu, REQUEST_UNHALT);
    assert_false(event_wakes(cpu));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_record_must_be_memory, with_memory),
        cmocka_unit_test_setup(time_counts_from_when_it_was_asked_for, with_memory),
        cmocka_unit_test_setup(an_odd_version_is_mended, with_memory),
        cmocka_unit_test_setup(a_vcpu_that_is_away_flushes_when_it_comes_back, with_memory),
        cmocka_unit_test_setup(without_a_record_nothing_is_written, with_memory),
        cmocka_unit_test_setup(rom_is_no_place, with_memory),
        cmocka_unit_test_setup(a_page_that_does_not_come_again_is_not_told, with_memory),
        cmocka_unit_test_setup(a_kick_wakes_with_interrupts_off, with_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
