// Control-register accesses: MOV to and from CR0, CR3, CR4, CR8, CLTS and LMSW, with every rule by
// which the CPU refuses them. Called through exit_table[]; most accesses do not exit, because the
// bits are the guest's own (vm/cpu/cr.h). SDM: "MOV-Move to/from Control Registers", "Exit
// Qualification for Control-Register Accesses", "Control Registers".

#include "exits/handlers.h"
#include "vm/cpu/cr.h"

#define ACCESS_NUMBER UINT64_C(0xf)
#define ACCESS_TYPE   BITS(5, 4)
#define ACCESS_GPR    BITS(11, 8)
#define ACCESS_SOURCE BITS(31, 16) // of LMSW

enum access_type { MOV_TO_CR, MOV_FROM_CR, ACCESS_CLTS, ACCESS_LMSW };

#define CR0_DEFINED                                                                                \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD |     \
     CR0_PG)
// A change of these bits makes the CPU read the PDPTEs anew, if the result is PAE paging.
#define CR0_RELOADS (CR0_PG | CR0_CD | CR0_NW)
#define CR4_RELOADS (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)
// A change of these bits of CR4 changes what translations mean.
#define CR4_FLUSHES                                                                                \
    (CR4_PAE | CR4_PGE | CR4_PSE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_LA57)

#define TSS_32BIT BIT32(3) // of a TSS's type

#define CR3_KEEP_TLB BIT(63) // in the operand, with CR4.PCIDE
#define CR3_PCID     UINT64_C(0xfff)
#define CR8_TPR      UINT64_C(0xf)

// Control registers as an instruction would leave them; committed when all of them are right.
struct control {
    uint64_t cr0;
    uint64_t cr3;
    uint64_t cr4;
    uint64_t efer;
    bool flush;
    bool reload; // the PDPTEs
};

static verdict_t commit(struct vcpu *vcpu, const struct control *new)
{
    if (new->reload && cr_pae_paging(new->cr0, new->cr4, new->efer)) {
        uint64_t pdpte[4];
        if (!(vcpu->fetched & STATE_SYSTEM))
            return need(STATE_SYSTEM);
        if (!cr_read_pdptes(vcpu->vm, new->cr3, pdpte))
            return fault_gp(0);
        for (unsigned i = 0; i < ARRAY_LENGTH(pdpte); i++)
            vcpu->pdpte[i] = pdpte[i];
        vcpu->dirty |= STATE_SYSTEM;
    }
    vcpu->cr0 = new->cr0;
    vcpu->cr3 = new->cr3;
    vcpu->cr4 = new->cr4;
    vcpu->efer = new->efer;
    vcpu->dirty |= STATE_CONTROL;
    vcpu_mirror_cr4(vcpu);
    if (new->flush)
        vcpu_note(vcpu, REQUEST_FLUSH_TLB);
    return next();
}

// Switching paging on or off moves EFER.LMA with it. False: the CPU refuses.
static bool switch_paging(const struct vcpu *vcpu, struct control *new)
{
    bool in_long_code = vcpu->segment[CS].access & AR_LONG;
    if (new->cr0 & CR0_PG) {
        if (!(new->efer &EFER_LME))
            return true;
        bool has_tss16 = !(vcpu->segment[TR].access & TSS_32BIT);
        if (!(new->cr4 &CR4_PAE) || in_long_code || has_tss16)
            return false;
        new->efer |= EFER_LMA;
        return true;
    }
    if ((new->efer &EFER_LMA) && in_long_code)
        return false;
    if (new->cr4 & CR4_PCIDE)
        return false;
    new->efer &= ~EFER_LMA;
    return true;
}

static verdict_t write_cr0(struct vcpu *vcpu, struct control *new, uint64_t value)
{
    if (value >> 32)
        return fault_gp(0);
    value = (value & CR0_DEFINED) | CR0_ET;
    if ((value & CR0_PG) && !(value & CR0_PE))
        return fault_gp(0);
    if ((value & CR0_NW) && !(value & CR0_CD))
        return fault_gp(0);

    uint64_t changed = value ^ new->cr0;
    if ((changed & CR0_PG) && !(vcpu->fetched & STATE_SEGMENTS))
        return need(STATE_SEGMENTS);
    new->cr0 = value;
    if ((changed & CR0_PG) && !switch_paging(vcpu, new))
        return fault_gp(0);
    new->reload = changed &CR0_RELOADS;
    new->flush = changed &(CR0_PG | CR0_WP);
    return commit(vcpu, new);
}

static verdict_t write_cr3(struct vcpu *vcpu, struct control *new, uint64_t value)
{
    bool keeps_tlb = (new->cr4 &CR4_PCIDE) && (value & CR3_KEEP_TLB);
    if (keeps_tlb)
        value &= ~CR3_KEEP_TLB;
    if ((new->efer &EFER_LMA) && (value & cr3_reserved(vcpu->vm)))
        return fault_gp(0);
    new->cr3 = value;
    new->reload = true;
    new->flush = !keeps_tlb;
    return commit(vcpu, new);
}

static verdict_t write_cr4(struct vcpu *vcpu, struct control *new, uint64_t value)
{
    if (value & ~cr4_guest_allowed(vcpu->vm))
        return fault_gp(0);
    uint64_t changed = value ^ new->cr4;
    if ((new->efer &EFER_LMA) && ((changed & CR4_LA57) || !(value & CR4_PAE)))
        return fault_gp(0);
    if ((changed & value & CR4_PCIDE) && (!(new->efer &EFER_LMA) || (new->cr3 &CR3_PCID)))
        return fault_gp(0);
    new->cr4 = value;
    new->reload = changed &CR4_RELOADS;
    new->flush = changed &CR4_FLUSHES;
    return commit(vcpu, new);
}

static verdict_t write_cr8(struct vcpu *vcpu, uint64_t value)
{
    if (value & ~CR8_TPR)
        return fault_gp(0);
    lapic_set_tpr(vcpu, (uint8_t)(value << 4));
    return next();
}

static verdict_t mov_to_cr(struct vcpu *vcpu, struct control *new, unsigned number, unsigned from)
{
    uint64_t value = vcpu->gpr[from];
    if (!vcpu_in_64bit(vcpu))
        value = (uint32_t)value;
    switch (number) {
    case 0:
        return write_cr0(vcpu, new, value);
    case 3:
        return write_cr3(vcpu, new, value);
    case 4:
        return write_cr4(vcpu, new, value);
    case 8:
        return write_cr8(vcpu, value);
    default:
        return fault_ud();
    }
}

static verdict_t mov_from_cr(struct vcpu *vcpu, unsigned number, unsigned to)
{
    uint64_t value;
    switch (number) {
    case 0:
        value = vcpu->cr0;
        break;
    case 3:
        value = vcpu->cr3;
        break;
    case 4:
        value = vcpu->cr4;
        break;
    case 8:
        value = lapic_tpr(vcpu) >> 4;
        break;
    default:
        return fault_ud();
    }
    vcpu->gpr[to] = vcpu_in_64bit(vcpu) ? value : (uint32_t)value;
    if (to == RSP)
        vcpu->dirty |= STATE_STACK;
    return next();
}

verdict_t exit_cr_access(struct vcpu *vcpu, const struct exit *exit)
{
    unsigned number = (unsigned)(exit->qualification & ACCESS_NUMBER);
    unsigned gpr = (unsigned)FIELD_GET(ACCESS_GPR, exit->qualification);
    enum access_type type = (enum access_type)FIELD_GET(ACCESS_TYPE, exit->qualification);
    struct control new = {.cr0 = vcpu->cr0, .cr3 = vcpu->cr3, .cr4 = vcpu->cr4, .efer = vcpu->efer};

    if (type <= MOV_FROM_CR && gpr == RSP && !(vcpu->fetched & STATE_STACK))
        return need(STATE_STACK);
    switch (type) {
    case MOV_TO_CR:
        return mov_to_cr(vcpu, &new, number, gpr);
    case MOV_FROM_CR:
        return mov_from_cr(vcpu, number, gpr);
    case ACCESS_CLTS:
        return write_cr0(vcpu, &new, vcpu->cr0 & ~CR0_TS);
    case ACCESS_LMSW: {
        // The low four bits; PE can be set but not cleared.
        uint64_t source = FIELD_GET(ACCESS_SOURCE, exit->qualification);
        uint64_t low = CR0_PE | CR0_MP | CR0_EM | CR0_TS;
        return write_cr0(vcpu, &new, (vcpu->cr0 & ~(low & ~CR0_PE)) | (source & low));
    }
    }
    return fault_ud();
}
