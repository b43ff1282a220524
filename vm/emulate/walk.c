// The guest's page walk. Called by vm/emulate/linear.c for every guest page that is touched on the
// guest's behalf. SDM: "32-Bit Paging", "PAE Paging", "4-Level Paging and 5-Level Paging", "Access
// Rights", "Protection Keys", "Page-Fault Exceptions", "Accessed and Dirty Flags".

#include "vm/emulate/walk.h"

#include "lib/string.h"
#include "vm/vm.h"

#define ENTRY_PRESENT  BIT(0)
#define ENTRY_WRITABLE BIT(1)
#define ENTRY_USER     BIT(2)
#define ENTRY_ACCESSED BIT(5)
#define ENTRY_DIRTY    BIT(6)
#define ENTRY_LARGE    BIT(7)
#define ENTRY_KEY      BITS(62, 59)
#define ENTRY_NX       BIT(63)
#define ENTRY_ADDRESS  BITS(51, 12)

#define XSTATE_BV   512 // offset in the XSAVE image
#define XSTATE_PKRU 9

// What all entries of one walk say together.
struct rights {
    bool writable;
    bool user;
    bool no_execute;
    unsigned key;
};

struct walker {
    struct vcpu *vcpu;
    gva_t linear;
    uint32_t access;
    struct walk *walk;
    struct rights rights;
    verdict_t *fault;
};

static bool is_long_mode(const struct vcpu *vcpu)
{
    return vcpu->efer & EFER_LMA;
}

static bool has_wide_entries(const struct vcpu *vcpu)
{
    return vcpu->cr4 & CR4_PAE;
}

static bool uses_keys(const struct vcpu *vcpu)
{
    return is_long_mode(vcpu) && (vcpu->cr4 & CR4_PKE);
}

uint32_t walk_missing(const struct vcpu *vcpu)
{
    uint32_t groups = STATE_CONTROL | STATE_FLOW | STATE_MODE;
    if (!(vcpu->fetched & STATE_CONTROL))
        return groups & ~vcpu->fetched;
    if ((vcpu->cr0 & CR0_PG) && has_wide_entries(vcpu) && !is_long_mode(vcpu))
        groups |= STATE_SYSTEM;
    if ((vcpu->cr0 & CR0_PG) && uses_keys(vcpu))
        groups |= STATE_FPU;
    return groups & ~vcpu->fetched;
}

static bool is_too_wide(const struct vcpu *vcpu, uint64_t address)
{
    return address >> vcpu->vm->cpuid.physical_width;
}

// PKRU as the XSAVE image holds it; an absent or initial component is zero.
static uint32_t pkru(const struct vcpu *vcpu)
{
    uint32_t offset = cpuid_find(&vcpu->vm->cpuid.leaves, 0xd, XSTATE_PKRU)->ebx;
    uint64_t present;
    uint32_t value;
    if (!offset || !vcpu->fpu)
        return 0;
    memcpy(&present, (const uint8_t *)vcpu->fpu + XSTATE_BV, sizeof(present));
    if (!(present & BIT(XSTATE_PKRU)))
        return 0;
    memcpy(&value, (const uint8_t *)vcpu->fpu + offset, sizeof(value));
    return value;
}

static bool page_fault(struct walker *walker, uint32_t cause)
{
    const struct vcpu *vcpu = walker->vcpu;
    uint32_t error = cause;
    if (walker->access & WALK_WRITE)
        error |= PF_WRITE;
    if (walker->access & WALK_USER)
        error |= PF_USER;
    if ((walker->access & WALK_FETCH) &&
        ((vcpu->cr4 & CR4_SMEP) || (has_wide_entries(vcpu) && (vcpu->efer & EFER_NXE))))
        error |= PF_FETCH;
    return fail_with(walker->fault, fault_pf(walker->vcpu, walker->linear.value, error));
}

// One level: reads the entry, checks that it is present, gathers its rights, and notes a clear
// accessed flag.
static bool read_entry(struct walker *walker, uint64_t table, unsigned index, uint64_t *entry)
{
    struct walk *walk = walker->walk;
    gpa_t at = gpa(table + (uint64_t)index * walk->entry_size);
    const void *ram = gmem_at(&walker->vcpu->vm->memory, at, walk->entry_size);
    if (!ram) {
        // Nothing there reads as all ones, with reserved bits set. User code gets that fault; a
        // kernel whose own tables are gone is better stopped than left in a loop of faults.
        if (walker->vcpu->cpl == 3)
            return page_fault(walker, PF_PRESENT | PF_RESERVED);
        return fail_with(walker->fault, stop(STOP_BAD_MEMORY, 0));
    }
    *entry = 0;
    gmem_move(entry, ram, walk->entry_size);
    if (!(*entry & ENTRY_PRESENT))
        return page_fault(walker, 0);
    walker->rights.writable &= (*entry & ENTRY_WRITABLE) != 0;
    walker->rights.user &= (*entry & ENTRY_USER) != 0;
    walker->rights.no_execute |= (*entry & ENTRY_NX) != 0;
    if (!(*entry & ENTRY_ACCESSED))
        walk->mark[walk->marks++] = (struct walk_mark){at, *entry, *entry | ENTRY_ACCESSED};
    return true;
}

// The leaf is the last entry read: a write sets its dirty flag too, with the accessed flag in one
// exchange.
static void note_dirty(struct walker *walker, uint64_t table, unsigned index, uint64_t entry)
{
    struct walk *walk = walker->walk;
    if (!(walker->access & WALK_WRITE) || (entry & ENTRY_DIRTY))
        return;
    if (entry & ENTRY_ACCESSED)
        walk->mark[walk->marks++] =
            (struct walk_mark){gpa(table + (uint64_t)index * walk->entry_size), entry, entry};
    walk->mark[walk->marks - 1].marked |= ENTRY_DIRTY;
}

// Data access to a user page by its protection key. WD binds a supervisor only under CR0.WP.
static bool key_allows(const struct walker *walker)
{
    const struct vcpu *vcpu = walker->vcpu;
    if (!uses_keys(vcpu) || (walker->access & WALK_FETCH))
        return true;
    uint32_t bits = pkru(vcpu) >> (walker->rights.key * 2) & 3;
    if (bits & 1)
        return false;
    bool bound = (walker->access & WALK_USER) || (vcpu->cr0 & CR0_WP);
    return !((bits & 2) && (walker->access & WALK_WRITE) && bound);
}

static bool check_rights(struct walker *walker)
{
    const struct vcpu *vcpu = walker->vcpu;
    const struct rights *rights = &walker->rights;
    uint32_t access = walker->access;
    bool user = access & WALK_USER;
    bool allowed = rights->user || !user;
    if ((access & WALK_WRITE) && !rights->writable && (user || (vcpu->cr0 & CR0_WP)))
        allowed = false;
    if ((access & WALK_FETCH) && rights->no_execute)
        allowed = false;
    if (rights->user && !user) {
        bool lifted = (vcpu->rflags & RFLAGS_AC) && !(access & WALK_IMPLICIT);
        if (access & WALK_FETCH ? (vcpu->cr4 & CR4_SMEP) != 0 : (vcpu->cr4 & CR4_SMAP) && !lifted)
            allowed = false;
    }
    if (!rights->user || key_allows(walker))
        return allowed || page_fault(walker, PF_PRESENT);
    return page_fault(walker, PF_PRESENT | PF_KEY);
}

// 32-bit paging, 4 MiB pages reach 40 bits (PSE-36).
static bool walk_narrow(struct walker *walker)
{
    const struct vcpu *vcpu = walker->vcpu;
    uint64_t linear = walker->linear.value, entry;
    uint64_t table = vcpu->cr3 & BITS(31, 12);
    unsigned index = (unsigned)FIELD_GET(BITS(31, 22), linear);
    if (!read_entry(walker, table, index, &entry))
        return false;
    uint64_t page, mask = BITS(11, 0);
    if ((entry & ENTRY_LARGE) && (vcpu->cr4 & CR4_PSE)) {
        page = (entry & BITS(31, 22)) | FIELD_GET(BITS(20, 13), entry) << 32;
        mask = BITS(21, 0);
        if ((entry & BIT(21)) || is_too_wide(vcpu, page))
            return page_fault(walker, PF_PRESENT | PF_RESERVED);
    } else {
        table = entry & BITS(31, 12);
        index = (unsigned)FIELD_GET(BITS(21, 12), linear);
        if (!read_entry(walker, table, index, &entry))
            return false;
        page = entry & BITS(31, 12);
    }
    note_dirty(walker, table, index, entry);
    walker->walk->physical = gpa(page | (linear & mask));
    return true;
}

static bool has_reserved(const struct walker *walker, uint64_t entry, unsigned level)
{
    const struct vcpu *vcpu = walker->vcpu;
    if ((entry & ENTRY_NX) && !(vcpu->efer & EFER_NXE))
        return true;
    if (!is_long_mode(vcpu) && (entry & BITS(62, 52)))
        return true;
    if (is_too_wide(vcpu, entry & ENTRY_ADDRESS))
        return true;
    if (level == 0 || !(entry & ENTRY_LARGE))
        return false;
    return level > 2 || (entry & BITS(12 + 9 * level - 1, 13));
}

// PAE, 4-level and 5-level paging from the table of `level` (0: the page table) downwards.
static bool walk_wide(struct walker *walker, uint64_t table, unsigned level)
{
    uint64_t linear = walker->linear.value;
    for (;; level--) {
        unsigned shift = 12 + 9 * level;
        unsigned index = (unsigned)(linear >> shift) & 511;
        uint64_t entry;
        if (!read_entry(walker, table, index, &entry))
            return false;
        if (has_reserved(walker, entry, level))
            return page_fault(walker, PF_PRESENT | PF_RESERVED);
        if (level == 0 || (entry & ENTRY_LARGE)) {
            uint64_t mask = BIT(shift) - 1;
            note_dirty(walker, table, index, entry);
            walker->rights.key = (unsigned)FIELD_GET(ENTRY_KEY, entry);
            walker->walk->physical = gpa((entry & ENTRY_ADDRESS & ~mask) | (linear & mask));
            return true;
        }
        table = entry & ENTRY_ADDRESS;
    }
}

bool walk_linear(struct vcpu *vcpu, gva_t linear, uint32_t access, struct walk *walk,
                 verdict_t *fault)
{
    walk->marks = 0;
    walk->physical = gpa(linear.value);
    if (!(vcpu->cr0 & CR0_PG))
        return true;

    walk->entry_size = has_wide_entries(vcpu) ? 8 : 4;
    struct walker walker = {vcpu, linear, access, walk, {true, true, false, 0}, fault};
    bool found;
    if (is_long_mode(vcpu)) {
        found = walk_wide(&walker, vcpu->cr3 & ENTRY_ADDRESS, vcpu->cr4 & CR4_LA57 ? 4 : 3);
    } else if (has_wide_entries(vcpu)) {
        uint64_t pdpte = vcpu->pdpte[linear.value >> 30 & 3];
        found = pdpte & ENTRY_PRESENT ? walk_wide(&walker, pdpte & ENTRY_ADDRESS, 1)
                                      : page_fault(&walker, 0);
    } else {
        found = walk_narrow(&walker);
    }
    return found && check_rights(&walker);
}

bool walk_mark(const struct vcpu *vcpu, const struct walk *walk)
{
    for (unsigned i = 0; i < walk->marks; i++) {
        const struct walk_mark *mark = &walk->mark[i];
        uint64_t present = mark->seen;
        if (!gmem_compare_exchange(&vcpu->vm->memory, mark->at, walk->entry_size, &present,
                                   mark->marked))
            return false;
    }
    return true;
}
