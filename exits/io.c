// Port I/O: IN and OUT; INS and OUTS are the emulator's, with every fault of their memory operand.
// Called through exit_table[]. The CPU checks IOPL and the I/O-permission bitmap before it exits.
// SDM: "Exit Qualification for I/O Instructions", "Instruction Information for INS and OUTS".

#include "exits/handlers.h"
#include "exits/io.h"
#include "exits/operand.h"
#include "vm/debug.h"
#include "vm/emulate.h"
#include "vm/vm.h"

// By operand size: the bits that are the operand's, and what an IN keeps of RAX. As for any
// destination register, 4 bytes clear the upper half, 1 or 2 keep it.
static const uint64_t operand[9] = {[1] = 0xff, [2] = 0xffff, [4] = 0xffffffff};
static const uint64_t kept[9] = {[1] = ~UINT64_C(0xff), [2] = ~UINT64_C(0xffff)};

// Nearly always one device answers alone, or nobody does. Only devices with a clock want the time.
static inline void access_port(const struct vcpu *vcpu, const struct exit *exit, uint64_t port,
                               unsigned size, struct access *access)
{
    struct vm *vm = vcpu->vm;
    const struct bus_region *region = bus_near(&vm->ports, port);
    access->offset = port;
    if (port + size <= region->first) {
        vm_unclaimed_port(vm, access);
    } else if (bus_is_within(region, port, size)) {
        if (region->device->deadline)
            access->now = exit_now(vcpu, exit);
        access->offset = port - region->base;
        if (vdev_access(region->device, access))
            return;
        access->offset = port;
        vm_unclaimed_port(vcpu->vm, access);
    } else {
        access->now = exit_now(vcpu, exit);
        vm_port_access(vm, access);
    }
}

__attribute__((noinline)) static verdict_t string_io(struct vcpu *vcpu, const struct exit *exit)
{
    uint32_t missing = emulate_missing(vcpu) | (FACT_INSTRUCTION_INFO & ~vcpu->fetched);
    if (missing)
        return need(missing);
    struct instruction instruction = {
        .operation = exit->qualification & IO_IN ? OP_INS : OP_OUTS,
        .operand_size = (uint8_t)((exit->qualification & IO_SIZE) + 1),
        .address_size = (uint8_t)operand_address_size(exit),
        .segment = (uint8_t)operand_segment(exit),
        .repeat = exit->qualification & IO_REP ? REPEAT_EQUAL : REPEAT_NONE,
        .immediate = FIELD_GET(IO_PORT, exit->qualification),
    };
    return emulate_decoded(vcpu, &instruction, exit_now(vcpu, exit));
}

verdict_t exit_io(struct vcpu *vcpu, const struct exit *exit)
{
    uint64_t port = FIELD_GET(IO_PORT, exit->qualification);
    unsigned size = (unsigned)(exit->qualification & IO_SIZE) + 1; // 1, 2 or 4
    struct access access; // `now` is set for who looks at it
    if (exit->qualification & IO_STRING)
        return string_io(vcpu, exit);
    access.size = (uint8_t)size;
    if (exit->qualification & IO_IN) {
        access.write = false;
        access.value = 0;
        access_port(vcpu, exit, port, size, &access);
        vcpu->gpr[RAX] = (vcpu->gpr[RAX] & kept[access.size]) | access.value;
    } else {
        access.write = true;
        access.value = vcpu->gpr[RAX] & operand[size];
        access_port(vcpu, exit, port, size, &access);
    }
    return next();
}

// Strings have looked at theirs, element by element.
void io_breakpoints(struct vcpu *vcpu, const struct exit *exit)
{
    uint64_t size = (exit->qualification & IO_SIZE) + 1;
    if (!(exit->qualification & IO_STRING))
        debug_trap(vcpu, debug_port(vcpu, FIELD_GET(IO_PORT, exit->qualification), size));
}
