// Control registers: which bits a guest may set, which of them Corbel owns (a guest's write to them
// exits), and the loading of PAE page-directory pointers. The machine half programs the guest/host
// masks from here. SDM: "Control Registers", "Guest/Host Masks and Read Shadows for CR0 and CR4",
// "PAE Paging".
#pragma once

#include "vm/vm.h"

// CR0 and CR4 bits for the guest/host masks. Unrestricted guest is taken for granted: PE and PG are
// the guest's own. NE must be set in VMX operation; CD and NW would reach the host's caches.
#define CR0_OWNED (CR0_NE | CR0_NW | CR0_CD)
uint64_t cr4_owned(const struct vm *vm);

// The bits of CR4 that the guest's CPUID gives it; all others are reserved.
uint64_t cr4_guest_allowed(const struct vm *vm);

// Physical-address bits that the guest's CPUID leaves reserved.
uint64_t cr3_reserved(const struct vm *vm);

// Whether control registers and EFER of these values mean PAE paging, which keeps four PDPTEs in
// registers.
static inline bool cr_pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LMA);
}

// Reads the four PDPTEs that CR3 points to. False: a present one has reserved bits set, and the
// instruction that loads them gets #GP(0). Where there is no RAM, all ones are read.
MUST_CHECK bool cr_read_pdptes(const struct vm *vm, uint64_t cr3, uint64_t pdpte[4]);
