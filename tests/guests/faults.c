// Instructions that a guest may not, or cannot, execute fault as on a CPU without VMX; nothing else
// happens.
// again: trap = all
#include "tests/guests/lib/guest.h"

#define CPUID_1_ECX_VMX     (1u << 5)
#define CPUID_1_ECX_SMX     (1u << 6)
#define MSR_NOBODY          0x5eed
#define UNMAPPED            0x123456789000ull
#define NOT_CANONICAL       0x8000000000000000ull
#define PAGE_FAULT_ON_WRITE 2
#define VECTOR_USER         0x81

static uint64_t operand;

static void do_vmxon(void)
{
    __asm__ volatile("vmxon %0" : : "m"(operand));
}

static void do_vmlaunch(void)
{
    __asm__ volatile("vmlaunch");
}

static void do_vmread(void)
{
    __asm__ volatile("vmread %%rax, %%rcx" : : : "rcx", "cc");
}

static void do_vmptrld(void)
{
    __asm__ volatile("vmptrld %0" : : "m"(operand));
}

static void do_invept(void)
{
    __asm__ volatile("invept %0, %%rax" : : "m"(operand), "a"(1ull) : "cc");
}

static void do_undefined(void)
{
    __asm__ volatile("ud2");
}

static void do_divide(void)
{
    __asm__ volatile("xor %%ecx, %%ecx; div %%ecx" : : : "eax", "ecx", "edx", "cc");
}

static void do_rdmsr(void)
{
    read_msr(MSR_NOBODY);
}

static void do_wrmsr(void)
{
    write_msr(MSR_NOBODY, 1);
}

static void do_bad_efer(void)
{
    write_msr(0xc0000080, 1ull << 63);
}

static void do_bad_cr4(void)
{
    __asm__ volatile("mov %0, %%cr4" : : "r"(1ull << 40));
}

static void do_bad_cr0(void)
{
    __asm__ volatile("mov %0, %%cr0" : : "r"(0x80000000ull)); // PG without PE
}

static void do_page_fault(void)
{
    *(volatile uint32_t *)UNMAPPED = 1;
}

static void do_not_canonical(void)
{
    *(volatile uint32_t *)NOT_CANONICAL = 1;
}

// INT n through a gate to CPL 3 pushes to the program's own stack.
CODE(do_push_into_nothing, "mov $0xd0000040, %%eax; mov %%rax, %%rsp; int $0x81")
CODE(do_push_into_apic, "mov $0xfee00140, %%eax; mov %%rax, %%rsp; int $0x81")

static void open_gate_to_user(uint8_t vector)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } idt;
    __asm__ volatile("sidt %0" : "=m"(idt));
    volatile uint8_t *gate = (volatile uint8_t *)idt.base + vector * 16;
    gate[2] = SELECTOR_USER_CODE;
    gate[5] |= 0x60; // DPL
}

static void expect(void (*code)(void), unsigned vector, const char *what)
{
    unsigned found = try_call(code);
    check(found == vector, "%s: vector %u (expected %u)", what, found, vector);
}

void guest_main(uint32_t magic, uint64_t information)
{
    (void)magic, (void)information;
    struct cpuid_leaf features = read_cpuid(1, 0);
    check(!(features.ecx & (CPUID_1_ECX_VMX | CPUID_1_ECX_SMX)), "CPUID hides VMX and SMX");
    expect(do_vmxon, VECTOR_UD, "VMXON");
    expect(do_vmlaunch, VECTOR_UD, "VMLAUNCH");
    expect(do_vmread, VECTOR_UD, "VMREAD");
    expect(do_vmptrld, VECTOR_UD, "VMPTRLD");
    expect(do_invept, VECTOR_UD, "INVEPT");
    expect(do_undefined, VECTOR_UD, "UD2");
    expect(do_divide, VECTOR_DE, "DIV by 0");
    expect(do_rdmsr, VECTOR_GP, "RDMSR of an MSR that no CPU has");
    expect(do_wrmsr, VECTOR_GP, "WRMSR of an MSR that no CPU has");
    expect(do_bad_efer, VECTOR_GP, "WRMSR of a reserved bit of EFER");
    expect(do_bad_cr4, VECTOR_GP, "MOV of a reserved bit to CR4");
    expect(do_bad_cr0, VECTOR_GP, "MOV of PG without PE to CR0");
    expect(do_not_canonical, VECTOR_GP, "a non-canonical address");
    expect(do_page_fault, VECTOR_PF, "an unmapped page");
    check(last_fault.cr2 == UNMAPPED && last_fault.error == PAGE_FAULT_ON_WRITE,
          "its CR2 is %#llx, its error code %#llx", (unsigned long long)last_fault.cr2,
          (unsigned long long)last_fault.error);
    open_gate_to_user(VECTOR_USER);
    check(try_user_call(do_push_into_nothing, 0) == VECTOR_GP && last_fault.error == 0,
          "user code gets #GP for an event that would be pushed where nothing is");
    check(try_user_call(do_push_into_apic, 0) == VECTOR_GP && last_fault.error == 0,
          "the same in the page of the local APIC");
}
