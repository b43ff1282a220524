// What banks of machine checks say: the manual's classes of errors, and what is done about each.

#include "tests/unit/support.h"

#include "arch/x86_64/policy/mca.h"
#include "tests/unit/text.h"

#define COUNTS   BIT(10) // of IA32_MCG_CAP
#define RECOVERY BIT(24)
#define RIPV     BIT(0)
#define EIPV     BIT(1)
#define MCIP     BIT(2)

#define VAL   BIT(63)
#define OVER  BIT(62)
#define UC    BIT(61)
#define EN    BIT(60)
#define MISCV BIT(59)
#define ADDRV BIT(58)
#define PCC   BIT(57)
#define S     BIT(56)
#define AR    BIT(55)
#define LOAD  UINT64_C(0x134)
#define FETCH UINT64_C(0x150)
#define SCRUB UINT64_C(0xc0)

#define SRAR (VAL | UC | EN | MISCV | ADDRV | S | AR | LOAD)

static enum mca_severity judge(uint64_t status, uint64_t global, uint64_t capabilities)
{
    return mca_severity(&(struct mca_bank){.status = status, .global = global}, capabilities);
}

static void each_class_of_errors_has_its_weight(void **state)
{
    static const struct {
        uint64_t status, global;
        enum mca_severity with_recovery, without;
    } rows[] = {
        {~VAL, MCIP | EIPV, MCA_NOTHING, MCA_NOTHING},
        {VAL | EN, MCIP | RIPV, MCA_HARMLESS, MCA_HARMLESS},             // corrected
        {VAL | EN | OVER, MCIP | RIPV, MCA_HARMLESS, MCA_HARMLESS},      // many of them
        {VAL | UC | PCC, MCIP | RIPV, MCA_HARMLESS, MCA_HARMLESS},       // did not raise this one
        {VAL | UC | EN | SCRUB, MCIP | RIPV, MCA_HARMLESS, MCA_FATAL},   // no action
        {VAL | UC | EN | AR | SCRUB, MCIP | RIPV, MCA_FATAL, MCA_FATAL}, // AR without S
        {VAL | UC | EN | S | SCRUB, MCIP | RIPV, MCA_LATENT, MCA_FATAL}, // optional
        {VAL | UC | EN | PCC, MCIP | RIPV, MCA_FATAL, MCA_FATAL},
        {SRAR | PCC, MCIP | EIPV, MCA_FATAL, MCA_FATAL},
        {SRAR, MCIP | EIPV, MCA_CONSUMED, MCA_FATAL},
        {SRAR, MCIP | EIPV | RIPV, MCA_CONSUMED, MCA_FATAL},
        {(SRAR & ~LOAD) | FETCH, MCIP | EIPV, MCA_CONSUMED, MCA_FATAL},
        {SRAR, MCIP | RIPV, MCA_NOTHING, MCA_FATAL}, // hit another thread
        {SRAR | OVER, MCIP | EIPV, MCA_FATAL, MCA_FATAL},
        {(SRAR & ~LOAD) | SCRUB, MCIP | EIPV, MCA_FATAL, MCA_FATAL}, // no such class
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (judge(rows[i].status, rows[i].global, RECOVERY) != rows[i].with_recovery ||
            judge(rows[i].status, rows[i].global, 0) != rows[i].without)
            fail_msg("row %u", i);
    }
}

static void only_what_a_guest_has_used_ends_it_and_only_it(void **state)
{
    assert_int_equal(mca_action(MCA_CONSUMED, MCIP | EIPV, true), MCA_TELL_GUEST);
    assert_int_equal(mca_action(MCA_CONSUMED, MCIP | EIPV | RIPV, false), MCA_PANIC);
    for (int in_guest = 0; in_guest < 2; in_guest++) {
        assert_int_equal(mca_action(MCA_FATAL, MCIP | RIPV, in_guest), MCA_PANIC);
        for (enum mca_severity worst = MCA_NOTHING; worst <= MCA_LATENT; worst++) {
            assert_int_equal(mca_action(worst, MCIP | RIPV, in_guest), MCA_GO_ON);
            assert_int_equal(mca_action(worst, MCIP, in_guest), MCA_PANIC); // no way back
        }
    }
}

static void a_frame_is_named_by_a_whole_physical_address(void **state)
{
    uint64_t frame = 0;
    struct mca_bank bank = {.status = SRAR, .address = 0x123456789, .misc = 2 << 6 | 6};
    assert_true(mca_frame(&bank, &frame));
    assert_int_equal(frame, 0x123456000);
    bank.misc = 2 << 6 | 12;
    assert_true(mca_frame(&bank, &frame));
    bank.misc = 2 << 6 | 13; // two frames
    assert_false(mca_frame(&bank, &frame));
    bank.misc = 1 << 6 | 6; // linear
    assert_false(mca_frame(&bank, &frame));
    bank.misc = 2 << 6 | 6;
    bank.status &= ~ADDRV;
    assert_false(mca_frame(&bank, &frame));
    bank.status = SRAR & ~MISCV;
    assert_false(mca_frame(&bank, &frame));
}

static void a_line_names_the_error(void **state)
{
    static const struct {
        uint64_t status;
        const char *says;
    } rows[] = {
        {SRAR,
         "CPU 3 bank 9: cache error, uncorrected, action required, address 0xabc000 (status "},
        {VAL | UC | EN | S | SCRUB, ": memory controller error, uncorrected (status "},
        {VAL | OVER | 0x1093, ": memory controller error, corrected, others lost ("},
        {VAL | UC | PCC | 0x400, ": internal timer: nothing was retired for too long error, "
                                 "uncorrected, CPU state corrupt ("},
        {VAL | 0x0001, ": unclassified error"},
        {VAL | 0x0014, ": TLB error"},
        {VAL | 0x000e, ": cache error"},
        {VAL | 0x0136, ": cache error"},
        {VAL | 0x0e0b, ": I/O error"},
        {VAL | 0x0e0f, ": bus or interconnect error"},
        {VAL | 0x0405, ": internal error"},
        {VAL | 0x0200, ": unknown error"},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(rows); i++) {
        static struct text text;
        text = (struct text){.printer.write = collect};
        mca_print(&text.printer,
                  &(struct mca_bank){
                      .cpu = 3, .number = 9, .address = 0xabc000, .status = rows[i].status});
        assert_non_null(strstr(text.buffer, rows[i].says));
    }
}

static void corrected_errors_are_counted(void **state)
{
    struct mca_corrected corrected = {0};
    struct mca_bank bank = {.cpu = 2, .number = 7, .status = VAL | UINT64_C(5) << 38 | SCRUB};
    assert_false(mca_corrected_is_due(&corrected));
    mca_corrected_add(&corrected, &bank, RECOVERY); // the CPU does not count
    assert_int_equal(corrected.last.count, 1);
    mca_corrected_add(&corrected, &bank, COUNTS);
    assert_int_equal(corrected.last.count, 6);
    bank.status = VAL | SCRUB; // ... or has not begun to
    mca_corrected_add(&corrected, &bank, COUNTS);
    assert_int_equal(corrected.last.count, 7);
    bank.status = VAL | BITS(52, 38); // as many as it can count
    mca_corrected_add(&corrected, &bank, COUNTS);
    assert_int_equal(corrected.last.count, 7 + 0x7fff);
    assert_int_equal(corrected.last.status, bank.status);
    assert_int_equal(corrected.last.cpu, 2);
}

static void a_storm_of_them_is_few_lines(void **state)
{
    struct mca_corrected corrected = {0};
    struct mca_bank bank = {.number = 7, .status = VAL | SCRUB};
    uint64_t told[16] = {0};
    unsigned lines = 0;
    for (unsigned i = 0; i < 5000; i++) {
        mca_corrected_add(&corrected, &bank, 0);
        if (mca_corrected_is_due(&corrected) && lines < ARRAY_LENGTH(told))
            told[lines++] = corrected.last.count;
        assert_false(mca_corrected_is_due(&corrected)); // once
    }
    assert_int_equal(lines, 13);
    for (unsigned i = 0; i < lines; i++)
        assert_int_equal(told[i], BIT(i));
    static struct text text;
    text = (struct text){.printer.write = collect};
    mca_print(&text.printer, &corrected.last);
    assert_non_null(strstr(text.buffer, "memory controller error, corrected, 5000 by now ("));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_class_of_errors_has_its_weight),
        cmocka_unit_test(only_what_a_guest_has_used_ends_it_and_only_it),
        cmocka_unit_test(a_frame_is_named_by_a_whole_physical_address),
        cmocka_unit_test(a_line_names_the_error),
        cmocka_unit_test(corrected_errors_are_counted),
        cmocka_unit_test(a_storm_of_them_is_few_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
