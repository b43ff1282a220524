// RDSEED, and RDRAND while that is dry or where there is none. SDM: "RDRAND-Read Random Number",
// "RDSEED-Read Random SEED".

#include "arch/x86_64/random.h"

#include "arch/x86_64/features.h"
#include "lib/string.h"

#define LEAF1_ECX_RDRAND BIT32(30)
#define LEAF7_EBX_RDSEED BIT32(18)
#define RDRAND_TRIES     10 // after which, the manual says, it is broken

static bool has_rdrand, has_rdseed;

bool random_init(void)
{
    has_rdrand = features_common(1, 0).ecx & LEAF1_ECX_RDRAND;
    has_rdseed = cpuid(0, 0).eax >= 7 && (features_common(7, 0).ebx & LEAF7_EBX_RDSEED);
    return has_rdrand || has_rdseed;
}

static bool draw(uint64_t *value)
{
    if (has_rdseed && rdseed(value))
        return true;
    for (unsigned i = 0; has_rdrand && i < RDRAND_TRIES; i++)
        if (rdrand(value))
            return true;
    return false;
}

size_t random_fill(uint8_t *to, size_t bytes)
{
    size_t done = 0;
    for (uint64_t value; done < bytes && draw(&value); done += sizeof(value))
        memcpy(to + done, &value, MIN(sizeof(value), bytes - done));
    return MIN(done, bytes);
}
