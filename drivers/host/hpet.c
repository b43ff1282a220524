// The HPET's main counter: see hpet.h. IA-PC HPET Specification, "Register Overview".

#include "drivers/host/hpet.h"
#include "arch/x86_64/io.h"

enum hpet_register {
    HPET_PERIOD = 0x04, // in femtoseconds
    HPET_CONFIGURATION = 0x10,
    HPET_COUNTER = 0xf0,
};

#define CONFIGURATION_ENABLE BIT32(0)
#define CONFIGURATION_LEGACY BIT32(1)
#define PERIOD_LONGEST       100000000U // 100 ns, by the specification
#define PERIOD_SHORTEST      1000000U   // 1 GHz: nothing real is faster
#define FEMTOSECONDS         UINT64_C(1000000000000000)

static uint32_t read_counter(void *context)
{
    return mmio_read32(context, HPET_COUNTER);
}

bool hpet_clock(volatile void *base, struct reference_clock *clock)
{
    uint32_t period = mmio_read32(base, HPET_PERIOD);
    if (period < PERIOD_SHORTEST || period > PERIOD_LONGEST)
        return false;
    uint32_t configuration = mmio_read32(base, HPET_CONFIGURATION);
    configuration = (configuration | CONFIGURATION_ENABLE) & ~(uint32_t)CONFIGURATION_LEGACY;
    mmio_write32(base, HPET_CONFIGURATION, configuration);
    *clock = (struct reference_clock){
        .name = "the HPET",
        .read = read_counter,
        .context = (void *)(uintptr_t)base,
        .hz = FEMTOSECONDS / period,
        .mask = 0xffffffffU,
    };
    return true;
}
