// Port I/O: every size, devices and nothing, string instructions in both directions, over page
// boundaries and into faults. SDM: "Input/Output".
#include "selftest/groups.h"
#include "tests/guests/lib/interrupts.h"

#define PORT_NOTHING 0x2f40
#define PORT_PIC     (PORT_PIC_MASTER + 1)

static _Alignas(4096) uint8_t frames[2][4096];
static uint8_t *const edge = (uint8_t *)PAGES + 4096;

static void check_sizes(void)
{
    check(in8(PORT_NOTHING) == 0xff && in16(PORT_NOTHING) == 0xffff &&
              in32(PORT_NOTHING) == 0xffffffff,
          "ports where nothing is read as all ones");
    uint64_t rax = UINT64_C(0x1122334455667788);
    __asm__ volatile("inb %%dx, %%al" : "+a"(rax) : "d"(PORT_NOTHING));
    check(rax == UINT64_C(0x11223344556677ff), "IN AL leaves the rest of RAX");
    __asm__ volatile("inl %%dx, %%eax" : "+a"(rax) : "d"(PORT_NOTHING));
    check(rax == UINT64_C(0xffffffff), "IN EAX clears bits 63:32");
    pic_init();
    pic_mask(0x5aff);
    check(in16(PORT_PIC_MASTER) >> 8 == 0xff && in8(PORT_PIC_SLAVE + 1) == 0x5a,
          "a word reads two byte-wide registers");
    uint32_t ticks = pm_ticks();
    check(ticks < BIT32(24) && pm_since(ticks) < PM_TICKS_MS, "the PM timer has 24 bits");
    check((in32(0xfffe) & 0xffff) == 0xffff, "an access over port FFFFH");
    out32(PORT_PCI_ADDRESS, 0x80000000);
    check(in32(PORT_PCI_DATA) != 0xffffffff &&
              in16(PORT_PCI_DATA) == (in32(PORT_PCI_DATA) & 0xffff),
          "the PCI host bridge is there");
    out32(PORT_PCI_ADDRESS, 0x80001000);
    check(in32(PORT_PCI_DATA) == 0xffffffff, "nothing in the next slot");
    pic_mask(0xffff);
}

static void check_pit(void)
{
    uint8_t port = in8(PORT_SYSTEM_B);
    pit_count_begin();
    unsigned counts[2];
    for (unsigned i = 0; i < 2; i++) {
        pm_wait(400);
        counts[i] = pit_count();
    }
    check(counts[1] < counts[0] && counts[0] < 0xffff, "the PIT counts down (%u, %u)", counts[0],
          counts[1]);
    check(!(in8(PORT_SYSTEM_B) & 0x20), "the output of channel 2 is low until it is through");
    out8(PORT_SYSTEM_B, port);
}

static void map_frames(bool second)
{
    map_page(0, (uint64_t)frames[0] | PAGE_ALL);
    map_page(1, second ? (uint64_t)frames[1] | PAGE_ALL : 0);
    memset(frames, 0x11, sizeof(frames));
}

static void check_strings(void)
{
    uint64_t count = 5;
    uint8_t *to = edge - 3;
    pic_mask(0xffa5);
    map_frames(true);
    __asm__ volatile("rep insb" : "+c"(count), "+D"(to) : "d"(PORT_PIC) : "memory");
    check(count == 0 && to == edge + 2 && edge[-3] == 0xa5 && edge[1] == 0xa5 && edge[-4] == 0x11 &&
              edge[2] == 0x11,
          "REP INSB over a page boundary");
    map_frames(true);
    count = 4, to = edge + 1;
    __asm__ volatile("std; rep insb; cld" : "+c"(count), "+D"(to) : "d"(PORT_PIC) : "memory");
    check(count == 0 && to == edge - 3 && edge[1] == 0xa5 && edge[-2] == 0xa5 && edge[-3] == 0x11,
          "REP INSB downwards");
    count = 3, to = edge - 5;
    __asm__ volatile("rep insl" : "+c"(count), "+D"(to) : "d"(PORT_NOTHING) : "memory");
    check(count == 0 && to == edge + 7 && edge[-5] == 0xff && edge[6] == 0xff && edge[7] == 0x11,
          "REP INSD, an element over the boundary");
    count = 0, to = edge;
    __asm__ volatile("rep insb" : "+c"(count), "+D"(to) : "d"(PORT_PIC) : "memory");
    check(count == 0 && to == edge, "REP INSB of nothing");
    const uint8_t *from = edge - 2;
    edge[-2] = 1, edge[-1] = 2, edge[0] = 3, edge[1] = 0x3c, count = 4;
    __asm__ volatile("rep outsb" : "+c"(count), "+S"(from) : "d"(PORT_PIC) : "memory");
    check(count == 0 && from == edge + 2 && in8(PORT_PIC) == 0x3c,
          "REP OUTSB over a page boundary");
    pic_mask(0xffff);
}

static uint64_t left, reached;

static void do_ins(void)
{
    left = 6, reached = (uint64_t)edge - 4;
    __asm__ volatile("1: rep insb" : "+c"(left), "+D"(reached) : "d"(PORT_PIC) : "memory");
}

static void note_registers(struct trap_frame *frame)
{
    left = frame->rcx;
    reached = frame->rdi;
    last_fault.cr2 = read_cr2();
    last_fault.error = frame->error;
    map_page(1, (uint64_t)frames[1] | PAGE_ALL);
}

// What was done before the fault stays done, and the instruction can go on.
static void check_string_fault(void)
{
    pic_mask(0xff77);
    map_frames(false);
    trap_handlers[VECTOR_PF] = note_registers;
    uint64_t count = 6;
    uint8_t *to = edge - 4;
    __asm__ volatile("rep insb" : "+c"(count), "+D"(to) : "d"(PORT_PIC) : "memory");
    check(left == 2 && reached == (uint64_t)edge && last_fault.cr2 == (uint64_t)edge &&
              last_fault.error == 2,
          "REP INSB into a page that is not there: #PF with 2 to go");
    check(count == 0 && edge[-4] == 0x77 && edge[1] == 0x77, "and it goes on afterwards");
    trap_handlers[VECTOR_PF] = NULL;
    map_page(0, (uint64_t)frames[0] | PAGE_P);
    write_cr0(read_cr0() | CR0_WP);
    check(try_call(do_ins) == VECTOR_PF && last_fault.error == 3 &&
              last_fault.cr2 == (uint64_t)edge - 4,
          "INS to a read-only page: #PF");
    write_cr0(read_cr0() & ~CR0_WP);
    pic_mask(0xffff);
}

void check_ports(void)
{
    check_sizes();
    check_pit();
    check_strings();
    check_string_fault();
}
