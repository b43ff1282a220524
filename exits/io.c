// Port I/O: IN and OUT. String forms live in string_io.c. Called through exit_table[].
// The CPU checks IOPL and the I/O-permission bitmap before it exits.
// SDM: "Exit Qualification for I/O Instructions".

#include "exits/handlers.h"
#include "exits/io.h"
#include "exits/string_io.h"
#include "vm/vm.h"

// By operand size: the bits that are the operand's, and what an IN keeps of RAX. As for any
// destination register, 4 bytes clear the upper half, 1 or 2 keep it.
static const uint64_t operand[9] = {[1] = 0xff, [2] = 0xffff, [4] = 0xffffffff};
static const uint64_t kept[9] = {[1] = ~UINT64_C(0xff), [2] = ~UINT64_C(0xffff)};

// What IN and OUT have in common.
static inline void start(struct access *access, const struct vcpu *vcpu, const struct exit *exit,
                         unsigned size)
{
    access->offset = FIELD_GET(IO_PORT, exit->qualification);
    access->now = exit_now(vcpu, exit);
    access->size = (uint8_t)size;
}

static inline verdict_t out(struct vcpu *vcpu, const struct exit *exit, unsigned size)
{
    struct access access;
    start(&access, vcpu, exit, size);
    access.write = true;
    access.value = vcpu->gpr[RAX] & operand[size];
    vm_port_access(vcpu->vm, &access);
    return next();
}

static inline verdict_t in(struct vcpu *vcpu, const struct exit *exit, unsigned size)
{
    struct access access;
    start(&access, vcpu, exit, size);
    access.write = false;
    access.value = 0;
    vm_port_access(vcpu->vm, &access);
    vcpu->gpr[RAX] = (vcpu->gpr[RAX] & kept[access.size]) | access.value;
    return next();
}

verdict_t exit_io(struct vcpu *vcpu, const struct exit *exit)
{
    unsigned size = ((unsigned)exit->qualification & IO_SIZE) + 1; // 1, 2 or 4
    if (exit->qualification & IO_STRING)
        return string_io(vcpu, exit);
    return exit->qualification & IO_IN ? in(vcpu, exit, size) : out(vcpu, exit, size);
}
