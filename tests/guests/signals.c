// INIT, start-up IPIs and NMIs act in the order in which they were sent, also to a CPU that does
// not get to run between them: a start-up IPI counts only where one is waited for, and of NMIs one
// is taken and one latched.
// vm: cpus = 2
// models: corei7_skylake_x tigerlake
#include "tests/guests/lib/smp.h"

#define OTHER   1
#define COUNTER 0x62000
#define FIRST   0x60 // pages of code
#define SECOND  0x61

static volatile uint8_t *const ran = (volatile uint8_t *)COUNTER;
static volatile unsigned turns, nmis;

// XOR AX, AX; MOV AX, 6200H; MOV DS, AX; INC BYTE [page]; CLI; HLT; JMP to the HLT
static void place(uint8_t page)
{
    const uint8_t code[] = {0x31, 0xc0, 0xb8, 0x00, COUNTER >> 12, 0x8e, 0xd8, 0xfe,
                            0x06, page, 0x00, 0xfa, 0xf4,          0xeb, 0xfd};
    memcpy((void *)((uint64_t)page << 12), code, sizeof(code));
}

static void send_init(void)
{
    apic_send(OTHER, ICR_INIT | ICR_ASSERT);
}

static void send_sipi(uint8_t page)
{
    apic_send(OTHER, ICR_STARTUP | page);
}

// What has been sent is over; whether the first and the second page ran so often since the last
// time.
static bool pages_ran(unsigned first, unsigned second)
{
    pm_wait(20 * PM_TICKS_MS);
    bool good = ran[FIRST] == first && ran[SECOND] == second;
    ran[FIRST] = ran[SECOND] = 0;
    return good;
}

static void stay_busy(void)
{
    for (;;)
        turns++;
}

static bool gets_on(void)
{
    unsigned before = turns;
    pm_wait(20 * PM_TICKS_MS);
    return turns != before;
}

static void check_startup(void)
{
    place(FIRST);
    place(SECOND);
    ran[FIRST] = ran[SECOND] = 0;
    send_init();
    check(pages_ran(0, 0), "INIT: it waits");
    send_sipi(FIRST);
    check(pages_ran(1, 0), "a start-up IPI starts it");
    send_sipi(SECOND);
    check(pages_ran(0, 0), "another one is ignored: it runs");

    check(smp_start(OTHER), "it starts to work");
    smp_begin(OTHER, stay_busy);
    check(gets_on(), "it works");
    send_sipi(FIRST);
    check(gets_on() && pages_ran(0, 0), "it works on, whatever start-up IPI comes");
    send_sipi(FIRST);
    send_init();
    check(pages_ran(0, 0) && !gets_on(), "a start-up IPI, then INIT: it waits");

    send_sipi(FIRST);
    send_sipi(SECOND);
    check(pages_ran(1, 0), "of two start-up IPIs the first counts");
    send_init();
    pm_wait(PM_TICKS_MS);
    send_sipi(SECOND);
    send_sipi(FIRST);
    send_init();
    pages_ran(0, 0); // the second page or none
    send_sipi(FIRST);
    check(pages_ran(1, 0), "start-up IPIs and INIT: it waits for the next one");
}

static void take_nmi(struct trap_frame *frame)
{
    (void)frame;
    for (unsigned i = 0; i < 10 && nmis == 0; i++)
        apic_send(0, ICR_NMI);
    nmis++;
}

static void count_nmi(struct trap_frame *frame)
{
    (void)frame;
    nmis++;
}

static void check_nmis(void)
{
    trap_handlers[VECTOR_NMI] = take_nmi;
    apic_send(0, ICR_NMI);
    pm_wait(PM_TICKS_MS);
    check(nmis == 2, "ten NMIs of the NMI's own handler are one (%u)", nmis);

    trap_handlers[VECTOR_NMI] = count_nmi;
    nmis = 0;
    check(smp_start(OTHER), "it starts to work again");
    smp_begin(OTHER, stay_busy);
    check(gets_on(), "it works again");
    apic_send(OTHER, ICR_NMI);
    apic_send(OTHER, ICR_NMI);
    pm_wait(20 * PM_TICKS_MS);
    check(nmis == 2, "two NMIs are two (%u)", nmis);
    check(gets_on(), "it works behind them");
}

void guest_main(uint32_t magic, uint64_t information)
{
    (void)magic, (void)information;
    apic_write(APIC_SVR, 0x1ff);
    check_startup();
    check_nmis();
}
