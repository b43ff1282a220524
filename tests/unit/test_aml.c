// drivers/host/acpi/aml.c: forms of \_S5, right and wrong, in a DSDT or an SSDT.

#include "tests/unit/acpi_firmware.h"

static void sleep_types(void **state)
{
    static const struct {
        uint8_t aml[24];
        bool is_known;
        uint8_t pm1a, pm1b;
    } rows[] = {
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 6, 4, 0, 0, 0, 0}, true, 0, 0},
        {{0, 0x08, '\\', '_', 'S', '5', '_', 0x12, 5, 2, 0x0a, 7, 1}, true, 7, 1},
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 4, 1, 0x0a, 7}, true, 7, 0},
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 0x47, 0, 2, 0x0a, 3, 0x0a, 4},
         true,
         3,
         4}, // two length bytes
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 8, 2, 0x0c, 5, 0, 0, 0, 1}, true, 5, 1},
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 8, 0, 0, 0}, false, 0, 0}, // beyond 3 bits
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 6, 4, 0xff, 0, 0, 0}, false, 0, 0},    // Ones
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 2, 0, 0, 0}, false, 0, 0},             // empty
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 3, 2, 0, 0}, false, 0, 0}, // shorter than its numbers
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 0, 2, 0, 0}, false, 0, 0}, // shorter than its length
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 0x3f, 2, 0, 0}, false, 0, 0}, // longer than the table
        {{0, 0x08, '_', 'S', '4', '_', 0x12, 6, 4, 0, 0, 0, 0}, false, 0, 0},
        {{0, 0x08, '_', 'S', '5', '_', 0x12, 6, 4, '_', 0, 0, 0},
         false,
         0,
         0}, // a name, not a number
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        for (int in_ssdt = 0; in_ssdt < 2; in_ssdt++) {
            begin();
            fadt_begin();
            if (in_ssdt) {
                list("SSDT", rows[i].aml, sizeof(rows[i].aml));
            } else {
                uint32_t dsdt = place("DSDT", rows[i].aml, sizeof(rows[i].aml));
                fadt_put(40, MEMORY_BASE + dsdt, 4);
            }
            list("FACP", fadt, sizeof(fadt));
            finish(false);
            assert_int_equal(parse(false), STATUS_OK);
            assert_int_equal(info.s5.is_known, rows[i].is_known);
            assert_int_equal(info.s5.pm1a, rows[i].pm1a);
            assert_int_equal(info.s5.pm1b, rows[i].pm1b);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sleep_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
