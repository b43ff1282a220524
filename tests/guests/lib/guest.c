// The C side of a small guest: its serial port, its interrupt table, its traps, its end.

#include "tests/guests/lib/guest.h"

#include "lib/panic.h"

#define LINE_STATUS      5
#define TRANSMITTER_FREE 0x20
#define SLEEP_ENABLE     0x2000
#define DEBUG_EXIT       0xf4
#define GATE_PRESENT     0x8e

struct gate {
    uint16_t offset_low, selector;
    uint8_t stack, kind;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};

struct __attribute__((packed)) table_pointer {
    uint16_t limit;
    uint64_t base;
};

void guest_begin(void);
bool guest_trap(struct trap_frame *frame);
extern const uint8_t trap_entries[256][16];

trap_handler *trap_handlers[256];
struct fault_seen last_fault;
uint64_t fault_resume; // stack pointer of the try_call() in progress, or 0
static struct gate idt[256];

static void put(char c)
{
    while (!(in8(PORT_COM1 + LINE_STATUS) & TRANSMITTER_FREE))
        ;
    out8(PORT_COM1, (uint8_t)c);
}

static void write_serial(struct printer *printer, const char *text, size_t length)
{
    (void)printer;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n')
            put('\r');
        put(text[i]);
    }
}

static struct printer serial = {.write = write_serial};

void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_to_va(&serial, format, arguments);
    va_end(arguments);
}

void check(bool good, const char *what, ...)
{
    va_list arguments;
    va_start(arguments, what);
    say(good ? "PASS " : "FAIL ");
    print_to_va(&serial, what, arguments);
    say("\n");
    va_end(arguments);
}

void guest_power_off(void)
{
    out16(PORT_PM1_CONTROL, SLEEP_ENABLE | PM_SLEEP_TYPE_S5 << 10);
    for (;;)
        __asm__ volatile("cli; hlt");
}

void guest_debug_exit(uint32_t code)
{
    out32(DEBUG_EXIT, code);
    for (;;)
        __asm__ volatile("cli; hlt");
}

// lib/ calls it when it is used wrongly.
void panic(const char *format, ...)
{
    (void)format;
    check(false, "panic");
    guest_power_off();
}

void guest_begin(void)
{
    out8(PORT_COM1 + 1, 0);    // no interrupts
    out8(PORT_COM1 + 3, 0x83); // 8 bits; divisor
    out8(PORT_COM1, 1);
    out8(PORT_COM1 + 1, 0);
    out8(PORT_COM1 + 3, 0x03);
    for (unsigned vector = 0; vector < 256; vector++) {
        uint64_t entry = (uint64_t)trap_entries[vector];
        idt[vector] = (struct gate){
            .offset_low = (uint16_t)entry,
            .selector = 0x08,
            .kind = GATE_PRESENT,
            .offset_middle = (uint16_t)(entry >> 16),
            .offset_high = (uint32_t)(entry >> 32),
        };
    }
    struct table_pointer pointer = {sizeof(idt) - 1, (uint64_t)idt};
    __asm__ volatile("lidt %0" : : "m"(pointer), "m"(idt));
}

// Whether try_call() is to return this trap's vector.
bool guest_trap(struct trap_frame *frame)
{
    if (trap_handlers[frame->vector]) {
        trap_handlers[frame->vector](frame);
        return false;
    }
    last_fault.error = frame->error;
    last_fault.rip = frame->rip;
    __asm__ volatile("mov %%cr2, %0" : "=r"(last_fault.cr2));
    if (fault_resume && frame->vector < 32)
        return true;
    check(false, "unexpected vector %u, error %#x, at %#llx, CR2 %#llx", (unsigned)frame->vector,
          (unsigned)frame->error, (unsigned long long)frame->rip,
          (unsigned long long)last_fault.cr2);
    guest_power_off();
}
