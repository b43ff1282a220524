// The instruction emulator against the CPU itself: each instruction runs once on RAM, executed, and
// once on the test device's memory, emulated; registers, flags and memory must be the same.
//
// vm: testdev = on
#include "tests/guests/lib/guest.h"

#define DEVICE   ((uint8_t *)MMIO_TEST)
#define AREA     192 // bytes of each operand
#define OPERAND  64  // where in its area
#define SEEDS    2
#define NEWER    2 // instructions that not every CPU has: MOVBE
#define ECX_AVX  BIT32(28)
#define XCR0_ALL 7 // x87, SSE, AVX

struct test_case {
    const char *text;
    void (*code)(void);
    uint64_t flags;
};
extern const struct test_case emulator_cases[], emulator_cases_end[];
extern const struct test_case emulator_avx_cases[], emulator_avx_cases_end[];

enum { RAX, RBX, RCX, RDX, RSI, RDI, R8, R9, RFLAGS, REGISTERS };
void emulator_run(uint64_t registers[REGISTERS], void (*code)(void));

struct outcome {
    unsigned vector; // or NO_FAULT
    uint64_t registers[REGISTERS];
    _Alignas(8) uint8_t first[AREA], second[AREA];
};

static _Alignas(64) uint8_t ram[AREA], other[AREA];
static uint64_t registers[REGISTERS];
static void (*current)(void);

static void run_current(void)
{
    emulator_run(registers, current);
}

// In as few accesses as there can be: each one to the device is an exit.
static void copy(void *to, const void *from)
{
    volatile uint64_t *words = to;
    for (unsigned i = 0; i < AREA / 8; i++)
        words[i] = ((const volatile uint64_t *)from)[i];
}

static unsigned unknown; // runs of instructions that this CPU does not have

// Addresses become offsets: the two runs differ in them.
static uint64_t relative(uint64_t value, const uint8_t *first)
{
    if (value - (uint64_t)first < AREA)
        return value - (uint64_t)first;
    if (value - (uint64_t)other < AREA)
        return value - (uint64_t)other + AREA;
    return value;
}

static void run_case(const struct test_case *test, unsigned seed, uint8_t *first,
                     struct outcome *outcome)
{
    static _Alignas(8) uint8_t pattern[AREA];
    for (unsigned i = 0; i < AREA; i++) {
        pattern[i] = (uint8_t)((i * 0x9d + seed * 0x3b) ^ (i >> 3));
        other[i] = (uint8_t)(i % 24 < 17 ? pattern[i] : i + seed); // alike for a while
    }
    copy(first, pattern);
    static const uint64_t start[] = {UINT64_C(0x8899aabbccddee35), UINT64_C(0x0123456789abcdef), 2,
                                     UINT64_C(0x7ffffffffffffffe)};
    for (unsigned i = RAX; i <= RDX; i++)
        registers[i] = seed && i != RCX ? ~start[i] : start[i];
    registers[RSI] = (uint64_t)other + OPERAND;
    registers[RDI] = (uint64_t)first + OPERAND;
    registers[R8] = UINT64_C(0xf0f0f0f0f0f0f0f0);
    registers[R9] = (uint64_t)other + OPERAND;
    registers[RFLAGS] = 2 | (seed & 1);
    current = test->code;
    outcome->vector = try_call(run_current);
    for (unsigned i = 0; i < REGISTERS; i++)
        outcome->registers[i] = relative(registers[i], first);
    outcome->registers[RFLAGS] &= test->flags;
    memcpy(outcome->second, other, AREA);
    copy(outcome->first, first);
}

static unsigned run_cases(const struct test_case *begin, const struct test_case *end)
{
    static struct outcome executed, emulated;
    unsigned good = 0;
    for (const struct test_case *test = begin; test < end; test++)
        for (unsigned seed = 0; seed < SEEDS; seed++) {
            run_case(test, seed, ram, &executed);
            run_case(test, seed, DEVICE, &emulated);
            unknown += executed.vector == VECTOR_UD;
            if ((executed.vector == NO_FAULT || executed.vector == VECTOR_UD) &&
                memcmp(&executed, &emulated, sizeof(executed)) == 0) {
                good++;
                continue;
            }
            check(false, "%s (%u): vector %u and %u", test->text, seed, executed.vector,
                  emulated.vector);
            for (unsigned i = 0; i < REGISTERS; i++)
                if (executed.registers[i] != emulated.registers[i])
                    say("register %u: executed %#llx, emulated %#llx\n", i,
                        (unsigned long long)executed.registers[i],
                        (unsigned long long)emulated.registers[i]);
        }
    return good;
}

void guest_main(uint32_t magic, uint64_t information)
{
    (void)magic;
    (void)information;
    write_cr0((read_cr0() | CR0_MP) & ~CR0_EM);
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
    unsigned good = run_cases(emulator_cases, emulator_cases_end);
    check(good == SEEDS * (unsigned)(emulator_cases_end - emulator_cases),
          "%u instructions do the same on a device and in RAM", good);
    check(unknown <= SEEDS * NEWER, "%u of them this CPU does not have", unknown);
    if (!(read_cpuid(1, 0).ecx & ECX_AVX))
        return;
    write_cr4(read_cr4() | CR4_OSXSAVE);
    write_xcr(0, XCR0_ALL);
    good = run_cases(emulator_avx_cases, emulator_avx_cases_end);
    check(good == SEEDS * (unsigned)(emulator_avx_cases_end - emulator_avx_cases),
          "%u AVX instructions, too", good);
}
