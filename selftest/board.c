// The interrupt controllers and timers of the board: 8259, I/O APIC, PIT, RTC, UART interrupts.
#include "selftest/groups.h"
#include "tests/guests/lib/interrupts.h"

#define PIC_PIT     0x20
#define IOAPIC_PIT  0x53
#define IOAPIC_RTC  0x54
#define IOAPIC_UART 0x55
#define RTC_A       0x0a
#define RTC_B       0x0b
#define RTC_C       0x0c
#define RTC_D       0x0d
#define RTC_PIE     0x40
#define UART_IER    (PORT_COM1 + 1)
#define UART_IIR    (PORT_COM1 + 2)
#define UART_MCR    (PORT_COM1 + 4)
#define MCR_OUT2    8
#define IER_THRE    2
#define IIR_THRE    2

static uint8_t rtc_read(uint8_t index)
{
    out8(PORT_RTC, index);
    return in8(PORT_RTC + 1);
}

static void rtc_write(uint8_t index, uint8_t value)
{
    out8(PORT_RTC, index);
    out8(PORT_RTC + 1, value);
}

static void check_pic(void)
{
    pic_init();
    pic_mask(0xa5c3);
    check(in8(PORT_PIC_MASTER + 1) == 0xc3 && in8(PORT_PIC_SLAVE + 1) == 0xa5,
          "the 8259s hold their masks");
    pic_mask(0xfffe);
    forget_taken();
    count_vector(PIC_PIT);
    pit_start(2000);
    check(wait_taken(PIC_PIT, 5), "timer interrupts through the 8259");
    pic_mask(0xffff);
    unsigned before = taken[PIC_PIT];
    check(!wait_taken(PIC_PIT, before + 2), "none when it is masked");
    pit_stop();
}

static void check_ioapic(void)
{
    check((ioapic_read(1) & 0xff00ff) == 0x170011 || (ioapic_read(1) & 0xff00ff) == 0x170020,
          "the I/O APIC's version and 24 inputs (%#x)", ioapic_read(1));
    ioapic_write(0x10 + 2 * 5, UINT32_MAX);
    check(ioapic_read(0x10 + 2 * 5) == 0x1afff, "an entry's read-only and reserved bits");
    ioapic_route(5, IOAPIC_MASKED);
    forget_taken();
    count_vector(IOAPIC_PIT);
    ioapic_route(GSI_PIT, IOAPIC_PIT);
    pit_start(2000);
    check(wait_taken(IOAPIC_PIT, 5), "timer interrupts through the I/O APIC");
    ioapic_route(GSI_PIT, IOAPIC_MASKED | IOAPIC_PIT);
    unsigned before = taken[IOAPIC_PIT];
    check(!wait_taken(IOAPIC_PIT, before + 2), "none when the input is masked");
    pit_stop();
}

static void take_rtc(struct trap_frame *frame)
{
    (void)frame;
    rtc_read(RTC_C);
    taken[IOAPIC_RTC]++;
    apic_write(APIC_EOI, 0);
}

static void check_rtc(void)
{
    check(rtc_read(RTC_D) & 0x80, "the clock's battery is good");
    uint8_t seconds = rtc_read(0), minutes = rtc_read(2), month = rtc_read(8);
    check((seconds & 0xf) < 10 && seconds < 0x60 && minutes < 0x60 && month >= 1 && month <= 0x12,
          "the clock shows a time of day");
    forget_taken();
    trap_handlers[IOAPIC_RTC] = take_rtc;
    ioapic_route(IRQ_RTC, IOAPIC_RTC);
    uint8_t rate = rtc_read(RTC_A), control = rtc_read(RTC_B);
    rtc_write(RTC_A, 0x26); // 1024 Hz
    rtc_read(RTC_C);
    rtc_write(RTC_B, control | RTC_PIE);
    check(wait_taken(IOAPIC_RTC, 3), "periodic interrupts of the clock");
    rtc_write(RTC_B, control);
    rtc_write(RTC_A, rate);
    ioapic_route(IRQ_RTC, IOAPIC_MASKED);
}

static volatile unsigned uart_cause;

// The first time it leaves the cause: the line stays high, and a level-triggered input repeats it.
static void take_uart(struct trap_frame *frame)
{
    (void)frame;
    if (++taken[IOAPIC_UART] > 1)
        uart_cause = in8(UART_IIR) & 0xf;
    if (taken[IOAPIC_UART] > 4)
        out8(UART_IER, 0);
    apic_write(APIC_EOI, 0);
}

static void check_level(void)
{
    forget_taken();
    trap_handlers[IOAPIC_UART] = take_uart;
    ioapic_route(IRQ_COM1, IOAPIC_LEVEL | IOAPIC_UART);
    out8(UART_MCR, MCR_OUT2); // lets its interrupts out
    out8(UART_IER, IER_THRE);
    bool twice = wait_taken(IOAPIC_UART, 2), more = wait_taken(IOAPIC_UART, 3);
    out8(UART_IER, 0);
    ioapic_route(IRQ_COM1, IOAPIC_MASKED);
    check(twice && !more && uart_cause == IIR_THRE,
          "a level-triggered interrupt repeats until its cause is served (%u times, cause %#x)",
          taken[IOAPIC_UART], uart_cause);
}

void check_board(void)
{
    apic_write(APIC_SVR, 0x1ff);
    check_pic();
    check_ioapic();
    check_rtc();
    check_level();
}
