// The whole exit table: the input bytes are the reason, the facts, the vCPU's state and the guest's
// memory. Asserts the laws: a verdict is valid; a fault or a stop has changed nothing but CR2; user
// code cannot stop its VM; a handler changes only groups of state that were fetched, and asks for
// each at most once. A second vCPU is there to be named; it does not run.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/on_device.h"
#include "tests/fuzz/world.h"

#define RAM_SIZE     0x8000
#define DEVICE       UINT64_C(0xfec00000)
#define ALWAYS_VALID (STATE_TSC | STATE_XCR0)

static struct vm vm;
static struct vcpu vcpu, truth, before;
static struct lapic_page lapic_page, other_page;
static struct vcpu other, other_before; // whom messages and hypercalls may name
static uint8_t fpu_image[4096] __attribute__((aligned(64)));
static uint8_t ram[RAM_SIZE] __attribute__((aligned(4096)));
static uint8_t ram_before[RAM_SIZE];

static const char *running = "nothing";

static void broken(const char *law, int line)
{
    fprintf(stderr, "fuzz_exits.c:%d: broken by %s: %s\n", line, running, law);
    abort();
}

#define require(law) ((law) ? (void)0 : broken(#law, __LINE__))

// ---- the world ----

static void kick(struct vcpu *target)
{
    (void)target;
}

static uint64_t wall_clock(struct vm *of)
{
    (void)of;
    return 1700000000;
}

static bool memory_fault(struct vcpu *of, gpa_t at, uint64_t qualification)
{
    (void)of;
    (void)at;
    (void)qualification;
    return true;
}

static const struct vm_host host = {
    .kick = kick, .wall_clock = wall_clock, .memory_fault = memory_fault};

static bool device_access(struct vdev *device, struct access *access)
{
    (void)device;
    require(access->size == 1 || access->size == 2 || access->size == 4 || access->size == 8);
    if (access->write)
        require((access->value & ~size_mask(access->size)) == 0);
    else
        access->value = 0x55;
    return access->offset != 3;
}

static const struct vdev_class class = {.access = device_access};
static struct vdev device = {.name = "fuzz", .class = &class};

static void build(void)
{
    world_build(&vm, &vcpu, &host, ram, RAM_SIZE);
    vm.vcpu[vm.vcpu_count++] = &other;
    require(bus_insert(&vm.ports, 0x100, 16, &device, NULL) == STATUS_OK);
    require(bus_insert(&vm.mmio, DEVICE, 0x1000, &device, NULL) == STATUS_OK);
    bus_index(&vm.ports);
    bus_index(&vm.mmio);
}

// ---- groups of state ----

struct range {
    uint32_t group;
    size_t offset, size;
};
#define IN(group, name)                                                                            \
    {                                                                                              \
        group, offsetof(struct vcpu, name), sizeof(((struct vcpu *)0)->name)                       \
    }

static const struct range members[] = {
    IN(STATE_FLOW, rip),
    IN(STATE_FLOW, rflags),
    IN(STATE_FLOW, interruptibility),
    IN(STATE_STACK, gpr[RSP]),
    IN(STATE_CONTROL, cr0),
    IN(STATE_CONTROL, cr3),
    IN(STATE_CONTROL, cr4),
    IN(STATE_CONTROL, efer),
    IN(STATE_SEGMENTS, segment[ES]),
    IN(STATE_SEGMENTS, segment[CS].selector),
    IN(STATE_SEGMENTS, segment[CS].limit),
    IN(STATE_SEGMENTS, segment[CS].base),
    IN(STATE_SEGMENTS, segment[SS]),
    IN(STATE_SEGMENTS, segment[DS]),
    IN(STATE_SEGMENTS, segment[FS]),
    IN(STATE_SEGMENTS, segment[GS]),
    IN(STATE_SEGMENTS, segment[LDTR]),
    IN(STATE_SEGMENTS, segment[TR]),
    IN(STATE_SEGMENTS | STATE_MODE, segment[CS].access),
    IN(STATE_SEGMENTS, gdtr),
    IN(STATE_SEGMENTS, idtr),
    IN(STATE_SEGMENTS | STATE_MODE, cpl),
    IN(STATE_DEBUG, dr7),
    IN(STATE_DEBUG, debugctl),
    IN(STATE_DEBUG, pending_debug),
    IN(STATE_SYSTEM, sysenter_cs),
    IN(STATE_SYSTEM, sysenter_esp),
    IN(STATE_SYSTEM, sysenter_eip),
    IN(STATE_SYSTEM, pat),
    IN(STATE_SYSTEM, pdpte),
    IN(STATE_DR, dr),
    IN(STATE_DR, dr6),
    IN(STATE_MSR, live),
};

static void show(uint32_t fetched)
{
    vcpu = truth;
    vcpu.fetched = fetched | ALWAYS_VALID;
    for (unsigned i = 0; i < ARRAY_LENGTH(members); i++)
        if (!(fetched & members[i].group))
            memset((uint8_t *)&vcpu + members[i].offset, 0xa5, members[i].size);
}

// Whether vCPU and memory are as before, apart from `allowed`.
static bool is_unchanged(const struct range *allowed, size_t count, bool memory_too)
{
    static struct vcpu expected;
    expected = before;
    expected.cr2 = vcpu.cr2;
    expected.cr2_dirty = vcpu.cr2_dirty;
    for (size_t i = 0; i < count; i++)
        memcpy((uint8_t *)&expected + allowed[i].offset, (uint8_t *)&vcpu + allowed[i].offset,
               allowed[i].size);
    return memcmp(&expected, &vcpu, sizeof(vcpu)) == 0 &&
           (allowed || memcmp(&other_before, &other, sizeof(other)) == 0) &&
           (!memory_too || memcmp(ram, ram_before, sizeof(ram)) == 0);
}

// ---- input ----

struct input {
    uint8_t reason;
    uint8_t flags; // which shapes the state takes
    uint8_t cpl;
    uint8_t x2apic;
    struct exit exit;
    uint64_t gpr[16];
    uint64_t rip, rflags, cr0, cr3, cr4, efer, dr7, debugctl, xcr0;
    uint32_t interruptibility;
    struct segment segment[SEGMENTS];
    struct table_register gdtr, idtr;
    uint64_t dr[5];
    uint64_t pdpte[4];
};

enum {
    SMALL_ADDRESSES = 1,
    REAL_MODE = 2,
    FLAT = 4,
    LONG_MODE = 8,
    HAS_BREAKPOINTS = 16,
    ON_DEVICE = 32, // an instruction of a list, on the device
    KNOWN = 64,     // an MSR or a hypercall that exists
};

static void put_on_device(struct input *in)
{
    const uint8_t *code = on_device[in->rip % ARRAY_LENGTH(on_device)];
    uint8_t *at = ram + (truth.rip = 0x1000), modrm = (uint8_t)(in->gpr[0] >> 16 & 0x38);
    memcpy(at, code + 1, code[0]);
    if (code[0] < 3 || code[1] != 0x0f)
        at[code[0]] = modrm;
    for (unsigned i = 0; i < 16; i++)
        truth.gpr[i] = DEVICE + (in->gpr[i] & 0x7f8);
    truth.gpr[RCX] &= 0xff;
    truth.rflags &= ~RFLAGS_VM;
    truth.cr0 = (truth.cr0 | CR0_PE) & ~CR0_PG;
    truth.efer &= ~EFER_LMA;
    for (unsigned i = 0; i < SEGMENTS; i++)
        truth.segment[i] =
            (struct segment){.limit = UINT32_MAX, .access = i == CS ? 0xc09b : 0xc093};
    in->reason = EXIT_EPT_VIOLATION;
    in->exit.physical = gpa(truth.gpr[RAX]);
    in->exit.linear = gva(truth.gpr[RAX]);
    in->exit.qualification = BIT(8) | BIT(7) | (in->exit.qualification & 3); // the access itself
    in->exit.idt_info = 0;
}

static void choose_known(const struct input *in)
{
    const struct msr_row *row = msr_rows;
    for (unsigned i = in->gpr[RCX] & 0x3f; i > 0 && row->width != UINT32_MAX; i--)
        row++;
    truth.gpr[RCX] = row->first + (in->gpr[RCX] >> 8) % (row->width + UINT64_C(1));
    if (in->reason % EXIT_REASONS == EXIT_VMCALL) {
        static const uint8_t numbers[] = {10, 11, 5, 9}; // send IPI, yield, kick, none
        truth.gpr[RAX] = numbers[in->gpr[RAX] & 3];
        truth.gpr[RBX] = in->gpr[RBX] & 7;
        truth.gpr[RCX] = in->gpr[RCX] & 3;
        truth.gpr[RDX] = in->gpr[RDX] & 1 ? UINT32_MAX - 2 : 0;
        truth.gpr[RSI] = in->gpr[RSI] & 0x14ff;
    } else if (in->flags & SMALL_ADDRESSES)
        truth.gpr[RDX] = 0;
}

static void prepare(struct vcpu *one, unsigned id, struct lapic_page *page)
{
    memset(one, 0, sizeof(*one));
    one->vm = &vm;
    one->id = (uint16_t)id;
    one->apic_id = id;
    one->fpu = fpu_image;
    lapic_init(one, page);
    vcpu_reset(one, false);
    lapic_virtual_wire(one); // it accepts interrupts
}

static void shape(struct input *in)
{
    prepare(&vcpu, 0, &lapic_page);
    prepare(&other, 1, &other_page);
    truth = vcpu;
    memcpy(truth.gpr, in->gpr, sizeof(truth.gpr));
    truth.rip = in->rip;
    truth.rflags = (in->rflags & BITS(21, 0)) | RFLAGS_FIXED;
    truth.interruptibility = in->interruptibility & 0xf;
    truth.cr0 = in->cr0;
    truth.cr3 = in->cr3;
    truth.cr4 = in->cr4;
    truth.efer = in->efer & (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
    memcpy(truth.segment, in->segment, sizeof(truth.segment));
    truth.gdtr = in->gdtr;
    truth.idtr = in->idtr;
    truth.cpl = in->cpl & 3;
    truth.dr7 = in->dr7;
    truth.debugctl = in->debugctl;
    memcpy(truth.dr, in->dr, sizeof(truth.dr));
    truth.dr6 = in->dr[4];
    memcpy(truth.pdpte, in->pdpte, sizeof(truth.pdpte));
    truth.xcr0 = in->xcr0 & vm.cpuid.xcr0_allowed;
    if (in->flags & SMALL_ADDRESSES) {
        for (unsigned i = 0; i < 16; i++)
            truth.gpr[i] &= 0xffff;
        truth.cr3 &= RAM_SIZE - 1;
        truth.gdtr.base &= RAM_SIZE - 1;
        truth.rip &= RAM_SIZE - 1;
    }
    if (in->flags & REAL_MODE)
        truth.cr0 &= ~(CR0_PE | CR0_PG);
    if (in->flags & LONG_MODE) {
        truth.cr0 |= CR0_PE | CR0_PG;
        truth.cr4 |= CR4_PAE;
        truth.efer |= EFER_LME | EFER_LMA;
    }
    for (unsigned i = 0; i < SEGMENTS && (in->flags & FLAT); i++)
        truth.segment[i] =
            (struct segment){.limit = UINT32_MAX, .access = i == CS ? 0xc09b : 0xc093};
    if (in->flags & KNOWN)
        choose_known(in);
    if (in->flags & ON_DEVICE)
        put_on_device(in);
    truth.requests = 0;
    truth.dirty = in->flags & HAS_BREAKPOINTS ? STATE_BREAKPOINTS : 0;
    vcpu_mirror_cr4(&truth);
}

// ---- laws ----

static bool is_string_io(const struct exit *exit)
{
    return exit->reason == EXIT_IO && (exit->qualification & BIT(4));
}

static void check_unchanged(const struct exit *exit)
{
    // String I/O is done element by element.
    static const struct range strings[] = {IN(0, gpr[RCX]), IN(0, gpr[RSI]), IN(0, gpr[RDI]),
                                           IN(0, lapic), IN(0, requests)};
    // An IRET that failed: the blocking of NMIs comes back with the exit, whatever its verdict.
    static const struct range blocking[] = {IN(0, interruptibility), IN(0, dirty)};
    // An operand may lie in the local APIC's page, where a wrong access is noted.
    static const struct range operand[] = {IN(0, lapic), IN(0, requests)};
    // Under paging, accessed flags may be set before a fault, as on the CPU.
    bool memory_too = !(truth.cr0 & CR0_PG);

    switch (exit->reason) {
    case EXIT_TASK_SWITCH: // it may be the new task that fails
        break;
    case EXIT_IO:
        require(is_unchanged(strings, ARRAY_LENGTH(strings), !is_string_io(exit)));
        break;
    case EXIT_EXCEPTION_NMI:
        require(is_unchanged(blocking, ARRAY_LENGTH(blocking), true));
        break;
    case EXIT_EPT_VIOLATION: // vm/emulate/emulate.c has its own fuzzer
        break;
    case EXIT_GDTR_IDTR:
    case EXIT_LDTR_TR:
    case EXIT_INVPCID:
        require(is_unchanged(operand, ARRAY_LENGTH(operand), memory_too));
        break;
    default:
        require(is_unchanged(NULL, 0, true));
    }
}

// Stops that a program could have caused by what it did.
static bool is_programs_fault(const struct exit *exit, verdict_t verdict)
{
    return verdict.detail == STOP_BAD_MEMORY || verdict.detail == STOP_UNEMULATED ||
           (verdict.detail == STOP_TRIPLE_FAULT &&
            (exit->reason == EXIT_EPT_VIOLATION || exit->reason == EXIT_APIC_ACCESS));
}

static void check(const struct exit *exit, const struct exit_row *row, verdict_t verdict,
                  uint32_t fetched)
{
    require((vcpu.dirty & STATE_ALL & ~(fetched | ALWAYS_VALID)) == 0);
    for (unsigned i = 0; i < ARRAY_LENGTH(members); i++)
        if (!(vcpu.dirty & members[i].group))
            require(memcmp((uint8_t *)&before + members[i].offset,
                           (uint8_t *)&vcpu + members[i].offset, members[i].size) == 0);
    switch ((enum verdict_kind)verdict.kind) {
    case VERDICT_NEXT:
    case VERDICT_WAIT:
    case VERDICT_YIELD:
        require((row->needs & FACT_INSTRUCTION) || (verdict.detail >= 1 && verdict.detail <= 15));
        break;
    case VERDICT_AGAIN:
        break;
    case VERDICT_FAULT:
        require(verdict.detail < 32 && verdict.has_error <= 1);
        check_unchanged(exit);
        break;
    case VERDICT_STOP:
        require(verdict.detail > STOP_NONE && verdict.detail < STOP_REASONS);
        // At CPL 3 before, and in the task that is switched to.
        require(truth.cpl < 3 || vcpu.cpl < 3 || !is_programs_fault(exit, verdict));
        check_unchanged(exit);
        break;
    case VERDICT_INVALID:
    case VERDICT_NEED:
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in;
    if (!vm.host)
        build();
    size_t head = MIN(size, sizeof(in));
    memset(&in, 0, sizeof(in));
    memcpy(&in, data, head);
    memset(ram, 0, sizeof(ram));
    memcpy(ram, data + head, MIN(size - head, (size_t)RAM_SIZE));

    shape(&in);
    memcpy(ram_before, ram, sizeof(ram));
    in.exit.reason = in.reason % EXIT_REASONS;
    in.exit.instruction_length = in.exit.instruction_length % 15 + 1;
    in.exit.has_random = in.exit.random & 1;
    in.exit.tsc &= BITS(60, 0);
    if (in.exit.reason == EXIT_IO) { // the CPU knows operands of 1, 2 and 4 bytes
        static const uint8_t sizes[] = {0, 1, 3, 3};
        in.exit.qualification =
            (in.exit.qualification & ~UINT64_C(7)) | sizes[in.exit.qualification & 3];
    }
    const struct exit_row *row = &exit_table[in.exit.reason];
    running = row->name;
    if (!(row->needs & FACT_IDT))
        in.exit.idt_info = 0;
    uint32_t fetched = (row->needs & STATE_ALL) | (row->needs & FACT_INSTRUCTION ? STATE_FLOW : 0);
    fetched |= fetched & STATE_SEGMENTS ? STATE_MODE : 0;
    show(fetched);
    if (row->needs & FACT_IDT)
        event_take_interrupted(&vcpu, &in.exit);
    truth.events = vcpu.events;

    verdict_t verdict;
    for (unsigned calls = 0;; calls++) {
        require(calls < 12);
        fetched |= fetched & STATE_SEGMENTS ? STATE_MODE : 0;
        show(fetched);
        before = vcpu;
        other_before = other;
        verdict = row->handler(&vcpu, &in.exit);
        if (verdict.kind != VERDICT_NEED)
            break;
        require(verdict.value & ~fetched);
        require(is_unchanged(NULL, 0, true));
        fetched |= verdict.value | (verdict.value & STATE_SEGMENTS ? STATE_MODE : 0);
    }
    check(&in.exit, row, verdict, fetched);
    return 0;
}
