// The VM-entry checker on guest state: each single corruption is named, by rule.

#include "tests/unit/support.h"

#include "tests/unit/check_cases.h"

#define ODD    UINT64_C(0x0000800000000000) // not canonical
#define CS_AR  VMCS_GUEST_CS_ACCESS_RIGHTS
#define SS_AR  VMCS_GUEST_SS_ACCESS_RIGHTS
#define DS_AR  VMCS_GUEST_DS_ACCESS_RIGHTS
#define INFO   VMCS_ENTRY_INTERRUPTION_INFORMATION
#define SHADOW VMCS_GUEST_INTERRUPTIBILITY
#define NMI    UINT64_C(0x80000202)
#define EXTERN UINT64_C(0x80000020)

static void control_registers(void **state)
{
    // clang-format off
    const struct corruption cases[] = {
        {LONG, {{VMCS_GUEST_CR0, 0x80000011}}, {"guest CR0:fixes to 1"}}, // NE
        {LONG, {{VMCS_GUEST_CR0, 0xe0000031}}, {NULL}},                   // CD and NW are free
        {LONG, {{VMCS_GUEST_CR0, 0x180000031}}, {"guest CR0:fixes to 0"}},
        {LONG, {{VMCS_GUEST_CR0, 0x80000030}}, {"guest CR0:PG is 1 while PE is 0"}},
        {LONG, {{VMCS_GUEST_CR0, 0x31}}, {"guest CR0:PG is 0 in an IA-32e"}},
        {LONG, {{VMCS_GUEST_CR4, CR4_PAE}}, {"guest CR4:fixes to 1"}},
        {LONG, {{VMCS_GUEST_CR4, CR4_PAE | CR4_VMXE | BIT(30)}}, {"guest CR4:fixes to 0"}},
        {LONG, {{VMCS_GUEST_CR4, CR4_VMXE}}, {"guest CR4:PAE"}},
        {LONG, {{VMCS_GUEST_CR4, CR4_PAE | CR4_VMXE | CR4_CET}}, {"guest CR4:CET"}},
        {PROT, {{VMCS_GUEST_CR4, CR4_VMXE | CR4_PCIDE}}, {"guest CR4:PCIDE"}},
        {LONG, {{VMCS_GUEST_CR4, CR4_PAE | CR4_VMXE | CR4_PCIDE}}, {NULL}},
        {LONG, {{VMCS_GUEST_CR3, BIT(40)}}, {"guest CR3:beyond"}},
        {LONG, {{VMCS_GUEST_CR3, BIT(63)}}, {"guest CR3:beyond"}},
        {LONG, {{VMCS_GUEST_DR7, BIT(32)}}, {"guest DR7:63:32"}},
        {LONG, {{VMCS_GUEST_DR7, BIT(32)}, {VMCS_ENTRY_CONTROLS, ENTRY64 & ~VMENTRY_LOAD_DEBUG_CONTROLS}}, {NULL}},
    };
    // clang-format on
    struct vmx_capabilities cpu = everything();
    RUN(&cpu, cases, check_guest);

    // Without an unrestricted guest PE and PG are fixed like the rest.
    // clang-format off
    const struct corruption restricted[] = {
        {PROT, {{VMCS_SECONDARY_CONTROLS, SECONDARY & ~SECONDARY_UNRESTRICTED_GUEST}, {VMCS_GUEST_SS_SELECTOR, 0x18}}, {"guest CR0:fixes to 1"}},
    };
    // clang-format on
    RUN(&cpu, restricted, check_guest);
}

static void msrs(void **state)
{
    const uint64_t cet = ENTRY64 | VMENTRY_LOAD_CET;
    // clang-format off
    const struct corruption cases[] = {
        {LONG, {{VMCS_GUEST_DEBUGCTL, BIT(3)}}, {"guest IA32_DEBUGCTL:reserved"}},
        {LONG, {{VMCS_GUEST_DEBUGCTL, BIT(16)}}, {"guest IA32_DEBUGCTL:reserved"}},
        {LONG, {{VMCS_GUEST_DEBUGCTL, 3}}, {NULL}},
        {LONG, {{VMCS_GUEST_SYSENTER_ESP, ODD}}, {"guest IA32_SYSENTER_ESP:canonical"}},
        {LONG, {{VMCS_GUEST_SYSENTER_EIP, ODD}}, {"guest IA32_SYSENTER_EIP:canonical"}},
        {LONG, {{VMCS_GUEST_PAT, 0x0007040600070402}}, {"guest IA32_PAT:each byte"}},
        {LONG, {{VMCS_GUEST_PAT, 0x0307040600070406}}, {"guest IA32_PAT:each byte"}},
        {LONG, {{VMCS_GUEST_EFER, EFER_LME | EFER_LMA | BIT(12)}}, {"guest IA32_EFER:reserved"}},
        {LONG, {{VMCS_GUEST_EFER, EFER_LME}}, {"guest IA32_EFER:control", "guest IA32_EFER:LMA is not LME"}},
        {LONG, {{VMCS_GUEST_EFER, EFER_LMA}}, {"guest IA32_EFER:LMA is not LME"}},
        {PROT, {{VMCS_GUEST_EFER, EFER_LME}}, {NULL}}, // paging is still off
        {PROT, {{VMCS_GUEST_EFER, EFER_LMA}}, {"guest IA32_EFER:control"}},
        {PAE, {{VMCS_GUEST_EFER, EFER_LME}}, {"guest IA32_EFER:LMA is not LME"}},
        {LONG, {{VMCS_ENTRY_CONTROLS, ENTRY64 | VMENTRY_LOAD_PERF_GLOBAL_CTRL}, {VMCS_GUEST_PERF_GLOBAL_CTRL, BIT(63)}}, {"guest IA32_PERF_GLOBAL_CTRL:reserved"}},
        {LONG, {{VMCS_ENTRY_CONTROLS, ENTRY64 | VMENTRY_LOAD_BNDCFGS}, {VMCS_GUEST_BNDCFGS, 4}}, {"guest IA32_BNDCFGS:11:2"}},
        {LONG, {{VMCS_ENTRY_CONTROLS, ENTRY64 | VMENTRY_LOAD_BNDCFGS}, {VMCS_GUEST_BNDCFGS, ODD}}, {"guest IA32_BNDCFGS:canonical"}},
        {LONG, {{VMCS_ENTRY_CONTROLS, cet}, {VMCS_GUEST_S_CET, 0x40}}, {"guest IA32_S_CET:9:6"}},
        {LONG, {{VMCS_ENTRY_CONTROLS, cet}, {VMCS_GUEST_INTERRUPT_SSP_TABLE, ODD}}, {"guest IA32_INTERRUPT_SSP_TABLE_ADDR:canonical"}},
        {LONG, {{VMCS_ENTRY_CONTROLS, cet}, {VMCS_GUEST_SSP, 1}}, {"guest SSP:1:0"}},
        {LONG, {{VMCS_ENTRY_CONTROLS, cet}, {VMCS_GUEST_SSP, BIT(48)}}, {"guest SSP:canonical"}},
        {PROT, {{VMCS_ENTRY_CONTROLS, ENTRY | VMENTRY_LOAD_CET}, {VMCS_GUEST_SSP, BIT(32)}}, {"guest SSP:63:32"}},
        {LONG, {{VMCS_ENTRY_CONTROLS, ENTRY64 | VMENTRY_LOAD_PKRS}, {VMCS_GUEST_PKRS, BIT(40)}}, {"guest PKRS:63:32"}},
        {LONG, {{VMCS_ENTRY_CONTROLS, ENTRY64 | VMENTRY_LOAD_UINV}, {VMCS_GUEST_UINV, 256}}, {"guest UINV:15:8"}},
    };
    // clang-format on
    struct vmx_capabilities cpu = everything();
    RUN(&cpu, cases, check_guest);

    // clang-format off
    const struct corruption no_nx[] = {
        {PROT, {{VMCS_GUEST_EFER, EFER_NXE}, {VMCS_HOST_EFER, EFER_LMA | EFER_LME}}, {"guest IA32_EFER:reserved"}},
    };
    // clang-format on
    cpu.raw.no_execute = false;
    RUN(&cpu, no_nx, check_guest);
}

static void segments(void **state)
{
    // clang-format off
    const struct corruption cases[] = {
        {LONG, {{VMCS_GUEST_TR_SELECTOR, 0x24}}, {"guest TR selector:TI"}},
        {LONG, {{VMCS_GUEST_LDTR_SELECTOR, 4}}, {NULL}}, // unusable
        {REAL, {{VMCS_GUEST_LDTR_SELECTOR, 4}}, {"guest LDTR selector:TI"}},
        {LONG, {{VMCS_GUEST_TR_BASE, ODD}}, {"guest TR base:canonical"}},
        {LONG, {{VMCS_GUEST_FS_BASE, ODD}}, {"guest FS base:canonical"}},
        {LONG, {{VMCS_GUEST_GS_BASE, ODD}}, {"guest GS base:canonical"}},
        {LONG, {{VMCS_GUEST_GS_BASE, 0xffff800000000000}}, {NULL}},
        {REAL, {{VMCS_GUEST_LDTR_BASE, ODD}}, {"guest LDTR base:canonical"}},
        {LONG, {{VMCS_GUEST_CS_BASE, BIT(32)}}, {"guest CS base:63:32"}},
        {LONG, {{VMCS_GUEST_SS_BASE, BIT(32)}}, {"guest SS base:63:32"}},
        {LONG, {{VMCS_GUEST_DS_BASE, BIT(32)}}, {"guest DS base:63:32"}},
        {LONG, {{VMCS_GUEST_ES_BASE, BIT(32)}}, {"guest ES base:63:32"}},
        {LONG, {{VMCS_GUEST_ES_BASE, BIT(32)}, {VMCS_GUEST_ES_ACCESS_RIGHTS, AR_UNUSABLE}}, {NULL}},

        {LONG, {{CS_AR, 0xa09a}}, {"guest CS access rights:type"}},
        {PROT, {{CS_AR, 0xc093}}, {NULL}}, // data, for an unrestricted guest
        {PROT, {{CS_AR, 0xc091}}, {"guest CS access rights:type"}},
        {LONG, {{CS_AR, 0xa08b}}, {"guest CS access rights:S is 0"}},
        {LONG, {{CS_AR, 0xa01b}}, {"guest CS access rights:P is 0"}},
        {LONG, {{CS_AR, 0xa19b}}, {"guest CS access rights:11:8"}},
        {LONG, {{CS_AR, 0x2a09b}}, {"guest CS access rights:31:17"}},
        {LONG, {{CS_AR, 0xe09b}}, {"guest CS access rights:L and D/B"}},
        {PROT, {{CS_AR, 0xe09b}}, {NULL}},
        {LONG, {{CS_AR, 0xa0fb}}, {"guest CS access rights:DPL of non-conforming"}},
        {LONG, {{CS_AR, 0xa0ff}}, {"guest CS access rights:DPL of conforming"}},
        {LONG, {{CS_AR, 0xa09f}, {SS_AR, 0xc0f3}}, {NULL}},
        {LONG, {{SS_AR, 0xc0f3}}, {"guest CS access rights:DPL of non-conforming"}},
        {PROT, {{CS_AR, 0xc0b3}}, {"guest CS access rights:DPL is not 0 with type 3"}},
        {PROT, {{CS_AR, 0xc093}, {SS_AR, 0xc0f3}}, {"guest SS access rights:CS of type 3"}},
        {LONG, {{CS_AR, 0x209b}}, {"guest CS access rights:G is 0"}},
        {LONG, {{VMCS_GUEST_CS_LIMIT, 0xfffffffe}}, {"guest CS access rights:G is 1"}},
        {LONG, {{VMCS_GUEST_CS_LIMIT, 0xfff}}, {NULL}},

        {LONG, {{SS_AR, 0xc091}}, {"guest SS access rights:type"}},
        {LONG, {{SS_AR, 0xc097}}, {NULL}},
        {LONG, {{SS_AR, 0xc083}}, {"guest SS access rights:S is 0"}},
        {LONG, {{SS_AR, 0xc013}}, {"guest SS access rights:P is 0"}},
        {LONG, {{SS_AR, AR_UNUSABLE}}, {NULL}},
        {REAL, {{SS_AR, 0xf3}, {CS_AR, 0xff}}, {"guest SS access rights:CR0.PE"}},
        {LONG, {{DS_AR, 0xc092}}, {"guest DS access rights:accessed"}},
        {LONG, {{DS_AR, 0xc099}}, {"guest DS access rights:readable"}},
        {LONG, {{DS_AR, 0xc09b}}, {NULL}},
        {LONG, {{VMCS_GUEST_ES_ACCESS_RIGHTS, 0xc083}}, {"guest ES access rights:S is 0"}},
        {LONG, {{VMCS_GUEST_FS_ACCESS_RIGHTS, 0xc013}}, {"guest FS access rights:P is 0"}},
        {LONG, {{VMCS_GUEST_GS_ACCESS_RIGHTS, 0xc893}}, {"guest GS access rights:11:8"}},
        {LONG, {{VMCS_GUEST_DS_ACCESS_RIGHTS, 0x4093}}, {"guest DS access rights:G is 0"}},
        {LONG, {{VMCS_GUEST_GS_ACCESS_RIGHTS, 0x1ffff}}, {NULL}}, // unusable: the rest is free

        {LONG, {{VMCS_GUEST_TR_ACCESS_RIGHTS, 0x83}}, {"guest TR access rights:type is not 11"}},
        {LONG, {{VMCS_GUEST_TR_ACCESS_RIGHTS, 0x89}}, {"guest TR access rights:type is not 11"}},
        {PROT, {{VMCS_GUEST_TR_ACCESS_RIGHTS, 0x83}}, {NULL}},
        {PROT, {{VMCS_GUEST_TR_ACCESS_RIGHTS, 0x81}}, {"guest TR access rights:type is not 3"}},
        {LONG, {{VMCS_GUEST_TR_ACCESS_RIGHTS, 0x9b}}, {"guest TR access rights:S is 1"}},
        {LONG, {{VMCS_GUEST_TR_ACCESS_RIGHTS, 0x0b}}, {"guest TR access rights:P is 0"}},
        {LONG, {{VMCS_GUEST_TR_ACCESS_RIGHTS, 0x1008b}}, {"guest TR access rights:unusable"}},
        {LONG, {{VMCS_GUEST_TR_LIMIT, BIT(20)}}, {"guest TR access rights:G is 0"}},
        {REAL, {{VMCS_GUEST_LDTR_ACCESS_RIGHTS, 0x83}}, {"guest LDTR access rights:type is not 2"}},
        {REAL, {{VMCS_GUEST_LDTR_ACCESS_RIGHTS, 0x92}}, {"guest LDTR access rights:S is 1"}},
        {REAL, {{VMCS_GUEST_LDTR_ACCESS_RIGHTS, 0x02}}, {"guest LDTR access rights:P is 0"}},

        {V86, {{VMCS_GUEST_CS_BASE, 0x12350}}, {"guest CS base:virtual-8086"}},
        {V86, {{VMCS_GUEST_DS_LIMIT, 0xfffff}}, {"guest DS limit:virtual-8086"}},
        {V86, {{SS_AR, 0x93}}, {"guest SS access rights:virtual-8086"}},
        {V86, {{VMCS_GUEST_GS_ACCESS_RIGHTS, AR_UNUSABLE}}, {"guest GS access rights:virtual-8086"}},
    };
    // clang-format on
    struct vmx_capabilities cpu = everything();
    RUN(&cpu, cases, check_guest);

    // The rules that an unrestricted guest is free of.
    const uint64_t restricted = SECONDARY & ~SECONDARY_UNRESTRICTED_GUEST;
    // clang-format off
    const struct corruption without[] = {
        {LONG, {{VMCS_SECONDARY_CONTROLS, restricted}}, {NULL}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, restricted}, {VMCS_GUEST_CS_SELECTOR, 0x13}}, {"guest SS selector:RPL"}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, restricted}, {SS_AR, 0xc0f3}, {CS_AR, 0xa0fb}}, {"guest SS access rights:selector's RPL"}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, restricted}, {VMCS_GUEST_DS_SELECTOR, 0x1b}}, {"guest DS access rights:selector's RPL"}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, restricted}, {VMCS_GUEST_DS_SELECTOR, 0x1b}, {DS_AR, 0xc09b}}, {"guest DS access rights:selector's RPL"}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, restricted}, {VMCS_GUEST_DS_SELECTOR, 0x1b}, {DS_AR, 0xc09f}}, {NULL}},
        {LONG, {{VMCS_SECONDARY_CONTROLS, restricted}, {CS_AR, 0xa093}}, {"guest CS access rights:no unrestricted guest"}},
    };
    // clang-format on
    RUN(&cpu, without, check_guest);
}

static void tables_and_flow(void **state)
{
    // clang-format off
    const struct corruption cases[] = {
        {LONG, {{VMCS_GUEST_GDTR_BASE, ODD}}, {"guest GDTR base:canonical"}},
        {LONG, {{VMCS_GUEST_IDTR_BASE, ODD}}, {"guest IDTR base:canonical"}},
        {LONG, {{VMCS_GUEST_GDTR_LIMIT, 0x10000}}, {"guest GDTR limit:31:16"}},
        {LONG, {{VMCS_GUEST_IDTR_LIMIT, 0xffffffff}}, {"guest IDTR limit:31:16"}},
        {LONG, {{VMCS_GUEST_RIP, BIT(48)}}, {"guest RIP:canonical"}},
        {LONG, {{VMCS_GUEST_RIP, ODD}}, {NULL}}, // bit 47 alone: not checked by the CPU
        {LONG, {{VMCS_GUEST_RIP, BIT(32)}, {CS_AR, 0xc09b}}, {"guest RIP:63:32"}},
        {PROT, {{VMCS_GUEST_RIP, BIT(32)}}, {"guest RIP:63:32"}},
        {LONG, {{VMCS_GUEST_RFLAGS, 0}}, {"guest RFLAGS:bit 1"}},
        {LONG, {{VMCS_GUEST_RFLAGS, BIT(1) | BIT(3)}}, {"guest RFLAGS:reserved"}},
        {LONG, {{VMCS_GUEST_RFLAGS, BIT(1) | BIT(5)}}, {"guest RFLAGS:reserved"}},
        {LONG, {{VMCS_GUEST_RFLAGS, BIT(1) | BIT(15)}}, {"guest RFLAGS:reserved"}},
        {LONG, {{VMCS_GUEST_RFLAGS, BIT(1) | BIT(22)}}, {"guest RFLAGS:reserved"}},
        {LONG, {{VMCS_GUEST_RFLAGS, BIT(1) | BIT(63)}}, {"guest RFLAGS:reserved"}},
        {V86, {{VMCS_GUEST_CR0, 0x30}}, {"guest RFLAGS:VM"}},
        {LONG, {{INFO, EXTERN}}, {"guest RFLAGS:IF"}},
        {LONG, {{INFO, EXTERN}, {VMCS_GUEST_RFLAGS, BIT(1) | RFLAGS_IF}}, {NULL}},
        {PAE, {{VMCS_GUEST_PDPTE_0, 0x2003}}, {"guest PDPTE 0:reserved"}},
        {PAE, {{VMCS_GUEST_PDPTE_1, 0x3021}}, {"guest PDPTE 1:reserved"}},
        {PAE, {{VMCS_GUEST_PDPTE_2, BIT(40) | 1}}, {"guest PDPTE 2:reserved"}},
        {PAE, {{VMCS_GUEST_PDPTE_3, BIT(63) | 1}}, {"guest PDPTE 3:reserved"}},
        {PROT, {{VMCS_GUEST_PDPTE_0, 0x2003}}, {NULL}}, // no paging
        {LONG, {{VMCS_GUEST_PDPTE_0, 0x2003}}, {NULL}}, // not PAE paging
        {LONG, {{VMCS_LINK_POINTER, 0x1008}}, {"VMCS link pointer:aligned"}},
        {LONG, {{VMCS_LINK_POINTER, BIT(40)}}, {"VMCS link pointer:beyond"}},
    };
    // clang-format on
    struct vmx_capabilities cpu = everything();
    RUN(&cpu, cases, check_guest);
}

static void events(void **state)
{
    const uint64_t flags = RFLAGS_FIXED | RFLAGS_IF, traps = flags | RFLAGS_TF;
    const enum vmcs_field pending = VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS;
    // clang-format off
    const struct corruption cases[] = {
        {LONG, {{VMCS_GUEST_ACTIVITY, 1}}, {NULL}},
        {LONG, {{VMCS_GUEST_ACTIVITY, 4}}, {"guest activity:no activity state"}},
        {LONG, {{VMCS_GUEST_ACTIVITY, UINT32_MAX}}, {"guest activity:no activity state"}},
        {LONG, {{VMCS_GUEST_ACTIVITY, 1}, {SS_AR, 0xc0f3}, {CS_AR, 0xa0fb}}, {"guest activity:SS.DPL"}},
        {LONG, {{VMCS_GUEST_ACTIVITY, 1}, {SHADOW, 1}, {VMCS_GUEST_RFLAGS, flags}}, {"guest activity:blocking"}},
        {LONG, {{VMCS_GUEST_ACTIVITY, 1}, {INFO, EXTERN}, {VMCS_GUEST_RFLAGS, flags}}, {NULL}},
        {LONG, {{VMCS_GUEST_ACTIVITY, 1}, {INFO, NMI}}, {NULL}},
        {LONG, {{VMCS_GUEST_ACTIVITY, 1}, {INFO, 0x80000301}}, {NULL}},
        {LONG, {{VMCS_GUEST_ACTIVITY, 1}, {INFO, 0x80000312}}, {NULL}},
        {LONG, {{VMCS_GUEST_ACTIVITY, 1}, {INFO, 0x80000306}}, {"guest activity:does not let in"}},
        {LONG, {{VMCS_GUEST_ACTIVITY, 2}, {INFO, NMI}}, {NULL}},
        {LONG, {{VMCS_GUEST_ACTIVITY, 2}, {INFO, 0x80000312}}, {NULL}},
        {LONG, {{VMCS_GUEST_ACTIVITY, 2}, {INFO, EXTERN}, {VMCS_GUEST_RFLAGS, flags}}, {"guest activity:does not let in"}},
        {LONG, {{VMCS_GUEST_ACTIVITY, 3}, {INFO, NMI}}, {"guest activity:does not let in"}},
        {LONG, {{SHADOW, BIT(5)}}, {"guest interruptibility:31:5"}},
        {LONG, {{SHADOW, 3}, {VMCS_GUEST_RFLAGS, flags}}, {"guest interruptibility:at once"}},
        {LONG, {{SHADOW, 1}}, {"guest interruptibility:RFLAGS.IF"}},
        {LONG, {{SHADOW, 1}, {VMCS_GUEST_RFLAGS, flags}}, {NULL}},
        {LONG, {{SHADOW, 2}}, {NULL}},
        {LONG, {{SHADOW, 1}, {VMCS_GUEST_RFLAGS, flags}, {INFO, EXTERN}}, {"guest interruptibility:external interrupt"}},
        {LONG, {{SHADOW, 2}, {VMCS_GUEST_RFLAGS, flags}, {INFO, EXTERN}}, {"guest interruptibility:external interrupt"}},
        {LONG, {{SHADOW, 2}, {INFO, NMI}}, {"guest interruptibility:MOV SS, but an NMI"}},
        {LONG, {{SHADOW, 1}, {VMCS_GUEST_RFLAGS, flags}, {INFO, NMI}}, {"guest interruptibility:some CPUs"}},
        {LONG, {{SHADOW, 8}, {INFO, NMI}}, {"guest interruptibility:virtual NMIs"}},
        {LONG, {{SHADOW, 8}, {INFO, NMI}, {VMCS_PIN_BASED_CONTROLS, PIN & ~PIN_VIRTUAL_NMIS}}, {NULL}},
        {LONG, {{SHADOW, 8}}, {NULL}},
        {LONG, {{SHADOW, 4}}, {"guest interruptibility:SMI"}},
        {LONG, {{SHADOW, 0x12}}, {"guest interruptibility:enclave"}},
        {LONG, {{pending, BIT(4)}}, {"guest pending debug exceptions:reserved"}},
        {LONG, {{pending, BIT(13)}}, {"guest pending debug exceptions:reserved"}},
        {LONG, {{pending, BIT(63)}}, {"guest pending debug exceptions:reserved"}},
        {LONG, {{pending, 0x500f}}, {NULL}},
        {LONG, {{SHADOW, 1}, {VMCS_GUEST_RFLAGS, traps}}, {"guest pending debug exceptions:BS is 0"}},
        {LONG, {{SHADOW, 1}, {VMCS_GUEST_RFLAGS, traps}, {pending, BIT(14)}}, {NULL}},
        {LONG, {{SHADOW, 1}, {VMCS_GUEST_RFLAGS, traps}, {VMCS_GUEST_DEBUGCTL, 2}}, {NULL}},
        {LONG, {{SHADOW, 1}, {VMCS_GUEST_RFLAGS, traps}, {VMCS_GUEST_DEBUGCTL, 2}, {pending, BIT(14)}}, {"guest pending debug exceptions:BS is 1"}},
        {LONG, {{VMCS_GUEST_ACTIVITY, 1}, {pending, BIT(14)}}, {"guest pending debug exceptions:BS is 1"}},
        {LONG, {{pending, BIT(16)}}, {"guest pending debug exceptions:bit 12"}},
        {LONG, {{pending, BIT(16) | BIT(12) | 1}}, {"guest pending debug exceptions:bit 12"}},
        {LONG, {{pending, BIT(16) | BIT(12)}}, {NULL}},
        {LONG, {{pending, BIT(16) | BIT(12)}, {SHADOW, 2}}, {"guest pending debug exceptions:MOV SS"}},
    };
    // clang-format on
    struct vmx_capabilities cpu = everything();
    RUN(&cpu, cases, check_guest);

    // clang-format off
    const struct corruption on_kvm[] = {
        {LONG, {{VMCS_GUEST_ACTIVITY, 2}}, {"guest activity:no activity state"}},
        {LONG, {{VMCS_GUEST_ACTIVITY, 3}}, {"guest activity:no activity state"}},
    };
    // clang-format on
    cpu = decoded(&kvm_host);
    RUN(&cpu, on_kvm, check_guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_registers), cmocka_unit_test(msrs),   cmocka_unit_test(segments),
        cmocka_unit_test(tables_and_flow),   cmocka_unit_test(events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
