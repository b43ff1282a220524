// vm/gmem.c and vm/gmem_pages.c: pages that are away, and come when they are written.

#include "tests/unit/support.h"

#include <sys/mman.h>

#include "vm/gmem.h"

_Alignas(16) static uint8_t low[GMEM_PIECE], first[4096], second[4096];
static struct gmem_piece table[4];
static struct gmem memory;
static uint8_t image[4096 + 512], *table_of_pages[GMEM_PIECE / PAGE_SIZE], *frame;
static gpa_t asked;

static uint8_t *take(const struct gmem *of, gpa_t page)
{
    assert_ptr_equal(of, &memory);
    asked = page;
    if (frame)
        gmem_set_page(&memory, page, frame);
    return frame;
}

// RAM in one piece whose second page has gone.
static int split(void **state)
{
    memset(table, 0, sizeof(table));
    memset(low, 0x77, sizeof(low));
    gmem_init(&memory, table, ARRAY_LENGTH(table));
    gmem_add(&memory, gpa(0), low, sizeof(low));
    memory.take = take;
    gmem_split(&memory, gpa(4096), table_of_pages);
    gmem_set_page(&memory, gpa(4096), NULL);
    frame = memset(first, 0, sizeof(first));
    asked = gpa(1);
    return 0;
}

static void a_page_that_is_away_reads_as_zeros(void **state)
{
    static const uint8_t zeros[4096];
    uint8_t bytes[8192];
    assert_int_equal(memory.away, 1);
    assert_true(gmem_is_split(&memory, gpa(0)));
    assert_null(gmem_page(&memory, gpa(4096)));
    assert_ptr_equal(gmem_page(&memory, gpa(8192)), low + 8192);
    assert_memory_equal(gmem_at(&memory, gpa(4096), 4096), zeros, 4096);
    assert_null(gmem_at(&memory, gpa(4096), 4097));
    assert_true(gmem_read(&memory, gpa(2048), bytes, sizeof(bytes)));
    for (unsigned i = 0; i < sizeof(bytes); i++)
        assert_int_equal(bytes[i], i >= 2048 && i < 6144 ? 0 : 0x77);
    assert_false(gmem_read(&memory, gpa(GMEM_PIECE - 2), bytes, 4));
    assert_int_equal(asked.value, 1);
    uint64_t at = 4096, size;
    assert_ptr_equal(gmem_next(&memory, &at, UINT64_MAX, &size), low + 8192);
    assert_int_equal(at, 8192);
    assert_int_equal(size, GMEM_PIECE - 8192);
}

// Whoever looks for what is there does not look at each page of a piece of which nothing is.
static void what_is_away_as_a_whole_is_passed_at_once(void **state)
{
    static _Alignas(4096) uint8_t *pages[GMEM_PIECE / PAGE_SIZE];
    uint64_t at = 0, size;
    memset(table, 0, sizeof(table));
    gmem_init(&memory, table, 2);
    gmem_add(&memory, gpa(0), low, sizeof(low));
    gmem_add(&memory, gpa(GMEM_PIECE), second, sizeof(second));
    gmem_split(&memory, gpa(0), pages);
    for (uint64_t page = 0; page < GMEM_PIECE; page += PAGE_SIZE)
        gmem_set_page(&memory, gpa(page), NULL);
    gmem_set_page(&memory, gpa(8192), first);
    assert_ptr_equal(gmem_next(&memory, &at, UINT64_MAX, &size), first);
    assert_int_equal(at, 8192);
    gmem_set_page(&memory, gpa(8192), NULL);
    assert_int_equal(mprotect(pages, PAGE_SIZE, PROT_NONE), 0);
    at = 0;
    assert_ptr_equal(gmem_next(&memory, &at, UINT64_MAX, &size), second);
    assert_int_equal(at, GMEM_PIECE);
    assert_int_equal(mprotect(pages, PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
}

static void a_page_comes_again_when_it_is_written(void **state)
{
    uint8_t bytes[8192];
    uint64_t expected = 0;
    memset(bytes, 0x33, sizeof(bytes));
    assert_true(gmem_write(&memory, gpa(2048), bytes, sizeof(bytes)));
    assert_int_equal(asked.value, 4096);
    assert_int_equal(memory.away, 0);
    assert_memory_equal(first, bytes, 4096);
    assert_memory_equal(low + 8192, bytes, 2048);
    assert_int_equal(low[4096], 0x77);
    asked = gpa(1);
    assert_true(gmem_compare_exchange(&memory, gpa(4096), 1, &(uint64_t){0x33}, 0x44));
    assert_int_equal(asked.value, 1);
    gmem_set_page(&memory, gpa(8192), NULL);
    frame = memset(second, 0, sizeof(second));
    assert_true(gmem_compare_exchange(&memory, gpa(8200), 8, &expected, 5));
    assert_int_equal(second[8], 5);
    assert_null(gmem_make_writable(&memory, gpa(GMEM_PIECE), 1));
}

static void what_finds_no_frame_is_not_written(void **state)
{
    uint64_t expected = 0;
    frame = NULL;
    assert_null(gmem_make_writable(&memory, gpa(4100), 4));
    assert_int_equal(asked.value, 4096);
    assert_false(gmem_write(&memory, gpa(4100), "a", 1));
    assert_false(gmem_compare_exchange(&memory, gpa(4096), 8, &expected, 5));
    assert_int_equal(gmem_set_bits(&memory, gpa(4096), 1), 0);
    assert_int_equal(memory.away, 1);
}

static void what_is_away_reads_as_the_image(void **state)
{
    uint8_t bytes[2];
    memset(image, 0x55, sizeof(image));
    memset(table, 0, sizeof(table));
    gmem_init(&memory, table, ARRAY_LENGTH(table));
    gmem_add(&memory, gpa(0), NULL, sizeof(image) + 512); // as a disk of odd sectors is
    memory.take = take;
    memory.image = image;
    memory.image_size = sizeof(image);
    assert_int_equal(memory.away, 2);
    assert_true(gmem_read(&memory, gpa(4095), bytes, 2));
    assert_int_equal(bytes[0] + bytes[1], 0xaa);
    assert_ptr_equal(gmem_at(&memory, gpa(4096), 512), image + 4096);
    assert_true(gmem_read(&memory, gpa(4096 + 512), bytes, 2));
    assert_int_equal(bytes[0], 0);
    assert_null(gmem_at(&memory, gpa(4096 + 1024), 1));
    uint64_t at = 0, size;
    assert_null(gmem_next(&memory, &at, UINT64_MAX, &size));
}

static gpa_t dropped[8];
static unsigned drops;

static void drop(const struct gmem *of, gpa_t page)
{
    assert_ptr_equal(of, &memory);
    dropped[drops++ % 8] = page;
    if (gmem_page(&memory, page))
        gmem_set_page(&memory, page, NULL);
}

// A disk of four pages: two of an image, the second of which is zeros, and two written ones.
static void what_becomes_zeros_may_go(void **state)
{
    static uint8_t half[2 * 4096], pages[4][4096];
    uint8_t bytes[4];
    memset(half, 0x55, 4096);
    memset(pages, 0x66, sizeof(pages));
    gmem_init(&memory, table, 1);
    memset(table, 0, sizeof(table));
    gmem_add(&memory, gpa(0), NULL, sizeof(pages));
    memory.take = take;
    memory.drop = drop;
    memory.image = half;
    memory.image_size = sizeof(half);
    gmem_split(&memory, gpa(0), table_of_pages);
    for (unsigned i = 0; i < 4; i++)
        gmem_set_page(&memory, gpa(4096 * i), pages[i]);
    assert_int_equal(memory.away, 0);
    drops = 0;
    gmem_discard(&memory, gpa(1), 3 * 4096); // pages 1 and 2 are whole in that
    assert_int_equal(drops, 2);
    assert_int_equal(dropped[0].value + dropped[1].value, 3 * 4096);
    assert_true(gmem_clear(&memory, gpa(0), 100));
    assert_true(gmem_clear(&memory, gpa(0), sizeof(pages)));
    assert_int_equal(memory.away, 3); // but the first: the image has something there
    for (unsigned i = 0; i < 4; i++) {
        assert_true(gmem_read(&memory, gpa(4096 * i + 5), bytes, 4));
        assert_int_equal(bytes[0] | bytes[3], 0);
    }
    gmem_discard(&memory, gpa(0), 4096);
    assert_true(gmem_read(&memory, gpa(5), bytes, 4));
    assert_int_equal(bytes[0], 0x55);
    assert_false(gmem_clear(&memory, gpa(0), sizeof(pages) + 1));
    gmem_discard(&memory, gpa(sizeof(pages)), 8192);
    assert_int_equal(memory.away, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_page_that_is_away_reads_as_zeros, split),
        cmocka_unit_test_setup(what_is_away_as_a_whole_is_passed_at_once, split),
        cmocka_unit_test_setup(a_page_comes_again_when_it_is_written, split),
        cmocka_unit_test_setup(what_finds_no_frame_is_not_written, split),
        cmocka_unit_test_setup(what_is_away_reads_as_the_image, split),
        cmocka_unit_test_setup(what_becomes_zeros_may_go, split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
