// The guest starts as Multiboot says, with the memory that it was told of.
#include "tests/guests/lib/guest.h"

#define BOOT_MAGIC     0x2badb002u
#define INFO_MEMORY    1u
#define INFO_MAP       0x40u
#define LAST_MEGABYTES 16

struct information {
    uint32_t flags, memory_lower, memory_upper; // KiB
    uint32_t boot_device, cmdline;
};

// Memory that the guest was told of must hold what is written to it.
static bool memory_holds(uint64_t from, uint64_t to)
{
    for (uint64_t address = from; address < to; address += 4096)
        *(volatile uint64_t *)address = ~address;
    for (uint64_t address = from; address < to; address += 4096)
        if (*(volatile uint64_t *)address != ~address)
            return false;
    return true;
}

void guest_main(uint32_t magic, uint64_t address)
{
    const struct information *information = (const struct information *)address;
    check(magic == BOOT_MAGIC, "EAX holds Multiboot's magic (%#x)", magic);
    check(information->flags & INFO_MEMORY, "the sizes of memory are given");
    check(information->flags & INFO_MAP, "the memory map is given");
    uint64_t end = ((uint64_t)information->memory_upper + 1024) << 10;
    check(end >= (48ull << 20), "%u KiB above 1 MiB", information->memory_upper);
    check(memory_holds(end - ((uint64_t)LAST_MEGABYTES << 20), end), "the last %u MiB are memory",
          LAST_MEGABYTES);
}
