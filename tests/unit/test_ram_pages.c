// vmx/ram_pages.c on a machine that is full to the last frame: what VMs gave comes again, whatever
// else happened to the memory. The files under test are part of the machine half; of them, only
// what touches memory runs here.

#define _GNU_SOURCE // MAP_FIXED_NOREPLACE

#include "tests/unit/support.h"

#include <sys/mman.h>

#include "arch/x86_64/registers.h"
#include "mm/tables/frame_chain.h"
#include "vmx/vmx.h"
#define invlpg(address) ((void)(address))
#define write_cr3(root) ((void)(root))
// Names that both files have.
#define frames paging_frames
#define need   paging_need
#define split  paging_split_at
#include "mm/paging.c"
#undef frames
#undef need
#undef split
#include "vmx/ram_pages.c"

#define MIB   UINT64_C(0x100000)
#define POOL  (UINT64_C(256) * MIB)
#define SIZE  (UINT64_C(16) * MIB)
#define OTHER 9
#define PAGES (GMEM_PIECE / PAGE_SIZE) // of a VM
#define VMS   2

const uint8_t image_start[1], image_text_start[1], image_text_end[1], image_rodata_start[1],
    image_rodata_end[1], image_end[1], image_data_end[1];
unsigned cpu_count = 1;
static uint64_t rounds;

uint64_t ram_round(void)
{
    return rounds++;
}

bool ram_have_flushed(const struct vm *vm, uint64_t generation)
{
    (void)vm;
    (void)generation;
    return true;
}

bool ram_others_have_flushed(const struct vm *vm, uint64_t generation)
{
    return ram_have_flushed(vm, generation);
}

void ram_changed(struct vm *vm)
{
    (void)vm;
}

void task_pause(void) {}

static struct machine {
    struct vm vm;
    struct vmx_vm vmx;
    struct gmem_piece piece[1];
    struct frame_source source;
} machines[VMS];

static void make_vm(struct machine *machine, unsigned id)
{
    *machine = (struct machine){.vm.id = id, .vm.vmx = &machine->vmx, .vmx.vm = &machine->vm};
    struct gmem *memory = &machine->vm.memory;
    void *ram = frames_allocate(GMEM_PIECE, GMEM_PIECE, id);
    hpa_t host = hpa((uintptr_t)ram);
    assert_non_null(ram);
    memset(ram, 0x5a, GMEM_PIECE);
    machine->source = frames_source(id);
    machine->vmx.view = paging_view_make(id);
    assert_true(page_table_init(&machine->vmx.ept, EPT_FORMAT, 2, &machine->source));
    machine->vmx.log.ept = &machine->vmx.ept;
    machine->vmx.log.memory = memory;
    gmem_init(memory, machine->piece, 1);
    gmem_add(memory, gpa(0), paging_window(host), GMEM_PIECE);
    paging_hide(host, GMEM_PIECE);
    assert_true(paging_view_add(machine->vmx.view, id, host, GMEM_PIECE));
    assert_true(page_table_map(&machine->vmx.ept, 0, host.value, GMEM_PIECE, EPT_RAM));
    assert_int_equal(ram_pages_make(&machine->vm), STATUS_OK);
}

static int make_machine(void **state)
{
    static _Alignas(PAGE_SIZE) uint8_t bitmap[4 * PAGE_SIZE];
    void *pool = mmap((void *)POOL, SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    frames_init(hpa((uintptr_t)bitmap), POOL + SIZE);
    frames_add(hpa(POOL), SIZE);
    assert_true(frames_know_owners());
    paging_init();
    paging_add_ram(hpa(POOL), SIZE);
    ram_overcommit = false;
    for (unsigned i = 0; i < VMS; i++)
        make_vm(&machines[i], i + 1);
    return pool == (void *)POOL ? 0 : -1;
}

static int unmake_machine(void **state)
{
    return munmap((void *)POOL, SIZE);
}

// All that is free becomes another's, but for so many frames.
static void fill_but(uint64_t count)
{
    while (frames_available() > count)
        assert_non_null(frame_allocate(OTHER));
}

static void give_all(struct machine *machine)
{
    for (uint64_t done = 0; done < PAGES;) {
        done += ram_give(&machine->vm, gpa(done * PAGE_SIZE), PAGES - done);
        (void)ram_settle(&machine->vm);
    }
    while (ram_settle(&machine->vm))
        ;
}

// The guest writes to the page, as vmx/ram.c serves it.
static void touch(struct machine *machine, uint64_t page)
{
    gpa_t at = gpa(page * PAGE_SIZE);
    uint8_t *bytes = ram_take(&machine->vm.memory, at);
    assert_non_null(bytes);
    assert_true(dirty_log_fault(&machine->vmx.log, at, paging_window_hpa(bytes), true));
    uint64_t seen, *frame = (uint64_t *)paging_window_hpa(bytes).value;
    for (seen = 0; seen < PAGE_SIZE / 8; seen++)
        assert_int_equal(frame[seen], 0);
    frame[page % (PAGE_SIZE / 8)] = ~page; // what was there must not come again
}

// Of each VM, one table for EPT, its view, the one-to-one map and its pages.
#define TABLES (4 * VMS)

static void what_was_given_comes_again_without_a_free_frame(void **state)
{
    fill_but(TABLES);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < VMS; i++)
            give_all(&machines[i]);
        assert_int_equal(frames_available(), 0);
        assert_int_equal(frames_free_count(), VMS * PAGES);
        for (unsigned i = 0; i < VMS; i++)
            assert_int_equal(machines[i].vm.memory.away, PAGES);
        assert_null(frame_allocate(OTHER));
        for (uint64_t page = 0; page < PAGES; page++) // in another order than they went
            for (unsigned i = 0; i < VMS; i++)
                touch(&machines[i], page * 7 % PAGES);
        assert_int_equal(frames_free_count(), 0);
        for (unsigned i = 0; i < VMS; i++) {
            assert_int_equal(machines[i].vm.memory.away, 0);
            assert_false(machines[i].vm.is_starved);
        }
    }
}

// What is touched before its frame is free takes another, and has no more than it had.
static void what_comes_early_takes_another_frame(void **state)
{
    struct machine *machine = &machines[0];
    give_all(machine);
    uint64_t before = frames_held(1).alone, free = frames_available();
    touch(machine, 0);
    assert_int_equal(ram_give(&machine->vm, gpa(0), 1), 1);
    touch(machine, 0); // by one of those that are kept
    touch(machine, 1);
    for (uint64_t page = 2; page < PAGES; page++)
        if (!gmem_page(&machine->vm.memory, gpa(page * PAGE_SIZE)))
            touch(machine, page);
    while (ram_settle(&machine->vm))
        ;
    assert_int_equal(machine->vm.memory.away, 0);
    assert_int_equal(frames_held(1).lent, 0);
    // But for tables, where that other frame stands.
    assert_in_range(frames_held(1).alone, before + PAGES, before + PAGES + 1);
    assert_in_range(frames_available(), free - 2, free);
}

static void without_any_frame_it_waits_for_what_it_gave(void **state)
{
    struct machine *machine = &machines[0];
    fill_but(TABLES);
    give_all(machine);
    fill_but(0);
    for (uint64_t page = 0; page < PAGES; page++)
        touch(machine, page);
    assert_int_equal(ram_give(&machine->vm, gpa(0), 1), 1);
    assert_null(ram_take(&machine->vm.memory, gpa(0)));
    assert_true(machine->vm.is_starved);
    assert_false(ram_can_go_on(&machine->vm));
    while (ram_settle(&machine->vm))
        ;
    assert_true(ram_can_go_on(&machine->vm));
    touch(machine, 0);
}

static void with_overcommitment_it_is_anybodys(void **state)
{
    struct machine *machine = &machines[0];
    fill_but(TABLES);
    ram_overcommit = true;
    give_all(machine);
    assert_in_range(frames_available(), PAGES, PAGES + TABLES);
    fill_but(0);
    assert_null(ram_take(&machine->vm.memory, gpa(0)));
    assert_true(machine->vm.is_starved);
    assert_false(ram_can_go_on(&machine->vm));
}

// Nothing is left behind, wherever its pages were.
static void all_goes_back_when_the_vm_ends(void **state)
{
    struct machine *machine = &machines[0];
    give_all(machine);
    touch(machine, 5);
    assert_int_equal(ram_give(&machine->vm, gpa(5 * PAGE_SIZE), 1), 1); // on its way
    ram_pages_release(&machine->vm);
    assert_int_equal(frames_held(1).lent, 0);
    frame_free(machine->piece[0].page, 1);
    paging_view_free(machine->vmx.view, 1);
    page_table_destroy(&machine->vmx.ept, UINT32_MAX);
    assert_int_equal(frames_held(1).alone, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make_machine, unmake_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_given_comes_again_without_a_free_frame),
        CASE(what_comes_early_takes_another_frame),
        CASE(without_any_frame_it_waits_for_what_it_gave),
        CASE(with_overcommitment_it_is_anybodys),
        CASE(all_goes_back_when_the_vm_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
