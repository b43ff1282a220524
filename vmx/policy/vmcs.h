// The fields of the VMCS: their encodings, for VMREAD and VMWRITE, and their names.
// SDM: appendix "Field Encoding in VMCS"; the groups are explained in "Virtual Machine Control
// Structures".
#pragma once

#include "lib/bits.h"

// An encoding says itself how wide its field is.
#define VMCS_ENCODING_WIDTH UINT32_C(0x6000)
enum vmcs_width { VMCS_16_BIT, VMCS_64_BIT, VMCS_32_BIT, VMCS_NATURAL };

// Each field that is written, read or checked: its encoding, our name for it, and its name in
// messages. Within a width they stand by what they belong to: controls, read-only data, the guest's
// state, the host's; but a segment register's four stand together.
// clang-format off
#define VMCS_SEGMENT(FIELD, at, NAME) \
    FIELD(0x0800 + (at), GUEST_##NAME##_SELECTOR, "guest " #NAME " selector") \
    FIELD(0x4800 + (at), GUEST_##NAME##_LIMIT, "guest " #NAME " limit") \
    FIELD(0x4814 + (at), GUEST_##NAME##_ACCESS_RIGHTS, "guest " #NAME " access rights") \
    FIELD(0x6806 + (at), GUEST_##NAME##_BASE, "guest " #NAME " base")
#define VMCS_FIELDS(FIELD) \
    FIELD(0x0000, VPID, "VPID") \
    FIELD(0x0002, POSTED_INTERRUPT_VECTOR, "posted-interrupt vector") \
    VMCS_SEGMENT(FIELD, 0x0, ES) \
    VMCS_SEGMENT(FIELD, 0x2, CS) \
    VMCS_SEGMENT(FIELD, 0x4, SS) \
    VMCS_SEGMENT(FIELD, 0x6, DS) \
    VMCS_SEGMENT(FIELD, 0x8, FS) \
    VMCS_SEGMENT(FIELD, 0xa, GS) \
    VMCS_SEGMENT(FIELD, 0xc, LDTR) \
    VMCS_SEGMENT(FIELD, 0xe, TR) \
    FIELD(0x0810, GUEST_INTERRUPT_STATUS, "guest interrupt status") \
    FIELD(0x0812, GUEST_PML_INDEX, "PML index") \
    FIELD(0x0814, GUEST_UINV, "guest UINV") \
    FIELD(0x0c00, HOST_ES_SELECTOR, "host ES selector") \
    FIELD(0x0c02, HOST_CS_SELECTOR, "host CS selector") \
    FIELD(0x0c04, HOST_SS_SELECTOR, "host SS selector") \
    FIELD(0x0c06, HOST_DS_SELECTOR, "host DS selector") \
    FIELD(0x0c08, HOST_FS_SELECTOR, "host FS selector") \
    FIELD(0x0c0a, HOST_GS_SELECTOR, "host GS selector") \
    FIELD(0x0c0c, HOST_TR_SELECTOR, "host TR selector") \
    FIELD(0x2000, IO_BITMAP_A, "I/O bitmap A") \
    FIELD(0x2002, IO_BITMAP_B, "I/O bitmap B") \
    FIELD(0x2004, MSR_BITMAPS, "MSR bitmaps") \
    FIELD(0x2006, EXIT_MSR_STORE_ADDRESS, "VM-exit MSR store address") \
    FIELD(0x2008, EXIT_MSR_LOAD_ADDRESS, "VM-exit MSR load address") \
    FIELD(0x200a, ENTRY_MSR_LOAD_ADDRESS, "VM-entry MSR load address") \
    FIELD(0x200e, PML_ADDRESS, "PML address") \
    FIELD(0x2010, TSC_OFFSET, "TSC offset") \
    FIELD(0x2012, VIRTUAL_APIC_ADDRESS, "virtual-APIC address") \
    FIELD(0x2014, APIC_ACCESS_ADDRESS, "APIC-access address") \
    FIELD(0x2016, POSTED_INTERRUPT_DESCRIPTOR, "posted-interrupt descriptor") \
    FIELD(0x2018, VM_FUNCTION_CONTROLS, "VM-function controls") \
    FIELD(0x201a, EPT_POINTER, "EPT pointer") \
    FIELD(0x201c, EOI_EXIT_BITMAP_0, "EOI-exit bitmap 0") \
    FIELD(0x201e, EOI_EXIT_BITMAP_1, "EOI-exit bitmap 1") \
    FIELD(0x2020, EOI_EXIT_BITMAP_2, "EOI-exit bitmap 2") \
    FIELD(0x2022, EOI_EXIT_BITMAP_3, "EOI-exit bitmap 3") \
    FIELD(0x2024, EPTP_LIST_ADDRESS, "EPTP list address") \
    FIELD(0x2026, VMREAD_BITMAP, "VMREAD bitmap") \
    FIELD(0x2028, VMWRITE_BITMAP, "VMWRITE bitmap") \
    FIELD(0x202a, VIRTUALIZATION_EXCEPTION_INFORMATION, "virtualization-exception information") \
    FIELD(0x202c, XSS_EXITING_BITMAP, "XSS exiting bitmap") \
    FIELD(0x2030, SUB_PAGE_PERMISSION_TABLE_POINTER, "sub-page-permission-table pointer") \
    FIELD(0x2032, TSC_MULTIPLIER, "TSC multiplier") \
    FIELD(0x2034, TERTIARY_CONTROLS, "tertiary controls") \
    FIELD(0x2038, LOW_PASID_DIRECTORY, "low PASID directory") \
    FIELD(0x203a, HIGH_PASID_DIRECTORY, "high PASID directory") \
    FIELD(0x2040, HLAT_POINTER, "HLAT pointer") \
    FIELD(0x2042, PID_POINTER_TABLE, "PID pointer table") \
    FIELD(0x2044, SECONDARY_EXIT_CONTROLS, "secondary VM-exit controls") \
    FIELD(0x2400, GUEST_PHYSICAL_ADDRESS, "guest-physical address") \
    FIELD(0x2800, LINK_POINTER, "VMCS link pointer") \
    FIELD(0x2802, GUEST_DEBUGCTL, "guest IA32_DEBUGCTL") \
    FIELD(0x2804, GUEST_PAT, "guest IA32_PAT") \
    FIELD(0x2806, GUEST_EFER, "guest IA32_EFER") \
    FIELD(0x2808, GUEST_PERF_GLOBAL_CTRL, "guest IA32_PERF_GLOBAL_CTRL") \
    FIELD(0x280a, GUEST_PDPTE_0, "guest PDPTE 0") \
    FIELD(0x280c, GUEST_PDPTE_1, "guest PDPTE 1") \
    FIELD(0x280e, GUEST_PDPTE_2, "guest PDPTE 2") \
    FIELD(0x2810, GUEST_PDPTE_3, "guest PDPTE 3") \
    FIELD(0x2812, GUEST_BNDCFGS, "guest IA32_BNDCFGS") \
    FIELD(0x2818, GUEST_PKRS, "guest PKRS") \
    FIELD(0x2c00, HOST_PAT, "host IA32_PAT") \
    FIELD(0x2c02, HOST_EFER, "host IA32_EFER") \
    FIELD(0x2c04, HOST_PERF_GLOBAL_CTRL, "host IA32_PERF_GLOBAL_CTRL") \
    FIELD(0x2c06, HOST_PKRS, "host PKRS") \
    FIELD(0x4000, PIN_BASED_CONTROLS, "pin-based controls") \
    FIELD(0x4002, PRIMARY_CONTROLS, "primary controls") \
    FIELD(0x4004, EXCEPTION_BITMAP, "exception bitmap") \
    FIELD(0x4006, PAGE_FAULT_ERROR_CODE_MASK, "page-fault error-code mask") \
    FIELD(0x4008, PAGE_FAULT_ERROR_CODE_MATCH, "page-fault error-code match") \
    FIELD(0x400a, CR3_TARGET_COUNT, "CR3 target count") \
    FIELD(0x400c, EXIT_CONTROLS, "VM-exit controls") \
    FIELD(0x400e, EXIT_MSR_STORE_COUNT, "VM-exit MSR store count") \
    FIELD(0x4010, EXIT_MSR_LOAD_COUNT, "VM-exit MSR load count") \
    FIELD(0x4012, ENTRY_CONTROLS, "VM-entry controls") \
    FIELD(0x4014, ENTRY_MSR_LOAD_COUNT, "VM-entry MSR load count") \
    FIELD(0x4016, ENTRY_INTERRUPTION_INFORMATION, "VM-entry interruption information") \
    FIELD(0x4018, ENTRY_EXCEPTION_ERROR_CODE, "VM-entry exception error code") \
    FIELD(0x401a, ENTRY_INSTRUCTION_LENGTH, "VM-entry instruction length") \
    FIELD(0x401c, TPR_THRESHOLD, "TPR threshold") \
    FIELD(0x401e, SECONDARY_CONTROLS, "secondary controls") \
    FIELD(0x4020, PLE_GAP, "PLE_Gap") \
    FIELD(0x4022, PLE_WINDOW, "PLE_Window") \
    FIELD(0x4400, INSTRUCTION_ERROR, "VM-instruction error") \
    FIELD(0x4402, EXIT_REASON, "VM-exit reason") \
    FIELD(0x4404, EXIT_INTERRUPTION_INFORMATION, "VM-exit interruption information") \
    FIELD(0x4406, EXIT_INTERRUPTION_ERROR_CODE, "VM-exit interruption error code") \
    FIELD(0x4408, IDT_VECTORING_INFORMATION, "IDT-vectoring information") \
    FIELD(0x440a, IDT_VECTORING_ERROR_CODE, "IDT-vectoring error code") \
    FIELD(0x440c, EXIT_INSTRUCTION_LENGTH, "VM-exit instruction length") \
    FIELD(0x440e, EXIT_INSTRUCTION_INFORMATION, "VM-exit instruction information") \
    FIELD(0x4810, GUEST_GDTR_LIMIT, "guest GDTR limit") \
    FIELD(0x4812, GUEST_IDTR_LIMIT, "guest IDTR limit") \
    FIELD(0x4824, GUEST_INTERRUPTIBILITY, "guest interruptibility") \
    FIELD(0x4826, GUEST_ACTIVITY, "guest activity") \
    FIELD(0x482a, GUEST_SYSENTER_CS, "guest IA32_SYSENTER_CS") \
    FIELD(0x482e, PREEMPTION_TIMER_VALUE, "VMX-preemption timer value") \
    FIELD(0x4c00, HOST_SYSENTER_CS, "host IA32_SYSENTER_CS") \
    FIELD(0x6000, CR0_GUEST_HOST_MASK, "CR0 guest/host mask") \
    FIELD(0x6002, CR4_GUEST_HOST_MASK, "CR4 guest/host mask") \
    FIELD(0x6004, CR0_READ_SHADOW, "CR0 read shadow") \
    FIELD(0x6006, CR4_READ_SHADOW, "CR4 read shadow") \
    FIELD(0x6400, EXIT_QUALIFICATION, "VM-exit qualification") \
    FIELD(0x640a, GUEST_LINEAR_ADDRESS, "guest-linear address") \
    FIELD(0x6800, GUEST_CR0, "guest CR0") \
    FIELD(0x6802, GUEST_CR3, "guest CR3") \
    FIELD(0x6804, GUEST_CR4, "guest CR4") \
    FIELD(0x6816, GUEST_GDTR_BASE, "guest GDTR base") \
    FIELD(0x6818, GUEST_IDTR_BASE, "guest IDTR base") \
    FIELD(0x681a, GUEST_DR7, "guest DR7") \
    FIELD(0x681c, GUEST_RSP, "guest RSP") \
    FIELD(0x681e, GUEST_RIP, "guest RIP") \
    FIELD(0x6820, GUEST_RFLAGS, "guest RFLAGS") \
    FIELD(0x6822, GUEST_PENDING_DEBUG_EXCEPTIONS, "guest pending debug exceptions") \
    FIELD(0x6824, GUEST_SYSENTER_ESP, "guest IA32_SYSENTER_ESP") \
    FIELD(0x6826, GUEST_SYSENTER_EIP, "guest IA32_SYSENTER_EIP") \
    FIELD(0x6828, GUEST_S_CET, "guest IA32_S_CET") \
    FIELD(0x682a, GUEST_SSP, "guest SSP") \
    FIELD(0x682c, GUEST_INTERRUPT_SSP_TABLE, "guest IA32_INTERRUPT_SSP_TABLE_ADDR") \
    FIELD(0x6c00, HOST_CR0, "host CR0") \
    FIELD(0x6c02, HOST_CR3, "host CR3") \
    FIELD(0x6c04, HOST_CR4, "host CR4") \
    FIELD(0x6c06, HOST_FS_BASE, "host FS base") \
    FIELD(0x6c08, HOST_GS_BASE, "host GS base") \
    FIELD(0x6c0a, HOST_TR_BASE, "host TR base") \
    FIELD(0x6c0c, HOST_GDTR_BASE, "host GDTR base") \
    FIELD(0x6c0e, HOST_IDTR_BASE, "host IDTR base") \
    FIELD(0x6c10, HOST_SYSENTER_ESP, "host IA32_SYSENTER_ESP") \
    FIELD(0x6c12, HOST_SYSENTER_EIP, "host IA32_SYSENTER_EIP") \
    FIELD(0x6c14, HOST_RSP, "host RSP") \
    FIELD(0x6c16, HOST_RIP, "host RIP") \
    FIELD(0x6c18, HOST_S_CET, "host IA32_S_CET") \
    FIELD(0x6c1a, HOST_SSP, "host SSP") \
    FIELD(0x6c1c, HOST_INTERRUPT_SSP_TABLE, "host IA32_INTERRUPT_SSP_TABLE_ADDR")
// clang-format on

#define VMCS_ENUMERATOR(encoding, name, text) VMCS_##name = (encoding),
enum vmcs_field { VMCS_FIELDS(VMCS_ENUMERATOR) };

// The guest's segment registers stand in the order of enum segment_register: ES, CS, SS, DS, FS,
// GS, LDTR, TR.
#define VMCS_GUEST_SELECTOR(segment)      (VMCS_GUEST_ES_SELECTOR + 2U * (segment))
#define VMCS_GUEST_BASE(segment)          (VMCS_GUEST_ES_BASE + 2U * (segment))
#define VMCS_GUEST_LIMIT(segment)         (VMCS_GUEST_ES_LIMIT + 2U * (segment))
#define VMCS_GUEST_ACCESS_RIGHTS(segment) (VMCS_GUEST_ES_ACCESS_RIGHTS + 2U * (segment))
