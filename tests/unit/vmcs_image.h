// A VMCS as an array for tests of the entry checker, filled with states that every CPU accepts.
#pragma once

#include "tests/unit/vmx_cpus.h"
#include "vm/vcpu.h"
#include "vmx/check/check.h"
#include "vmx/policy/vmcs_config.h"

#define IMAGE_FIELDS 0x6d00

struct vmcs_image {
    uint64_t value[IMAGE_FIELDS];
    bool asked[IMAGE_FIELDS]; // by the checker
};

static inline uint64_t image_read(void *context, uint32_t field)
{
    struct vmcs_image *image = context;
    image->asked[field] = true;
    return image->value[field];
}

static inline void image_segment(struct vmcs_image *image, unsigned segment, uint64_t selector,
                                 uint64_t base, uint64_t limit, uint64_t access)
{
    image->value[VMCS_GUEST_SELECTOR(segment)] = selector;
    image->value[VMCS_GUEST_BASE(segment)] = base;
    image->value[VMCS_GUEST_LIMIT(segment)] = limit;
    image->value[VMCS_GUEST_ACCESS_RIGHTS(segment)] = access;
}

static inline void image_data_segments(struct vmcs_image *image, uint64_t selector, uint64_t base,
                                       uint64_t limit, uint64_t access)
{
    for (unsigned s = ES; s <= GS; s++)
        if (s != CS)
            image_segment(image, s, selector, base, limit, access);
}

// The host and the controls of a real VMCS, and a guest in 64-bit mode.
static inline void image_long_mode(struct vmcs_image *image, const struct vmcs_config *config)
{
    uint64_t *v = image->value;
    *image = (struct vmcs_image){0};
    v[VMCS_PIN_BASED_CONTROLS] = config->word[WORD_PIN];
    v[VMCS_PRIMARY_CONTROLS] = config->word[WORD_PRIMARY];
    v[VMCS_SECONDARY_CONTROLS] = config->word[WORD_SECONDARY];
    v[VMCS_EXIT_CONTROLS] = config->word[WORD_VMEXIT];
    v[VMCS_ENTRY_CONTROLS] = config->word[WORD_VMENTRY] | VMENTRY_IA32E_GUEST;
    v[VMCS_IO_BITMAP_A] = 0x1000;
    v[VMCS_IO_BITMAP_B] = 0x2000;
    v[VMCS_MSR_BITMAPS] = 0x3000;
    v[VMCS_VIRTUAL_APIC_ADDRESS] = 0x4000;
    v[VMCS_EPT_POINTER] = 0x501e;
    v[VMCS_VPID] = 1;

    v[VMCS_HOST_CR0] = 0x80010033;
    v[VMCS_HOST_CR3] = 0x6000;
    v[VMCS_HOST_CR4] = 0x2620;
    v[VMCS_HOST_CS_SELECTOR] = 8;
    v[VMCS_HOST_TR_SELECTOR] = 0x18;
    v[VMCS_HOST_EFER] = EFER_LME | EFER_LMA | EFER_NXE;
    v[VMCS_HOST_PAT] = 0x0007040600070406;
    v[VMCS_HOST_RIP] = 0x100000;

    v[VMCS_GUEST_CR0] = 0x80000031;
    v[VMCS_GUEST_CR3] = 0x1000;
    v[VMCS_GUEST_CR4] = CR4_PAE | CR4_VMXE;
    v[VMCS_GUEST_EFER] = EFER_LME | EFER_LMA;
    v[VMCS_GUEST_PAT] = 0x0007040600070406;
    v[VMCS_GUEST_DR7] = 0x400;
    v[VMCS_GUEST_RFLAGS] = RFLAGS_FIXED;
    v[VMCS_GUEST_RIP] = 0xffffffff81000000;
    v[VMCS_LINK_POINTER] = UINT64_MAX;
    image_segment(image, CS, 0x10, 0, 0xffffffff, 0xa09b);
    image_data_segments(image, 0x18, 0, 0xffffffff, 0xc093);
    image_segment(image, LDTR, 0, 0, 0, AR_UNUSABLE);
    image_segment(image, TR, 0x20, 0, 0x67, 0x8b);
}

static inline void image_protected_mode(struct vmcs_image *image, const struct vmcs_config *config)
{
    uint64_t *v = image->value;
    image_long_mode(image, config);
    v[VMCS_ENTRY_CONTROLS] &= ~VMENTRY_IA32E_GUEST;
    v[VMCS_GUEST_CR0] = 0x31;
    v[VMCS_GUEST_CR4] = CR4_VMXE;
    v[VMCS_GUEST_EFER] = 0;
    v[VMCS_GUEST_RIP] = 0x100000;
    image_segment(image, CS, 0x10, 0, 0xffffffff, 0xc09b);
}

// With paging and PAE.
static inline void image_pae(struct vmcs_image *image, const struct vmcs_config *config)
{
    uint64_t *v = image->value;
    image_protected_mode(image, config);
    v[VMCS_GUEST_CR0] |= CR0_PG;
    v[VMCS_GUEST_CR4] |= CR4_PAE;
    v[VMCS_GUEST_PDPTE_0] = 0x2001;
    v[VMCS_GUEST_PDPTE_3] = 0xffe; // not present: anything goes
}

// After power-on.
static inline void image_real_mode(struct vmcs_image *image, const struct vmcs_config *config)
{
    uint64_t *v = image->value;
    image_protected_mode(image, config);
    v[VMCS_GUEST_CR0] = 0x60000030;
    v[VMCS_GUEST_RIP] = 0xfff0;
    image_segment(image, CS, 0xf000, 0xffff0000, 0xffff, 0x9b);
    image_data_segments(image, 0, 0, 0xffff, 0x93);
    image_segment(image, LDTR, 0, 0, 0xffff, 0x82);
    image_segment(image, TR, 0, 0, 0xffff, 0x8b);
    v[VMCS_GUEST_GDTR_LIMIT] = v[VMCS_GUEST_IDTR_LIMIT] = 0xffff;
}

static inline void image_virtual_8086(struct vmcs_image *image, const struct vmcs_config *config)
{
    image_protected_mode(image, config);
    image->value[VMCS_GUEST_RFLAGS] |= RFLAGS_VM | RFLAGS_IOPL;
    image_segment(image, CS, 0x1234, 0x12340, 0xffff, 0xf3);
    image_data_segments(image, 0x2000, 0x20000, 0xffff, 0xf3);
}
