// The saved state of a vCPU, which a stranger may have written: it is refused, or what is in the
// vCPU afterwards is what its CPU takes, and is saved and loaded the same from then on.

#include <string.h>

#include "tests/fuzz/require.h"
#include "tests/fuzz/world.h"
#include "vm/fpu_image.h"

static struct vm vm;
static struct vcpu vcpus[2];
static struct lapic_page pages[2];
static uint8_t images[2][8192] __attribute__((aligned(64)));
static uint8_t ram[4096] __attribute__((aligned(4096)));
static uint8_t state[32 << 10], second[32 << 10];

static void kick(struct vcpu *vcpu)
{
    require(atomic_load(&vcpu->requests) != 0);
}

static void build(void)
{
    static const struct vm_host host = {.kick = kick};
    memset(vcpus, 0, sizeof(vcpus));
    world_build(&vm, &vcpus[0], &host, ram, sizeof(ram));
    for (unsigned i = 0; i < ARRAY_LENGTH(vcpus); i++) {
        vcpus[i].vm = &vm;
        vcpus[i].fpu = images[i];
        lapic_init(&vcpus[i], &pages[i]);
        vcpu_reset(&vcpus[i], false);
    }
}

static bool load(struct vcpu *vcpu, const uint8_t *from, size_t length)
{
    struct section_input input = {from, length};
    if (vcpu_load_state(vcpu, &input, false, NULL) != STATUS_OK)
        return false;
    input = (struct section_input){from, length};
    require(vcpu_load_state(vcpu, &input, true, NULL) == STATUS_OK);
    vcpu_loaded(vcpu);
    return true;
}

// What is loaded into registers by instructions that would fault in Corbel.
static void check_registers(const struct vcpu *vcpu)
{
    const struct fpu_image *fpu = vcpu->fpu;
    const struct msr_live *live = &vcpu->live;
    require(cpuid_accepts_xcr0(&vm.cpuid, vcpu->xcr0));
    require(!(fpu->xstate_bv & ~vm.cpuid.xcr0_allowed) && !fpu->header[0] && !(fpu->mxcsr >> 16));
    require(is_canonical(live->lstar, vm.cpuid.linear_width) &&
            is_canonical(live->cstar, vm.cpuid.linear_width) &&
            is_canonical(live->kernel_gs_base, vm.cpuid.linear_width));
    require(!(live->fmask >> 32) && !(live->tsc_aux >> 32) && !(live->spec_ctrl >> 3) &&
            !live->xss);
    require(!(vcpu->dr6 >> 32));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    build();
    size_t length = vcpu_save_state(&vcpus[0], state, sizeof(state));
    require(length <= sizeof(state));
    // Bytes that differ: where, two bytes, and the new one; the last byte cuts it short.
    for (; size >= 3; data += 3, size -= 3)
        state[(data[0] | data[1] << 8) % length] = data[2];
    if (!load(&vcpus[0], state, size ? length * data[0] / UINT8_MAX : length))
        return 0;
    check_registers(&vcpus[0]);
    for (int vector; (vector = lapic_pending(&vcpus[0])) >= 0;)
        require(vector >= 16 && lapic_take(&vcpus[0]) == vector);
    event_choose(&vcpus[0]);
    require(event_settle(&vcpus[0].events, true) == (vcpus[0].events.pending.info != 0));
    length = vcpu_save_state(&vcpus[0], state, sizeof(state));
    require(load(&vcpus[1], state, length));
    require(vcpu_save_state(&vcpus[1], second, sizeof(second)) == length);
    require(memcmp(state, second, length) == 0);
    return 0;
}
