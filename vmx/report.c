// The capability screen of each boot. See report.h; called once by the boot CPU.

#include "vmx/report.h"

#include "lib/string.h"
#include "vmx/report_tables.h"
#include "vmx/required.h"

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
    const struct vmx_choice *choice = report->choice;
    const uint64_t *word = choice->word;
    print_head(to, report);
    if (choice->missing != 0) {
        required_missing(report->all, to);
        print_to(to, "Corbel cannot run here: %u of %u requirements are missing.\n",
                 choice->missing, required_count());
        return;
    }
    uint32_t every = FEATURE(VMX_FEATURES - 1) | (FEATURE(VMX_FEATURES - 1) - 1);
    print_features(to, "in use:", choice->features);
    print_features(to, "off:", choice->available & ~choice->features);
    print_features(to, "not here:", every & ~choice->available);
    print_to(to, "     pin %lx primary %08lx secondary %08lx exit %08lx entry %lx\n",
             word[WORD_PIN], word[WORD_PRIMARY], word[WORD_SECONDARY], word[WORD_VMEXIT],
             word[WORD_VMENTRY]);
}

static void print_feature_table(struct printer *to, const struct vmx_choice *choice)
{
    print_to(to, "\nfeatures (option features=)\n");
    for (unsigned i = 0; i < VMX_FEATURES; i++) {
        const char *state, *fallback = feature_row[i].fallback;
        if (choice_uses(choice, i)) {
            state = "in use";
            fallback = "";
        } else if (!(choice->available & FEATURE(i))) {
            state = choice->requested & FEATURE(i) ? "asked for, missing" : "missing";
        } else {
            state = choice->switched_off & FEATURE(i) ? "off" : "needs another";
        }
        print_to(to, "  %-16s %-36s %s\n", feature_row[i].option, feature_row[i].name, state);
        if (*fallback != '\0')
            print_to(to, "  %-16s   -> %s\n", "", fallback);
    }
}

void report_full(struct printer *to, const struct report *report)
{
    report_msrs(to, report->all);
    for (unsigned word = 0; word < CONTROL_WORDS; word++)
        report_word(to, word, &report->all->control[word], report->choice->word[word]);
    report_ept_vpid(to, report->all);
    print_feature_table(to, report->choice);
}

void report_page(struct printer *to, const struct report *report)
{
    report_values(to, report->all);
    report_short(to, report);
    if (report->choice->missing == 0)
        print_to(to, "     all %u requirements are met\n", required_count());
}
