// Memory-type ranges: which memory is write-back, and how far.

#include "tests/unit/support.h"

#include "arch/x86_64/policy/mtrr.h"

#define ON    BIT(11)
#define VALID BIT(11)
#define UC    UINT64_C(0)
#define WT    UINT64_C(4)
#define WB    UINT64_C(6)
#define MIB   UINT64_C(0x100000)
#define GIB   UINT64_C(0x40000000)
#define TOP   (UINT64_C(1) << 46)

// A range as CPUs with 46 address bits have it.
static void set(struct mtrr_state *state, uint64_t base, uint64_t size, uint64_t type)
{
    unsigned i = state->count++;
    state->base[i] = base | type;
    state->mask[i] = ((TOP - 1) & ~(size - 1)) | VALID;
}

static void assert_piece(const struct mtrr_state *state, uint64_t at, bool is_write_back,
                         uint64_t end)
{
    uint64_t found = TOP;
    assert_int_equal(mtrr_is_write_back(state, at, &found), is_write_back);
    assert_int_equal(found, end);
}

static void without_ranges_the_default_holds(void **state)
{
    assert_false(mtrr_are_on(&(struct mtrr_state){.default_type = WB}));
    assert_true(mtrr_are_on(&(struct mtrr_state){.default_type = ON | WB}));
    assert_piece(&(struct mtrr_state){.default_type = ON | WB}, GIB, true, TOP);
    assert_piece(&(struct mtrr_state){.default_type = ON | UC}, GIB, false, TOP);
    uint64_t end = 2 * GIB; // no further than asked
    assert_true(mtrr_is_write_back(&(struct mtrr_state){.default_type = ON | WB}, GIB, &end));
    assert_int_equal(end, 2 * GIB);
}

// Firmware that lists what is memory: 3 GiB, 4 GiB to 1.5 TiB; and a hole of SMM at 3 GiB - 8 MiB.
static void memory_that_firmware_lists(void **state)
{
    struct mtrr_state mtrrs = {.default_type = ON | UC};
    set(&mtrrs, 0, 2 * GIB, WB);
    set(&mtrrs, 2 * GIB, GIB, WB);
    set(&mtrrs, 3 * GIB - 8 * MIB, 8 * MIB, UC);
    set(&mtrrs, 4 * GIB, 4 * GIB, WB);
    set(&mtrrs, 1024 * GIB, 512 * GIB, WB);
    assert_piece(&mtrrs, MIB, true, 2 * GIB);
    assert_piece(&mtrrs, 2 * GIB, true, 3 * GIB - 8 * MIB);
    assert_piece(&mtrrs, 3 * GIB - 8 * MIB, false, 3 * GIB);
    assert_piece(&mtrrs, 3 * GIB, false, 4 * GIB);
    assert_piece(&mtrrs, 4 * GIB, true, 8 * GIB);
    assert_piece(&mtrrs, 8 * GIB, false, 1024 * GIB); // forgotten
    assert_piece(&mtrrs, 1300 * GIB, true, 1536 * GIB);
}

// ... and firmware that lists what is none.
static void devices_that_firmware_lists(void **state)
{
    struct mtrr_state mtrrs = {.default_type = ON | WB};
    set(&mtrrs, 3 * GIB, GIB, UC);
    set(&mtrrs, 2 * GIB, GIB, WT);
    set(&mtrrs, 16 * GIB, 16 * GIB, UC);
    mtrrs.mask[2] &= ~VALID;
    assert_piece(&mtrrs, MIB, true, 2 * GIB);
    assert_piece(&mtrrs, 2 * GIB, false, 3 * GIB);
    assert_piece(&mtrrs, 4 * GIB, true, TOP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_ranges_the_default_holds),
        cmocka_unit_test(memory_that_firmware_lists),
        cmocka_unit_test(devices_that_firmware_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
