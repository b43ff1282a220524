// Any bytes as a kernel, in every format: loading ends, stays inside guest RAM (the sanitizers
// watch), and leaves either a line that explains or a boot processor that can run. The first bytes
// choose a format; its magic numbers and checksums are then made right, so that the input reaches
// what lies behind them. Whatever the size of the file, what is done at once is bounded: the
// compiler counts the basic blocks of loaders/ that are run and the linker the bytes that are
// moved; the rest is a list of copies to disjoint places.

#include <stdlib.h>
#include <string.h>

#include "lib/bytes.h"
#include "tests/ram.h"
#include "loaders/loader.h"
#include "loaders/memory_map.h"
#include "loaders/memblock.h"
#include "tests/fuzz/require.h"

#define RAM_SIZE (UINT64_C(4) << 20)

// One piece of work of the host's: some tenths of a millisecond.
#define STEPS_MAX 300000
#define BYTES_MAX 200000

static uint8_t ram[RAM_SIZE];
static struct vm vm;
static struct vm_config config;
static struct vcpu vcpu;
static uint8_t file[3 << 20];
static uint64_t steps, bytes, copied;
static unsigned copies;

static uint64_t wall_clock(struct vm *of)
{
    return of->id;
}

// -fsanitize-coverage=trace-pc and --wrap (tests/fuzz.mk) bring the work here.
void __wrap___sanitizer_cov_trace_pc(void);
void *__wrap___asan_memcpy(void *to, const void *from, size_t size);
void *__wrap___asan_memset(void *to, int value, size_t size);
void *__real___asan_memcpy(void *to, const void *from, size_t size);
void *__real___asan_memset(void *to, int value, size_t size);

__attribute__((no_sanitize("coverage"))) void __wrap___sanitizer_cov_trace_pc(void)
{
    steps++;
}

void *__wrap___asan_memcpy(void *to, const void *from, size_t size)
{
    bytes += size;
    return __real___asan_memcpy(to, from, size);
}

void *__wrap___asan_memset(void *to, int value, size_t size)
{
    bytes += size;
    return __real___asan_memset(to, value, size);
}

static void copy_file(struct vm *of, gpa_t to, const void *from, uint64_t size)
{
    uint64_t before = bytes;
    require(gmem_write(&of->memory, to, from, size));
    bytes = before; // the host lets others run meanwhile
    copies++;
    copied += size;
}

static void mend_linux(size_t size)
{
    if (size < 0x300)
        return;
    put16(file + 0x1fe, 0xaa55);
    memcpy(file + 0x202, "HdrS", 4);
    put16(file + 0x206, 0x20f);
    file[0x211] |= 1;
    file[0x236] |= 1;
}

static void mend_multiboot(size_t size, size_t at)
{
    if (size < at + 12)
        return;
    put32(file + at, 0x1badb002);
    put32(file + at + 4, get32(file + at + 4) & 0x10007);
    put32(file + at + 8, 0 - 0x1badb002 - get32(file + at + 4));
}

static void mend_multiboot2(size_t size, size_t at)
{
    if (size < at + 16)
        return;
    put32(file + at, 0xe85250d6);
    put32(file + at + 4, 0);
    put32(file + at + 12, 0 - 0xe85250d6 - get32(file + at + 8));
}

static void mend_elf(size_t size, bool is_64, bool is_long)
{
    if (size < 64)
        return;
    memcpy(file, "\177ELF", 4);
    file[4] = is_64 ? 2 : 1;
    file[5] = 1;
    put16(file + 16, 2);
    put16(file + 18, is_64 ? 62 : 3);
    if (is_64) {
        put64(file + 32, 64);
        put16(file + 54, 56);
        put16(file + 56, get16(file + 56) & (is_long ? 0xffff : 7));
    } else {
        put32(file + 28, 52);
        put16(file + 42, 32);
        put16(file + 44, get16(file + 44) & (is_long ? 0xffff : 7));
    }
}

static void check_processor(void)
{
    uint32_t groups = STATE_FLOW | STATE_STACK | STATE_CONTROL | STATE_SEGMENTS;
    require((vcpu.dirty & groups) == groups);
    require(vcpu.rflags == RFLAGS_FIXED && vcpu.cpl == 0);
    require(!(vcpu.cr0 & CR0_PG) || (vcpu.cr0 & CR0_PE));
    require(!!(vcpu.cr0 & CR0_PG) == !!(vcpu.efer & EFER_LMA));
    require(vcpu.cr3 < RAM_SIZE);
    if (vcpu.efer & EFER_LMA)
        require(vcpu.cr4 & CR4_PAE);
    uint8_t byte;
    uint32_t magic = (uint32_t)vcpu.gpr[RAX];
    if (magic == 0x2badb002 || magic == 0x36d76289)
        require(gmem_read(&vm.memory, gpa(vcpu.gpr[RBX]), &byte, 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 8)
        return 0;
    memset(&vm, 0, sizeof(vm));
    memset(&vcpu, 0, sizeof(vcpu));
    static const struct vm_host host = {.copy_file = copy_file, .wall_clock = wall_clock};
    vm.host = &host;
    config_defaults(&config);
    strcpy(config.cmdline, "console=ttyS0");
    vm.vcpu[0] = &vcpu;
    vm.vcpu_count = 1;
    // Two pieces, the upper one below the other for us: copies run across their border.
    ram_is(&vm.memory, ram + RAM_SIZE / 2, RAM_SIZE / 2);
    gmem_add(&vm.memory, gpa(RAM_SIZE / 2), ram, RAM_SIZE / 2);
    vm.traits.name = "fuzzed";
    config.boot = (enum boot_format)(data[0] % (BOOT_FLAT + 1));
    config.flat_mode = (enum flat_mode)(data[1] % (FLAT_LONG + 1));
    config.flat_address = (uint64_t)get16(data + 2) << 4;
    unsigned mend = data[4] % 7;
    // Now and then the input is repeated up to a size that matters.
    size_t at = (size_t)(data[5] % 16) * 16, kernel_size = MIN(size - 8, sizeof(file));
    bool is_long = data[7] == 0xff && kernel_size;
    memcpy(file, data + 8, kernel_size);
    for (size_t whole = kernel_size; is_long && kernel_size < sizeof(file);) {
        size_t more =
            MIN(align_down(whole, 8) ? align_down(whole, 8) : whole, sizeof(file) - kernel_size);
        memcpy(file + kernel_size, file + kernel_size - more, more);
        kernel_size += more;
    }
    if (mend >= 4)
        mend_elf(kernel_size, mend == 6, is_long);
    if (mend == 1)
        mend_linux(kernel_size);
    else if (mend == 2 || mend == 4)
        mend_multiboot(kernel_size, at);
    else if (mend == 3 || mend == 5)
        mend_multiboot2(kernel_size, at);

    // Exactly as long as it says: the sanitizer sees a read beyond its end.
    uint8_t *exact = is_long ? NULL : malloc(kernel_size ? kernel_size : 1);
    if (exact)
        memcpy(exact, file, kernel_size);
    struct image kernel = {"kernel", exact ? exact : file, kernel_size, NULL};
    struct image other = {"other", data, MIN(data[7], size), "arguments"};
    struct explanation why = {""};
    steps = bytes = copied = copies = 0;
    status_t status = loader_load(&vm, &config, &kernel, data[6] & 1 ? &other : NULL, &other,
                                  data[6] & 2 ? 1 : 0, &why);
    require(steps <= STEPS_MAX && bytes <= BYTES_MAX);
    require(copies <= MEMBLOCK_REGIONS && copied <= RAM_SIZE);
    if (status == STATUS_OK)
        check_processor();
    else
        require(why.text[0] != 0);
    free(exact);
    return 0;
}
