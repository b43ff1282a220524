// Reading the keyboard's controller: see i8042.h.

#include "drivers/host/console/i8042.h"
#include "arch/x86_64/io.h"

#define I8042_DATA   0x60
#define I8042_STATUS 0x64

#define STATUS_OUTPUT BIT32(0) // a byte waits
#define STATUS_MOUSE  BIT32(5) // and the mouse sent it
#define STATUS_ABSENT 0xffU

#define MOUSE_BYTES 16 // at a time

int i8042_read(void)
{
    for (int i = 0; i < MOUSE_BYTES; i++) {
        uint32_t status = in8(I8042_STATUS);
        if (status == STATUS_ABSENT || !(status & STATUS_OUTPUT))
            return -1;
        uint8_t byte = in8(I8042_DATA);
        if (!(status & STATUS_MOUSE))
            return byte;
    }
    return -1;
}
