// MSI on the PCI test function: messages, masks, pending bits, as a driver sees them.
// vm: testdev = on
#include "tests/guests/lib/virtio.h"

#define TEST_ID        0x00051b36
#define CAPABILITY_MSI 0x05
#define DOORBELL       0x400
#define VECTOR         0x70
#define ON             BIT32(16)
#define GRANT_4        (2U << 20)

enum { CONTROL = 0, LOW = 4, HIGH = 8, DATA = 12, MASK = 16, PENDING = 20 };

static unsigned slot, capability;
static volatile uint8_t *memory;

static uint32_t get(unsigned at)
{
    return pci_read(slot, capability + at);
}

static void set(unsigned at, uint32_t value)
{
    pci_write(slot, capability + at, value);
}

static void send(unsigned message)
{
    memory[DOORBELL] = (uint8_t)message;
}

static bool find(void)
{
    for (slot = 1; slot < 32 && pci_read(slot, 0) != TEST_ID; slot++)
        ;
    if (slot == 32)
        return false;
    memory = (volatile uint8_t *)(uint64_t)(pci_read(slot, 0x10) & ~0xfU);
    for (capability = pci_read(slot, 0x34) & 0xfc; capability;
         capability = pci_read(slot, capability + 1) & 0xfc)
        if ((pci_read(slot, capability) & 0xff) == CAPABILITY_MSI)
            return true;
    return false;
}

void guest_main(uint32_t magic, uint64_t information)
{
    (void)magic;
    (void)information;
    apic_write(APIC_SVR, 0x1ff);
    pic_init();
    for (unsigned i = 0; i < 4; i++)
        count_vector((uint8_t)(VECTOR + i));
    check(find(), "MSI: the test function has it");
    set(LOW, (uint32_t)(uint64_t)APIC_ADDRESS | apic_read(APIC_ID) >> 24 << 12);
    set(HIGH, 0);
    set(DATA, VECTOR);
    send(0);
    check(!wait_taken(VECTOR, 1), "MSI: off, nothing comes");
    set(CONTROL, get(CONTROL) | ON);
    send(0);
    bool is_first = wait_taken(VECTOR, 1);
    send(3);
    check(is_first && wait_taken(VECTOR, 2) && !taken[VECTOR + 3],
          "MSI: one message, for all causes");
    set(CONTROL, get(CONTROL) | GRANT_4);
    for (unsigned i = 0; i < 4; i++)
        send(i);
    check(wait_taken(VECTOR, 3) && taken[VECTOR + 1] == 1 && taken[VECTOR + 2] == 1 &&
              taken[VECTOR + 3] == 1,
          "MSI: four messages, a vector each");
    set(MASK, 2);
    send(1);
    send(2);
    check(wait_taken(VECTOR + 2, 2) && taken[VECTOR + 1] == 1 && get(PENDING) == 2,
          "MSI: a masked one waits");
    set(MASK, 0);
    check(wait_taken(VECTOR + 1, 2) && get(PENDING) == 0, "MSI: unmasked, it comes");
}
