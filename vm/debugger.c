// Breakpoints and steps of a debugger. See vm/debugger.h.

#include "vm/debugger.h"

#include "vm/cpu/debug.h"
#include "vm/emulate/linear.h"
#include "vm/vm.h"

#define INT3      UINT8_C(0xcc)
#define DR7_NONE  UINT64_C(0x400)
#define DR7_G(i)  BIT(2 * (i) + 1)
#define DR7_OF(i) (DR7_G(i) | UINT64_C(0xf) << (16 + 4 * (i)))
#define DR6_HIT   BITS(3, 0)

_Static_assert(ARRAY_LENGTH(((struct debugger *)0)->vcpu) == VM_VCPUS, "a part for each vCPU");

// ---- debug registers ----

static void swap_out(struct vcpu *vcpu)
{
    struct debugged *debugged = vcpu->debugged;
    if (!debugged->is_shadowed)
        return;
    memcpy(vcpu->dr, debugged->guests.dr, sizeof(vcpu->dr));
    vcpu->dr7 = debugged->guests.dr7;
    debugged->is_shadowed = false;
    vcpu->dirty |= STATE_DEBUG | STATE_DR | STATE_BREAKPOINTS;
}

static void swap_in(struct vcpu *vcpu)
{
    struct debugged *debugged = vcpu->debugged;
    const struct debug_registers *ours = &debugged->debugger->hardware;
    if (ours->dr7 == DR7_NONE) {
        swap_out(vcpu);
        return;
    }
    if (!debugged->is_shadowed) {
        memcpy(debugged->guests.dr, vcpu->dr, sizeof(vcpu->dr));
        debugged->guests.dr7 = vcpu->dr7;
        debugged->is_shadowed = true;
    }
    memcpy(vcpu->dr, ours->dr, sizeof(vcpu->dr));
    vcpu->dr7 = ours->dr7;
    vcpu->dirty |= STATE_DEBUG | STATE_DR | STATE_BREAKPOINTS;
}

static void follow(struct debugger *debugger)
{
    for (unsigned i = 0; i < debugger->vm->vcpu_count; i++) {
        swap_in(debugger->vm->vcpu[i]);
        vcpu_note(debugger->vm->vcpu[i], REQUEST_DEBUG);
    }
}

// DR7.R/Wn and LENn.
static uint64_t control_of(enum debug_kind kind, uint64_t length)
{
    static const uint8_t kinds[] = {
        [DEBUG_EXECUTE] = 0, [DEBUG_ON_WRITE] = 1, [DEBUG_ON_ACCESS] = 3};
    static const uint8_t lengths[] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};
    return kinds[kind] | (uint64_t)lengths[length] << 2;
}

// The register with this breakpoint, or with none (`length` 0); DEBUGGER_IN_REGISTERS: no such one.
static unsigned find_register(const struct debugger *debugger, enum debug_kind kind,
                              uint64_t linear, uint64_t length)
{
    const struct debug_registers *hardware = &debugger->hardware;
    for (unsigned i = 0; i < DEBUGGER_IN_REGISTERS; i++) {
        bool is_used = hardware->dr7 & DR7_G(i);
        if (!length ? !is_used
                    : is_used && hardware->dr[i] == linear &&
                          (hardware->dr7 >> (16 + 4 * i) & 0xf) == control_of(kind, length))
            return i;
    }
    return DEBUGGER_IN_REGISTERS;
}

static status_t insert_register(struct debugger *debugger, enum debug_kind kind, uint64_t linear,
                                uint64_t length)
{
    struct debug_registers *hardware = &debugger->hardware;
    if (!length || length > 8 || (length & (length - 1)) || (linear & (length - 1)) ||
        (kind == DEBUG_EXECUTE && length != 1))
        return STATUS_INVALID;
    if (find_register(debugger, kind, linear, length) < DEBUGGER_IN_REGISTERS)
        return STATUS_OK;
    unsigned i = find_register(debugger, kind, 0, 0);
    if (i == DEBUGGER_IN_REGISTERS)
        return STATUS_FULL;
    hardware->dr[i] = linear;
    hardware->dr7 |= DR7_G(i) | control_of(kind, length) << (16 + 4 * i);
    follow(debugger);
    return STATUS_OK;
}

// ---- memory ----

// The breakpoint at this byte, or DEBUGGER_IN_MEMORY.
static unsigned find_byte(const struct debugger *debugger, gpa_t at)
{
    unsigned i = 0;
    while (i < DEBUGGER_IN_MEMORY &&
           !(debugger->in_memory[i].is_set && debugger->in_memory[i].at.value == at.value))
        i++;
    return i;
}

static status_t insert_byte(struct debugger *debugger, struct vcpu *vcpu, uint64_t linear)
{
    const struct gmem *memory = &debugger->vm->memory;
    uint8_t byte;
    gpa_t at;
    unsigned i = 0;
    if (!linear_peek(vcpu, linear, &at) || !gmem_read(memory, at, &byte, 1))
        return STATUS_NOT_FOUND;
    if (find_byte(debugger, at) < DEBUGGER_IN_MEMORY)
        return STATUS_OK;
    while (i < DEBUGGER_IN_MEMORY && debugger->in_memory[i].is_set)
        i++;
    if (i == DEBUGGER_IN_MEMORY)
        return STATUS_FULL;
    if (!gmem_write(memory, at, &(uint8_t){INT3}, 1))
        return STATUS_NOT_FOUND; // it can be read alone
    debugger->in_memory[i].is_set = true;
    debugger->in_memory[i].byte = byte;
    debugger->in_memory[i].at = at;
    debugger->in_memory[i].linear = linear;
    return STATUS_OK;
}

// What the guest has written over it meanwhile stays.
static void remove_byte(struct debugger *debugger, unsigned i)
{
    const struct gmem *memory = &debugger->vm->memory;
    uint8_t byte;
    if (gmem_read(memory, debugger->in_memory[i].at, &byte, 1) && byte == INT3)
        (void)!gmem_write(memory, debugger->in_memory[i].at, &debugger->in_memory[i].byte, 1);
    debugger->in_memory[i].is_set = false;
}

// ---- attaching ----

void debugger_attach(struct debugger *debugger, struct vm *vm)
{
    memset(debugger, 0, sizeof(*debugger));
    debugger->vm = vm;
    debugger->hardware.dr7 = DR7_NONE;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        debugger->vcpu[i].debugger = debugger;
        vm->vcpu[i]->debugged = &debugger->vcpu[i];
    }
    follow(debugger);
}

void debugger_detach(struct debugger *debugger)
{
    struct vm *vm = debugger->vm;
    debugger_remove_all(debugger);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        debugger_go(vm->vcpu[i], DEBUG_RUN);
        vm->vcpu[i]->debugged = NULL;
    }
    debugger->vm = NULL;
}

bool debugger_has(const struct debugger *debugger, const struct vm *vm)
{
    return vm && debugger->vm == vm && vm->vcpu[0]->debugged == &debugger->vcpu[0];
}

// ---- breakpoints ----

status_t debugger_insert(struct debugger *debugger, struct vcpu *vcpu, enum debug_kind kind,
                         uint64_t linear, uint64_t length)
{
    return kind == DEBUG_IN_MEMORY ? insert_byte(debugger, vcpu, linear)
                                   : insert_register(debugger, kind, linear, length);
}

status_t debugger_remove(struct debugger *debugger, enum debug_kind kind, uint64_t linear,
                         uint64_t length)
{
    if (kind != DEBUG_IN_MEMORY) {
        if (!length || length > 8 || (length & (length - 1)))
            return STATUS_NOT_FOUND;
        unsigned i = find_register(debugger, kind, linear, length);
        if (i == DEBUGGER_IN_REGISTERS)
            return STATUS_NOT_FOUND;
        debugger->hardware.dr7 &= ~DR7_OF(i);
        follow(debugger);
        return STATUS_OK;
    }
    // By its address, and not by its place: the guest's tables may be others now.
    for (unsigned i = 0; i < DEBUGGER_IN_MEMORY; i++)
        if (debugger->in_memory[i].is_set && debugger->in_memory[i].linear == linear) {
            remove_byte(debugger, i);
            return STATUS_OK;
        }
    return STATUS_NOT_FOUND;
}

void debugger_remove_all(struct debugger *debugger)
{
    for (unsigned i = 0; i < DEBUGGER_IN_MEMORY; i++)
        if (debugger->in_memory[i].is_set)
            remove_byte(debugger, i);
    debugger->hardware.dr7 = DR7_NONE;
    follow(debugger);
}

// ---- memory as the debugger sees it ----

// The next piece of at most `length` (not 0) bytes that lie together; 0: nothing is mapped there.
static uint64_t piece(struct vcpu *vcpu, uint64_t linear, uint64_t length, gpa_t *at)
{
    return linear_peek(vcpu, linear, at) ? MIN(length, PAGE_SIZE - linear % PAGE_SIZE) : 0;
}

uint64_t debugger_read(const struct debugger *debugger, struct vcpu *vcpu, uint64_t linear,
                       uint8_t *bytes, uint64_t length)
{
    uint64_t done = 0, size;
    gpa_t at;
    for (; done < length && (size = piece(vcpu, linear + done, length - done, &at)); done += size) {
        if (!gmem_read(&vcpu->vm->memory, at, bytes + done, size))
            break;
        for (unsigned i = 0; i < DEBUGGER_IN_MEMORY; i++) {
            uint64_t offset = debugger->in_memory[i].at.value - at.value;
            if (debugger->in_memory[i].is_set && offset < size && bytes[done + offset] == INT3)
                bytes[done + offset] = debugger->in_memory[i].byte;
        }
    }
    return done;
}

static bool write_piece(struct debugger *debugger, gpa_t at, const uint8_t *bytes, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++) {
        unsigned found = find_byte(debugger, gpa(at.value + i));
        uint8_t byte = found < DEBUGGER_IN_MEMORY ? INT3 : bytes[i];
        if (found < DEBUGGER_IN_MEMORY)
            debugger->in_memory[found].byte = bytes[i];
        if (!gmem_write(&debugger->vm->memory, gpa(at.value + i), &byte, 1))
            return false;
    }
    return true;
}

uint64_t debugger_write(struct debugger *debugger, struct vcpu *vcpu, uint64_t linear,
                        const uint8_t *bytes, uint64_t length)
{
    uint64_t done = 0, size;
    gpa_t at;
    for (; done < length && (size = piece(vcpu, linear + done, length - done, &at)); done += size)
        if (!write_piece(debugger, at, bytes + done, size))
            break;
    return done;
}

// ---- stopping and going ----

static void stop_vcpu(struct vcpu *vcpu, enum debug_stop why, uint64_t address)
{
    struct debugged *debugged = vcpu->debugged;
    debugged->address = address;
    debugged->activity = vcpu->activity;
    vcpu->activity = ACTIVITY_STOPPED;
    vcpu->dirty &= ~(uint32_t)STATE_STEP;
    vcpu_note(vcpu, REQUEST_DEBUG | REQUEST_EVENT); // the next entry is called off
    debugged->stop = (uint8_t)why;
    if (why != DEBUG_HELD && vcpu->vm->host->debug_stop)
        vcpu->vm->host->debug_stop(vcpu->vm);
}

void debugger_go(struct vcpu *vcpu, enum debug_go go)
{
    struct debugged *debugged = vcpu->debugged;
    if (debugged->stop && vcpu->activity == ACTIVITY_STOPPED)
        vcpu->activity = debugged->activity;
    debugged->stop = DEBUG_RUNS;
    vcpu->dirty &= ~(uint32_t)STATE_STEP;
    if (go == DEBUG_WAIT) {
        stop_vcpu(vcpu, DEBUG_HELD, 0);
    } else if (go == DEBUG_STEP) {
        debugged->step_from = vcpu->rip;
        vcpu->dirty |= STATE_STEP;
    }
    vcpu_note(vcpu, REQUEST_DEBUG | REQUEST_EVENT);
}

bool debugged_int3(struct vcpu *vcpu)
{
    gpa_t at;
    uint64_t base = vcpu_in_64bit(vcpu) ? 0 : vcpu->segment[CS].base, linear = base + vcpu->rip;
    if (!linear_peek(vcpu, vcpu_in_64bit(vcpu) ? linear : (uint32_t)linear, &at) ||
        find_byte(vcpu->debugged->debugger, at) == DEBUGGER_IN_MEMORY)
        return false;
    stop_vcpu(vcpu, DEBUG_SOFTWARE, 0);
    return true;
}

bool debugged_db(struct vcpu *vcpu, uint64_t met)
{
    const struct debug_registers *ours = &vcpu->debugged->debugger->hardware;
    static const uint8_t why[] = {DEBUG_HARDWARE, DEBUG_WRITE, DEBUG_ACCESS, DEBUG_ACCESS};
    if (!vcpu->debugged->is_shadowed)
        return false;
    for (unsigned i = 0; i < DEBUGGER_IN_REGISTERS; i++)
        if ((met & BIT(i)) && (ours->dr7 & DR7_G(i))) {
            stop_vcpu(vcpu, why[ours->dr7 >> (16 + 4 * i) & 3], ours->dr[i]);
            return true;
        }
    return false;
}

// A watched access of the instruction that is done comes first, and must not be told twice.
void debugged_trap(struct vcpu *vcpu)
{
    uint64_t met = vcpu->pending_debug & DR6_HIT;
    if (!(vcpu->dirty & STATE_STEP))
        return; // it was called off
    if (met && debugged_db(vcpu, met)) {
        vcpu->pending_debug &= PENDING_DEBUG_BS;
        vcpu->dirty |= STATE_DEBUG;
        return;
    }
    stop_vcpu(vcpu, DEBUG_STEPPED, 0);
}

// The shadow of STI keeps interrupts away for one instruction, those too that the CPU would deliver
// by itself, and opens no window. It ends with the delivery of an exception. A guest that steps
// itself would have its trap pending in a shadow: there they come.
void debugged_step(struct vcpu *vcpu, bool has_exited)
{
    const struct events *events = &vcpu->events;
    if (has_exited && vcpu->rip != vcpu->debugged->step_from) {
        stop_vcpu(vcpu, DEBUG_STEPPED, 0);
    } else if ((vcpu->rflags & (RFLAGS_IF | RFLAGS_TF)) == RFLAGS_IF && !events->pending.info &&
               !events->plan.inject.info &&
               !(vcpu->interruptibility & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS))) {
        vcpu->interruptibility |= BLOCKING_BY_STI;
        vcpu->dirty |= STATE_FLOW;
    }
}

void debugged_reset(struct vcpu *vcpu)
{
    vcpu->debugged->is_shadowed = false;
    swap_in(vcpu);
    vcpu_note(vcpu, REQUEST_DEBUG);
}
