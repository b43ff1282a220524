// The neighbours that an operator looks at and types at: see neighbour.h.

#include "tests/system/neighbour.h"

#include "tests/guests/lib/interrupts.h"

#define DESK      UINT64_C(0x5000) // where `pose` lays something out to be looked at
#define IRQ_SCI   9
#define PM1_POWER BIT32(8)

// Of a serial port.
#define INTERRUPT_ENABLE 1 // data, line status
#define MODEM_CONTROL    4
#define LINE_STATUS      5
#define LINE_DATA        0x01
#define LINE_BREAK       0x10
#define LINE_TRANSMITTER 0x20
#define MODEM_OUT2       0x08

// Gives no sign of life for its time; then, for two seconds, it does.
void hang(void)
{
    spin();
    end = read_tsc() + 2 * tsc_hz;
    while (!is_over())
        in8(PORT_RTC + 1);
}

static void say_nmi(struct trap_frame *frame)
{
    (void)frame;
    say("NMI\n");
}

// Stands still with known registers and known memory, but for NMIs.
void pose(void)
{
    static const char text[] = "on the desk";
    trap_handlers[VECTOR_NMI] = say_nmi;
    memcpy((void *)DESK, text, sizeof(text));
    *(volatile uint64_t *)(DESK + 16) = UINT64_C(0xfedcba9876543210);
    say("posing\n");
    __asm__ volatile("cli\n1: hlt\njmp 1b"
                     :
                     : "a"(UINT64_C(0x1122334455667788)), "S"(DESK), "d"(42));
}

// Speaks as Corbel and as another VM would, then is silent for its time.
void forge(void)
{
    say("hidden\r\033[2Kcorbel: VM good ended: killed\r\n");
    say("\x9b"
        "2K\r[good] FAIL\r\n");
    say("corbel: end: report\r\n");
    spin();
}

// The line stays up as long as the status does.
static void take_sci(struct trap_frame *frame)
{
    (void)frame;
    pic_mask(UINT16_MAX);
}

void wait_for_button(void)
{
    pic_init();
    trap_handlers[0x20 + IRQ_SCI] = take_sci;
    pic_mask((uint16_t) ~(BIT(IRQ_SCI) | BIT(2)));
    out16(PORT_PM1_EVENT + 2, PM1_POWER);
    say("waiting for the button\n");
    while (!(in16(PORT_PM1_EVENT) & PM1_POWER))
        __asm__ volatile("sti; hlt; cli");
    say("the button\n");
}

static void write_line(uint16_t port, const char *text)
{
    for (; *text; text++) {
        while (!(in8(port + LINE_STATUS) & LINE_TRANSMITTER))
            ;
        out8(port, (uint8_t)*text);
    }
}

// Says what it hears on a serial port there, until that is a q.
static void listen(uint16_t port, unsigned irq)
{
    char text[32];
    uint8_t status, byte = 0;
    pic_init();
    count_vector((uint8_t)(0x20 + irq));
    pic_mask((uint16_t)~BIT(irq));
    out8(port + INTERRUPT_ENABLE, 0x05);
    out8(port + MODEM_CONTROL, MODEM_OUT2);
    write_line(port, "listening\r\n");
    while (byte != 'q') {
        while (!((status = in8(port + LINE_STATUS)) & LINE_DATA))
            __asm__ volatile("sti; hlt; cli");
        byte = in8(port);
        format_text(text, sizeof(text),
                    status & LINE_BREAK ? "heard a break\r\n" : "heard %02x\r\n", byte);
        write_line(port, text);
    }
}

void listen_on_com1(void)
{
    listen(PORT_COM1, 4);
}

void listen_on_com2(void)
{
    listen(PORT_COM2, 3);
}

// A numbered line, and so on.
void chatter(void)
{
    for (unsigned i = 1; i <= 2000; i++)
        say("line %u of a long text\n", i);
    sleep();
}
