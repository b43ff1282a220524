// Which of speculation's leaks a CPU has, and what is done about each. See speculation.h; called at
// boot for every CPU. The table of models is Intel's list of affected processors, for those that
// can run Corbel; later CPUs say themselves what they do not have.

#include "vmx/policy/speculation.h"

#include "lib/string.h"

#define EBX_RTM        BIT32(11)
#define EDX_SRBDS_CTRL BIT32(9)
#define EDX_MD_CLEAR   BIT32(10)
#define EDX_IBRS       BIT32(26) // and IBPB
#define EDX_L1D_FLUSH  BIT32(28)
#define EDX_SSBD       BIT32(31)
#define EDX_BHI_CTRL   BIT32(4) // of CPUID.7.2

#define RDCL_NO            BIT(0)
#define IBRS_ALL           BIT(1)
#define RSBA               BIT(2)
#define SKIP_L1DFL_VMENTRY BIT(3)
#define SSB_NO             BIT(4)
#define MDS_NO             BIT(5)
#define PSCHANGE_MC_NO     BIT(6)
#define TSX_CTRL           BIT(7)
#define TAA_NO             BIT(8)
#define SBDR_SSDP_NO       BIT(13)
#define FBSDP_NO           BIT(14)
#define PSDP_NO            BIT(15)
#define FB_CLEAR           BIT(17)
#define RRSBA              BIT(19)
#define BHI_NO             BIT(20)
#define PBRSB_NO           BIT(24)
#define GDS_CTRL           BIT(25)
#define GDS_NO             BIT(26)
#define RFDS_NO            BIT(27)
#define RFDS_CLEAR         BIT(28)
#define ITS_NO             BIT(62)
#define MMIO_NO            (SBDR_SSDP_NO | FBSDP_NO | PSDP_NO)

#define RNGDS_MITG_DIS BIT(0)
#define GDS_MITG_DIS   BIT(4)

// What is known of a model and not told by the CPU: that it has an issue, or has not.
#define SRBDS       BIT32(0)
#define MMIO        BIT32(1)
#define RETBLEED    BIT32(2)
#define GDS         BIT32(3)
#define RFDS        BIT32(4)
#define ITS         BIT32(5) // across the border of a VM
#define LONG_BHB    BIT32(6) // more history than the loop of enter.asm clears
#define NO_L1TF     BIT32(8)
#define NO_MDS      BIT32(9)
#define NO_SSB      BIT32(10)
#define NO_MULTIHIT BIT32(11)

static const struct model {
    uint16_t known;
    uint8_t first_stepping; // those from a stepping on come first
    uint8_t models[8];      // of family 6; 0: none
} models[] = {
    {MMIO | RETBLEED | GDS | ITS, 6, {0x55}},          // Cascade Lake, Cooper Lake
    {MMIO | RETBLEED | GDS | SRBDS | ITS, 12, {0x8e}}, // Kaby Lake, Coffee Lake
    {MMIO | RETBLEED | GDS | SRBDS | ITS, 13, {0x9e}},
    {MMIO | RETBLEED | GDS | ITS, 1, {0xa6}}, // Comet Lake
    {NO_SSB | NO_L1TF | NO_MULTIHIT,
     0,
     {0x37, 0x4a, 0x4d, 0x4c, 0x75, 0x57, 0x85}}, // Silvermont, Airmont, Xeon Phi
    {NO_L1TF, 0, {0x5a}},
    {NO_MDS | NO_L1TF | NO_MULTIHIT | RFDS, 0, {0x5c, 0x5f, 0x7a}}, // Goldmont
    {NO_MULTIHIT | MMIO | RFDS, 0, {0x86}},                         // Tremont
    {MMIO | RFDS, 0, {0x96, 0x9c}},
    {SRBDS, 0, {0x3a, 0x3c, 0x45, 0x46, 0x3d, 0x47}}, // Ivy Bridge, Haswell, Broadwell
    {MMIO, 0, {0x3f, 0x4f, 0x56}},                    // their servers
    {MMIO | RETBLEED | GDS, 0, {0x55, 0x7e, 0xa7}},   // Skylake-X, Ice Lake, Rocket Lake
    {MMIO | RETBLEED | GDS | SRBDS, 0, {0x4e, 0x5e, 0x8e, 0x9e}}, // Skylake, Kaby Lake, Coffee Lake
    {RETBLEED, 0, {0x66}},                                        // Cannon Lake
    {MMIO | RETBLEED | GDS | ITS, 0, {0xa5}},                     // Comet Lake
    {MMIO | RETBLEED | ITS, 0, {0xa6}},
    {MMIO | GDS, 0, {0x6a, 0x6c}}, // Ice Lake
    {MMIO | RETBLEED, 0, {0x8a}},  // Lakefield
    {GDS, 0, {0x8c, 0x8d}},        // Tiger Lake
    {LONG_BHB, 0, {0x8f, 0xcf}},   // Sapphire Rapids, Emerald Rapids
    {RFDS | LONG_BHB,
     0,
     {0x97, 0x9a, 0xb7, 0xba, 0xbf, 0xbe}}, // Alder Lake, Raptor Lake, Gracemont
};

static uint32_t known_of(uint32_t signature)
{
    uint32_t family = signature >> 8 & 0xf, stepping = signature & 0xf;
    uint32_t model = (signature >> 4 & 0xf) | (signature >> 12 & 0xf0);
    for (unsigned i = 0; family == 6 && i < ARRAY_LENGTH(models); i++)
        for (unsigned k = 0; k < ARRAY_LENGTH(models[i].models); k++)
            if (models[i].models[k] == model && model && stepping >= models[i].first_stepping)
                return models[i].known;
    return 0;
}

struct question {
    const struct speculation_facts *facts;
    enum mitigations mode;
    enum speculation_smt smt;
    uint32_t known;
    struct speculation *result;
};

__attribute__((format(printf, 3, 4))) static void
say(const struct question *q, enum speculation_issue issue, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)format_text_va(q->result->text[issue], sizeof(q->result->text[issue]), format, arguments);
    va_end(arguments);
}

static bool has(const struct question *q, uint64_t bits)
{
    return q->facts->arch_capabilities & bits;
}

// What is said of an issue that crosses threads, and done: the threads are left to one VM.
static const char *judge_smt(const struct question *q)
{
    static const char *const smt[] = {"disabled", "vulnerable (one VM a core)",
                                      "Host state unknown"};
    if (q->smt == SMT_ON)
        q->result->mitigations |= MITIGATION_CORE;
    return smt[q->smt];
}

// Whether something is left to say about an issue; else it is said.
static bool matters(const struct question *q, enum speculation_issue issue, bool affected)
{
    if (q->mode != MITIGATIONS_FORCE && (q->facts->emulated || !affected))
        say(q, issue, "Not affected");
    else if (q->mode == MITIGATIONS_OFF)
        say(q, issue, "Vulnerable");
    else
        return true;
    return false;
}

// ---- data in caches and buffers ----

static void judge_l1tf(const struct question *q)
{
    if (!matters(q, ISSUE_L1TF, !has(q, RDCL_NO) && !(q->known & NO_L1TF)))
        return;
    if (has(q, SKIP_L1DFL_VMENTRY)) {
        say(q, ISSUE_L1TF, "Mitigation: VMX: flush not necessary");
        return;
    }
    const char *smt = judge_smt(q);
    if (!(q->facts->structured_edx & EDX_L1D_FLUSH)) {
        say(q, ISSUE_L1TF, "Vulnerable: VMX: no microcode");
        return;
    }
    q->result->mitigations |= MITIGATION_L1D_FLUSH;
    say(q, ISSUE_L1TF, "Mitigation: VMX: conditional cache flushes, SMT %s", smt);
}

static void clear_buffers(const struct question *q, enum speculation_issue issue, bool has_means)
{
    q->result->mitigations |= MITIGATION_VERW;
    say(q, issue, "%s; SMT %s",
        has_means ? "Mitigation: Clear CPU buffers"
                  : "Vulnerable: Clear CPU buffers attempted, no microcode",
        judge_smt(q));
}

static void judge_buffers(const struct question *q)
{
    bool md_clear = q->facts->structured_edx & EDX_MD_CLEAR;
    bool mmio = (q->known & MMIO) && (q->facts->arch_capabilities & MMIO_NO) != MMIO_NO;
    if (matters(q, ISSUE_MDS, !has(q, MDS_NO) && !(q->known & NO_MDS)))
        clear_buffers(q, ISSUE_MDS, md_clear);
    if (matters(q, ISSUE_TAA, !has(q, TAA_NO) && (q->facts->structured_ebx & EBX_RTM))) {
        if (has(q, TSX_CTRL)) { // no guest is told of transactions
            q->result->mitigations |= MITIGATION_TSX_OFF;
            say(q, ISSUE_TAA, "Mitigation: TSX disabled");
        } else {
            clear_buffers(q, ISSUE_TAA, md_clear);
        }
    }
    if (matters(q, ISSUE_MMIO, mmio))
        clear_buffers(q, ISSUE_MMIO,
                      has(q, FB_CLEAR) || (md_clear && !has(q, MDS_NO) &&
                                           (q->facts->structured_edx & EDX_L1D_FLUSH)));
    if (matters(q, ISSUE_RFDS, has(q, RFDS_CLEAR) || (!has(q, RFDS_NO) && (q->known & RFDS)))) {
        q->result->mitigations |= MITIGATION_VERW;
        say(q, ISSUE_RFDS,
            has(q, RFDS_CLEAR) ? "Mitigation: Clear Register File" : "Vulnerable: No microcode");
    }
}

// What the microcode does unless it was told not to: Corbel has no say in it.
static void judge_microcode(const struct question *q, enum speculation_issue issue, bool affected,
                            bool has_means, uint64_t disabled)
{
    say(q, issue, "%s",
        !affected || q->facts->emulated       ? "Not affected"
        : q->facts->hypervisor                ? "Unknown: Dependent on hypervisor status"
        : !has_means                          ? "Vulnerable: No microcode"
        : (q->facts->mcu_opt_ctrl & disabled) ? "Vulnerable"
                                              : "Mitigation: Microcode");
}

static void judge_sampling(const struct question *q)
{
    bool tsx = q->facts->structured_ebx & EBX_RTM;
    judge_microcode(q, ISSUE_SRBDS, (q->known & SRBDS) && (!has(q, MDS_NO) || tsx),
                    q->facts->structured_edx & EDX_SRBDS_CTRL, RNGDS_MITG_DIS);
    judge_microcode(q, ISSUE_GDS, (q->known & GDS) && !has(q, GDS_NO), has(q, GDS_CTRL),
                    GDS_MITG_DIS);
}

// ---- predictors ----

// What is done about the branch history, which IBRS leaves as the guest made it.
static const char *judge_history(const struct question *q)
{
    if (has(q, BHI_NO))
        return "Not affected";
    if (q->facts->predictors & EDX_BHI_CTRL) {
        q->result->spec_ctrl |= SPEC_CTRL_BHI_DIS_S;
        return "BHI_DIS_S";
    }
    if (q->known & LONG_BHB)
        return "Vulnerable: no microcode";
    q->result->mitigations |= MITIGATION_BHB;
    return "SW loop";
}

static void judge_predictors(const struct question *q)
{
    bool ibrs = q->facts->structured_edx & EDX_IBRS, enhanced = ibrs && has(q, IBRS_ALL);
    if (matters(q, ISSUE_RETBLEED, (q->known & RETBLEED) || has(q, RSBA)))
        say(q, ISSUE_RETBLEED,
            enhanced ? "Mitigation: Enhanced IBRS"
            : ibrs   ? "Mitigation: IBRS"
                     : "Vulnerable: no microcode");
    if (!matters(q, ISSUE_SPECTRE_V2, true))
        return;
    if (!ibrs) {
        say(q, ISSUE_SPECTRE_V2, "Vulnerable: no microcode");
        return;
    }
    q->result->mitigations |= MITIGATION_IBPB;
    q->result->spec_ctrl |= SPEC_CTRL_IBRS;
    const char *history = judge_history(q);
    if (!enhanced) {
        q->result->mitigations |= MITIGATION_IBRS | MITIGATION_RSB_FILL;
        say(q, ISSUE_SPECTRE_V2, "Mitigation: IBRS; IBPB: conditional; RSB filling; BHI: %s",
            history);
        return;
    }
    if (!has(q, PBRSB_NO))
        q->result->mitigations |= MITIGATION_RSB_ONE;
    say(q, ISSUE_SPECTRE_V2,
        "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; PBRSB-eIBRS: %s; BHI: %s",
        has(q, PBRSB_NO) ? "Not affected" : "SW sequence", history);
}

// ---- the rest ----

static void judge_rest(const struct question *q)
{
    if (matters(q, ISSUE_ITLB_MULTIHIT, !has(q, PSCHANGE_MC_NO) && !(q->known & NO_MULTIHIT))) {
        q->result->mitigations |= MITIGATION_4K;
        say(q, ISSUE_ITLB_MULTIHIT, "Mitigation: Split huge pages");
    }
    if (matters(q, ISSUE_MELTDOWN, !has(q, RDCL_NO)))
        say(q, ISSUE_MELTDOWN, "Mitigation: guests' page tables map nothing of the host");
    if (matters(q, ISSUE_SSB, !has(q, SSB_NO) && !(q->known & NO_SSB)))
        say(q, ISSUE_SSB,
            q->facts->structured_edx & EDX_SSBD
                ? "Mitigation: Speculative Store Bypass disabled by guests that want it"
                : "Vulnerable");
    if (matters(q, ISSUE_SPECTRE_V1, true))
        say(q, ISSUE_SPECTRE_V1, "Mitigation: guests' addresses and indexes are masked");
    if (matters(q, ISSUE_ITS, (q->known & ITS) && !has(q, ITS_NO)))
        say(q, ISSUE_ITS, "Vulnerable");
}

void speculation_judge(const struct speculation_facts *facts, enum mitigations mode,
                       enum speculation_smt smt, struct speculation *result)
{
    struct question question = {facts, mode, smt, known_of(facts->signature), result};
    *result = (struct speculation){0};
    if (facts->structured_edx & EDX_IBRS)
        result->mitigations |= MITIGATION_SPEC_CTRL;
    if (facts->hypervisor && smt == SMT_OFF)
        question.smt = SMT_UNKNOWN;
    judge_l1tf(&question);
    judge_buffers(&question);
    judge_sampling(&question);
    judge_predictors(&question);
    judge_rest(&question);
    if (mode == MITIGATIONS_FORCE) {
        result->mitigations |=
            MITIGATION_VERW | MITIGATION_RSB_FILL | MITIGATION_BHB | MITIGATION_4K;
        result->mitigations |= smt == SMT_ON ? MITIGATION_CORE : 0;
        if (facts->structured_edx & EDX_IBRS)
            result->mitigations |= MITIGATION_IBRS;
    }
}

// ---- several CPUs, reports, guests ----

bool speculation_is_open(const char *text)
{
    return *text == 'V' || *text == 'U'; // "Vulnerable", "Unknown"
}

void speculation_merge(struct speculation *all, const struct speculation *one)
{
    all->mitigations |= one->mitigations;
    all->spec_ctrl |= one->spec_ctrl;
    for (unsigned i = 0; i < ISSUES; i++) {
        bool is_clean = all->text[i][0] == 'N';
        if ((is_clean && one->text[i][0] != 'N') ||
            (!speculation_is_open(all->text[i]) && speculation_is_open(one->text[i])))
            memcpy(all->text[i], one->text[i], sizeof(all->text[i]));
    }
}

#define ISSUE_NAME(name, text) (text),
static const char *const names[ISSUES] = {SPECULATION_ISSUES(ISSUE_NAME)};

void speculation_report(struct printer *to, const struct speculation *speculation)
{
    print_to(to, "\nvulnerabilities (option mitigations=)\n");
    for (unsigned i = 0; i < ISSUES; i++)
        print_to(to, "  %s: %s\n", names[i], speculation->text[i]);
}

void speculation_summary(struct printer *to, const struct speculation *speculation)
{
    static const struct {
        uint32_t mitigation;
        const char *word;
    } words[] = {
        {MITIGATION_VERW, "verw"},       {MITIGATION_IBRS, "ibrs"}, {MITIGATION_RSB_FILL, "rsb"},
        {MITIGATION_RSB_ONE, "pbrsb"},   {MITIGATION_BHB, "bhb"},   {MITIGATION_IBPB, "ibpb"},
        {MITIGATION_L1D_FLUSH, "l1d"},   {MITIGATION_4K, "4k"},     {MITIGATION_CORE, "core"},
        {MITIGATION_TSX_OFF, "tsx_off"},
    };
    print_to(to, "     mitigations:%s",
             speculation->spec_ctrl & SPEC_CTRL_IBRS ? " spec_ctrl" : "");
    for (unsigned i = 0; i < ARRAY_LENGTH(words); i++)
        if (speculation->mitigations & words[i].mitigation)
            print_to(to, " %s", words[i].word);
    if (!(speculation->spec_ctrl | (speculation->mitigations & ~MITIGATION_SPEC_CTRL)))
        print_to(to, " none");
    unsigned open = 0;
    for (unsigned i = 0; i < ISSUES; i++)
        open += speculation_is_open(speculation->text[i]);
    if (open)
        print_to(to, "; %u open (report lists them)", open);
    print_to(to, "\n");
}

uint64_t speculation_for_guests(uint64_t arch_capabilities)
{
    return arch_capabilities & (RDCL_NO | IBRS_ALL | RSBA | SKIP_L1DFL_VMENTRY | SSB_NO | MDS_NO |
                                PSCHANGE_MC_NO | TAA_NO | MMIO_NO | FB_CLEAR | RRSBA | BHI_NO |
                                PBRSB_NO | GDS_NO | RFDS_NO | RFDS_CLEAR | ITS_NO);
}

uint64_t speculation_intersect(uint64_t one, uint64_t other)
{
    uint64_t warnings = RSBA | RRSBA;
    return (one & other & ~warnings) | ((one | other) & warnings);
}
