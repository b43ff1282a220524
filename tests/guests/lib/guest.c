// The C side of a small guest: its serial port, its interrupt table, its traps, its end.

#include "tests/guests/lib/guest.h"

#include "lib/panic.h"

#define LINE_STATUS      5
#define TRANSMITTER_FREE 0x20
#define SLEEP_ENABLE     0x2000
#define DEBUG_EXIT       0xf4
#define GATE_PRESENT     0x8e
#define GATE_USER        0xee
#define GATE_TYPE        0x0e
#define STACK_SIZE       4096
#define USER_END         0x30 // the interrupt by which code at CPL 3 says that it is through

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

// The 64-bit TSS.
struct __attribute__((packed)) tss {
    uint32_t reserved;
    uint64_t rsp[3], none, ist[7];
    uint8_t rest[10];
    uint16_t io_map;
};

void guest_begin(void);
bool guest_trap(struct trap_frame *frame);
extern const uint8_t trap_entries[256][16];

trap_handler *trap_handlers[256];
struct fault_seen last_fault;
unsigned checks_passed, checks_failed;
static struct tss tss;
static uint8_t trap_stack[STACK_SIZE], double_fault_stack[STACK_SIZE];
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
    ++*(good ? &checks_passed : &checks_failed);
    print_to_va(&serial, what, arguments);
    say("\n");
    va_end(arguments);
}

// The second port ends the emulator, where no hypervisor is.
void guest_power_off(void)
{
    out16(PORT_PM1_CONTROL, SLEEP_ENABLE | PM_SLEEP_TYPE_S5 << 10);
    for (const char *letter = "Shutdown"; *letter; letter++)
        out8(PORT_SHUTDOWN, (uint8_t)*letter);
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

void set_gate(unsigned vector, unsigned stack, bool present)
{
    idt[vector].stack = (uint8_t)stack;
    idt[vector].kind = present ? GATE_PRESENT : GATE_TYPE;
}

void set_stack(unsigned number, uint64_t top)
{
    tss.ist[number - 1] = top;
}

// SELECTOR_TSS: its descriptor is not busy, whatever it was.
static void load_tss(void)
{
    uint64_t base = (uint64_t)&tss, *descriptor = &guest_gdt[SELECTOR_TSS / 8];
    tss.rsp[0] = (uint64_t)trap_stack + sizeof(trap_stack);
    tss.ist[0] = (uint64_t)double_fault_stack + sizeof(double_fault_stack);
    tss.io_map = sizeof(tss);
    descriptor[0] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | UINT64_C(0x89) << 40 |
                    (base >> 24 & 0xff) << 56;
    descriptor[1] = base >> 32;
    __asm__ volatile("ltr %w0" : : "r"(SELECTOR_TSS) : "memory");
}

static void load_idt(void)
{
    for (unsigned vector = 0; vector < 256; vector++) {
        uint64_t entry = (uint64_t)trap_entries[vector];
        idt[vector] = (struct gate){
            .offset_low = (uint16_t)entry,
            .selector = SELECTOR_CODE,
            .kind = vector == USER_END ? GATE_USER : GATE_PRESENT,
            .offset_middle = (uint16_t)(entry >> 16),
            .offset_high = (uint32_t)(entry >> 32),
        };
    }
    set_gate(VECTOR_DF, 1, true);
    struct table_pointer pointer = {sizeof(idt) - 1, (uint64_t)idt};
    __asm__ volatile("lidt %0" : : "m"(pointer), "m"(idt));
}

void guest_begin(void)
{
    out8(PORT_COM1 + 1, 0);    // no interrupts
    out8(PORT_COM1 + 3, 0x83); // 8 bits; divisor
    out8(PORT_COM1, 1);
    out8(PORT_COM1 + 1, 0);
    out8(PORT_COM1 + 3, 0x03);
    load_idt();
    load_tss();
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
    last_fault.cr2 = read_cr2();
    if (fault_resume && (frame->vector < 32 || frame->vector == USER_END))
        return true;
    check(false, "unexpected vector %u, error %#x, at %#llx, CR2 %#llx", (unsigned)frame->vector,
          (unsigned)frame->error, (unsigned long long)frame->rip,
          (unsigned long long)last_fault.cr2);
    guest_power_off();
}

// ---- attempts ----

static void (*user_code)(void);
static uint64_t user_rflags;
static uint8_t user_stack[STACK_SIZE];

static void run_user_code(void)
{
    user_code();
    __asm__ volatile("int %0" : : "i"(USER_END));
}

static void enter_user(void)
{
    uint64_t top = (uint64_t)user_stack + sizeof(user_stack) - 8; // as after a call
    __asm__ volatile("push %0; push %1; push %2; push %3; push %4; iretq"
                     :
                     : "i"(SELECTOR_USER_DATA), "r"(top), "r"(user_rflags), "i"(SELECTOR_USER_CODE),
                       "r"(run_user_code)
                     : "memory");
}

unsigned try_user_call(void (*code)(void), uint64_t rflags)
{
    user_code = code;
    user_rflags = rflags | BIT(1);
    unsigned vector = try_call(enter_user);
    return vector == USER_END ? NO_FAULT : vector;
}

static bool pushes_error(unsigned vector)
{
    return vector == VECTOR_DF || (vector >= VECTOR_TS && vector <= VECTOR_PF) ||
           vector == VECTOR_AC;
}

static void check_attempt(const struct attempt *attempt, unsigned found)
{
    if (found != attempt->vector)
        check(false, "%s: vector %u instead of %u", attempt->what, found, attempt->vector);
    else if (pushes_error(found) && last_fault.error != attempt->error)
        check(false, "%s: error code %#x instead of %#x", attempt->what, (unsigned)last_fault.error,
              attempt->error);
    else
        check(true, "%s", attempt->what);
}

void check_attempts(const struct attempt *attempts, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        check_attempt(&attempts[i], try_call(attempts[i].code));
}

void check_user_attempts(const struct attempt *attempts, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        check_attempt(&attempts[i], try_user_call(attempts[i].code, 0));
}

// ---- small pages ----

extern uint64_t guest_pml4[];
static _Alignas(4096) uint64_t pages[3][512]; // from the pointer table down

void map_page(unsigned index, uint64_t entry)
{
    for (unsigned i = 0; i < 2; i++)
        pages[i][0] = (uint64_t)pages[i + 1] | PAGE_ALL | PAGE_U;
    pages[2][index] = entry;
    guest_pml4[PAGES >> 39] = (uint64_t)pages[0] | PAGE_ALL | PAGE_U;
    flush_page(PAGES + index * UINT64_C(4096));
}

uint64_t page_entry(unsigned index)
{
    return *(volatile uint64_t *)&pages[2][index];
}
