// Port I/O: IN and OUT. String forms live in string_io.c. Called through exit_table[].
// The CPU checks IOPL and the I/O-permission bitmap before it exits.
// SDM: "Exit Qualification for I/O Instructions".

#include "exits/handlers.h"
#include "exits/io.h"
#include "exits/string_io.h"
#include "vm/vm.h"

verdict_t exit_io(struct vcpu *vcpu, const struct exit *exit)
{
    if (exit->qualification & IO_STRING)
        return string_io(vcpu, exit);

    unsigned size = (unsigned)(exit->qualification & IO_SIZE) + 1;
    uint64_t mask = size_mask(size);
    struct access access = {
        .offset = FIELD_GET(IO_PORT, exit->qualification),
        .value = vcpu->gpr[RAX] & mask,
        .now = exit_now(vcpu, exit),
        .size = (uint8_t)size,
        .write = !(exit->qualification & IO_IN),
    };
    vm_port_access(vcpu->vm, &access);
    if (!access.write) {
        // As for any destination register, 4 bytes clear the upper half and 1 or 2 keep it.
        uint64_t kept = size == 4 ? 0 : vcpu->gpr[RAX] & ~mask;
        vcpu->gpr[RAX] = kept | (access.value & mask);
    }
    return next();
}
