// INS and OUTS. Memory is reached through vm/linear.h with every fault of the guest's own; each
// element is committed when it is done, so a fault or an event between elements finds the registers
// where the CPU would have them. SDM: "INS/INSB/INSW/INSD", "OUTS/OUTSB/OUTSW/OUTSD", "Instruction
// Information for INS and OUTS".

#include "exits/string_io.h"

#include "exits/io.h"
#include "vm/debug.h"
#include "vm/linear.h"
#include "vm/vm.h"

#define INFO_ADDRESS_SIZE BITS(9, 7) // 2, 4 or 8 bytes as 0, 1, 2
#define INFO_SEGMENT      BITS(17, 15)

#define CHUNK                                                                                      \
    UINT64_C(64) // elements for each exit, so that interrupts need not wait for long strings

struct string_io {
    struct vcpu *vcpu;
    uint64_t now;
    uint64_t address_mask;
    unsigned size;
    uint16_t port;
    enum segment_register segment;
    bool is_in;
    bool is_rep;
    uint64_t met; // breakpoints (vm/debug.h)
};

// A register as an operand of the address size: 4 bytes clear the upper half, 2 bytes keep the
// rest.
static void add_to(struct string_io *io, enum gpr gpr, uint64_t by)
{
    uint64_t *value = &io->vcpu->gpr[gpr];
    uint64_t kept = io->address_mask == 0xffff ? *value & ~io->address_mask : 0;
    *value = kept | ((*value + by) & io->address_mask);
}

static void port_access(struct string_io *io, uint64_t *value)
{
    struct access access = {
        .offset = io->port,
        .value = io->is_in ? 0 : *value,
        .now = io->now,
        .size = (uint8_t)io->size,
        .write = !io->is_in,
    };
    vm_port_access(io->vcpu->vm, &access);
    *value = access.value;
}

// One element. INS checks its destination before the port is read, which may have effects.
static bool move_element(struct string_io *io, verdict_t *fault)
{
    struct vcpu *vcpu = io->vcpu;
    enum gpr pointer = io->is_in ? RDI : RSI;
    uint32_t access = (io->is_in ? WALK_WRITE : 0) | (vcpu->cpl == 3 ? WALK_USER : 0);
    gva_t linear;
    struct linear_span span;
    uint64_t value = 0;

    if (!segment_linear(vcpu, io->segment, vcpu->gpr[pointer] & io->address_mask, io->size,
                        io->is_in, &linear, fault) ||
        !linear_prepare(vcpu, linear, io->size, access, &span, fault) ||
        !linear_mark(vcpu, &span, fault))
        return false;
    io->met = debug_data(vcpu, linear, io->size, io->is_in) | debug_port(vcpu, io->port, io->size);
    if (!io->is_in)
        linear_load(vcpu, &span, &value, io->now);
    port_access(io, &value);
    if (io->is_in)
        linear_store(vcpu, &span, &value, io->now);
    add_to(io, pointer, vcpu->rflags & RFLAGS_DF ? -(uint64_t)io->size : io->size);
    if (io->is_rep)
        add_to(io, RCX, UINT64_MAX);
    return true;
}

verdict_t string_io(struct vcpu *vcpu, const struct exit *exit)
{
    bool is_stepped = vcpu->rflags & RFLAGS_TF;
    uint32_t needs = FACT_INSTRUCTION_INFO | (is_stepped ? (uint32_t)STATE_DEBUG : 0);
    uint32_t missing = linear_missing(vcpu) | debug_missing(vcpu) | (needs & ~vcpu->fetched);
    if (missing)
        return need(missing);

    uint64_t address_size = FIELD_GET(INFO_ADDRESS_SIZE, exit->instruction_info);
    struct string_io io = {
        .vcpu = vcpu,
        .now = exit_now(vcpu, exit),
        .address_mask = size_mask(2U << MIN(address_size, UINT64_C(2))),
        .size = (unsigned)(exit->qualification & IO_SIZE) + 1,
        .port = (uint16_t)FIELD_GET(IO_PORT, exit->qualification),
        .is_in = exit->qualification & IO_IN,
        .is_rep = exit->qualification & IO_REP,
    };
    uint64_t segment = FIELD_GET(INFO_SEGMENT, exit->instruction_info);
    io.segment = io.is_in ? ES : (enum segment_register)MIN(segment, (uint64_t)GS);

    uint64_t left = io.is_rep ? vcpu->gpr[RCX] & io.address_mask : 1;
    for (uint64_t done = 0; left > 0 && done < CHUNK; done++, left--) {
        verdict_t fault;
        if (io.met || (is_stepped && done))
            break;
        if (!move_element(&io, &fault))
            return fault;
    }
    debug_trap(vcpu, io.met);
    if (left == 0)
        return next();
    debug_step(vcpu, false);
    debug_hold_string(vcpu);
    return again();
}
