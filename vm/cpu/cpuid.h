// What a VM's guests read with CPUID. Computed once from the host's own leaves (vm/cpu/cpuid.c
// holds the policy table); the exit handler then looks leaves up and patches the few that show a
// vCPU's own state. SDM: "CPUID-CPU Identification".
#pragma once

#include "lib/status.h"
#include "vm/cpu/feature.h"

struct cpuid_leaf {
    uint32_t leaf;
    uint32_t subleaf;
    uint32_t eax, ebx, ecx, edx;
};

#define CPUID_LEAVES 96

// A list of leaves as one CPU (host or guest) reports them.
struct cpuid_leaves {
    unsigned count;
    struct cpuid_leaf leaf[CPUID_LEAVES];
};

struct cpuid_inputs {
    uint64_t tsc_hz;            // calibrated; 0: not known
    uint64_t apic_hz;           // input clock of the virtual local APIC's timer
    uint64_t arch_capabilities; // the host's IA32_ARCH_CAPABILITIES, 0 if it has none
    unsigned vcpu_count;
    uint32_t flags;                       // enum cpuid_flag
    const struct feature_switch *feature; // what vms.conf switches on and off
    unsigned feature_count;
    bool exit_stats; // the leaves of exit statistics exist
};

// What the exit handler must patch in a leaf.
enum cpuid_live {
    CPUID_FIXED = 0,
    CPUID_LIVE_FEATURES,   // leaf 1: APIC ID, OSXSAVE, APIC enabled
    CPUID_LIVE_STRUCTURED, // leaf 7.0: OSPKE
    CPUID_LIVE_XSAVE,      // leaf 0DH: sizes by XCR0
    CPUID_LIVE_TOPOLOGY,   // leaves 0BH, 1FH: x2APIC ID
    CPUID_LIVE_BEYOND,     // leaves that no slot has: exit statistics are among them
};

// What a leaf answers; for most, the registers themselves.
struct cpuid_slot {
    uint32_t eax, ebx, ecx, edx; // of sub-leaf 0, as listed
    uint8_t first;               // index of its sub-leaf 0
    uint8_t count;               // sub-leaves, in order; 0: ECX does not matter
    uint8_t live;                // enum cpuid_live
    bool is_plain; // neither sub-leaves nor anything live: the registers are the answer
    uint8_t reserved[12];
};
_Static_assert(sizeof(struct cpuid_slot) == 32, "a look-up is one shift");

#define CPUID_RANGES          4 // basic, 40000000H (hypervisor), 80000000H (extended), C0000000H (nothing)
#define CPUID_LEAVES_OF_RANGE 32

// Where a leaf's slot is: the range, in bits 31:30, turns down to bits 1:0. Not below CPUID_SLOTS:
// it has none.
#define CPUID_SLOTS (CPUID_RANGES * CPUID_LEAVES_OF_RANGE)

static inline uint32_t cpuid_slot_of(uint32_t leaf)
{
    return leaf << 2 | leaf >> 30;
}

struct cpuid_policy {
    struct cpuid_leaves leaves;          // what the guest sees, sorted
    struct cpuid_slot slot[CPUID_SLOTS]; // by cpuid_slot_of()
    struct cpuid_slot beyond;            // any other leaf: shows the highest basic one
    uint8_t beyond_live;                 // of the highest basic leaf: beyond.live may differ
    uint8_t zero;                        // index of a leaf that is all zero
    uint64_t xcr0_allowed;
    uint64_t arch_capabilities;
    uint64_t tsc_hz;
    unsigned physical_width; // bits of a guest-physical address
    // ... of a linear address, by what the CPU can do: MSRs, descriptors and invalidations go by it
    // whatever CR4.LA57 says
    unsigned linear_width;
};

// Executes CPUID on the CPU that calls it.
typedef void cpuid_execute(uint32_t leaf, uint32_t subleaf, struct cpuid_leaf *result);

// Reads every leaf and sub-leaf that cpuid_build() looks at.
void cpuid_collect(struct cpuid_leaves *host, cpuid_execute *execute);

// Computes what guests see. STATUS_FULL: more leaves than the policy holds (our bug, not the
// host's).
MUST_CHECK status_t cpuid_build(struct cpuid_policy *policy, const struct cpuid_leaves *host,
                                const struct cpuid_inputs *inputs);

// The leaf as listed, or one that is all zero.
const struct cpuid_leaf *cpuid_find(const struct cpuid_leaves *leaves, uint32_t leaf,
                                    uint32_t subleaf);

// Whether the guest's CPUID announces the feature (a CPUID_BIT).
bool cpuid_has(const struct cpuid_policy *policy, uint32_t feature);

// Why a guest does not get what vms.conf says of a feature (a CPUID_BIT), with the remedy; or NULL.
const char *cpuid_unmet(const struct cpuid_policy *policy, uint32_t feature, bool enable);

// Whether a guest may load XCR0 with the value.
bool cpuid_accepts_xcr0(const struct cpuid_policy *policy, uint64_t value);

// Bytes of an XSAVE area in the standard format with the components of `xcr0`.
uint32_t cpuid_xsave_size(const struct cpuid_policy *policy, uint64_t xcr0);

// The same in the compacted format, as leaf 0DH sub-leaf 1 reports it.
uint32_t cpuid_xsave_compacted_size(const struct cpuid_policy *policy, uint64_t components);
