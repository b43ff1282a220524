// What the machine below gets wrong by itself: the instructions of two of the self-test's checks,
// as a guest of that machine with no Corbel between (tests/nested/run). It says `bare NAME good` or
// `bad`.
#include "tests/guests/lib/interrupts.h"

#define ECX_UMIP BIT32(2)

CODE(do_sgdt, "push %%rax; push %%rax; sgdt (%%rsp); pop %%rax; pop %%rax")
CODE(do_smsw, "smsw %%rax")

static void verdict(const char *name, bool is_good)
{
    say("bare %s %s\n", name, is_good ? "good" : "bad");
}

static void look_at_umip(void)
{
    if (!(read_cpuid(7, 0).ecx & ECX_UMIP))
        return;
    write_cr4(read_cr4() | CR4_UMIP);
    verdict("umip_sgdt", try_user_call(do_sgdt, 0) == VECTOR_GP);
    verdict("umip_smsw", try_user_call(do_smsw, 0) == VECTOR_GP);
    write_cr4(read_cr4() & ~CR4_UMIP);
}

// A second NMI, and an exit, before the IRET.
static void nmi_again(struct trap_frame *frame)
{
    (void)frame;
    if (++taken[VECTOR_NMI] == 1) {
        apic_send(apic_read(APIC_ID) >> (apic_is_x2 ? 0 : 24), ICR_NMI);
        read_cpuid(0, 0);
    }
}

static void look_at_nmis(const char *nested, const char *next)
{
    uint32_t id = apic_read(APIC_ID) >> (apic_is_x2 ? 0 : 24);
    apic_write(APIC_SVR, 0x1ff);
    forget_taken();
    trap_handlers[VECTOR_NMI] = nmi_again;
    apic_send(id, ICR_NMI);
    __asm__ volatile("nop; nop");
    verdict(nested, taken[VECTOR_NMI] == 2);
    forget_taken();
    count_vector(VECTOR_NMI);
    apic_send(id, ICR_NMI);
    verdict(next, taken[VECTOR_NMI] == 1);
}

void guest_main(uint32_t magic, uint64_t information)
{
    (void)magic;
    (void)information;
    look_at_umip();
    look_at_nmis("xapic_nmi_nested", "xapic_nmi_next");
    apic_set_mode(true);
    look_at_nmis("x2apic_nmi_nested", "x2apic_nmi_next");
    guest_debug_exit(0);
}
