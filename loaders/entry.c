// Sets the boot processor's registers for a mode, and gives it the tables that the mode needs.

#include "loaders/entry.h"

#include "lib/string.h"

#define ENTRY_GROUPS (STATE_FLOW | STATE_STACK | STATE_CONTROL | STATE_SEGMENTS)

#define TYPE_DATA     3  // read/write, accessed
#define TYPE_CODE     11 // execute/read, accessed
#define TYPE_LDT      2
#define TYPE_TSS_BUSY 11

#define PTE_PRESENT BIT(0)
#define PTE_WRITE   BIT(1)
#define PTE_LARGE   BIT(7)

static const uint64_t gdt[] = {
    0,
    [ENTRY_CODE32 / 8] = 0x00cf9b000000ffff,
    [ENTRY_CODE64 / 8] = 0x00af9b000000ffff,
    [ENTRY_DATA / 8] = 0x00cf93000000ffff,
};

static struct segment flat_segment(uint16_t selector, uint32_t access)
{
    return (struct segment){
        .limit = 0xffffffff,
        .access = access | AR_CODE_DATA | AR_PRESENT | AR_GRANULAR,
        .selector = selector,
    };
}

static struct segment real_segment(uint16_t selector, uint32_t type)
{
    return (struct segment){
        .base = (uint64_t)selector << 4,
        .limit = 0xffff,
        .access = type | AR_CODE_DATA | AR_PRESENT,
        .selector = selector,
    };
}

// What all modes have in common.
static struct vcpu *begin(struct loading *loading, uint64_t rip)
{
    struct vcpu *vcpu = loading->vm->vcpu[0];
    memset(vcpu->gpr, 0, sizeof(vcpu->gpr));
    vcpu->rip = rip;
    vcpu->rflags = RFLAGS_FIXED;
    vcpu->interruptibility = 0;
    vcpu->activity = ACTIVITY_ACTIVE;
    vcpu->cr3 = vcpu->cr4 = vcpu->efer = 0;
    vcpu->cpl = 0;
    vcpu->segment[LDTR] = (struct segment){.limit = 0xffff, .access = AR_UNUSABLE};
    vcpu->segment[TR] = (struct segment){.limit = 0x67, .access = AR_PRESENT | TYPE_TSS_BUSY};
    vcpu->gdtr = vcpu->idtr = (struct table_register){.limit = 0};
    vcpu->fetched |= ENTRY_GROUPS;
    vcpu->dirty |= ENTRY_GROUPS;
    return vcpu;
}

void entry_real(struct loading *loading, uint16_t segment, uint16_t offset)
{
    struct vcpu *vcpu = begin(loading, offset);
    vcpu->cr0 = CR0_ET;
    for (unsigned i = ES; i <= GS; i++)
        vcpu->segment[i] = real_segment(0, TYPE_DATA);
    vcpu->segment[CS] = real_segment(segment, TYPE_CODE);
    vcpu->segment[LDTR] = (struct segment){.limit = 0xffff, .access = AR_PRESENT | TYPE_LDT};
    vcpu->gdtr.limit = 0xffff;
    vcpu->idtr.limit = 0x3ff;
}

static status_t give_gdt(struct loading *loading, struct vcpu *vcpu)
{
    uint64_t at;
    status_t status = loading_place_info(loading, gdt, sizeof(gdt), "GDT", &at);
    if (status == STATUS_OK)
        vcpu->gdtr = (struct table_register){.base = at, .limit = sizeof(gdt) - 1};
    return status;
}

status_t entry_protected(struct loading *loading, uint32_t rip)
{
    struct vcpu *vcpu = begin(loading, rip);
    vcpu->cr0 = CR0_PE | CR0_ET;
    for (unsigned i = ES; i <= GS; i++)
        vcpu->segment[i] = flat_segment(ENTRY_DATA, AR_DB | TYPE_DATA);
    vcpu->segment[CS] = flat_segment(ENTRY_CODE32, AR_DB | TYPE_CODE);
    return give_gdt(loading, vcpu);
}

// Entries `first`, `first` + `step`, ... of paging structures that lie one after the other at `at`.
static void write_entries(struct loading *loading, uint64_t at, uint64_t first, uint64_t step,
                          unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t entry = first + i * step;
        loading_write(loading, at + i * sizeof(entry), &entry, sizeof(entry));
    }
}

// One PML4, one page-directory-pointer table and four page directories of 2-MiB pages.
static status_t build_identity_map(struct loading *loading, uint64_t *root)
{
    status_t status = loading_take_info(loading, 6 * PAGE_SIZE, PAGE_SIZE, "page tables", root);
    if (status != STATUS_OK)
        return status;
    uint64_t pointers = *root + PAGE_SIZE, directories = *root + 2 * PAGE_SIZE;
    write_entries(loading, *root, 0, 0, 2 * PAGE_SIZE / 8);
    write_entries(loading, *root, pointers | PTE_PRESENT | PTE_WRITE, 0, 1);
    write_entries(loading, pointers, directories | PTE_PRESENT | PTE_WRITE, PAGE_SIZE, 4);
    write_entries(loading, directories, PTE_PRESENT | PTE_WRITE | PTE_LARGE, PAGE_2M,
                  4 * PAGE_1G / PAGE_2M);
    return STATUS_OK;
}

status_t entry_long(struct loading *loading, uint64_t rip)
{
    uint64_t root;
    status_t status = build_identity_map(loading, &root);
    if (status != STATUS_OK)
        return status;
    struct vcpu *vcpu = begin(loading, rip);
    vcpu->cr0 = CR0_PE | CR0_ET | CR0_PG;
    vcpu->cr3 = root;
    vcpu->cr4 = CR4_PAE;
    vcpu->efer = EFER_LME | EFER_LMA;
    for (unsigned i = ES; i <= GS; i++)
        vcpu->segment[i] = flat_segment(ENTRY_DATA, AR_DB | TYPE_DATA);
    vcpu->segment[CS] = flat_segment(ENTRY_CODE64, AR_LONG | TYPE_CODE);
    return give_gdt(loading, vcpu);
}
