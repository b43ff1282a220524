// Guests that mean harm, side by side (hostile.conf): each ends as it should, or goes on, and the
// survivor does not notice. The loops run on a second vCPU while the first watches: it must get its
// turn, and ending the VM must reach the other. Only the survivor speaks.
#include "tests/guests/lib/smp.h"

#define HOLE        UINT64_C(0xd0000000)
#define OTHER       1 // the vCPU that attacks
#define WELL        0xbeef
#define WATCH_MS    30
#define SURVIVE_MS  1500
#define PAGES_KEPT  256
#define VECTOR      0x81
#define HAS_CMDLINE 4

struct information {
    uint32_t flags, memory_lower, memory_upper, boot_device, cmdline;
};

static struct __attribute__((packed)) {
    uint16_t limit;
    uint64_t base;
} no_idt;

static void vector(void)
{
    ((void (*)(void))RESET_VECTOR)();
}

static void triple(void)
{
    __asm__ volatile("lidt %0; ud2" : : "m"(no_idt));
}

static void fetch(void)
{
    ((void (*)(void))HOLE)();
}

static void tables(void)
{
    write_cr3(HOLE);
}

static void stack(void)
{
    set_gate(VECTOR_DF, 0, true);
    __asm__ volatile("mov %0, %%rsp; ud2" : : "r"(HOLE + 64));
}

static void strange(void)
{
    __asm__ volatile("fxsave (%0)" : : "r"(HOLE));
}

// Physical addresses up to the last that the CPU has.
static void far(void)
{
    uint32_t width = read_cpuid(0x80000008, 0).eax & 0xff;
    bool good = true;
    for (unsigned bit = 28; bit < width; bit++) {
        map_page(0, BIT(bit) | BIT(bit - 1) | PAGE_ALL);
        good &= *(volatile uint64_t *)PAGES == UINT64_MAX;
        *(volatile uint32_t *)PAGES = 1;
    }
    map_page(0, (BIT(width) - 1) / 4096 * 4096 | PAGE_ALL);
    good &= *(volatile uint64_t *)(PAGES + 4088) == UINT64_MAX;
    guest_debug_exit(good ? WELL : 1);
}

// Ports that end a VM, which comes last.
static bool ends(unsigned port)
{
    return (port >= PORT_PM1_CONTROL - 3 && port < PORT_PM1_CONTROL + 2) ||
           (port >= PORT_RESET - 3 && port <= PORT_RESET) || (port >= 0x5d && port <= 0x64) ||
           (port >= PORT_SYSTEM_A - 3 && port <= PORT_SYSTEM_A);
}

static void ports(void)
{
    for (unsigned port = 0; port < 0x10000; port++) {
        uint16_t at = (uint16_t)port;
        if (ends(port))
            continue;
        in32(at);
        out32(at, 0xffffffff);
        if (port < 0x1000)
            out8(at, 0);
    }
    out8(PORT_RESET, 2);
    out8(PORT_RESET, 6);
}

static uint32_t msr_index;
static uint64_t msr_value;

static void do_read(void)
{
    msr_value = read_msr(msr_index);
}

// Bits that could be there, and back to what it was.
static void do_write(void)
{
    uint64_t before = msr_value;
    write_msr(msr_index, UINT64_MAX);
    write_msr(msr_index, before);
}

static void msrs(void)
{
    static const uint32_t ranges[][2] = {{0, 0xfff},
                                         {0x1f00, 0x2010},
                                         {0x4b564d00, 0x4b564d20},
                                         {0x40000000, 0x40000200},
                                         {0xc0000000, 0xc0000200},
                                         {0xc0001000, 0xc0001200},
                                         {0xfffffff0, 0xffffffff}};
    unsigned existing = 0;
    for (unsigned i = 0; i < ARRAY_LENGTH(ranges); i++)
        for (msr_index = ranges[i][0];; msr_index++) {
            existing += try_call(do_read) == NO_FAULT;
            try_call(do_write);
            if (msr_index == ranges[i][1])
                break;
        }
    guest_debug_exit(existing > 30 ? WELL : 1);
}

// Timers of the shortest periods, whose interrupts nobody takes: the program must get on.
static void haste(void)
{
    apic_write(APIC_SVR, 0x1ff);
    apic_write(APIC_DIVIDE, TIMER_DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | VECTOR);
    apic_write(APIC_INITIAL_COUNT, 1);
    out8(PORT_PIT + 3, 0x34);
    out8(PORT_PIT, 2);
    out8(PORT_PIT, 0);
    for (volatile unsigned i = 0; i < 10000; i++)
        ;
    guest_debug_exit(WELL);
}

// ---- on the other vCPU ----

static void spin(void)
{
    __asm__ volatile("cli; 1: jmp 1b");
}

// A data breakpoint on the stack to which the frame of #DB is pushed.
static void debug(void)
{
    uint64_t top = PAGES + 4096 - 64;
    static _Alignas(4096) uint8_t frame[4096];
    map_page(0, (uint64_t)frame | PAGE_ALL);
    write_dr0(top - 24);
    write_dr1(top - 40);
    write_dr7(BIT(0) | BIT(2) | BIT(10) | BITS(17, 16) | BITS(19, 18) | BITS(21, 20) |
              BITS(23, 22));
    __asm__ volatile("mov %0, %%rsp; pushf; orl $0x100, (%%rsp); popf; 1: jmp 1b" : : "r"(top));
}

static void loop_again(struct trap_frame *frame)
{
    frame->rflags |= RFLAGS_TF;
}

static void take_storm(struct trap_frame *frame)
{
    (void)frame;
    apic_write(APIC_EOI, 0);
    apic_send(0, ICR_SELF | VECTOR);
}

static void storm(void)
{
    apic_write(APIC_DIVIDE, TIMER_DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | VECTOR);
    apic_write(APIC_INITIAL_COUNT, 1);
    apic_send(0, ICR_SELF | VECTOR);
    __asm__ volatile("sti; 1: hlt; jmp 1b");
}

static void watch(void (*attack)(void))
{
    trap_handlers[VECTOR_DB] = loop_again;
    trap_handlers[VECTOR] = take_storm;
    apic_write(APIC_SVR, 0x1ff);
    if (!smp_start(OTHER))
        guest_debug_exit(1);
    smp_begin(OTHER, attack);
    pm_wait(WATCH_MS * PM_TICKS_MS);
}

// The boot processor begins anew at the reset vector.
static void init(void)
{
    apic_send(0, ICR_INIT | ICR_ASSERT);
}

// ---- the survivor ----

static void survive(void)
{
    static uint64_t kept[PAGES_KEPT][512];
    for (unsigned i = 0; i < PAGES_KEPT; i++)
        kept[i][i] = i * UINT64_C(0x123456789abcdef);
    pic_init();
    apic_write(APIC_SVR, 0x1ff);
    count_vector(VECTOR);
    apic_write(APIC_DIVIDE, TIMER_DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, LVT_PERIODIC | VECTOR);
    apic_write(APIC_INITIAL_COUNT, 10000000);
    while (taken[VECTOR] < SURVIVE_MS / 10)
        __asm__ volatile("sti; hlt; cli" : : : "memory");
    bool good = true;
    for (unsigned i = 0; i < PAGES_KEPT; i++)
        good &= kept[i][i] == i * UINT64_C(0x123456789abcdef);
    check(good, "the survivor's memory is its own");
}

static const struct {
    const char *name;
    void (*run)(void);
    bool other; // on the other vCPU
} attacks[] = {
    {"triple", triple, false}, {"fetch", fetch, false},     {"tables", tables, false},
    {"stack", stack, false},   {"strange", strange, false}, {"far", far, false},
    {"ports", ports, false},   {"msrs", msrs, false},       {"spin", spin, true},
    {"vector", vector, false}, {"init", init, true},        {"debug", debug, true},
    {"storm", storm, true},    {"haste", haste, false},
};

void guest_main(uint32_t magic, uint64_t address)
{
    (void)magic;
    const struct information *information = (const struct information *)address;
    const char *cmdline = (const char *)(uint64_t)information->cmdline;
    for (unsigned i = 0; i < ARRAY_LENGTH(attacks); i++) {
        size_t length = strlen(attacks[i].name), given = strlen(cmdline);
        if (given < length || memcmp(cmdline + given - length, attacks[i].name, length) != 0)
            continue;
        if (attacks[i].other)
            watch(attacks[i].run);
        else
            attacks[i].run();
        return;
    }
    survive();
}
