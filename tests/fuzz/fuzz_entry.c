// That no guest can make a VM entry fail: from any state that the VM-entry checker accepts, any
// exit with any facts that a CPU can report, and whatever then waits for the vCPU, leads to a state
// that it accepts again. With the state at power-on, which the checker has seen, that is a proof by
// induction as far as the fuzzer reaches. What vmx/state.c and vmx/requests.c do, vmcs_state.c
// does here.
//
// The input: which CPU, which state to start from, the exit, changes of single fields (kept while
// the checker accepts the state), the guest's memory or what tasks.c makes it of.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/tasks.h"
#include "tests/fuzz/vmcs_state.h"
#include "tests/fuzz/world.h"
#include "vm/cpu/cr.h"
#include "vm/debugger.h"
#include "vmx/policy/fields.h"

#define RAM_SIZE 0x8000

struct input {
    uint8_t start, reason, changes, waits;
    uint8_t vector, posted, shadow, event_type;
    struct exit exit;
    uint64_t gpr[16];
};

static struct vm vm;
static struct vcpu vcpu;
static struct lapic_page lapic_page;
static uint8_t fpu_image[4096] __attribute__((aligned(64)));
static uint8_t ram[RAM_SIZE] __attribute__((aligned(4096)));
static struct vmx_capabilities cpu;
static struct vmcs_config configs[3]; // the rule; without virtual NMIs; with interrupts by the CPU
static const struct vmcs_config *config;
static struct vmcs_image image;

// ---- the checker ----

static void say_rule(struct printer *to, const char *text, size_t length)
{
    (void)to;
    fwrite(text, 1, length, stderr);
}

static void say_nothing(struct printer *to, const char *text, size_t length)
{
    (void)to, (void)text, (void)length;
}

static bool is_accepted(bool is_told)
{
    struct printer to = {.write = is_told ? say_rule : say_nothing};
    struct check check = {.capabilities = &cpu,
                          .read = image_read,
                          .context = &image,
                          .virtual_apic = (const uint8_t *)&lapic_page,
                          .to = &to};
    check_controls(&check);
    check_guest(&check);
    return check.violations == 0;
}

// ---- the world ----

static void kick(struct vcpu *target)
{
    (void)target;
}

static bool memory_fault(struct vcpu *of, gpa_t at, uint64_t qualification)
{
    (void)of, (void)at, (void)qualification;
    return true;
}

static uint64_t wall_clock(struct vm *of)
{
    (void)of;
    return 1700000000;
}

static struct debugger debugger;
static const struct vm_host host = {
    .kick = kick, .memory_fault = memory_fault, .wall_clock = wall_clock};

static void build(void)
{
    world_build(&vm, &vcpu, &host, ram, RAM_SIZE);
    bus_index(&vm.ports);
    bus_index(&vm.mmio);
    cpu = decoded(&bochs_skylake);
    cpu.cr4.may |= cr4_guest_allowed(&vm); // CPUID has told of these, and of LA57
    cpu.raw.linear_bits = 57;
    uint32_t all = vmcs_config_default(), delivery = FEATURE(FEATURE_VIRTUAL_INTERRUPTS);
    vmcs_config_make(&configs[0], &cpu, all & ~delivery, 0);
    vmcs_config_make(&configs[1], &cpu, all & ~(delivery | FEATURE(FEATURE_VIRTUAL_NMIS)), 0);
    vmcs_config_make(&configs[2], &cpu, all, 0);
    if (vmcs_config_uses(&configs[1], FEATURE_VIRTUAL_NMIS) ||
        !vmcs_config_uses(&configs[2], FEATURE_VIRTUAL_INTERRUPTS))
        abort();
}

// ---- the state before ----

// Bits of CR4 that a guest's CPUID does not give it, blocking by SMI or an enclave, and other
// activity states are nothing that a guest gets.
static bool is_reachable(void)
{
    const uint64_t *v = image.value, cr4 = v[VMCS_GUEST_CR4] & ~(CR4_VMXE | CR4_MCE);
    return !(cr4 & ~cr4_guest_allowed(&vm)) && (v[VMCS_GUEST_CR0] & CR0_ET) &&
           !(v[VMCS_GUEST_INTERRUPTIBILITY] & ~UINT64_C(0xb)) && !v[VMCS_GUEST_ACTIVITY];
}

static bool is_guest_state(uint32_t field)
{
    return (field >> 10 & 3) == 2;
}

static void try_field(uint32_t field, uint64_t value)
{
    uint64_t was = image.value[field];
    image.value[field] = value & (UINT64_MAX >> (64 - 4 * fields_digits(field)));
    if (!is_guest_state(field) || !is_accepted(false) || !is_reachable())
        image.value[field] = was;
}

static void change_fields(struct bytes *bytes, unsigned count)
{
    for (; count && bytes->size > 0; count--) {
        unsigned which = (unsigned)bytes_take(bytes, 1);
        try_field(fields_table[which % fields_count].encoding, bytes_take(bytes, 8));
    }
}

// Single steps in the shadow of STI or MOV SS: three fields that must agree.
static void start_stepping(uint8_t shape)
{
    if (shape & 0x20)
        try_field(VMCS_GUEST_RFLAGS, image.value[VMCS_GUEST_RFLAGS] | RFLAGS_TF | RFLAGS_IF);
    if (shape & 0x20)
        try_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
    if (shape & 0x40)
        try_field(VMCS_GUEST_INTERRUPTIBILITY, shape & 0x80 ? BLOCKING_BY_STI : BLOCKING_BY_MOV_SS);
}

// Back is the exit qualification of a task switch.
static uint64_t start_with_tasks(struct bytes *bytes)
{
    bool pae = image.value[VMCS_GUEST_CR4] & CR4_PAE;
    uint64_t qualification = tasks_build(ram, bytes, pae);
    try_field(VMCS_GUEST_GDTR_BASE, TASKS_GDT);
    try_field(VMCS_GUEST_BASE(TR), TASKS_OLD);
    try_field(VMCS_GUEST_SELECTOR(TR), 8);
    if (qualification & BIT(31)) // JMP and gates; paging is no matter of these
        try_field(VMCS_GUEST_CR0, image.value[VMCS_GUEST_CR0] | CR0_PG);
    try_field(VMCS_GUEST_CR4, image.value[VMCS_GUEST_CR4] | CR4_PSE);
    try_field(VMCS_GUEST_CR3, TASKS_DIRECTORY);
    for (uint32_t at = VMCS_GUEST_PDPTE_0; at <= VMCS_GUEST_PDPTE_3 && pae; at += 2)
        try_field(at, TASKS_PAE_TABLE | 1);
    return qualification;
}

// ---- the facts that a CPU can report ----

static bool has_error_code(unsigned vector)
{
    return (BIT(vector) & (BIT(8) | BITS(14, 10) | BIT(17))) && (vcpu.cr0 & CR0_PE);
}

// Interruption information, or IDT-vectoring information, of an event of this type.
static uint32_t event_information(uint8_t type, uint8_t vector)
{
    if (type % 6 == 0 && !(vcpu.rflags & RFLAGS_IF)) // no external interrupt could come
        type++;
    switch (type % 6) {
    case 1:
        return EVENT_VALID | EVENT_NMI << 8 | 2;
    case 2:
        vector %= 22;
        return EVENT_VALID | EVENT_EXCEPTION << 8 | vector |
               (has_error_code(vector) ? EVENT_HAS_ERROR : 0);
    case 3:
        return EVENT_VALID | EVENT_SOFTWARE_INTERRUPT << 8 | vector;
    case 4:
        return EVENT_VALID | EVENT_PRIVILEGED_EXCEPTION << 8 | 1;
    case 5:
        return EVENT_VALID | EVENT_SOFTWARE_EXCEPTION << 8 | (vector % 2 ? 3 : 4);
    default:
        return EVENT_VALID | EVENT_EXTERNAL << 8 | vector;
    }
}

// Instructions that fault in user code before they exit, and task switches where there are none.
static bool can_exit(uint32_t reason)
{
    switch (reason) {
    case EXIT_TRIPLE_FAULT: // ends the VM
        return false;
    case EXIT_TASK_SWITCH:
        return (vcpu.cr0 & CR0_PE) && !(vcpu.efer & EFER_LMA);
    case EXIT_CR_ACCESS:
    case EXIT_HLT:
    case EXIT_INVD:
    case EXIT_INVLPG:
    case EXIT_INVPCID:
    case EXIT_RDMSR:
    case EXIT_WBINVD:
    case EXIT_WRMSR:
        return vcpu.cpl == 0;
    default:
        return true;
    }
}

static void shape_exit(struct exit *exit, const struct input *in)
{
    static const uint8_t sizes[] = {0, 1, 3, 3};
    // Those that lie in the VMCS or change what does.
    static const uint32_t msrs[] = {0x174, 0x175, 0x176, 0x1d9, 0x277, 0xc0000080, 0xc0000100};
    exit->reason = in->reason % EXIT_REASONS;
    exit->instruction_length = exit->instruction_length % 15 + 1;
    exit->has_random = exit->random & 1;
    exit->tsc &= BITS(60, 0);
    exit->idt_error &= 0x7fff;
    exit->interruption_error &= 0x7fff;
    if (exit->reason == EXIT_IO) // the CPU knows operands of 1, 2 and 4 bytes
        exit->qualification = (exit->qualification & ~UINT64_C(7)) | sizes[exit->qualification & 3];
    if (exit->reason == EXIT_WRMSR && in->vector < 0x80)
        vcpu.gpr[RCX] = msrs[in->vector % ARRAY_LENGTH(msrs)];
    bool delivers = (exit->idt_info & 1) && (exit_table[exit->reason].needs & FACT_IDT);
    exit->idt_info = delivers ? event_information(in->event_type, in->vector) : 0;
    exit->interruption_info = event_information(2 + in->event_type % 4, in->vector);
    if ((exit->interruption_info & EVENT_TYPE) == EVENT_SOFTWARE_INTERRUPT << 8)
        exit->interruption_info = EVENT_VALID | EVENT_EXCEPTION << 8 | 1;
    if (exit->reason == EXIT_EXCEPTION_NMI &&
        (exit->interruption_info & EVENT_VECTOR) == VECTOR_MC && (in->waits & 0x10))
        vcpu.error = (struct mce_error){exit->random | 1, exit->linear.value, exit->physical};
    // A debug exception's exit takes what was pending; Bochs leaves it set.
    if (exit->reason == EXIT_EXCEPTION_NMI &&
        (exit->interruption_info & EVENT_VECTOR) == VECTOR_DB && !(in->shadow & 16))
        vcpu.pending_debug = 0;
}

// ---- vmx/run.c ----

static void step_over(uint64_t length)
{
    uint64_t rip = vcpu.rip + length;
    if ((uint32_t)rip < (uint32_t)length && !vcpu_in_64bit(&vcpu))
        rip = (uint32_t)rip;
    vcpu.rip = rip;
    vcpu.interruptibility &= ~(uint64_t)(BLOCKING_BY_STI | BLOCKING_BY_MOV_SS);
    vcpu.rflags &= ~RFLAGS_RF;
    if ((vcpu.rflags & RFLAGS_TF) && !(vcpu.debugctl & DEBUGCTL_BTF))
        vcpu.pending_debug |= PENDING_DEBUG_BS;
}

// False: the VM stops.
static bool handle(const struct exit *exit)
{
    const struct exit_row *row = &exit_table[exit->reason];
    vcpu.fetched = STATE_ALL | STATE_TSC | STATE_XCR0;
    if (row->needs & FACT_IDT)
        event_take_interrupted(&vcpu, exit);
    verdict_t verdict = row->handler(&vcpu, exit);
    for (unsigned calls = 0; verdict.kind == VERDICT_NEED && calls < 12; calls++) {
        vcpu.fetched |= verdict.value;
        verdict = row->handler(&vcpu, exit);
    }
    switch ((enum verdict_kind)verdict.kind) {
    case VERDICT_AGAIN:
        return true;
    case VERDICT_NEXT:
    case VERDICT_WAIT: // and something wakes it
    case VERDICT_YIELD:
        step_over(verdict.kind == VERDICT_NEXT && verdict.detail ? verdict.detail
                                                                 : exit->instruction_length);
        return true;
    case VERDICT_FAULT:
        return event_raise(&vcpu, verdict.detail, verdict.has_error, verdict.value);
    case VERDICT_STOP:
    case VERDICT_INVALID:
    case VERDICT_NEED:
        break;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A debugger steps the vCPU: it has it go on where it stopped, from where the vCPU must be able to
// enter as well.
static void step(bool has_exited)
{
    if (vcpu.dirty & STATE_STEP)
        debugged_step(&vcpu, has_exited);
    if (vcpu.activity == ACTIVITY_STOPPED)
        debugger_go(&vcpu, DEBUG_STEP);
}

// What waits for it meanwhile is served before the entry.
static void serve(const struct input *in)
{
    if (in->waits & 1)
        vcpu_send_nmi(&vcpu);
    if (in->waits & 2)
        lapic_post(&vcpu, in->posted, in->waits & 0x20);
    if (in->waits & 4)
        vcpu_send_init(&vcpu);
    if (in->waits & 8)
        mce_post(&vcpu, gpa((uint64_t)in->posted << 12));
    vcpu_take_requests(&vcpu, vcpu.requests);
    if (!vmcs_config_uses(config, FEATURE_VIRTUAL_INTERRUPTS)) {
        event_choose(&vcpu);
        return;
    }
    uint32_t status = 0;
    lapic_hand_over(&vcpu, &status);
    event_choose_other(&vcpu);
}

static void start(const struct input *in)
{
    typedef void start_state(struct vmcs_image *, const struct vmcs_config *);
    static start_state *const states[] = {image_long_mode, image_protected_mode, image_pae,
                                          image_real_mode, image_virtual_8086};
    config = &configs[in->start / 8 % ARRAY_LENGTH(configs)];
    states[in->start % 8 % ARRAY_LENGTH(states)](&image, config);
    image.value[VMCS_GUEST_CR4] |= CR4_MCE;
    image.value[VMCS_GUEST_GDTR_LIMIT] = 0xffff;
    image.value[VMCS_APIC_ACCESS_ADDRESS] = 0x7000;
    if (vmcs_config_uses(config, FEATURE_VIRTUAL_INTERRUPTS))
        image.value[VMCS_SECONDARY_CONTROLS] |=
            vmcs_config_apic(config, true, in->start & 0x40, true);

    memset(&vcpu, 0, sizeof(vcpu));
    vcpu.vm = &vm;
    vcpu.fpu = fpu_image;
    memset(&lapic_page, 0, sizeof(lapic_page));
    lapic_init(&vcpu, &lapic_page);
    vcpu_reset(&vcpu, false);
    lapic_set(&vcpu.lapic, LAPIC_SVR, 0x1ff);
    memcpy(vcpu.gpr, in->gpr, sizeof(vcpu.gpr));
    vcpu.events.has_virtual_nmi = vmcs_config_uses(config, FEATURE_VIRTUAL_NMIS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in;
    if (size < sizeof(in))
        return 0;
    if (!vm.host)
        build();
    struct bytes bytes = bytes_of(data, size);
    memcpy(&in, data, sizeof(in));
    bytes.data += sizeof(in), bytes.size -= sizeof(in);
    memset(ram, 0, sizeof(ram));
    start(&in);
    if (in.start & 0x80) {
        in.exit.qualification = start_with_tasks(&bytes);
        in.exit.idt_info = (uint32_t)bytes_take(&bytes, 1);
        in.event_type = (uint8_t)bytes_take(&bytes, 1);
        in.reason = EXIT_TASK_SWITCH;
    }
    if (in.waits & 0x40)
        try_field(VMCS_GUEST_RFLAGS, image.value[VMCS_GUEST_RFLAGS] | RFLAGS_IF);
    start_stepping(in.shadow);
    change_fields(&bytes, in.changes % 16);
    if (!(in.start & 0x80))
        memcpy(ram, bytes.data, MIN(bytes.size, sizeof(ram)));

    vmcs_state_fetch(&vcpu, &image, in.shadow);
    vcpu.requests = vcpu.dirty = 0;
    if (in.waits & 0x80) {
        debugger_attach(&debugger, &vm);
        debugger_go(&vcpu, DEBUG_STEP);
        step(false);
    }
    vmcs_state_write(&image, &vcpu, config);
    if (!is_accepted(true)) // it must be the same state
        abort();
    shape_exit(&in.exit, &in);
    if (!can_exit(in.exit.reason) || !handle(&in.exit))
        return 0;
    step(true);
    serve(&in);
    step(false);
    vmcs_state_write(&image, &vcpu, config);
    if (is_accepted(true))
        return 0;
    fprintf(stderr, "fuzz_entry.c: refused after %s\n", exit_table[in.exit.reason].name);
    abort();
}
