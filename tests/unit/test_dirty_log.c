// mm/tables/dirty_log.c: what the EPT allows and what the log says, over a recording memory and a
// CPU that walks it. Each test runs in each of the three ways.

#include "tests/unit/support.h"

#include "tests/unit/ept_memory.h"
#include "mm/tables/dirty_log.h"

#define HOST  UINT64_C(0x40000000) // of the RAM: two large pages, and one of small ones
#define RAM   (2 * PAGE_2M + 4 * PAGE_SIZE)
#define PAGES (3 * PAGE_2M / PAGE_SIZE) // that have bits

static struct ept_memory *pool;
static struct page_table ept;
static struct gmem memory;
static struct gmem_piece table[3];
static uint8_t bytes[RAM];
static _Atomic uint64_t bits[PAGES / 64], list[PML_ENTRIES];
static unsigned list_left; // of the CPU: entries that are free
static struct dirty_log dirty;

static int begin_with(enum dirty_how how, unsigned largest)
{
    pool = memory_new();
    memset(table, 0, sizeof(table));
    memset((void *)bits, 0, sizeof(bits));
    memset((void *)list, 0xff, sizeof(list));
    list_left = PML_ENTRIES;
    gmem_init(&memory, table, ARRAY_LENGTH(table));
    gmem_add(&memory, gpa(0), bytes, RAM);
    if (!page_table_init(&ept, EPT_FORMAT, largest, &pool->source) ||
        !page_table_map(&ept, 0, HOST, RAM, EPT_RAM))
        return -1;
    dirty = (struct dirty_log){.ept = &ept, .memory = &memory, .how = how, .bits = bits};
    dirty_log_begin(&dirty);
    return 0;
}

static int set_up(void **state)
{
    return begin_with(*(const enum dirty_how *)*state, 2);
}

static int tear_down(void **state)
{
    page_table_destroy(&ept, POOL_FRAMES);
    assert_int_equal(pool->out, 0);
    memory_delete(pool);
    return 0;
}

static struct translation look(uint64_t at)
{
    return memory_walk(pool, ept_pointer(&ept, true), at);
}

static bool writable(uint64_t at)
{
    struct translation found = look(at);
    assert_int_equal(found.host, HOST + at);
    assert_int_equal(found.flags & (EPT_READ | EPT_EXECUTE), EPT_READ | EPT_EXECUTE);
    return found.flags & EPT_WRITE;
}

static unsigned level(uint64_t at)
{
    return look(at).level;
}

static void fault(uint64_t at, bool is_write)
{
    assert_true(dirty_log_fault(&dirty, gpa(at), hpa(HOST + at), is_write));
}

// What a CPU does for a guest that accesses memory; returns how many exits it took.
static unsigned access(uint64_t at, bool is_write)
{
    unsigned exits = 0;
    while (!look(at).flags || (is_write && !(look(at).flags & EPT_WRITE))) {
        fault(at, is_write);
        assert_true(++exits < 2);
    }
    struct translation found = look(at);
    if (!is_write || dirty.how == DIRTY_PROTECTED || (found.flags & EPT_DIRTY))
        return exits;
    if (dirty.how == DIRTY_PML && !list_left) {
        dirty_log_collect(&dirty, list);
        list_left = PML_ENTRIES;
        exits++;
    }
    if (dirty.how == DIRTY_PML)
        list[--list_left] = at | 0x123; // some CPUs do not clear the low bits
    atomic_fetch_or(found.entry, EPT_DIRTY | EPT_ACCESSED);
    return exits;
}

static uint64_t take_some(uint64_t first, uint64_t which)
{
    dirty_log_collect(&dirty, list);
    return dirty_log_take(&dirty, first, which);
}

// All that was written, as bits of one word for the first 64 pages; the rest must be clean.
static uint64_t take(void)
{
    uint64_t first = take_some(0, ~UINT64_C(0));
    for (uint64_t page = 64; page < PAGES; page += 64)
        assert_int_equal(take_some(page, ~UINT64_C(0)), 0);
    return first;
}

static void restore_all(void)
{
    while (dirty_log_restore(&dirty))
        page_table_reclaim(&ept);
    page_table_reclaim(&ept);
}

static void nothing_can_be_written_when_it_begins(void **state)
{
    for (uint64_t at = 0; at < RAM; at += PAGE_SIZE)
        assert_false(writable(at));
    assert_int_equal(level(0), 2); // and no page was split for it
    assert_int_equal(ept.generation, 1);
    assert_int_equal(take(), 0);
    assert_int_equal(dirty_log_size(&memory), PAGE_SIZE);
}

static void the_guests_write_is_noted(void **state)
{
    assert_int_equal(access(3 * PAGE_SIZE, true), 1);
    bool by_cpu = dirty.how != DIRTY_PROTECTED;
    for (uint64_t at = 0; at < RAM; at += PAGE_SIZE)
        assert_int_equal(writable(at), at == 3 * PAGE_SIZE || (by_cpu && at < PAGE_2M));
    assert_int_equal(level(PAGE_2M), 2);
    uint64_t before = ept.generation;
    fault(3 * PAGE_SIZE, true); // another CPU was as fast
    assert_int_equal(access(5 * PAGE_SIZE, true), by_cpu ? 0 : 1);
    access(6 * PAGE_SIZE, false);
    assert_int_equal(ept.generation, before); // no right was taken away
    assert_int_equal(take(), BIT(3) | BIT(5));
    assert_true(ept.generation > before);
    assert_int_equal(take(), 0);
    assert_int_equal(access(3 * PAGE_SIZE, true), by_cpu ? 0 : 1);
    assert_int_equal(take(), BIT(3));
}

static void bits_are_taken_one_by_one(void **state)
{
    access(PAGE_SIZE, true);
    access(2 * PAGE_SIZE, true);
    assert_int_equal(take_some(0, BIT(2) | BIT(7)), BIT(2));
    access(PAGE_SIZE, true);
    assert_int_equal(take(), BIT(1));
}

static void our_own_write_is_noted_and_opens_nothing(void **state)
{
    assert_true(gmem_write(&memory, gpa(2 * PAGE_SIZE - 1), "ab", 2));
    assert_false(writable(PAGE_SIZE) || writable(2 * PAGE_SIZE));
    uint64_t before = ept.generation;
    assert_int_equal(take(), BIT(1) | BIT(2));
    assert_int_equal(ept.generation, before);
}

static void a_page_that_was_taken_out_comes_back(void **state)
{
    assert_true(dirty_log_drop(&dirty, gpa(PAGE_SIZE)));
    assert_true(dirty_log_drop(&dirty, gpa(2 * PAGE_SIZE)));
    access(PAGE_SIZE, false);
    access(2 * PAGE_SIZE, true);
    assert_int_equal(take(), BIT(2));
    access(PAGE_SIZE, true);
    assert_int_equal(take(), BIT(1));
    dirty_log_end(&dirty);
    assert_true(dirty_log_drop(&dirty, gpa(PAGE_SIZE)));
    fault(PAGE_SIZE, false);
    access(PAGE_SIZE, true);
    assert_false(dirty_log_fault(&dirty, gpa(RAM), hpa(HOST), true));
}

static void without_a_frame_the_whole_page_counts(void **state)
{
    pool->limit = pool->out;
    access(PAGE_2M + 5 * PAGE_SIZE, true);
    assert_int_equal(level(PAGE_2M), 2);
    for (uint64_t at = PAGE_2M; at < 2 * PAGE_2M; at += PAGE_SIZE)
        assert_true(writable(at));
    assert_false(writable(0));
    // Taking some of it protects all of it: the rest of the bits stay.
    assert_int_equal(take_some(512, ~UINT64_C(0)), ~UINT64_C(0));
    assert_false(writable(2 * PAGE_2M - PAGE_SIZE));
    for (uint64_t page = 576; page < 1024; page += 64)
        assert_int_equal(take_some(page, ~UINT64_C(0)), ~UINT64_C(0));
    assert_int_equal(take(), 0);
}

static void what_was_written_before_does_not_count(void **state)
{
    dirty_log_end(&dirty);
    for (uint64_t at = 0; at < RAM; at += PAGE_SIZE)
        access(at, true);
    restore_all();
    dirty_log_collect(&dirty, list);
    list_left = PML_ENTRIES;
    dirty_log_begin(&dirty);
    access(PAGE_SIZE, true);
    access(PAGE_2M, false);
    assert_int_equal(take(), BIT(1));
}

static void at_its_end_everything_is_as_it_was(void **state)
{
    unsigned before = pool->out;
    access(PAGE_SIZE, true);
    access(PAGE_2M, true);
    assert_true(pool->out > before);
    dirty_log_end(&dirty);
    restore_all();
    for (uint64_t at = 0; at < RAM; at += PAGE_SIZE)
        assert_true(writable(at));
    assert_int_equal(level(0) + level(PAGE_2M), 4); // large again
    assert_int_equal(pool->out, before);
    assert_true(gmem_write(&memory, gpa(0), "a", 1));
    dirty_log_collect(&dirty, list);
    dirty_log_begin(&dirty);
    assert_int_equal(take(), 0);
}

static void whoever_writes_first_after_the_end_finds_it_restored(void **state)
{
    access(PAGE_SIZE, true);
    (void)take();
    dirty_log_end(&dirty);
    assert_int_equal(access(5 * PAGE_SIZE, true), dirty.how == DIRTY_PROTECTED);
    page_table_reclaim(&ept);
    assert_int_equal(access(PAGE_2M, true), 1);
    for (uint64_t at = 0; at < 2 * PAGE_2M; at += PAGE_SIZE)
        assert_true(writable(at));
    assert_int_equal(level(PAGE_2M), 2);
}

// ROM between two pieces of RAM.
static void what_is_no_ram_stays_protected(void **state)
{
    memset(table, 0, sizeof(table));
    gmem_init(&memory, table, ARRAY_LENGTH(table));
    gmem_add(&memory, gpa(0), bytes, PAGE_2M);
    gmem_add(&memory, gpa(2 * PAGE_2M), bytes, 4 * PAGE_SIZE);
    assert_true(page_table_map(&ept, PAGE_2M, HOST + PAGE_2M, PAGE_SIZE, EPT_ROM));
    access(0, true);
    dirty_log_end(&dirty);
    restore_all();
    assert_true(writable(0));
    assert_true(writable(2 * PAGE_2M));
    assert_false(writable(PAGE_2M));
}

static uint32_t random_number(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

// Against a model, which knows what was written since it was taken last.
static void any_order_of_things_misses_nothing(void **state)
{
    uint64_t written[PAGES / 64] = {0};
    uint32_t seed = 7;
    bool is_on = true;
    for (unsigned step = 0; step < 40000; step++) {
        uint64_t page = random_number(&seed) % (RAM / PAGE_SIZE), word = page / 64;
        switch (random_number(&seed) % 64) {
        case 0:
            if (is_on)
                dirty_log_end(&dirty);
            else
                restore_all();
            if (!is_on)
                dirty_log_collect(&dirty, list), dirty_log_begin(&dirty);
            memset(written, 0, sizeof(written));
            is_on = !is_on;
            break;
        case 1:
            assert_true(dirty_log_drop(&dirty, gpa(page * PAGE_SIZE)));
            break;
        case 2 ... 9:
            assert_true(gmem_write(&memory, gpa(page * PAGE_SIZE), "x", 1));
            written[word] |= BIT(page % 64);
            break;
        case 10 ... 19:
            if (is_on)
                assert_int_equal(take_some(word * 64, ~UINT64_C(0)), written[word]);
            written[word] = 0;
            break;
        case 20 ... 30:
            access(page * PAGE_SIZE, false);
            break;
        default:
            access(page * PAGE_SIZE, true);
            written[word] |= BIT(page % 64);
        }
    }
}

static enum dirty_how hows[] = {DIRTY_PROTECTED, DIRTY_FLAGS, DIRTY_PML};

#define EACH(test)                                                                                 \
    cmocka_unit_test_prestate_setup_teardown(test, set_up, tear_down, &hows[0]),                   \
        cmocka_unit_test_prestate_setup_teardown(test, set_up, tear_down, &hows[1]),               \
        cmocka_unit_test_prestate_setup_teardown(test, set_up, tear_down, &hows[2])

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(nothing_can_be_written_when_it_begins),
        EACH(the_guests_write_is_noted),
        EACH(bits_are_taken_one_by_one),
        EACH(our_own_write_is_noted_and_opens_nothing),
        EACH(a_page_that_was_taken_out_comes_back),
        EACH(without_a_frame_the_whole_page_counts),
        EACH(what_was_written_before_does_not_count),
        EACH(at_its_end_everything_is_as_it_was),
        EACH(whoever_writes_first_after_the_end_finds_it_restored),
        EACH(what_is_no_ram_stays_protected),
        EACH(any_order_of_things_misses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
