// The VMX instructions, each with its failure checked. SDM: "VMX Instruction Reference".
// A VMREAD or VMWRITE that fails is our bug: the field does not exist on this CPU, or no VMCS is
// current.
#pragma once

#include "vm/address.h"
#include "vmx/policy/vmcs.h"

__attribute__((noreturn, cold)) void vmx_access_failed(const char *instruction, uint32_t field);

// What an exit cost, for the statistics: cycles. In an image that `make bench` makes (COUNT=1), the
// accesses since root operation began, a VMREAD as 1 and a VMWRITE as 1000.
#ifdef COUNT
extern uint32_t vmx_accesses;
#define COUNT_ACCESS(weight) (vmx_accesses += (weight))
#define vmx_cost_begin()     (vmx_accesses = 0)
#define vmx_cost(cycles)     ((void)(cycles), vmx_accesses)
#else
#define COUNT_ACCESS(weight) ((void)0)
#define vmx_cost_begin()     ((void)0)
#define vmx_cost(cycles)     (cycles)
#endif

static inline uint64_t vmread(enum vmcs_field field)
{
    uint64_t value;
    COUNT_ACCESS(1);
    __asm__ goto("vmread %1, %0\n\tjbe %l2"
                 : "=r"(value)
                 : "r"((uint64_t)field)
                 : "cc", "memory"
                 : failed);
    return value;
failed:
    vmx_access_failed("VMREAD", field);
}

// The same without the check, for the hot path: only fields that every CPU has, and only while a
// VMCS is current, so that neither instruction can fail.
static inline uint64_t vmread_known(enum vmcs_field field)
{
    uint64_t value;
    COUNT_ACCESS(1);
    __asm__ volatile("vmread %1, %0" : "=r"(value) : "r"((uint64_t)field) : "cc");
    return value;
}

static inline void vmread_into(uint64_t *value, enum vmcs_field field)
{
    COUNT_ACCESS(1);
    __asm__ volatile("vmread %1, %0" : "=m"(*value) : "r"((uint64_t)field) : "cc");
}

static inline void vmwrite_known(enum vmcs_field field, uint64_t value)
{
    COUNT_ACCESS(1000);
    __asm__ volatile("vmwrite %0, %1" : : "r"(value), "r"((uint64_t)field) : "cc", "memory");
}

static inline void vmwrite_from(enum vmcs_field field, const uint64_t *value)
{
    COUNT_ACCESS(1000);
    __asm__ volatile("vmwrite %0, %1" : : "m"(*value), "r"((uint64_t)field) : "cc", "memory");
}

static inline uint32_t vmread32(enum vmcs_field field)
{
    return (uint32_t)vmread(field);
}

static inline void vmwrite(enum vmcs_field field, uint64_t value)
{
    COUNT_ACCESS(1000);
    __asm__ goto("vmwrite %0, %1\n\tjbe %l2"
                 :
                 : "r"(value), "r"((uint64_t)field)
                 : "cc", "memory"
                 : failed);
    return;
failed:
    vmx_access_failed("VMWRITE", field);
}

// For dumps: false where the field does not exist.
static inline bool vmread_safe(uint32_t field, uint64_t *value)
{
    bool ok;
    *value = 0;
    __asm__ volatile("vmread %2, %1" : "=@cca"(ok), "+r"(*value) : "r"((uint64_t)field));
    return ok;
}

// The operand is the physical address of the region. False: VMfailInvalid or VMfailValid.
static inline bool vmxon(const hpa_t *region)
{
    bool ok;
    __asm__ volatile("vmxon %1" : "=@cca"(ok) : "m"(*region) : "memory");
    return ok;
}

static inline void vmxoff(void)
{
    __asm__ volatile("vmxoff" : : : "cc", "memory");
}

static inline bool vmclear(const hpa_t *vmcs)
{
    bool ok;
    __asm__ volatile("vmclear %1" : "=@cca"(ok) : "m"(*vmcs) : "memory");
    return ok;
}

static inline bool vmptrld(const hpa_t *vmcs)
{
    bool ok;
    __asm__ volatile("vmptrld %1" : "=@cca"(ok) : "m"(*vmcs) : "memory");
    return ok;
}

enum invept_type { INVEPT_SINGLE = 1, INVEPT_ALL = 2 };
enum invvpid_type { INVVPID_SINGLE = 1, INVVPID_ALL = 2 };

static inline bool invept(enum invept_type type, uint64_t eptp)
{
    struct {
        uint64_t eptp, reserved;
    } descriptor = {eptp, 0};
    bool ok;
    __asm__ volatile("invept %1, %2"
                     : "=@cca"(ok)
                     : "m"(descriptor), "r"((uint64_t)type)
                     : "memory");
    return ok;
}

static inline bool invvpid(enum invvpid_type type, uint16_t vpid, uint64_t linear)
{
    struct {
        uint64_t vpid, linear;
    } descriptor = {vpid, linear};
    bool ok;
    __asm__ volatile("invvpid %1, %2"
                     : "=@cca"(ok)
                     : "m"(descriptor), "r"((uint64_t)type)
                     : "memory");
    return ok;
}
