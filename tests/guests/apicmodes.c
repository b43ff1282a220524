// Local APICs in different modes at once and one after the other: two CPUs in xAPIC and x2APIC
// mode, disabled, elsewhere; ends of interrupts by any instruction; level-triggered lines, the 8259
// and INIT in each mode. A CPU that virtualizes the APIC does half of this itself, software the
// other half, and neither shows.
// vm: cpus = 2
// models: corei7_sandy_bridge_2600k corei7_skylake_x tigerlake
// again: features=-apic_access,-x2apic_virt
// lacks: preemption_timer x 1 = Bochs lets no interrupt out of a guest entered with IF clear
#include "tests/guests/lib/smp.h"

#define OTHER      1
#define VECTOR     0x56
#define LOW        0x46
#define UART       0x55
#define PIT        0x20 // through the 8259
#define ELSEWHERE  UINT64_C(0xd0000000)
#define VERSION    0x60014
#define BASE_FLAGS (APIC_BASE_ENABLE | APIC_BASE_X2APIC | 0x1ff)
#define LVT_EXTINT 0x700

// ---- one CPU, by the mode that it is in ----

static bool in_x2apic(void)
{
    return read_msr(MSR_APIC_BASE) & APIC_BASE_X2APIC;
}

static volatile void *page(void)
{
    return (volatile void *)(read_msr(MSR_APIC_BASE) & ~UINT64_C(0xfff));
}

static uint32_t get(unsigned offset)
{
    return in_x2apic() ? (uint32_t)read_msr(MSR_X2APIC + offset / 16) : mmio_read32(page(), offset);
}

static void set(unsigned offset, uint32_t value)
{
    if (in_x2apic())
        write_msr(MSR_X2APIC + offset / 16, value);
    else
        mmio_write32(page(), offset, value);
}

static void send(uint32_t destination, uint32_t command)
{
    if (in_x2apic()) {
        write_msr(MSR_X2APIC + APIC_ICR / 16, (uint64_t)destination << 32 | command);
        return;
    }
    set(APIC_ICR_HIGH, destination << 24);
    set(APIC_ICR, command);
}

static bool bit(unsigned offset, uint8_t vector)
{
    return get(offset + vector / 32 * 16) >> vector % 32 & 1;
}

static volatile unsigned came[2];

static void take(struct trap_frame *frame)
{
    (void)frame;
    came[read_cpuid(0xb, 0).edx & 1]++;
    set(APIC_EOI, 0);
}

static bool wait_came(unsigned cpu, unsigned count)
{
    uint32_t start = pm_ticks();
    enable_interrupts();
    while (came[cpu] < count && pm_since(start) < 40 * PM_TICKS_MS)
        __asm__ volatile("pause");
    disable_interrupts();
    return came[cpu] == count;
}

static bool works_here(void)
{
    uint32_t id = read_cpuid(0xb, 0).edx;
    unsigned before = came[id];
    set(APIC_SVR, 0x1ff);
    send(0, ICR_SELF | VECTOR);
    bool pending = bit(APIC_IRR, VECTOR);
    set(APIC_TPR, 0x60);
    __asm__ volatile("sti; nop; nop; nop; cli" : : : "memory");
    bool held = came[id] == before && get(APIC_PPR) == 0x60;
    set(APIC_TPR, 0);
    bool taken_now = wait_came(id, before + 1);
    return pending && held && taken_now && !bit(APIC_ISR, VECTOR) && get(APIC_VERSION) == VERSION &&
           get(APIC_ID) == (in_x2apic() ? id : id << 24);
}

static bool nothing_at(volatile void *at)
{
    mmio_write32(at, APIC_TPR, 0x30);
    return mmio_read32(at, APIC_VERSION) == UINT32_MAX && mmio_read32(at, APIC_TPR) == UINT32_MAX;
}

static void to_x2apic(void)
{
    write_msr(MSR_APIC_BASE, read_msr(MSR_APIC_BASE) | APIC_BASE_X2APIC | APIC_BASE_ENABLE);
}

static void to_disabled(void)
{
    write_msr(MSR_APIC_BASE, read_msr(MSR_APIC_BASE) & ~(APIC_BASE_X2APIC | APIC_BASE_ENABLE));
}

static void to_xapic(void)
{
    if (in_x2apic())
        to_disabled();
    write_msr(MSR_APIC_BASE, read_msr(MSR_APIC_BASE) | APIC_BASE_ENABLE);
}

// One that software disabled keeps what is pending and accepts nothing more, from itself either.
static void check_software_disabled(const char *mode)
{
    came[0] = 0;
    send(0, ICR_SELF | LOW);
    set(APIC_SVR, 0xff);
    send(0, ICR_SELF | VECTOR);
    if (in_x2apic())
        write_msr(MSR_X2APIC + 0x3f, VECTOR); // SELF IPI
    bool held = !bit(APIC_IRR, VECTOR) && bit(APIC_IRR, LOW) && wait_came(0, 1) && !wait_came(0, 2);
    check(held && works_here(), "%s: disabled by software it accepts nothing", mode);
}

// ---- the other CPU: it asks for work in a loop, whatever its APIC does ----

static void (*volatile job)(void);
static volatile bool leave, good;

static void serve(void)
{
    leave = false;
    while (!leave) {
        __asm__ volatile("sti; pause; pause; cli" : : : "memory");
        if (job) {
            job();
            job = NULL;
        }
    }
}

static bool there(void (*work)(void))
{
    uint32_t start = pm_ticks();
    good = false;
    job = work;
    while (job && pm_since(start) < 100 * PM_TICKS_MS)
        __asm__ volatile("pause");
    return !job && good;
}

static void other_works(void)
{
    good = works_here();
}

static void other_sends(void)
{
    send(0, VECTOR);
    good = true;
}

static void other_to_x2apic(void)
{
    to_x2apic();
    good = works_here() && nothing_at(APIC_ADDRESS);
}

static void other_to_disabled(void)
{
    to_disabled();
    good = nothing_at(APIC_ADDRESS);
}

static void other_to_xapic(void)
{
    to_xapic();
    good = works_here();
}

static void check_both(const char *mine, const char *its)
{
    came[0] = came[1] = 0;
    check(works_here() && there(other_works), "%s beside %s: both APICs work", mine, its);
    came[0] = came[1] = 0;
    send(OTHER, VECTOR);
    bool arrived = wait_came(1, 1);
    check(arrived && there(other_sends) && wait_came(0, 1), "%s beside %s: messages both ways",
          mine, its);
}

static void check_mixed(void)
{
    check_both("xAPIC", "xAPIC");
    to_x2apic();
    check(nothing_at(APIC_ADDRESS), "x2APIC beside xAPIC: no page");
    check_both("x2APIC", "xAPIC");
    check(there(other_to_x2apic), "x2APIC: the other one has no page either");
    check_both("x2APIC", "x2APIC");
    to_xapic();
    check_both("xAPIC", "x2APIC");
    check(there(other_to_disabled), "disabled: no page");
    check(works_here(), "xAPIC beside a disabled one");
    check(there(other_to_xapic), "xAPIC again");
    check_both("xAPIC again", "xAPIC again");
}

// ---- elsewhere ----

static void move_to(uint64_t base)
{
    write_msr(MSR_APIC_BASE, (read_msr(MSR_APIC_BASE) & (BASE_FLAGS)) | base);
}

static void check_moved(void)
{
    move_to(ELSEWHERE);
    check(works_here() && nothing_at(APIC_ADDRESS), "moved: it works there and is gone here");
    check(there(other_works), "moved: the other one stays");
    move_to((uint64_t)APIC_ADDRESS);
    check(works_here() && nothing_at((volatile void *)ELSEWHERE), "moved back");
    check_both("moved back", "xAPIC");
}

// ---- ends of interrupts ----

static unsigned way;
static volatile unsigned ended_well;

static void end_somehow(struct trap_frame *frame)
{
    (void)frame;
    volatile uint32_t *eoi = (volatile uint32_t *)((uint64_t)APIC_ADDRESS + APIC_EOI);
    volatile uint32_t *at = eoi;
    uint32_t value = 0;
    bool was = bit(APIC_ISR, VECTOR);
    came[0]++;
    switch (way) {
    case 0:
        __asm__ volatile("cld; stosl" : "+D"(at) : "a"(0) : "memory");
        was &= at == eoi + 1;
        break;
    case 1: {
        const uint32_t *from = &value;
        __asm__ volatile("cld; movsl" : "+D"(at), "+S"(from) : : "memory");
        was &= at == eoi + 1 && from == &value + 1;
        break;
    }
    case 2:
        __asm__ volatile("movl $0x12345678, %0" : "=m"(*eoi));
        break;
    case 3:
        __asm__ volatile("xchg %0, %1" : "+r"(value), "+m"(*eoi));
        break;
    case 4:
        __asm__ volatile("orl $1, %0" : "+m"(*eoi));
        break;
    }
    ended_well += was && !bit(APIC_ISR, VECTOR);
}

static void check_ends(void)
{
    static const char *const names[] = {"STOSD", "MOVSD", "MOV of a constant", "XCHG", "OR"};
    trap_handlers[VECTOR] = end_somehow;
    for (way = 0; way < ARRAY_LENGTH(names); way++) {
        came[0] = ended_well = 0;
        for (unsigned i = 0; i < 3; i++) {
            send(0, ICR_SELF | VECTOR);
            wait_came(0, i + 1);
        }
        check(ended_well == 3, "an end of interrupt by %s", names[way]);
    }
    trap_handlers[VECTOR] = take;
}

// ---- lines, in the mode of this CPU ----

static volatile unsigned uart_came;

static void take_uart(struct trap_frame *frame)
{
    (void)frame;
    if (++uart_came == 3)
        in8(PORT_COM1 + 2); // serves the cause
    set(APIC_EOI, 0);
}

static volatile unsigned pit_came;

static void take_pit(struct trap_frame *frame)
{
    (void)frame;
    pit_came++;
    out8(PORT_PIC_MASTER, 0x20);
}

static bool wait_for(volatile unsigned *count, unsigned wanted)
{
    uint32_t start = pm_ticks();
    enable_interrupts();
    while (*count < wanted && pm_since(start) < 20 * PM_TICKS_MS)
        __asm__ volatile("pause");
    disable_interrupts();
    return *count >= wanted;
}

static void check_lines(const char *mode)
{
    uart_came = 0;
    ioapic_route(IRQ_COM1, IOAPIC_LEVEL | UART);
    out8(PORT_COM1 + 4, 0x8);
    out8(PORT_COM1 + 1, 0x2);
    bool repeated = wait_for(&uart_came, 3) && !wait_for(&uart_came, 4);
    out8(PORT_COM1 + 1, 0);
    ioapic_route(IRQ_COM1, IOAPIC_MASKED);
    check(repeated, "%s: a level-triggered line repeats until it is served (%u)", mode, uart_came);

    set(APIC_LVT_LINT0, LVT_EXTINT);
    pit_came = came[0] = 0;
    pit_start(500);
    pic_mask(0xfffe);
    bool ticks = wait_for(&pit_came, 2);
    pm_wait(3 * PM_TICKS_MS); // one is pending behind the cleared IF
    send(0, ICR_SELF | VECTOR);
    bool together = wait_for(&pit_came, 3) && wait_came(0, 1);
    pic_mask(0xffff);
    pit_stop();
    set(APIC_LVT_LINT0, LVT_MASKED);
    check(ticks && together, "%s: the 8259 beside the local APIC (%u)", mode, pit_came);
}

// ---- INIT ----

static volatile bool in_handler;

static void stay(struct trap_frame *frame)
{
    (void)frame;
    send(0, ICR_SELF | LOW);
    in_handler = true;
    for (;;)
        __asm__ volatile("pause");
}

static void look(void)
{
    good = !bit(APIC_ISR, VECTOR) && !bit(APIC_IRR, LOW) && get(APIC_PPR) == 0 && works_here();
}

static void check_init(const char *mode)
{
    trap_handlers[VECTOR] = stay;
    in_handler = false;
    send(OTHER, VECTOR);
    uint32_t start = pm_ticks();
    while (!in_handler && pm_since(start) < 40 * PM_TICKS_MS)
        __asm__ volatile("pause");
    apic_is_x2 = in_x2apic();
    bool started = smp_start(OTHER);
    trap_handlers[VECTOR] = take;
    job = NULL;
    smp_begin(OTHER, serve);
    check(in_handler && started && there(look),
          "%s: INIT takes away what is in service and pending", mode);
}

void guest_main(uint32_t magic, uint64_t information)
{
    (void)magic;
    (void)information;
    trap_handlers[VECTOR] = trap_handlers[LOW] = take;
    trap_handlers[UART] = take_uart;
    trap_handlers[PIT] = take_pit;
    pic_init();
    set(APIC_SVR, 0x1ff);
    check(smp_start(OTHER), "the other CPU starts");
    smp_begin(OTHER, serve);
    check_mixed();
    check_moved();
    check_ends();
    check_lines("xAPIC");
    check_software_disabled("xAPIC");
    check_init("xAPIC");
    to_x2apic();
    there(other_to_x2apic);
    check_lines("x2APIC");
    check_software_disabled("x2APIC");
    check_init("x2APIC");
    guest_power_off();
}
