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

// Why a VM ended.
enum stop_reason {
    STOP_NONE = 0,
    STOP_POWEROFF,      // the guest switched itself off
    STOP_RESET,         // the guest asked for a reset
    STOP_TRIPLE_FAULT,  // shutdown state
    STOP_KILLED,        // the operator ended it
    STOP_DEBUG_EXIT,    // the guest wrote its exit code to the test device
    STOP_GUEST_PANIC,   // the guest reported its own panic
    STOP_ENTRY_FAILED,  // VM entry refused the guest's state
    STOP_UNKNOWN_EXIT,  // an exit reason without emulation
    STOP_UNEMULATED,    // an instruction that the emulator does not know
    STOP_BAD_MEMORY,    // the guest's kernel executes or walks page tables where there is no memory
    STOP_MACHINE_CHECK, // hardware error while the guest ran
    STOP_BUG,           // our bug, confined to this VM
    STOP_REASONS,
};

// The reason in words, for the summary ("powered off", "triple fault").
const char *stop_reason_text(enum stop_reason reason);

typedef struct {
    uint8_t kind;
    uint8_t detail;    // NEXT, WAIT, YIELD: length, 0 for the VMCS's; FAULT: vector; STOP: reason
    uint8_t has_error; // FAULT: whether an error code is pushed
    uint8_t reserved;
    uint32_t value; // FAULT: error code; STOP: code of the reason; NEED: groups; YIELD: 0, or 1 + a
                    // vCPU's id; NEXT: 1 if it blocks like MOV SS
} verdict_t;
_Static_assert(sizeof(verdict_t) == 8, "a verdict returns in RAX");

enum exception {
    VECTOR_DE = 0,
    VECTOR_DB = 1,
    VECTOR_NMI = 2,
    VECTOR_BP = 3,
    VECTOR_OF = 4,
    VECTOR_BR = 5,
    VECTOR_UD = 6,
    VECTOR_NM = 7,
    VECTOR_DF = 8,
    VECTOR_TS = 10,
    VECTOR_NP = 11,
    VECTOR_SS = 12,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
    VECTOR_MF = 16,
    VECTOR_AC = 17,
    VECTOR_MC = 18,
    VECTOR_XM = 19,
    VECTOR_VE = 20,
    VECTOR_CP = 21,
};

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
