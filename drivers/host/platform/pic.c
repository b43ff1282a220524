// The 8259s: see pic.h.

#include "drivers/host/platform/pic.h"
#include "arch/x86_64/io.h"

enum { PIC_MASTER = 0x20, PIC_SLAVE = 0xa0 }; // the data register is the next port

#define ICW1_INIT  0x11 // edge triggered, cascade, ICW4 follows
#define ICW4_8086  0x01
#define SLAVE_LINE 2
#define ALL_MASKED 0xff
#define DELAY_PORT 0x80 // a write there gives old controllers time

static void pic_write(uint16_t port, uint8_t value)
{
    out8(port, value);
    out8(DELAY_PORT, 0);
}

void pic_disable(uint8_t vector_base)
{
    pic_write(PIC_MASTER + 1, ALL_MASKED);
    pic_write(PIC_SLAVE + 1, ALL_MASKED);
    pic_write(PIC_MASTER, ICW1_INIT);
    pic_write(PIC_SLAVE, ICW1_INIT);
    pic_write(PIC_MASTER + 1, vector_base);
    pic_write(PIC_SLAVE + 1, (uint8_t)(vector_base + 8));
    pic_write(PIC_MASTER + 1, 1 << SLAVE_LINE);
    pic_write(PIC_SLAVE + 1, SLAVE_LINE);
    pic_write(PIC_MASTER + 1, ICW4_8086);
    pic_write(PIC_SLAVE + 1, ICW4_8086);
    // Initialisation opened all lines.
    pic_write(PIC_MASTER + 1, ALL_MASKED);
    pic_write(PIC_SLAVE + 1, ALL_MASKED);
}
