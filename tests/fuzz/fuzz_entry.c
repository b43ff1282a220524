// That no guest can make a VM entry fail: from any state that the VM-entry checker accepts, any
// exit with any facts that a CPU can report, and whatever then waits for the vCPU, leads to a state
// that it accepts again. With the state at power-on, which the checker has seen, that is a proof by
// induction as far as the fuzzer reaches. What vmx/state.c and vmx/requests.c write, image_of()
// writes here.
//
// The input: which state to start from, the exit, changes of single fields (kept while the checker
// accepts the state), the guest's memory.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/world.h"
#include "tests/unit/vmcs_image.h"
#include "vm/cr.h"
#include "vmx/fields.h"

#define RAM_SIZE 0x8000

struct input {
    uint8_t start, reason, changes, waits;
    uint8_t vector, posted, shadow, event_type;
    struct exit exit;
    uint64_t gpr[16];
};

struct __attribute__((packed)) change {
    uint8_t field;
    uint64_t value;
};

static struct vm vm;
static struct vcpu vcpu;
static struct lapic_page lapic_page;
static uint8_t fpu_image[4096] __attribute__((aligned(64)));
static uint8_t ram[RAM_SIZE] __attribute__((aligned(4096)));
static struct vmx_capabilities cpu;
static struct vmx_choice choice;
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

// ---- between the VMCS and struct vcpu ----

static void vcpu_of(const struct input *in)
{
    const uint64_t *v = image.value;
    for (unsigned i = 0; i < SEGMENTS; i++)
        vcpu.segment[i] = (struct segment){.selector = (uint16_t)v[VMCS_GUEST_SELECTOR(i)],
                                           .limit = (uint32_t)v[VMCS_GUEST_LIMIT(i)],
                                           .access = (uint32_t)v[VMCS_GUEST_ACCESS_RIGHTS(i)],
                                           .base = v[VMCS_GUEST_BASE(i)]};
    vcpu.gdtr =
        (struct table_register){v[VMCS_GUEST_GDTR_BASE], (uint32_t)v[VMCS_GUEST_GDTR_LIMIT]};
    vcpu.idtr =
        (struct table_register){v[VMCS_GUEST_IDTR_BASE], (uint32_t)v[VMCS_GUEST_IDTR_LIMIT]};
    vcpu.cpl = FIELD_GET(AR_DPL, vcpu.segment[SS].access);
    // Of the bits that are ours the guest may have written either value.
    vcpu.cr0 = v[VMCS_GUEST_CR0] & ~(in->shadow & 4 ? CR0_NE : 0);
    vcpu.cr0 |= (in->shadow & 1 ? CR0_CD : 0) | ((in->shadow & 3) == 3 ? CR0_NW : 0);
    vcpu.cr4 = v[VMCS_GUEST_CR4] & ~(CR4_VMXE | (in->shadow & 8 ? CR4_MCE : 0));
    vcpu.cr3 = v[VMCS_GUEST_CR3];
    vcpu.efer = v[VMCS_GUEST_EFER];
    vcpu.rip = v[VMCS_GUEST_RIP];
    vcpu.rflags = v[VMCS_GUEST_RFLAGS];
    vcpu.interruptibility = v[VMCS_GUEST_INTERRUPTIBILITY];
    vcpu.dr7 = v[VMCS_GUEST_DR7];
    vcpu.debugctl = v[VMCS_GUEST_DEBUGCTL];
    vcpu.pending_debug = v[VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS];
    vcpu.sysenter_cs = v[VMCS_GUEST_SYSENTER_CS];
    vcpu.sysenter_esp = v[VMCS_GUEST_SYSENTER_ESP];
    vcpu.sysenter_eip = v[VMCS_GUEST_SYSENTER_EIP];
    vcpu.pat = v[VMCS_GUEST_PAT];
    for (unsigned i = 0; i < 4; i++)
        vcpu.pdpte[i] = v[VMCS_GUEST_PDPTE_0 + 2 * i];
    vcpu_mirror_cr4(&vcpu);
}

static void image_of_segments(void)
{
    uint64_t *v = image.value;
    const struct segment *segment = vcpu.segment;
    for (unsigned i = 0; i < SEGMENTS; i++)
        image_segment(&image, i, segment[i].selector, segment[i].base, segment[i].limit,
                      segment[i].access);
    v[VMCS_GUEST_GDTR_BASE] = vcpu.gdtr.base;
    v[VMCS_GUEST_GDTR_LIMIT] = vcpu.gdtr.limit;
    v[VMCS_GUEST_IDTR_BASE] = vcpu.idtr.base;
    v[VMCS_GUEST_IDTR_LIMIT] = vcpu.idtr.limit;
}

static void image_of(void)
{
    uint64_t *v = image.value;
    const struct entry_plan *plan = &vcpu.events.plan;
    image_of_segments();
    v[VMCS_GUEST_CR0] = (vcpu.cr0 & ~(CR0_CD | CR0_NW)) | CR0_NE | CR0_ET;
    v[VMCS_GUEST_CR4] = vcpu.cr4 | CR4_VMXE | CR4_MCE;
    v[VMCS_GUEST_CR3] = vcpu.cr3;
    v[VMCS_GUEST_EFER] = vcpu.efer;
    v[VMCS_ENTRY_CONTROLS] =
        choice.word[WORD_VMENTRY] | (vcpu.efer & EFER_LMA ? VMENTRY_IA32E_GUEST : 0);
    v[VMCS_GUEST_RIP] = vcpu.rip;
    v[VMCS_GUEST_RFLAGS] = vcpu.rflags;
    v[VMCS_GUEST_INTERRUPTIBILITY] = vcpu.interruptibility;
    v[VMCS_GUEST_DR7] = vcpu.dr7;
    v[VMCS_GUEST_DEBUGCTL] = vcpu.debugctl;
    v[VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS] = vcpu.pending_debug;
    v[VMCS_GUEST_SYSENTER_CS] = vcpu.sysenter_cs;
    v[VMCS_GUEST_SYSENTER_ESP] = vcpu.sysenter_esp;
    v[VMCS_GUEST_SYSENTER_EIP] = vcpu.sysenter_eip;
    v[VMCS_GUEST_PAT] = vcpu.pat;
    for (unsigned i = 0; i < 4; i++)
        v[VMCS_GUEST_PDPTE_0 + 2 * i] = vcpu.pdpte[i];
    v[VMCS_ENTRY_INTERRUPTION_INFORMATION] = plan->inject.info;
    v[VMCS_ENTRY_EXCEPTION_ERROR_CODE] = plan->inject.error;
    v[VMCS_ENTRY_INSTRUCTION_LENGTH] = plan->inject.length;
    v[VMCS_PRIMARY_CONTROLS] = choice.word[WORD_PRIMARY] |
                               (plan->interrupt_window ? PRIMARY_INTERRUPT_WINDOW_EXITING : 0) |
                               (plan->nmi_window ? PRIMARY_NMI_WINDOW_EXITING : 0);
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

static const struct vm_host host = {.kick = kick, .memory_fault = memory_fault};

static void build(void)
{
    world_build(&vm, &vcpu, &host, ram, RAM_SIZE);
    bus_freeze(&vm.ports);
    bus_freeze(&vm.mmio);
    cpu = decoded(&bochs_skylake);
    cpu.cr4.may |= cr4_guest_allowed(&vm); // CPUID has told of these, and of LA57
    cpu.raw.linear_bits = 57;
    choice_make(&choice, &cpu, choice_default(), 0);
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

static const uint8_t *change_fields(const uint8_t *data, size_t *size, unsigned count)
{
    struct change change;
    for (; count && *size >= sizeof(change); count--) {
        memcpy(&change, data, sizeof(change));
        data += sizeof(change);
        *size -= sizeof(change);
        uint32_t field = fields_table[change.field % fields_count].encoding;
        uint64_t was = image.value[field];
        image.value[field] = change.value & (UINT64_MAX >> (64 - 4 * fields_digits(field)));
        if (!is_guest_state(field) || !is_accepted(false) || !is_reachable())
            image.value[field] = was;
    }
    return data;
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

// Instructions that fault in user code before they exit.
static bool can_exit(uint32_t reason)
{
    switch (reason) {
    case EXIT_TRIPLE_FAULT: // ends the VM
        return false;
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    typedef void start_state(struct vmcs_image *, const struct vmx_choice *);
    static start_state *const start[] = {image_long_mode, image_protected_mode, image_pae,
                                         image_real_mode, image_virtual_8086};
    struct input in;
    if (size < sizeof(in))
        return 0;
    if (!vm.host)
        build();
    memcpy(&in, data, sizeof(in));
    data += sizeof(in), size -= sizeof(in);
    start[in.start % ARRAY_LENGTH(start)](&image, &choice);
    image.value[VMCS_GUEST_CR4] |= CR4_MCE;
    image.value[VMCS_GUEST_GDTR_LIMIT] = 0xffff;
    data = change_fields(data, &size, in.changes % 16);
    memset(ram, 0, sizeof(ram));
    memcpy(ram, data, MIN(size, sizeof(ram)));

    memset(&vcpu, 0, sizeof(vcpu));
    vcpu.vm = &vm;
    vcpu.fpu = fpu_image;
    memset(&lapic_page, 0, sizeof(lapic_page));
    lapic_init(&vcpu, &lapic_page);
    vcpu_reset(&vcpu, false);
    memcpy(vcpu.gpr, in.gpr, sizeof(vcpu.gpr));
    vcpu.events.has_virtual_nmi = true;
    vcpu_of(&in);
    vcpu.requests = vcpu.dirty = 0;
    image_of();
    if (!is_accepted(true)) // it must be the same state
        abort();
    shape_exit(&in.exit, &in);
    if (!can_exit(in.exit.reason) || !handle(&in.exit))
        return 0;

    if (in.waits & 1)
        event_queue_nmi(&vcpu);
    if (in.waits & 2)
        lapic_post(&vcpu, in.posted, false);
    if (in.waits & 4)
        vcpu_take_requests(&vcpu, REQUEST_INIT);
    event_choose(&vcpu);
    image_of();
    if (is_accepted(true))
        return 0;
    fprintf(stderr, "fuzz_entry.c: refused after %s\n", exit_table[in.exit.reason].name);
    abort();
}
