// A kernel as tests for QEMU's -kernel are written: its command line begins with its own name, it
// learns from fw_cfg how many CPUs there are, and it ends by the debug exit. Each of the test
// devices in turn; QEMU's own give the same answers.
#include "tests/guests/lib/smp.h"

#define GSI_LEVEL  7 // inputs of the I/O APIC and the 8259s that nothing else drives
#define GSI_EDGE   5
#define VECTOR     0x61
#define PIC_VECTOR 0x25
#define END_CODE   8

#define UNKNOWN_MSR 0xdead

struct information {
    uint32_t flags, memory_lower, memory_upper, boot_device, cmdline, module_count, modules;
};
struct module {
    uint32_t start, end, name, reserved;
};

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && memcmp(text + length - wanted, end, wanted) == 0;
}

// ---- fw_cfg ----

static void fw_cfg(uint16_t key, void *to, unsigned size)
{
    out16(PORT_FW_CFG, key);
    for (unsigned i = 0; i < size; i++)
        ((uint8_t *)to)[i] = in8(PORT_FW_CFG + 1);
}

static void check_file(const struct module *module)
{
    struct {
        uint32_t size;
        uint16_t key, reserved;
        char name[56];
    } file = {0};
    uint32_t files = 0, left;
    uint8_t first[4] = {0};
    fw_cfg(0x19, &files, sizeof(files));
    for (left = __builtin_bswap32(files); left > 0; left--) {
        for (unsigned i = 0; i < sizeof(file); i++)
            ((uint8_t *)&file)[i] = in8(PORT_FW_CFG + 1);
        if (strcmp(file.name, "opt/testdev.elf") == 0)
            break;
    }
    check(left && __builtin_bswap32(file.size) == module->end - module->start,
          "fw_cfg: the file's name and size");
    fw_cfg(__builtin_bswap16(file.key), first, sizeof(first));
    check(memcmp(first, (const void *)(uint64_t)module->start, sizeof(first)) == 0,
          "fw_cfg: the file's bytes are the module's");
}

static void other_cpu(void) {}

static void check_fw_cfg(void)
{
    char signature[4];
    uint64_t memory = 0;
    uint16_t cpus = 0;
    fw_cfg(0, signature, sizeof(signature));
    check(memcmp(signature, "QEMU", 4) == 0, "fw_cfg: signature");
    fw_cfg(3, &memory, sizeof(memory));
    check(memory == UINT64_C(64) << 20, "fw_cfg: 64 MiB of RAM");
    fw_cfg(5, &cpus, sizeof(cpus));
    check(cpus == 2, "fw_cfg: 2 CPUs");
    unsigned started = 1;
    for (unsigned i = 1; i < MIN(cpus, SMP_CPUS); i++)
        started += smp_start(i) && smp_run(i, other_cpu);
    check(started == cpus, "as many come up");
}

// ---- ports ----

static void check_latch(void)
{
    uint32_t words[3] = {0x01234567, 0x89abcdef, 0x5a5aa5a5}, read[3] = {0}, *from = words,
             *to = read;
    out32(PORT_TEST_DATA, 0x44332211);
    check(in32(PORT_TEST_DATA) == 0x44332211, "data: 4 bytes");
    out16(PORT_TEST_DATA, 0xbbaa);
    check(in16(PORT_TEST_DATA) == 0xbbaa && in16(PORT_TEST_DATA + 2) == 0x4433, "data: 2 bytes");
    out8(PORT_TEST_DATA + 3, 0xdd);
    check(in8(PORT_TEST_DATA + 3) == 0xdd && in32(PORT_TEST_DATA) == 0xdd33bbaa, "data: 1 byte");
    check(in8(PORT_TEST_ALIAS) == 0xaa && in16(PORT_TEST_ALIAS + 2) == 0xdd33, "data: read at E8h");
    out16(PORT_TEST_ALIAS + 2, 0x9988);
    check(in32(PORT_TEST_DATA) == 0x9988bbaa, "data: written at E8h");
    uint64_t count = ARRAY_LENGTH(words);
    __asm__ volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(PORT_TEST_DATA) : "memory");
    count = ARRAY_LENGTH(read);
    __asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"(PORT_TEST_DATA) : "memory");
    check(read[0] == words[2] && read[2] == words[2], "data: strings");
}

static void check_console(void)
{
    static const char text[] = "debug console\n", *from = text;
    uint64_t count = sizeof(text) - 1;
    check(in8(PORT_DEBUG) == PORT_DEBUG, "console: it is there");
    __asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(PORT_DEBUG) : "memory");
    for (const char *letter = "ShutShutdow"; *letter; letter++)
        out8(PORT_SHUTDOWN, (uint8_t)*letter);
    check(in8(PORT_DEBUG_EXIT) == 0, "exit: reads as zero");
}

// ---- memory ----

static void check_memory(void)
{
    volatile uint8_t *memory = (volatile uint8_t *)MMIO_TEST;
    for (unsigned i = 0; i < MMIO_TEST_LENGTH; i += 4096)
        *(volatile uint32_t *)(memory + i) = ~i;
    bool good = true;
    for (unsigned i = 0; i < MMIO_TEST_LENGTH; i += 4096)
        good = good && *(volatile uint32_t *)(memory + i) == ~i;
    check(good, "memory: each of 16 pages");
    *(volatile uint64_t *)(memory + MMIO_TEST_LENGTH - 8) = UINT64_C(0x8877665544332211);
    check(memory[MMIO_TEST_LENGTH - 1] == 0x88 &&
              *(volatile uint16_t *)(memory + MMIO_TEST_LENGTH - 6) == 0x4433,
          "memory: its end, 1, 2 and 8 bytes");
}

// Deliveries through an IDT, and onto a stack, whose page is not mapped at that moment.
static void check_flush(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } idt;
    static _Alignas(4096) uint8_t page[4096];
    page[17] = 0x5a;
    out32(PORT_PAGE_FLUSH, (uint32_t)(uint64_t)page);
    check(page[17] == 0x5a, "flush: a page keeps what is in it");
    __asm__ volatile("sidt %0" : "=m"(idt));
    count_vector(PIC_VECTOR);
    forget_taken();
    out32(PORT_PAGE_FLUSH, (uint32_t)idt.base);
    out32(PORT_PAGE_FLUSH, (uint32_t)(uint64_t)&idt); // the stack
    __asm__ volatile("int %0" : : "i"(PIC_VECTOR) : "memory");
    check(taken[PIC_VECTOR] == 1, "flush: INT through a flushed IDT");
}

// ---- interrupt lines ----

static void set_line(unsigned line, uint8_t level)
{
    out8((uint16_t)(PORT_TEST_LINES + line), level);
}

// A line that stays high comes again with each EOI.
static void lower_third(struct trap_frame *frame)
{
    (void)frame;
    if (++taken[VECTOR] == 3)
        set_line(GSI_LEVEL, 0);
    apic_write(APIC_EOI, 0);
}

static void check_lines(void)
{
    apic_write(APIC_SVR, 0x1ff);
    pic_init();
    count_vector(VECTOR);
    forget_taken();
    ioapic_route(GSI_EDGE, VECTOR);
    set_line(GSI_EDGE, 1);
    bool once = wait_taken(VECTOR, 1) && !wait_taken(VECTOR, 2);
    set_line(GSI_EDGE, 0);
    set_line(GSI_EDGE, 0xff);
    check(once && wait_taken(VECTOR, 2), "lines: an edge at the I/O APIC");
    set_line(GSI_EDGE, 0);
    ioapic_route(GSI_EDGE, IOAPIC_MASKED);

    forget_taken();
    trap_handlers[VECTOR] = lower_third;
    ioapic_route(GSI_LEVEL, IOAPIC_LEVEL | VECTOR);
    check(!wait_taken(VECTOR, 1), "lines: low, no interrupt");
    set_line(GSI_LEVEL, 1);
    check(wait_taken(VECTOR, 3), "lines: high, one after the other");
    check(!wait_taken(VECTOR, 4), "lines: low again, no more");
    ioapic_route(GSI_LEVEL, IOAPIC_MASKED);

    forget_taken();
    apic_write(APIC_LVT_LINT0, 0x700);
    pic_mask((uint16_t) ~(1U << GSI_EDGE));
    set_line(GSI_EDGE, 1);
    check(wait_taken(PIC_VECTOR, 1), "lines: through the 8259");
    set_line(GSI_EDGE, 0);
    pic_mask(0xffff);
}

// ---- PCI ----

static uint32_t pci_read(unsigned slot, unsigned reg)
{
    out32(PORT_PCI_ADDRESS, 0x80000000 | slot << 11 | reg);
    return in32(PORT_PCI_DATA);
}

static void pci_write(unsigned slot, unsigned reg, uint32_t value)
{
    out32(PORT_PCI_ADDRESS, 0x80000000 | slot << 11 | reg);
    out32(PORT_PCI_DATA, value);
}

static uint8_t *pci_memory;
static uint16_t pci_ports;

static uint32_t region_read(bool is_port, unsigned offset)
{
    return is_port ? in8((uint16_t)(pci_ports + offset)) : ((volatile uint8_t *)pci_memory)[offset];
}

static void region_write(bool is_port, unsigned offset, uint8_t value)
{
    if (is_port)
        out8((uint16_t)(pci_ports + offset), value);
    else
        ((volatile uint8_t *)pci_memory)[offset] = value;
}

static void check_region(bool is_port, unsigned test)
{
    char name[32] = {0};
    region_write(is_port, 0, (uint8_t)test);
    for (unsigned i = 0; i < sizeof(name) - 1; i++)
        name[i] = (char)region_read(is_port, 16 + i);
    unsigned at = region_read(is_port, 4) | region_read(is_port, 5) << 8;
    uint8_t data = (uint8_t)region_read(is_port, 8);
    bool fresh = region_read(is_port, 12) == 0;
    for (unsigned i = 0; i < 16; i++)
        region_write(is_port, at, data);
    check(fresh, "PCI: %s: %02x at %u counts %u", name, data, at, region_read(is_port, 12));
}

static void check_pci(void)
{
    unsigned slot = 1;
    while (slot < 32 && pci_read(slot, 0) != 0x00051b36)
        slot++;
    check(slot < 32 && (pci_read(slot, 8) >> 16) == 0xff, "PCI: the test device is on bus 0");
    uint32_t bases[2] = {pci_read(slot, 0x10), pci_read(slot, 0x14)}, sizes[2];
    pci_write(slot, 4, pci_read(slot, 4) & ~3U);
    for (unsigned i = 0; i < 2; i++) {
        pci_write(slot, 0x10 + 4 * i, 0xffffffff);
        sizes[i] = pci_read(slot, 0x10 + 4 * i);
    }
    check(sizes[0] == 0xfffff000 && sizes[1] == 0xffffff01, "PCI: sizes of its regions");
    // Elsewhere, in the same windows.
    pci_memory = (uint8_t *)(uint64_t)(bases[0] ^ 0x10000);
    pci_ports = (uint16_t)((bases[1] & 0xfffc) ^ 0x100);
    pci_write(slot, 0x10, (uint32_t)(uint64_t)pci_memory);
    pci_write(slot, 0x14, pci_ports);
    check(region_read(true, 1) == 0xff, "PCI: not decoded");
    pci_write(slot, 4, pci_read(slot, 4) | 3);
    for (unsigned test = 0; test < 6; test++)
        check_region(test >= 3, test % 3);
    region_write(false, 0, 3);
    check(region_read(false, 0) == 0 && region_read(true, 16) == 0, "PCI: no fourth test");
}

// ---- less than the CPU has ----

CODE(do_enable_x2apic, "mov $0x1b, %%ecx; rdmsr; or $0x400, %%eax; wrmsr")
CODE(do_enable_avx, "xor %%ecx, %%ecx; xor %%edx, %%edx; mov $7, %%eax; xsetbv")

static void check_brief(void)
{
    check(!(read_cpuid(1, 0).ecx & BIT32(21)), "cpuid: no x2APIC");
    check(try_call(do_enable_x2apic) == VECTOR_GP, "cpuid: the bit that enables it is reserved");
    write_cr4(read_cr4() | CR4_OSXSAVE);
    check(!(read_cpuid(1, 0).ecx & BIT32(28)) && read_cpuid(0xd, 0).eax == 3, "cpuid: no AVX");
    check(try_call(do_enable_avx) == VECTOR_GP, "cpuid: its state is not to be had");
    write_msr(UNKNOWN_MSR, UINT64_C(0x123456789));
    check(read_msr(UNKNOWN_MSR) == 0, "msr_unknown: writes are ignored, reads are zero");
    for (const char *letter = "Shutdown"; *letter; letter++)
        out8(PORT_SHUTDOWN, (uint8_t)*letter);
    check(false, "the word at 8900h switches off");
}

void guest_main(uint32_t magic, uint64_t address)
{
    const struct information *information = (const struct information *)address;
    const char *cmdline = (const char *)(uint64_t)information->cmdline;
    const struct module *module = (const struct module *)(uint64_t)information->modules;
    if (ends_with(cmdline, "brief"))
        check_brief();
    check(magic == 0x2badb002 && ends_with(cmdline, "testdev.elf one two"), "command line");
    check(information->module_count == 1 &&
              ends_with((const char *)(uint64_t)module->name, "testdev.elf as a module"),
          "a module");
    check_fw_cfg();
    check_file(module);
    check_latch();
    check_console();
    check_memory();
    check_flush();
    check_lines();
    check_pci();
    guest_debug_exit(checks_failed ? 1 : END_CODE);
}
