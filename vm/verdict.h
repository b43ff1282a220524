// What an exit handler decides. Built by the constructors below and by nothing else; returned in
// RAX. Zero is invalid on purpose: a forgotten verdict stops the VM as our bug.
#pragma once

#include "lib/bits.h"

enum verdict_kind {
    VERDICT_INVALID = 0,
    VERDICT_NEXT,  // instruction emulated: step over it
    VERDICT_AGAIN, // resume at the same RIP
    VERDICT_FAULT, // the guest erred: it gets the exception
    VERDICT_WAIT,  // step over it, then nothing to run until an event
    VERDICT_YIELD, // step over it, then others may run first
    VERDICT_STOP,  // this VM ends
    VERDICT_NEED,  // call again with these groups of guest state fetched
};

// Why a VM ended, and how that is said in the summary.
// clang-format off
#define VM_STOPS(STOP) \
    STOP(NONE, "running") \
    STOP(POWEROFF, "powered off") \
    STOP(RESET, "reset") \
    STOP(TRIPLE_FAULT, "triple fault") \
    STOP(KILLED, "killed") \
    STOP(DEBUG_EXIT, "debug exit") /* the guest wrote its exit code to the test device */ \
    STOP(GUEST_PANIC, "guest panic") \
    STOP(ENTRY_FAILED, "VM entry failed") \
    STOP(UNKNOWN_EXIT, "unknown exit") \
    STOP(UNEMULATED, "instruction not emulated") \
    STOP(BAD_MEMORY, "no memory there") /* its kernel executes or walks page tables there */ \
    STOP(MACHINE_CHECK, "machine check") /* hardware error while the guest ran */ \
    STOP(BUG, "bug in Corbel") /* our bug, confined to this VM */
// clang-format on
#define STOP_ENUMERATOR(name, text) STOP_##name,
enum stop_reason { VM_STOPS(STOP_ENUMERATOR) STOP_REASONS };
const char *stop_reason_text(enum stop_reason reason);

typedef struct {
    uint8_t kind;
    uint8_t detail;    // NEXT, WAIT, YIELD: length, 0 for the VMCS's; FAULT: vector; STOP: reason
    uint8_t has_error; // FAULT: whether an error code is pushed
    uint8_t reserved;
    // FAULT: error code; STOP: code of the reason; NEED: groups; YIELD: 0, or 1 + a vCPU's id;
    // NEXT: 1 if it blocks like MOV SS
    uint32_t value;
} verdict_t;
_Static_assert(sizeof(verdict_t) == 8, "a verdict returns in RAX");

// clang-format off
#define VM_EXCEPTIONS(EXCEPTION) \
    EXCEPTION(DE, "de", 0) \
    EXCEPTION(DB, "db", 1) \
    EXCEPTION(BP, "bp", 3) \
    EXCEPTION(OF, "of", 4) \
    EXCEPTION(BR, "br", 5) \
    EXCEPTION(UD, "ud", 6) \
    EXCEPTION(NM, "nm", 7) \
    EXCEPTION(DF, "df", 8) \
    EXCEPTION(TS, "ts", 10) \
    EXCEPTION(NP, "np", 11) \
    EXCEPTION(SS, "ss", 12) \
    EXCEPTION(GP, "gp", 13) \
    EXCEPTION(PF, "pf", 14) \
    EXCEPTION(MF, "mf", 16) \
    EXCEPTION(AC, "ac", 17) \
    EXCEPTION(MC, "mc", 18) \
    EXCEPTION(XM, "xm", 19) \
    EXCEPTION(VE, "ve", 20) \
    EXCEPTION(CP, "cp", 21)
// clang-format on
#define EXCEPTION_ENUMERATOR(name, text, vector) VECTOR_##name = (vector),
enum exception { VM_EXCEPTIONS(EXCEPTION_ENUMERATOR) VECTOR_NMI = 2 };

static inline verdict_t next(void)
{
    return (verdict_t){.kind = VERDICT_NEXT};
}

// Whether it is a plain next(): the one verdict of the hot path.
static inline bool verdict_is_next(verdict_t verdict)
{
    uint64_t bits;
    __builtin_memcpy(&bits, &verdict, sizeof(bits));
    return (uint16_t)bits == VERDICT_NEXT;
}

// The length comes from our decoder (1 to 15), for exits whose VMCS length is undefined.
static inline verdict_t next_len(unsigned length)
{
    return (verdict_t){.kind = VERDICT_NEXT, .detail = (uint8_t)length};
}

// The same of an instruction that holds back events behind the next one: MOV SS.
static inline verdict_t next_len_blocking(unsigned length)
{
    return (verdict_t){.kind = VERDICT_NEXT, .detail = (uint8_t)length, .value = 1};
}

static inline verdict_t again(void)
{
    return (verdict_t){.kind = VERDICT_AGAIN};
}

static inline verdict_t wait(void)
{
    return (verdict_t){.kind = VERDICT_WAIT};
}

static inline verdict_t yield(void)
{
    return (verdict_t){.kind = VERDICT_YIELD};
}

// Best if this vCPU of the same VM ran instead.
static inline verdict_t yield_to(unsigned id)
{
    return (verdict_t){.kind = VERDICT_YIELD, .value = id + 1};
}

static inline verdict_t stop(enum stop_reason reason, uint32_t code)
{
    return (verdict_t){.kind = VERDICT_STOP, .detail = (uint8_t)reason, .value = code};
}

// STATE_ groups and FACT_ bits of vm/exit.h that this row does not always fetch. The handler must
// have changed nothing.
static inline verdict_t need(uint32_t groups)
{
    return (verdict_t){.kind = VERDICT_NEED, .value = groups};
}

static inline verdict_t fault(enum exception vector)
{
    return (verdict_t){.kind = VERDICT_FAULT, .detail = (uint8_t)vector};
}

static inline verdict_t fault_code(enum exception vector, uint32_t error)
{
    return (verdict_t){
        .kind = VERDICT_FAULT, .detail = (uint8_t)vector, .has_error = 1, .value = error};
}

static inline verdict_t fault_ud(void)
{
    return fault(VECTOR_UD);
}

static inline verdict_t fault_gp(uint32_t error)
{
    return fault_code(VECTOR_GP, error);
}

static inline verdict_t fault_ss(uint32_t error)
{
    return fault_code(VECTOR_SS, error);
}

// What a function that returns false returns, with the verdict that says why.
static inline bool fail_with(verdict_t *fault, verdict_t why)
{
    *fault = why;
    return false;
}
