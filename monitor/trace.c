// The lines of `trace on`. Called by the operator's loop for what is new, and by `info trace` for
// what is kept. SDM: "Exit Qualification", "VM-Exit Instruction Information".

#include "monitor/trace.h"

#include "monitor/msr_names.h"
#include "monitor/operands.h"

#define FEW_BYTES      8
#define LINES_A_SECOND 50
#define SECOND         UINT64_C(1000000000)

// Text that is cut at the end of its room.
struct text {
    char *at;
    size_t size, length;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text->length +=
        format_text_va(text->at + text->length, text->size - text->length, format, arguments);
    va_end(arguments);
    text->length = MIN(text->length, text->size - 1);
}

static const char *const gpr_name[16] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                         "R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};

#define EXCEPTION_NAME(name, text, vector) [vector] = "#" #name,
static const char *const exception_name[32] = {VM_EXCEPTIONS(EXCEPTION_NAME)[VECTOR_NMI] = "NMI"};

static void add_exception(struct text *text, unsigned vector)
{
    const char *name = vector < ARRAY_LENGTH(exception_name) ? exception_name[vector] : NULL;
    if (name)
        add(text, "%s", name);
    else
        add(text, "vector %u", vector);
}

// ---- the instruction ----

#define NAME(name, text, use, groups, function) [OP_##name] = (text),
static const char *const operation_name[OPERATIONS] = {VM_OPERATIONS(NAME)};

// What the decoder says of the bytes. False: it does not know them.
static bool decoded(const struct watch_entry *entry, struct instruction *instruction)
{
    return decode(entry->code, entry->length, entry->bits, true, instruction) == DECODE_OK;
}

static void add_operands(struct text *text, const struct instruction *instruction)
{
    char words[OPERANDS_SIZE];
    operands_format(words, instruction);
    add(text, "%s", words);
}

// SGDT to LTR: an operand in memory is in the bytes, a register in the information.
static void add_system_access(struct text *text, const struct watch_entry *entry, const char *name)
{
    struct instruction instruction;
    add(text, "%s", name);
    if (decoded(entry, &instruction))
        add_operands(text, &instruction);
    else if (entry->reason == EXIT_LDTR_TR)
        add(text, " %s", gpr_name[entry->instruction_info >> 3 & 0xf]);
}

static void add_cr_access(struct text *text, uint64_t qualification)
{
    unsigned number = qualification & 0xf;
    const char *gpr = gpr_name[qualification >> 8 & 0xf];
    switch (qualification >> 4 & 3) {
    case 0:
        add(text, "MOV CR%u, %s", number, gpr);
        break;
    case 1:
        add(text, "MOV %s, CR%u", gpr, number);
        break;
    case 2:
        add(text, "CLTS");
        break;
    default:
        add(text, "LMSW %#lx", qualification >> 16 & 0xffff);
        break;
    }
}

static void add_port_access(struct text *text, uint64_t qualification)
{
    static const char *const accumulator[4] = {"AL", "AX", "EAX", "EAX"};
    static const char letter[4] = {'B', 'W', 'D', 'D'};
    unsigned size = qualification >> 0 & 7, port = qualification >> 16 & 0xffff;
    unsigned kind = size == 0 ? 0 : size == 1 ? 1 : 2;
    bool is_in = qualification & BIT(3), is_string = qualification & BIT(4);
    char number[8] = "DX";
    if (qualification & BIT(6))
        format_text(number, sizeof(number), "%#x", port);
    if (is_string)
        add(text, "%s%s%c", qualification & BIT(5) ? "REP " : "", is_in ? "INS" : "OUTS",
            letter[kind]);
    else if (is_in)
        add(text, "IN %s, %s", accumulator[kind], number);
    else
        add(text, "OUT %s, %s", number, accumulator[kind]);
}

static void add_mnemonic(struct text *text, const struct watch_entry *entry)
{
    static const char *const table[4] = {"SGDT", "SIDT", "LGDT", "LIDT"};
    static const char *const system[4] = {"SLDT", "STR", "LLDT", "LTR"};
    uint64_t qualification = entry->qualification;
    unsigned debug = qualification & 7;
    const char *gpr = gpr_name[qualification >> 8 & 0xf];
    struct instruction instruction;
    switch (entry->reason) {
    case EXIT_CR_ACCESS:
        add_cr_access(text, qualification);
        break;
    case EXIT_MOV_DR:
        if (qualification & BIT(4))
            add(text, "MOV %s, DR%u", gpr, debug);
        else
            add(text, "MOV DR%u, %s", debug, gpr);
        break;
    case EXIT_IO:
        add_port_access(text, qualification);
        break;
    case EXIT_GDTR_IDTR:
        add_system_access(text, entry, table[entry->instruction_info >> 28 & 3]);
        break;
    case EXIT_LDTR_TR:
        add_system_access(text, entry, system[entry->instruction_info >> 28 & 3]);
        break;
    case EXIT_RDRAND:
    case EXIT_RDSEED:
        add(text, "%s %s", exit_table[entry->reason].name,
            gpr_name[entry->instruction_info >> 3 & 0xf]);
        break;
    default:
        if (exit_table[entry->reason].needs & FACT_INSTRUCTION) {
            add(text, "%s", exit_table[entry->reason].name);
        } else if (decoded(entry, &instruction)) {
            add(text, "%s%s", instruction.lock ? "LOCK " : "",
                operation_name[instruction.operation]);
            add_operands(text, &instruction);
        } else {
            add(text, "-");
        }
        break;
    }
}

// The bytes of the instruction, or the first ones if it is not known how many they are.
static void add_code(struct text *text, const struct watch_entry *entry)
{
    unsigned length = entry->length;
    struct instruction instruction;
    if (!(exit_table[entry->reason].needs & FACT_INSTRUCTION))
        length = decoded(entry, &instruction) ? instruction.length : 0;
    bool is_cut = length == 0 && entry->length > FEW_BYTES;
    length = length ? length : MIN(entry->length, FEW_BYTES);
    add(text, " (");
    for (unsigned i = 0; i < length; i++)
        add(text, "%s%02x", i ? " " : "", entry->code[i]);
    add(text, "%s)", is_cut ? " .." : "");
}

// ---- the qualification in words ----

static void add_violation(struct text *text, const struct watch_entry *entry)
{
    uint64_t qualification = entry->qualification;
    add(text, "%s of %#lx",
        qualification & BIT(2)   ? "fetch"
        : qualification & BIT(1) ? "write"
                                 : "read",
        entry->physical);
    if (qualification & BIT(7))
        add(text, ", linear %#lx%s", entry->linear,
            qualification & BIT(8) ? "" : " on its page walk");
}

static void add_event(struct text *text, const struct watch_entry *entry)
{
    unsigned vector = entry->interruption_info & EVENT_VECTOR;
    add_exception(text, vector);
    if (entry->interruption_info & EVENT_HAS_ERROR)
        add(text, ", error %#x", entry->interruption_error);
    if (vector == VECTOR_PF)
        add(text, ", address %#lx", entry->qualification);
}

// What went through a port, if it was a register's.
static void add_port(struct text *text, const struct watch_entry *entry)
{
    unsigned size = (entry->qualification & 7) + 1;
    add(text, "port %#lx", entry->qualification >> 16 & 0xffff);
    if (entry->qualification & BIT(4))
        add(text, ", %u byte(s)", size);
    else if (entry->verdict.kind == VERDICT_NEXT)
        add(text, " %s %#0*lx", entry->qualification & BIT(3) ? "->" : "<-", (int)size * 2 + 2,
            entry->value & size_mask(size));
}

static void add_msr(struct text *text, const struct watch_entry *entry)
{
    const char *name = msr_name((uint32_t)entry->rcx);
    add(text, "MSR %#x", (uint32_t)entry->rcx);
    if (name)
        add(text, " %s", name);
    if (entry->reason == EXIT_WRMSR || entry->verdict.kind == VERDICT_NEXT)
        add(text, " %s %#lx", entry->reason == EXIT_RDMSR ? "->" : "<-", entry->value);
}

static void add_words(struct text *text, const struct watch_entry *entry)
{
    static const char *const by[4] = {"CALL", "IRET", "JMP", "a gate"};
    switch (entry->reason) {
    case EXIT_EXCEPTION_NMI:
        add_event(text, entry);
        break;
    case EXIT_EXTERNAL_INTERRUPT:
        add(text, "vector %#x", entry->interruption_info & EVENT_VECTOR);
        break;
    case EXIT_TASK_SWITCH:
        add(text, "to selector %#lx by %s", entry->qualification & 0xffff,
            by[entry->qualification >> 30 & 3]);
        break;
    case EXIT_CPUID:
        add(text, "leaf %#x, %#x", (uint32_t)entry->rax, (uint32_t)entry->rcx);
        break;
    case EXIT_VMCALL:
        add(text, "number %#lx", entry->rax);
        break;
    case EXIT_IO:
        add_port(text, entry);
        break;
    case EXIT_RDMSR:
    case EXIT_WRMSR:
        add_msr(text, entry);
        break;
    case EXIT_INVLPG:
        add(text, "linear %#lx", entry->qualification);
        break;
    case EXIT_EPT_VIOLATION:
        add_violation(text, entry);
        break;
    case EXIT_EPT_MISCONFIGURATION:
        add(text, "at %#lx", entry->physical);
        break;
    default:
        add(text, "-");
        break;
    }
}

// ---- the verdict ----

static void add_verdict(struct text *text, verdict_t verdict)
{
    switch ((enum verdict_kind)verdict.kind) {
    case VERDICT_INVALID:
    case VERDICT_NEED:
        add(text, "the host's");
        break;
    case VERDICT_NEXT:
        add(text, "next");
        break;
    case VERDICT_AGAIN:
        add(text, "again");
        break;
    case VERDICT_FAULT:
        add_exception(text, verdict.detail);
        if (verdict.has_error)
            add(text, "(%#x)", verdict.value);
        break;
    case VERDICT_WAIT:
        add(text, "waits");
        break;
    case VERDICT_YIELD:
        add(text, "yields");
        break;
    case VERDICT_STOP:
        add(text, "stop: %s", stop_reason_text(verdict.detail));
        break;
    }
}

size_t trace_format(char line[TRACE_LINE], const struct vcpu *vcpu, const struct watch_entry *entry)
{
    struct text text = {line, TRACE_LINE - 1, 0};
    uint64_t since = clock_ns(&vcpu->vm->clock, entry->tsc);
    add(&text, "[%s:%u] %lu.%06lu %lx %s: ", vcpu->vm->traits.name, vcpu->id, since / SECOND,
        since / 1000 % 1000000, entry->rip, exit_table[entry->reason].name);
    add_mnemonic(&text, entry);
    add_code(&text, entry);
    add(&text, ": ");
    add_words(&text, entry);
    add(&text, ": ");
    add_verdict(&text, entry->verdict);
    add(&text, ", %u cycles", entry->cycles);
    line[text.length++] = '\n';
    return text.length;
}

// ---- as it goes ----

static void attend(struct printer *to, const struct vcpu *vcpu, struct trace_budget *budget)
{
    struct watch *watch = vcpu->watch;
    struct watch_entry entry;
    char line[TRACE_LINE];
    uint64_t noted = atomic_load_explicit(&watch->noted, memory_order_acquire);
    while (watch->shown < noted && budget->left) {
        if (noted - watch->shown >= WATCH_ENTRIES || !watch_read(watch, watch->shown, &entry)) {
            print_to(to, "[%s:%u] %lu exits not shown\n", vcpu->vm->traits.name, vcpu->id,
                     noted - watch->shown);
            watch->shown = noted;
        } else {
            to->write(to, line, trace_format(line, vcpu, &entry));
            watch->shown++;
        }
        budget->left--;
    }
}

void trace_attend(struct printer *to, const struct vm *vm, struct trace_budget *budget,
                  uint64_t now)
{
    if (budget->renewed != now / SECOND) {
        budget->renewed = now / SECOND;
        budget->left = LINES_A_SECOND;
    }
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        if (vm->vcpu[i]->watch)
            attend(to, vm->vcpu[i], budget);
}
