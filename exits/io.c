// Port I/O: IN and OUT; INS and OUTS are the emulator's, with every fault of their memory operand.
// Called through exit_table[]. The CPU checks IOPL and the I/O-permission bitmap before it exits.
// SDM: "Exit Qualification for I/O Instructions", "Instruction Information for INS and OUTS".

#include "exits/handlers.h"
#include "exits/io.h"
#include "exits/operand.h"
#include "vm/cpu/debug.h"
#include "vm/emulate/emulate.h"
#include "vm/vm.h"

// By operand size: the bits that are the operand's, and what an IN keeps of RAX. As for any
// destination register, 4 bytes clear the upper half, 1 or 2 keep it.
static const uint64_t operand[9] = {[1] = 0xff, [2] = 0xffff, [4] = 0xffffffff};
static const uint64_t kept[9] = {[1] = ~UINT64_C(0xff), [2] = ~UINT64_C(0xffff)};

// More than one device, or the bus changes just now.
__attribute__((noinline)) static bool access_ports(const struct vcpu *vcpu, const struct exit *exit,
                                                   struct access *access)
{
    access->now = exit_now(vcpu, exit);
    vm_port_access(vcpu->vm, access);
    return true;
}

// The access meets this region, one of a byte lies in it. False: its device does not answer. Only
// devices with a clock want the time.
__attribute__((noinline)) static bool access_region(const struct vcpu *vcpu,
                                                    const struct exit *exit, struct access *access,
                                                    const struct bus_region *at, uint32_t since)
{
    struct bus_region region = bus_copy(at);
    if (!bus_is_same(&vcpu->vm->ports, since) ||
        (access->size > 1 && !bus_is_within(&region, access->offset, access->size)))
        return access_ports(vcpu, exit, access);
    if (region.device->class->deadline)
        access->now = exit_now(vcpu, exit);
    access->offset -= region.base;
    return vdev_access(region.device, access);
}

__attribute__((noinline)) static void refused(const struct vcpu *vcpu, uint64_t port,
                                              struct access *access)
{
    access->offset = port;
    vm_unclaimed_port(vcpu->vm, access);
}

// Nearly always one device answers alone, or nobody does.
__attribute__((always_inline)) static inline void access_port(const struct vcpu *vcpu,
                                                              const struct exit *exit,
                                                              uint64_t port, unsigned size,
                                                              struct access *access)
{
    struct vm *vm = vcpu->vm;
    uint32_t since = bus_begin(&vm->ports);
    const struct bus_region *at = bus_near(&vm->ports, port);
    access->offset = port;
    if (port + size <= BUS_READ(at->first) && bus_is_same(&vm->ports, since)) {
        if (!access->write)
            access->value = operand[size];
        access_counts_add(&vm->unclaimed_ports, port);
    } else if (!access_region(vcpu, exit, access, at, since)) {
        refused(vcpu, port, access);
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
