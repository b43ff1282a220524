// Numbers the CPUs that ACPI lists. See topology.h.

#include "boot/info/topology.h"

#define XAPIC_ID_LAST 254

static bool shares_core(const struct topology_rules *rules, const uint32_t *apic_id, unsigned count,
                        uint32_t other)
{
    for (unsigned i = 0; i < count; i++)
        if (apic_id[i] >> rules->core_shift == other >> rules->core_shift)
            return true;
    return false;
}

unsigned topology_choose(const struct topology_rules *rules, const uint32_t *listed, unsigned count,
                         uint32_t apic_id[CPUS], struct notes *notes)
{
    unsigned chosen = 0;
    apic_id[chosen++] = rules->own;
    for (unsigned i = 0; i < count; i++) {
        uint32_t id = listed[i];
        if (id == rules->own || (rules->nosmt && shares_core(rules, apic_id, chosen, id)))
            continue;
        if (id > XAPIC_ID_LAST && !rules->has_x2apic) {
            notes_warn(notes, "no x2APIC: the CPU with APIC id %u is left out", id);
        } else if (chosen == CPUS) {
            notes_warn(notes, "more than %u CPUs: the others are left out", CPUS);
            break;
        } else {
            apic_id[chosen++] = id;
        }
    }
    return chosen;
}
