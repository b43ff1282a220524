// Bringing up the other CPUs, one after the other: they share the trampoline.

#include "boot/smp.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/machine_check.h"
#include "arch/x86_64/policy/mtrr.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/traps.h"
#include "arch/x86_64/tsc.h"
#include "boot/memory.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/paging.h"

#define INIT_WAIT_US    10000
#define STARTUP_WAIT_US 200
#define ONLINE_WAIT_US  200000

extern const uint8_t trampoline_start[], trampoline_end[];
extern const uint64_t trampoline_cr3;
extern const uint8_t trampoline_lift_nx;
extern uint64_t trampoline_stack, trampoline_cpu;

#define MSR_TSC_ADJUST  0x3b
#define TSC_LOOKS       16
#define TSC_CORRECTIONS 3

static uint64_t ticks_per_us;
static void (*ap_entry_point)(struct cpu *);

// The CPU that is being started; one that comes when its time is over finds another here, or none.
static struct cpu *_Atomic starting;
static _Atomic bool arrived;

// Two CPUs look at their TSCs by turns.
static _Atomic bool asked;
static _Atomic uint64_t answer;
static _Atomic int64_t correction; // that the other is asked to make
static uint64_t tsc_adjust;        // of CPU 0
static unsigned mtrrs_differed;
static struct mtrr_state mtrrs; // of CPU 0

// Waits for `microseconds`, or until the CPU has arrived.
static bool wait_arrived(uint64_t microseconds)
{
    uint64_t end = rdtsc() + microseconds * ticks_per_us;
    while (!arrived && rdtsc() < end)
        pause();
    return arrived;
}

static bool start_one(struct cpu *cpu, uint64_t page)
{
    trampoline_stack = cpu->stack_top;
    trampoline_cpu = (uintptr_t)cpu;
    arrived = false;
    starting = cpu;
    apic_send(cpu->apic_id, APIC_INIT);
    wait_arrived(INIT_WAIT_US);
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        apic_send(cpu->apic_id, APIC_STARTUP | (uint8_t)(page / 4096));
        if (wait_arrived(STARTUP_WAIT_US))
            return true;
    }
    return wait_arrived(ONLINE_WAIT_US);
}

// It waits for a startup again: on a stack of its own it will not come, and another's is no place
// for it.
static void give_up(const struct cpu *cpu)
{
    log_warning("smp: CPU %u (APIC id %u) did not start: it is left out\n", cpu->index,
                cpu->apic_id);
    apic_send(cpu->apic_id, APIC_INIT);
}

// How far the other CPU's TSC is certainly ahead of ours, or (negative) behind: its answers must
// lie between our question and our next look. 0: in step, as far as two CPUs can tell.
static int64_t tsc_distance(void)
{
    int64_t ahead = 0, behind = 0;
    for (unsigned i = 0; i < TSC_LOOKS; i++) {
        uint64_t before = rdtsc_ordered();
        asked = true;
        while (asked)
            pause();
        uint64_t after = rdtsc_ordered(), there = answer;
        ahead = MAX(ahead, (int64_t)(there - after));
        behind = MIN(behind, (int64_t)(there - before));
    }
    return ahead ? ahead : behind;
}

static bool has_tsc_adjust(void)
{
    return cpuid(0, 0).eax >= 7 && (cpuid(7, 0).ebx & BIT32(1));
}

static void correct(int64_t by)
{
    correction = by;
    while (correction)
        pause();
}

// Guests' clocks go from CPU to CPU: a CPU whose time is another, and cannot be corrected, is of no
// use.
static void admit(struct cpu *cpu)
{
    int64_t distance = tsc_distance(), first = distance;
    for (unsigned i = 0; distance && has_tsc_adjust() && i < TSC_CORRECTIONS; i++) {
        correct(-distance);
        distance = tsc_distance();
    }
    if (first)
        log_warning("smp: the TSC of CPU %u (APIC id %u) was %ld ticks off: %s\n", cpu->index,
                    cpu->apic_id, first, distance ? "the CPU is left out" : "corrected");
    cpu->online = !distance;
}

// The other side: serves CPU 0 until it is done with this CPU.
static void answer_looks(const struct cpu *cpu)
{
    while (starting == cpu) {
        if (asked) {
            answer = rdtsc_ordered();
            asked = false;
        } else if (correction) {
            wrmsr(MSR_TSC_ADJUST, rdmsr(MSR_TSC_ADJUST) + (uint64_t)correction);
            correction = 0;
        }
        pause();
    }
}

// Memory whose type differs from CPU to CPU is not coherent.
static void match_mtrrs(void)
{
    static struct mtrr_state own; // one CPU at a time
    mtrr_read(&own);
    if (memcmp(&own, &mtrrs, sizeof(own)) == 0)
        return;
    mtrr_write(&mtrrs);
    mtrrs_differed++;
}

void smp_start(const struct boot_info *info, uint64_t tsc_hz, void (*entry)(struct cpu *))
{
    struct explanation why;
    uint64_t page = memory_low_page(info);
    if (cpu_count == 1)
        return;
    if (!page) {
        log_warning("smp: no free page below 640 KiB: running on one CPU\n");
        return;
    }
    ticks_per_us = tsc_hz / 1000000;
    ap_entry_point = entry;
    uint64_t cr3_at = (uintptr_t)&trampoline_cr3 - (uintptr_t)trampoline_start;
    uint64_t root = paging_root();
    memcpy((void *)page, trampoline_start, (size_t)(trampoline_end - trampoline_start));
    memcpy((void *)(page + cr3_at), &root, sizeof(root));
    *(uint8_t *)(page + (uintptr_t)&trampoline_lift_nx - (uintptr_t)trampoline_start) =
        cpu_nx_was_off;
    mtrr_read(&mtrrs);
    paging_set_text(page, true);
    if (has_tsc_adjust())
        tsc_adjust = rdmsr(MSR_TSC_ADJUST);
    for (unsigned i = 1; i < cpu_count; i++) {
        if (memory_make_stacks(&cpus[i], &why) != STATUS_OK) {
            log_warning("smp: %s\n", why.text);
            break;
        }
        if (start_one(&cpus[i], page))
            admit(&cpus[i]);
        else
            give_up(&cpus[i]);
        starting = NULL;
    }
    paging_set_text(page, false);
    if (mtrrs_differed)
        log_warning("smp: firmware left %u CPUs with other MTRRs than CPU 0: set alike\n",
                    mtrrs_differed);
}

void ap_main(struct cpu *cpu)
{
    cpu_load_tables(cpu);
    traps_load_idt();
    cpu_set_modes();
    if (starting == cpu) {
        apic_enable();
        machine_check_init(LOG_PRINTER(LOG_ERROR)); // CPU 0 waits meanwhile, silent
        match_mtrrs();
        if (has_tsc_adjust() && rdmsr(MSR_TSC_ADJUST) != tsc_adjust)
            wrmsr(MSR_TSC_ADJUST, tsc_adjust);
        arrived = true;
        answer_looks(cpu);
        if (cpu->online)
            ap_entry_point(cpu);
    }
    for (;;)
        __asm__ volatile("cli; hlt");
}
