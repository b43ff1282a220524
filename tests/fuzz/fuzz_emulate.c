// vm/emulate/emulate.c with any state, memory and instruction. The input is that state, then RAM
// from 0 upwards. Its laws:
//   a fault or a stop has changed nothing but CR2, save whole iterations of a string instruction;
//   accessed and dirty flags apart, that holds for RAM too, and devices have seen no write;
//   an instruction that is done has a length, and what it changed is marked.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/emulate.h"
#include "vm/emulate/decode.h"
#include "vm/emulate/linear.h"
#include "vm/vm.h"
#include "tests/ram.h"

#define RAM_SIZE 0x6000
#define TABLES   0x4000 // identity-mapped, 2 MiB pages, unless the input says otherwise
#define FPU_SIZE 2816

struct input {
    uint8_t code[15];
    uint8_t choices; // which of the below are taken as they are
    uint64_t gpr[16];
    uint64_t rip, rflags, cr0, cr3, cr4, efer, xcr0;
    uint64_t pdpte[4];
    struct {
        uint64_t base;
        uint32_t limit, access;
    } segment[6];
    uint16_t fetched;
    uint8_t cpl;
};

static struct vm vm;
static struct vcpu vcpu, before;
_Alignas(4096) static uint8_t ram[RAM_SIZE], ram_before[RAM_SIZE];
_Alignas(64) static uint8_t fpu[FPU_SIZE], fpu_before[FPU_SIZE];
static unsigned device_writes;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void vm_mmio_access(struct vcpu *accessing, struct access *access)
{
    (void)accessing;
    device_writes += access->write;
    if (access->size != 1 && access->size != 2 && access->size != 4 && access->size != 8)
        abort();
    if (!access->write)
        access->value = (access->offset * UINT64_C(0x9e3779b97f4a7c15)) & size_mask(access->size);
}

static void check(bool holds, const char *law)
{
    if (holds)
        return;
    fprintf(stderr, "broken: %s\n", law);
    abort();
}

static void identity_tables(void)
{
    uint64_t entry = (TABLES + 0x1000) | 0x27;
    memcpy(ram + TABLES, &entry, 8);
    for (uint64_t i = 0; i < 4; i++) {
        entry = i * PAGE_1G | 0xe7;
        memcpy(ram + TABLES + 0x1000 + i * 8, &entry, 8);
    }
}

enum choice {
    CHOOSE_PAGING = 1,
    CHOOSE_TABLES = 2,
    CHOOSE_SEGMENTS = 4,
    CHOOSE_FETCHED = 8,
    CHOOSE_FAR = 16, // registers of any width
    CHOOSE_LONG = 32,
};

static void set_segments(const struct input *input)
{
    bool chosen = input->choices & CHOOSE_SEGMENTS;
    for (unsigned i = 0; i < 6; i++)
        vcpu.segment[i] = (struct segment){.base = chosen ? input->segment[i].base : 0,
                                           .limit = chosen ? input->segment[i].limit : 0xffffffff,
                                           .access = chosen ? input->segment[i].access : 0xc093};
    if (!chosen)
        vcpu.segment[CS].access = input->choices & CHOOSE_LONG ? 0xa09b : 0xc09b;
}

static void set_state(const struct input *input)
{
    memset(&vcpu, 0, offsetof(struct vcpu, stats));
    for (unsigned i = 0; i < 16; i++)
        vcpu.gpr[i] = input->choices & CHOOSE_FAR ? input->gpr[i] : input->gpr[i] & 0x7fff;
    vcpu.rip = input->choices & CHOOSE_FAR ? input->rip : input->rip & 0x3fff;
    vcpu.rflags = (input->rflags & 0x3f7fd7) | RFLAGS_FIXED;
    vcpu.cr0 = input->cr0 | CR0_PE;
    vcpu.cr4 = input->cr4;
    vcpu.efer = input->efer & ~EFER_LMA;
    vcpu.xcr0 = input->xcr0 | 1;
    vcpu.cr3 = input->choices & CHOOSE_TABLES ? input->cr3 & 0x7fff : TABLES;
    memcpy(vcpu.pdpte, input->pdpte, sizeof(vcpu.pdpte));
    if (!(input->choices & CHOOSE_PAGING))
        vcpu.cr0 &= ~CR0_PG;
    if (input->choices & CHOOSE_LONG) {
        vcpu.cr0 |= CR0_PG;
        vcpu.cr4 |= CR4_PAE;
        vcpu.efer |= EFER_LMA | EFER_LME;
        if (!(input->choices & CHOOSE_TABLES))
            vcpu.cr4 &= ~CR4_LA57;
    }
    vcpu.cpl = input->cpl & 3;
    vcpu.fetched = input->choices & CHOOSE_FETCHED ? input->fetched : STATE_ALL;
    vcpu.vm = &vm;
    vcpu.fpu = fpu;
    set_segments(input);
}

// Where RAM changed at all, accessed and dirty flags were set.
static bool only_flags_were_set(void)
{
    for (unsigned i = 0; i < RAM_SIZE; i++)
        if (ram[i] != ram_before[i] && (ram[i] ^ ram_before[i]) != (ram[i] & ~ram_before[i] & 0x60))
            return false;
    return true;
}

static bool is_repeated_string(const uint8_t *code)
{
    struct instruction instruction;
    unsigned bits = code_bits(&before);
    return decode(code, 15, bits, true, &instruction) == DECODE_OK &&
           instruction.form == FORM_STRING && instruction.repeat != REPEAT_NONE;
}

static void check_unchanged(void)
{
    before.cr2 = vcpu.cr2;
    before.cr2_dirty = vcpu.cr2_dirty;
    check(memcmp(&before, &vcpu, offsetof(struct vcpu, stats)) == 0, "a fault changed the vCPU");
    check(only_flags_were_set(), "a fault changed RAM");
    check(memcmp(fpu, fpu_before, FPU_SIZE) == 0, "a fault changed vector registers");
    check(device_writes == 0, "a fault wrote to a device");
}

static void check_marks(void)
{
    check(vcpu.rflags == before.rflags || (vcpu.dirty & STATE_FLOW), "flags without a mark");
    check(vcpu.gpr[RSP] == before.gpr[RSP] || (vcpu.dirty & STATE_STACK), "RSP without a mark");
    check(memcmp(fpu, fpu_before, FPU_SIZE) == 0 || (vcpu.dirty & STATE_FPU),
          "vector registers without a mark");
    check(vcpu.rip == before.rip || (vcpu.dirty & STATE_FLOW), "RIP without a mark");
    check(((vcpu.rflags ^ before.rflags) & ~UINT64_C(0x8d5)) == 0, "no status flag");
    check(memcmp(before.segment, vcpu.segment, sizeof(before.segment)) == 0 ||
              (vcpu.dirty & STATE_SEGMENTS),
          "segments without a mark");
    check(!vcpu.cr2_dirty, "CR2 without a fault");
}

static void check_verdict(verdict_t verdict, const uint8_t *code)
{
    bool repeated = is_repeated_string(code);
    switch ((enum verdict_kind)verdict.kind) {
    case VERDICT_NEXT:
        check(verdict.detail >= 1 && verdict.detail <= 15, "a length");
        check_marks();
        return;
    case VERDICT_AGAIN:
        if (!repeated)
            check_unchanged();
        return;
    case VERDICT_FAULT:
    case VERDICT_STOP:
        if (!repeated)
            check_unchanged();
        return;
    case VERDICT_NEED:
        check(verdict.value && !(verdict.value & before.fetched), "needs what it has");
        check_unchanged();
        return;
    case VERDICT_INVALID:
    case VERDICT_WAIT:
    case VERDICT_YIELD:
        break;
    }
    check(false, "a verdict of another kind");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {0};
    memcpy(&input, data, MIN(size, sizeof(input)));
    memset(ram, 0, sizeof(ram));
    memset(fpu, 0x3c, sizeof(fpu));
    if (!(input.choices & CHOOSE_TABLES))
        identity_tables();
    if (size > sizeof(input))
        memcpy(ram, data + sizeof(input), MIN(size - sizeof(input), TABLES));
    ram_is(&vm.memory, ram, RAM_SIZE);
    set_state(&input);
    uint64_t at = vcpu.rip + (code_bits(&vcpu) == 64 ? 0 : vcpu.segment[CS].base);
    if (at < RAM_SIZE - sizeof(input.code))
        memcpy(ram + at, input.code, sizeof(input.code));

    device_writes = 0;
    memcpy(&before, &vcpu, offsetof(struct vcpu, stats));
    memcpy(ram_before, ram, sizeof(ram));
    memcpy(fpu_before, fpu, sizeof(fpu));
    struct exit exit = {.tsc = 1};
    check_verdict(emulate(&vcpu, &exit), input.code);
    return 0;
}
