// The log of written pages: every way by which a page of this guest's RAM can be written shows in
// it, and a page that is read does not.
//
// vm: testdev = on
// vm: cpus = 2
// vm: exit_stats = cpuid
#include "tests/guests/lib/smp.h"
#include "vm/address.h"

#define MSR_KVM_SYSTEM_TIME 0x4b564d01

static _Alignas(PAGE_SIZE) volatile uint8_t page[9][PAGE_SIZE];

static uint32_t address_of(unsigned index)
{
    return (uint32_t)(uintptr_t)page[index];
}

static bool written(unsigned index)
{
    out32(PORT_DIRTY_LOG, address_of(index));
    return in32(PORT_DIRTY_LOG);
}

// Once: a second look finds it clean.
static void check_written(unsigned index, const char *how)
{
    bool first = written(index), second = written(index);
    check(first && !second, "%s: %s", how, first ? second ? "stays" : "noted" : "missed");
}

static void copy_from_device(unsigned index)
{
    const void *from = (const void *)MMIO_TEST;
    volatile void *to = page[index];
    uint64_t count = 16;
    __asm__ volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
}

static void input_string(unsigned index)
{
    volatile void *to = page[index];
    uint64_t count = 16;
    __asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(PORT_TEST_DATA) : "memory");
}

// More pages than the CPU lists at once (512), over several large ones.
#define MANY       1000
#define MANY_BEGIN UINT32_C(0x2000000)

static void write_many(void)
{
    for (uint32_t i = 0; i < MANY; i++)
        *(volatile uint8_t *)(uintptr_t)(MANY_BEGIN + i * PAGE_SIZE) = 1;
}

static void check_many(void)
{
    unsigned missed = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        out32(PORT_DIRTY_LOG, MANY_BEGIN + i * (uint32_t)PAGE_SIZE);
        missed += !in32(PORT_DIRTY_LOG);
    }
    check(!missed, "of %u pages, %u were missed", MANY, missed);
    out32(PORT_DIRTY_LOG, MANY_BEGIN + MANY * (uint32_t)PAGE_SIZE);
    check(!in32(PORT_DIRTY_LOG), "the page behind them");
}

static uint32_t violations(void)
{
    return read_cpuid(0x4ffffffd, 48).eax;
}

// After the end all is as it was, whether somebody writes or not.
static void check_restored(void)
{
    uint32_t start = pm_ticks(), before, after;
    while (pm_since(start) < 200 * PM_TICKS_MS)
        __asm__ volatile("pause");
    before = violations();
    write_many();
    after = violations();
    check(after == before, "%u EPT violations after the end of a log", after - before);
}

static void set_clock(uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(MSR_KVM_SYSTEM_TIME), "a"(value), "d"(value >> 32) : "memory");
}

void guest_main(uint32_t magic, uint64_t information)
{
    (void)magic, (void)information;
    uint8_t sum = 0;
    out32(PORT_DIRTY_LOG, 1);
    for (unsigned i = 0; i < ARRAY_LENGTH(page); i++)
        sum |= page[i][7];
    for (unsigned i = 0; i < ARRAY_LENGTH(page); i++)
        check(!written(i), "page %u was read alone", i);
    page[0][5] = 1;
    check_written(0, "a store");
    page[0][6] = sum;
    check_written(0, "a store after the look");
    __atomic_fetch_add((volatile uint32_t *)page[1], 1, __ATOMIC_SEQ_CST);
    check_written(1, "a locked instruction");
    copy_from_device(2);
    check_written(2, "an emulated instruction");
    input_string(3);
    check_written(3, "an input string");
    set_clock(address_of(4) | 1);
    check_written(4, "the paravirtual clock");
    set_clock(0);
    out32(PORT_PAGE_FLUSH, address_of(5));
    sum |= page[5][0];
    check(!written(5), "a page that came back for a read");
    page[5][0] = sum;
    check_written(5, "a store to it");
    out32(PORT_PAGE_FLUSH, address_of(6));
    page[6][0] = 1;
    check_written(6, "a store that brought the page back");
    check(!written(7), "a page that nobody touched");
    for (unsigned round = 0; round < 2; round++) {
        write_many();
        check_many();
    }
    check(smp_start(1) && smp_run(1, write_many), "another CPU writes");
    check_many();
    out32(PORT_DIRTY_LOG, 0);
    check_restored();
    page[8][0] = 1;
    check(!written(8), "no log any more");
    out32(PORT_DIRTY_LOG, 1);
    check(!written(8), "a new log begins clean");
    write_many();
    check_many();
}
