// The capability report. SDM: appendix "VMX Capability Reporting Facility".

#include "vmx/policy/report.h"

#include "lib/string.h"
#include "vmx/policy/required.h"

#define COLUMNS 80

// Text that is wrapped between words.
struct paragraph {
    struct printer *to;
    unsigned indent;
    unsigned column; // 0: nothing of the line is out yet
};

static void add_word(struct paragraph *paragraph, const char *word)
{
    unsigned length = (unsigned)strlen(word);
    if (paragraph->column == 0 || paragraph->column + 1 + length >= COLUMNS) {
        print_to(paragraph->to, "%s%*s", paragraph->column == 0 ? "" : "\n", (int)paragraph->indent,
                 "");
        paragraph->column = paragraph->indent;
    }
    print_to(paragraph->to, " %s", word);
    paragraph->column += 1 + length;
}

static void end_paragraph(struct paragraph *paragraph)
{
    if (paragraph->column != 0)
        print_to(paragraph->to, "\n");
    paragraph->column = 0;
}

// The options' words of a set of features, or nothing if there are none.
static void print_features(struct printer *to, const char *title, uint32_t features)
{
    struct paragraph paragraph = {.to = to, .indent = 4};
    if (features == 0)
        return;
    add_word(&paragraph, title);
    for (unsigned i = 0; i < VMX_FEATURES; i++)
        if (features & FEATURE(i))
            add_word(&paragraph, feature_row[i].option);
    end_paragraph(&paragraph);
}

static void print_head(struct printer *to, const struct report *report)
{
    const struct vmx_capabilities *all = report->all;
    print_to(to, "VMX: %u CPU%s %.48s\n", report->cpus, report->cpus == 1 ? "" : "s",
             report->cpu_name);
    print_to(to, "     revision %x%s, %u-bit physical, %u-bit linear addresses\n", all->revision,
             all->same_revision ? "" : " (not on all)", all->raw.physical_bits,
             all->raw.linear_bits);
    if (all->raw.hypervisor)
        print_to(to, "     nested: another hypervisor is below us\n");
}

void report_short(struct printer *to, const struct report *report)
{
    const struct vmcs_config *config = report->config;
    const uint64_t *word = config->word;
    print_head(to, report);
    if (config->missing != 0) {
        required_missing(report->all, to);
        print_to(to, "Corbel cannot run here: %u of %u requirements %s missing.\n", config->missing,
                 required_count(), config->missing == 1 ? "is" : "are");
        return;
    }
    uint32_t every = FEATURE(VMX_FEATURES - 1) | (FEATURE(VMX_FEATURES - 1) - 1);
    print_features(to, "in use:", config->features);
    print_features(to, "off:", config->available & ~config->features);
    print_features(to, "not here:", every & ~config->available);
    print_to(to, "     pin %lx primary %08lx secondary %08lx exit %08lx entry %lx\n",
             word[WORD_PIN], word[WORD_PRIMARY], word[WORD_SECONDARY], word[WORD_VMEXIT],
             word[WORD_VMENTRY]);
}

static void print_feature_table(struct printer *to, const struct vmcs_config *config)
{
    print_to(to, "\nfeatures (option features=)\n");
    for (unsigned i = 0; i < VMX_FEATURES; i++) {
        const char *state, *fallback = feature_row[i].fallback;
        if (vmcs_config_uses(config, i)) {
            state = "in use";
            fallback = "";
        } else if (!(config->available & FEATURE(i))) {
            state = config->requested & FEATURE(i) ? "asked for, missing" : "missing";
        } else {
            state = config->switched_off & FEATURE(i) ? "off" : "needs another";
        }
        print_to(to, "  %-16s %-36s %s\n", feature_row[i].option, feature_row[i].name, state);
        if (*fallback != '\0')
            print_to(to, "  %-16s   -> %s\n", "", fallback);
    }
}

// ---- the whole table ----

#define MSR_NAME(number, name, text) (text),
static const char *const msr_name[VMX_MSRS] = {VMX_CAPABILITY_MSRS(MSR_NAME)};

// Set and cleared while guests run.
static const uint64_t on_demand[CONTROL_WORDS] = {
    [WORD_PRIMARY] =
        PRIMARY_INTERRUPT_WINDOW_EXITING | PRIMARY_NMI_WINDOW_EXITING | PRIMARY_MONITOR_TRAP_FLAG,
    [WORD_VMENTRY] = VMENTRY_IA32E_GUEST,
};

static const char *yes(uint64_t bit)
{
    return bit ? "yes" : "no";
}

static void print_msrs(struct printer *to, const struct vmx_capabilities *all)
{
    print_to(to, "\n  3a IA32_FEATURE_CONTROL          %016lx %s\n", all->raw.feature_control,
             capabilities_usable(&all->raw) ? "VMX is allowed" : "VMX is locked off");
    for (unsigned i = 0; i < VMX_MSRS; i++) {
        if (capabilities_msr_exists(&all->raw, VMX_MSR_FIRST + i))
            print_to(to, " %x %-29s %016lx\n", VMX_MSR_FIRST + i, msr_name[i], all->raw.msr[i]);
    }
    uint64_t basic = vmx_msr(all, MSR_VMX_BASIC), misc = vmx_msr(all, MSR_VMX_MISC);
    print_to(to, "  VMCS: %u bytes, memory type %u, 32-bit addresses only: %s\n",
             (unsigned)FIELD_GET(BASIC_SIZE, basic), (unsigned)FIELD_GET(BASIC_MEMORY_TYPE, basic),
             yes(basic & BASIC_32_BIT_ADDRESS));
    print_to(to, "  true controls: %s, INS/OUTS information: %s, any error code: %s\n",
             yes(basic & BASIC_TRUE_CONTROLS), yes(basic & BASIC_INS_OUTS),
             yes(basic & BASIC_ANY_ERROR_CODE));
    print_to(to, "  preemption timer: TSC / %u%s, CR3 targets: %u, MSR list: %u\n",
             1U << all->timer_rate, all->same_timer ? "" : " (not on all)", all->cr3_targets,
             all->msr_list_limit);
    print_to(to, "  activity HLT: %s, shutdown: %s, SIPI: %s, zero-length injection: %s\n",
             yes(misc & MISC_ACTIVITY_HLT), yes(misc & MISC_ACTIVITY_SHUTDOWN),
             yes(misc & MISC_ACTIVITY_WAIT_SIPI), yes(misc & MISC_ZERO_LENGTH_INJECTION));
}

static void print_values(struct printer *to, const struct vmx_capabilities *all)
{
    unsigned count = 2;
    print_to(to, "\nCPUID.1 %08x          3a %016lx", all->raw.signature, all->raw.feature_control);
    for (unsigned i = 0; i < VMX_MSRS; i++)
        if (capabilities_msr_exists(&all->raw, VMX_MSR_FIRST + i))
            print_to(to, "%s%x %016lx", count++ % 3 ? "     " : "\n", VMX_MSR_FIRST + i,
                     all->raw.msr[i]);
    print_to(to, "\n");
}

static void print_word(struct printer *to, enum control_word word,
                       const struct control_range *range, uint64_t used)
{
    if (range->may == 0)
        return;
    print_to(to, "\n%s controls: must %0*lx, may %0*lx, used %0*lx\n", control_word_name(word), 8,
             range->must, 8, range->may, 8, used);
    for (unsigned bit = 0; bit < 32; bit++) {
        const char *name = control_name(word, bit);
        if (name == NULL)
            continue;
        bool may_be_0 = !(range->must >> bit & 1), may_be_1 = range->may >> bit & 1;
        const char *use = !may_be_1                    ? "absent"
                          : used >> bit & 1            ? "used"
                          : on_demand[word] & BIT(bit) ? "on demand"
                                                       : "not used";
        print_to(to, "  %2u %-38s may be %s  %s\n", bit, name,
                 may_be_0 && may_be_1 ? "0, 1"
                 : may_be_1           ? "1   "
                                      : "0   ",
                 use);
    }
}

static void print_ept_vpid(struct printer *to, const struct vmx_capabilities *all)
{
    uint64_t value = vmx_msr(all, MSR_VMX_EPT_VPID_CAP);
    if (!capabilities_msr_exists(&all->raw, MSR_VMX_EPT_VPID_CAP))
        return;
    print_to(to, "\nEPT and VPID capabilities\n");
    for (unsigned bit = 0; bit < 64; bit++)
        if (ept_vpid_name(bit) != NULL)
            print_to(to, "  %2u %-38s %s\n", bit, ept_vpid_name(bit), yes(value & BIT(bit)));
}

#define WORD_EPT_VPID CONTROL_WORDS // of print_bits(): IA32_VMX_EPT_VPID_CAP

// One line for each bit of `bits` of a word.
static void print_bits(struct printer *to, unsigned index, const char *what, uint64_t bits,
                       enum control_word word)
{
    for (; bits != 0; bits &= bits - 1) {
        unsigned bit = lowest_bit(bits);
        const char *text = word == WORD_EPT_VPID ? ept_vpid_name(bit) : control_name(word, bit);
        print_to(to, "CPU %u %s %s (bit %u)\n", index, what, text != NULL ? text : "reserved", bit);
    }
}

void report_differences(struct printer *to, unsigned index, const struct vmx_capabilities *first,
                        const struct vmx_capabilities *one)
{
    for (unsigned word = 0; word < CONTROL_WORDS; word++) {
        const struct control_range *a = &first->control[word], *b = &one->control[word];
        print_bits(to, index, "lacks", a->may & ~b->may, word);
        print_bits(to, index, "alone has", b->may & ~a->may, word);
        print_bits(to, index, "alone forces", b->must & ~a->must, word);
        print_bits(to, index, "does not force", a->must & ~b->must, word);
    }
    uint64_t a = vmx_msr(first, MSR_VMX_EPT_VPID_CAP), b = vmx_msr(one, MSR_VMX_EPT_VPID_CAP);
    print_bits(to, index, "lacks", a & ~b, WORD_EPT_VPID);
    print_bits(to, index, "alone has", b & ~a, WORD_EPT_VPID);
    if (first->revision != one->revision)
        print_to(to, "CPU %u has VMCS revision %x, CPU 0 has %x\n", index, one->revision,
                 first->revision);
    if (first->timer_rate != one->timer_rate)
        print_to(to, "CPU %u counts the preemption timer at TSC / %u, CPU 0 at TSC / %u\n", index,
                 1U << one->timer_rate, 1U << first->timer_rate);
    if (first->raw.physical_bits != one->raw.physical_bits)
        print_to(to, "CPU %u has %u-bit physical addresses, CPU 0 has %u\n", index,
                 one->raw.physical_bits, first->raw.physical_bits);
    if (capabilities_usable(&first->raw) != capabilities_usable(&one->raw) ||
        first->raw.vmx != one->raw.vmx)
        print_to(to, "CPU %u %s, CPU 0 %s\n", index,
                 one->raw.vmx && capabilities_usable(&one->raw) ? "can use VMX" : "cannot use VMX",
                 first->raw.vmx && capabilities_usable(&first->raw) ? "can" : "cannot");
}

void report_full(struct printer *to, const struct report *report)
{
    print_msrs(to, report->all);
    for (unsigned word = 0; word < CONTROL_WORDS; word++)
        print_word(to, word, &report->all->control[word], report->config->word[word]);
    print_ept_vpid(to, report->all);
    print_feature_table(to, report->config);
}

void report_page(struct printer *to, const struct report *report)
{
    print_values(to, report->all);
    report_short(to, report);
    if (report->config->missing == 0)
        print_to(to, "     all %u requirements are met\n", required_count());
}
