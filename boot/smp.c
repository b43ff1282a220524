// Bringing up the other CPUs, one after the other: they share the trampoline.

#include "boot/smp.h"

#include "arch/x86_64/apic.h"
#include "arch/x86_64/registers.h"
#include "arch/x86_64/tsc.h"
#include "boot/consoles.h"
#include "boot/memory.h"
#include "lib/string.h"
#include "mm/paging.h"

#define INIT_WAIT_US    10000
#define STARTUP_WAIT_US 200
#define ONLINE_WAIT_US  200000

extern const uint8_t trampoline_start[], trampoline_end[];
extern const uint64_t trampoline_cr3;
extern uint64_t trampoline_stack, trampoline_cpu;

static uint64_t ticks_per_us;
static void (*ap_entry_point)(struct cpu *);

// Waits for `microseconds`, or until the CPU is online.
static bool wait_online(const struct cpu *cpu, uint64_t microseconds)
{
    uint64_t end = rdtsc() + microseconds * ticks_per_us;
    while (!cpu->online && rdtsc() < end)
        pause();
    return cpu->online;
}

static bool start_one(struct cpu *cpu, uint64_t page)
{
    trampoline_stack = cpu->stack_top;
    trampoline_cpu = (uintptr_t)cpu;
    apic_send_init(cpu->apic_id);
    wait_online(cpu, INIT_WAIT_US);
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        apic_send_startup(cpu->apic_id, (uint8_t)(page / 4096));
        if (wait_online(cpu, STARTUP_WAIT_US))
            return true;
    }
    return wait_online(cpu, ONLINE_WAIT_US);
}

void smp_start(const struct boot_info *info, uint64_t tsc_hz, void (*entry)(struct cpu *))
{
    struct explanation why;
    uint64_t page = memory_low_page(info);
    if (cpu_count == 1)
        return;
    if (!page) {
        print_to(consoles_printer(), "smp: no free page below 640 KiB: running on one CPU\n");
        return;
    }
    ticks_per_us = tsc_hz / 1000000;
    ap_entry_point = entry;
    uint64_t cr3_at = (uintptr_t)&trampoline_cr3 - (uintptr_t)trampoline_start;
    uint64_t root = paging_root();
    memcpy((void *)page, trampoline_start, (size_t)(trampoline_end - trampoline_start));
    memcpy((void *)(page + cr3_at), &root, sizeof(root));
    paging_set_text(page, true);
    for (unsigned i = 1; i < cpu_count; i++) {
        if (memory_make_stacks(&cpus[i], &why) != STATUS_OK) {
            print_to(consoles_printer(), "smp: %s\n", why.text);
            break;
        }
        if (!start_one(&cpus[i], page))
            print_to(consoles_printer(), "smp: CPU %u (APIC id %u) did not start: it is left out\n",
                     i, cpus[i].apic_id);
    }
    paging_set_text(page, false);
}

void ap_main(struct cpu *cpu)
{
    cpu_set_modes();
    cpu_load_tables(cpu);
    apic_enable();
    cpu->online = true;
    ap_entry_point(cpu);
    for (;;)
        __asm__ volatile("cli; hlt");
}
