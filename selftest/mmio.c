// Memory-mapped registers: every size, many instructions, page boundaries, holes. All of them go
// through the hypervisor's instruction emulator.
#include "selftest/groups.h"
#include "tests/guests/lib/interrupts.h"

#define HOLE     UINT64_C(0xd0000000) // no RAM, no device
#define TPR      UINT64_C(0xfee00080)
#define VERSION  UINT64_C(0xfee00030)
#define IOAPIC   UINT64_C(0xfec00000)
#define SELECT   IOAPIC
#define ALL_ONES (~UINT64_C(0))
#define PATTERN  UINT64_C(0x1122334455667788)

static _Alignas(4096) uint8_t frame[4096];

#define LOAD(name, text)                                                                           \
    static uint64_t load_##name(uint64_t at, uint64_t rax)                                         \
    {                                                                                              \
        __asm__ volatile(text : "+a"(rax) : "c"(at) : "memory", "cc");                             \
        return rax;                                                                                \
    }
LOAD(byte, "movb (%%rcx), %%al")
LOAD(word, "movw (%%rcx), %%ax")
LOAD(dword, "movl (%%rcx), %%eax")
LOAD(qword, "movq (%%rcx), %%rax")
LOAD(zero_byte, "movzbl (%%rcx), %%eax")
LOAD(sign_byte, "movsbq (%%rcx), %%rax")
LOAD(sign_dword, "movslq (%%rcx), %%rax")
LOAD(add, "addl (%%rcx), %%eax")
LOAD(and_, "andl (%%rcx), %%eax")
LOAD(exchange, "xchgl %%eax, (%%rcx)")
LOAD(compare, "cmpl (%%rcx), %%eax; sete %%al; movzbl %%al, %%eax")
LOAD(test, "testl %%eax, (%%rcx); setnz %%al; movzbl %%al, %%eax")
LOAD(push, "pushq (%%rcx); popq %%rax")
LOAD(or_, "orl %%eax, (%%rcx)")
LOAD(increment, "incl (%%rcx)")
LOAD(compare_exchange, "mov $0x20, %%edx; cmpxchgl %%edx, (%%rcx)")
LOAD(store, "movl %%eax, (%%rcx)")
LOAD(constant, "movl $0x50, (%%rcx)")
LOAD(bit_test, "btl $4, (%%rcx); setc %%al; movzbl %%al, %%eax")

static void check_hole(void)
{
    static const struct {
        const char *what;
        uint64_t (*load)(uint64_t at, uint64_t rax);
        uint64_t rax, expected;
    } rows[] = {
        {"a byte", load_byte, PATTERN, UINT64_C(0x11223344556677ff)},
        {"a word", load_word, PATTERN, UINT64_C(0x112233445566ffff)},
        {"a doubleword", load_dword, PATTERN, 0xffffffff},
        {"a quadword", load_qword, PATTERN, ALL_ONES},
        {"MOVZX", load_zero_byte, PATTERN, 0xff},
        {"MOVSX", load_sign_byte, PATTERN, ALL_ONES},
        {"MOVSXD", load_sign_dword, PATTERN, ALL_ONES},
        {"ADD", load_add, 3, 2},
        {"AND", load_and_, 0x1234, 0x1234},
        {"CMP", load_compare, 0xffffffff, 1},
        {"PUSH", load_push, 0, ALL_ONES},
        {"XCHG", load_exchange, 7, 0xffffffff},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        uint64_t got = rows[i].load(HOLE, rows[i].rax);
        check(got == rows[i].expected, "where nothing is, %s reads ones (%#llx)", rows[i].what,
              (unsigned long long)got);
    }
    load_store(HOLE, 0);
    check(load_dword(HOLE, 0) == 0xffffffff, "and writes vanish");
    check(load_qword(HOLE + 0xffc, 0) == ALL_ONES, "an access over a page boundary");
    memset(frame, 0x33, sizeof(frame));
    map_page(0, (uint64_t)frame | PAGE_ALL);
    map_page(1, HOLE | PAGE_ALL);
    check(load_qword(PAGES + 4092, 0) == UINT64_C(0xffffffff33333333), "from RAM into the hole");
    map_page(2, (uint64_t)frame | PAGE_ALL);
    check(load_qword(PAGES + 8190, 0) == UINT64_C(0x333333333333ffff), "from the hole into RAM");
}

// The TPR takes what is written to its low byte.
static void check_modify(void)
{
    load_store(TPR, 0x10);
    check(load_dword(TPR, 0) == 0x10 && read_cr8() == 1, "MOV to and from the TPR");
    load_or_(TPR, 0x40);
    check(load_dword(TPR, 0) == 0x50, "OR");
    load_increment(TPR, 0);
    check(load_dword(TPR, 0) == 0x51, "INC");
    check(load_exchange(TPR, 0x30) == 0x51 && load_dword(TPR, 0) == 0x30, "XCHG");
    check(load_compare_exchange(TPR, 0x30) == 0x30 && load_dword(TPR, 0) == 0x20, "CMPXCHG, equal");
    check(load_compare_exchange(TPR, 0x77) == 0x20 && load_dword(TPR, 0) == 0x20,
          "CMPXCHG, not equal");
    load_constant(TPR, 0);
    check(load_dword(TPR, 0) == 0x50 && load_test(TPR, 0x10) == 1 && load_test(TPR, 0x20) == 0,
          "MOV of a constant, TEST");
    check(load_bit_test(TPR, 0) == 1, "BT");
    load_store(TPR, 0);
    check((load_dword(VERSION, 0) & 0xff) == load_byte(VERSION, 0), "a byte of a register");
    check(load_byte(VERSION + 2, 0) == (load_dword(VERSION, 0) >> 16 & 0xff), "another byte");
}

static void check_strings(void)
{
    uint64_t count = 4, to = (uint64_t)frame, from = HOLE;
    memset(frame, 0, sizeof(frame));
    __asm__ volatile("rep movsl" : "+c"(count), "+D"(to), "+S"(from) : : "memory");
    check(count == 0 && to == (uint64_t)frame + 16 && from == HOLE + 16 && frame[15] == 0xff &&
              frame[16] == 0,
          "REP MOVSD from a hole");
    count = 2, to = IOAPIC, from = (uint64_t)frame;
    frame[0] = 0x14, frame[1] = frame[2] = frame[3] = 0;
    frame[4] = 0x15, frame[5] = frame[6] = frame[7] = 0;
    count = 1;
    __asm__ volatile("rep movsl" : "+c"(count), "+D"(to), "+S"(from) : : "memory");
    check(count == 0 && to == IOAPIC + 4 && load_dword(SELECT, 0) == 0x14, "REP MOVSD to a device");
    count = 3, to = IOAPIC + 1;
    __asm__ volatile("std; rep stosb; cld" : "+c"(count), "+D"(to) : "a"(0x12) : "memory");
    check(count == 0 && to == IOAPIC - 2 && load_byte(SELECT, 0) == 0x12, "REP STOSB downwards");
    to = HOLE, count = 9;
    __asm__ volatile("repe scasl" : "+c"(count), "+D"(to) : "a"(0) : "cc", "memory");
    check(count == 8 && to == HOLE + 4, "REPE SCASD ends at the first difference");
}

static void do_store_read_only(void)
{
    *(volatile uint32_t *)PAGES = 1;
}

// The guest's own paging applies to device memory like to any other.
static void check_paging(void)
{
    map_page(0, TPR / 4096 * 4096 | PAGE_P);
    write_cr0(read_cr0() | CR0_WP);
    check(try_call(do_store_read_only) == VECTOR_PF && last_fault.error == 3 &&
              last_fault.cr2 == PAGES,
          "a read-only mapping of a device: #PF");
    write_cr0(read_cr0() & ~CR0_WP);
    map_page(0, TPR / 4096 * 4096 | PAGE_ALL);
    load_store(PAGES + 0x80, 0x60);
    check(read_cr8() == 6, "a device through another mapping");
    check((page_entry(0) & (PAGE_A | PAGE_D)) == (PAGE_A | PAGE_D), "accessed and dirty are set");
    write_cr8(0);
}

void check_mmio(void)
{
    check_hole();
    check_modify();
    check_strings();
    check_paging();
}
