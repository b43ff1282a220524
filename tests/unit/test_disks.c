// control/disks.c on a machine that is full to the last frame, and on an overcommitted one. The
// files under test are part of the machine half; of them, only what touches memory runs here.

#define _GNU_SOURCE // MAP_FIXED_NOREPLACE

#include "tests/unit/support.h"

#include <sys/mman.h>

#include "arch/x86_64/registers.h"
#include "control/disks.h"
#define invlpg(address) ((void)(address))
#define write_cr3(root) ((void)(root))
// Names that the files share.
#define frames paging_frames
#define need   paging_need
#define split  paging_split_at
#define lock   paging_lock
#include "mm/paging.c"
#undef frames
#undef need
#undef split
#undef lock
// The window is where memory is.
#define paging_window(at)        ((void *)(at).value)
#define paging_window_hpa(bytes) hpa((uintptr_t)(bytes))
#include "control/ram_pieces.c"
#undef PIECE_BYTES
#include "control/disks.c"

#define MIB   UINT64_C(0x100000)
#define POOL  (UINT64_C(256) * MIB)
#define SIZE  (UINT64_C(16) * MIB)
#define DISK  (3 * MIB) // not a whole number of 2 MiB
#define PAGES (DISK / PAGE_SIZE)
#define ID    1
#define OTHER 9

const uint8_t image_start[1], image_text_start[1], image_text_end[1], image_rodata_start[1],
    image_rodata_end[1], image_end[1], image_data_end[1];
bool ram_overcommit;
static bool must_wait;
static uint64_t rounds;
static uint8_t module[DISK];

bool ram_must_wait(struct vm *vm)
{
    vm->is_starved |= must_wait;
    return vm->is_starved;
}

uint64_t ram_round(void)
{
    return rounds;
}

void task_pause(void) {}

status_t inputs_find_file(const struct vm_config *config, const char *key, unsigned line,
                          const char *name, struct image *image, struct explanation *why)
{
    (void)config, (void)key, (void)line, (void)name, (void)why;
    *image = (struct image){.bytes = module, .size = sizeof(module)};
    return STATUS_OK;
}

static struct disks disks;
static struct vm vm;
static struct vmx_vm vmx;
static struct vm_config config;
static struct gmem *data;

static int make_machine(void **state)
{
    static _Alignas(PAGE_SIZE) uint8_t bitmap[4 * PAGE_SIZE];
    struct explanation why;
    void *pool = mmap((void *)POOL, SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    frames_init(hpa((uintptr_t)bitmap), POOL + SIZE);
    frames_add(hpa(POOL), SIZE);
    assert_true(frames_know_owners());
    memset((void *)POOL, 0x77, 8 * MIB); // what was there before
    paging_init();
    paging_add_ram(hpa(POOL), SIZE);
    memset(module, 0x33, sizeof(module));
    vm = (struct vm){.id = ID};
    vmx = (struct vmx_vm){.vm = &vm, .view = paging_view_make(ID)};
    config = (struct vm_config){.disk_count = 2, .disk[0].size = DISK, .disk[1].overlay = true};
    memcpy(config.disk[1].module, "m", 2);
    disks = (struct disks){0};
    must_wait = false;
    assert_int_equal(disks_make(&disks, &config, ID, &why), STATUS_OK);
    assert_true(disks_show(&disks, &vmx));
    data = &disks.disk[0].block.data;
    return pool == (void *)POOL ? 0 : -1;
}

static int make_promised(void **state)
{
    ram_overcommit = false;
    return make_machine(state);
}

static int make_overcommitted(void **state)
{
    ram_overcommit = true;
    return make_machine(state);
}

static int unmake_machine(void **state)
{
    return munmap((void *)POOL, SIZE);
}

static void fill_machine(void)
{
    while (frames_available())
        assert_non_null(frame_allocate(OTHER));
}

// The first bytes of each page that does not hold `byte` but for the first.
static void assert_holds(const struct gmem *memory, uint64_t page, uint8_t byte)
{
    uint8_t bytes[PAGE_SIZE];
    assert_true(gmem_read(memory, gpa(page * PAGE_SIZE), bytes, sizeof(bytes)));
    for (unsigned i = 0; i < PAGE_SIZE; i++)
        assert_int_equal(bytes[i], byte);
}

// A byte of the page is written: the others are what the disk began with.
static bool write(const struct gmem *memory, uint64_t page, uint8_t rest)
{
    uint8_t *bytes = gmem_make_writable(memory, gpa(page * PAGE_SIZE), 1);
    if (bytes)
        assert_true(bytes[1] == rest && bytes[PAGE_SIZE - 1] == rest);
    if (bytes)
        memset(bytes, 0x11, PAGE_SIZE);
    return bytes;
}

static void each_page_is_there_when_the_machine_is_full(void **state)
{
    const struct gmem *overlay = &disks.disk[1].block.data;
    uint64_t before = frames_free_count();
    fill_machine();
    for (unsigned round = 0; round < 2; round++) {
        for (uint64_t page = 0; page < PAGES; page++) {
            assert_holds(data, page, 0);
            assert_true(write(data, page, 0));
            assert_holds(data, page, 0x11);
            assert_true(write(overlay, page, 0x33));
        }
        assert_int_equal(data->away, 0);
        assert_false(vm.is_starved);
        gmem_discard(data, gpa(0), DISK);
        gmem_discard(overlay, gpa(0), DISK);
        assert_holds(overlay, 5, 0x33);
    }
    assert_int_equal(data->away, PAGES);
    assert_int_equal(frames_free_count(), 8 * MIB / PAGE_SIZE); // its own: 2 MiB at a time
    assert_true(frames_free_count() < before);
}

static void what_is_discarded_is_anothers_once_no_cpu_sees_it(void **state)
{
    uint64_t before;
    for (uint64_t page = 0; page < PAGES; page++)
        assert_true(write(data, page, 0));
    before = frames_available();
    gmem_discard(data, gpa(0), DISK);
    assert_int_equal(data->away, PAGES);
    for (unsigned i = 0; i < 20; i++) // in this round and the next one CPUs may see it
        disks_settle(&disks);
    assert_int_equal(frames_available(), before);
    rounds++;
    disks_settle(&disks);
    assert_int_equal(frames_available(), before);
    assert_true(write(data, 7, 0)); // its own view may have it at once
    assert_int_equal(frames_available(), before);
    rounds++;
    for (unsigned i = 0; i < 20; i++)
        disks_settle(&disks);
    assert_int_equal(frames_available(), before + PAGES - 1);
    assert_holds(data, 7, 0x11);
}

static void without_a_frame_the_vm_waits(void **state)
{
    must_wait = true;
    assert_true(write(data, 0, 0));
    assert_true(vm.is_starved); // there are not many left
    must_wait = false;
    vm.is_starved = false;
    fill_machine();
    assert_false(write(data, 1, 0));
    assert_true(vm.is_starved);
    assert_holds(data, 1, 0);
    gmem_discard(data, gpa(0), PAGE_SIZE);
    vm.is_starved = false;
    assert_true(write(data, 1, 0));
    assert_false(vm.is_starved);
}

// The next VM finds what the one before wrote, and nothing is left where one cannot be made.
static void disks_outlive_their_vms(void **state)
{
    struct explanation why;
    uint64_t before = frames_free_count() + frames_held(ID).alone;
    assert_true(write(data, 513, 0));
    paging_view_free(vmx.view, ID);
    vmx.view = paging_view_make(ID);
    assert_true(disks_show(&disks, &vmx));
    assert_holds(data, 513, 0x11);
    paging_view_free(vmx.view, ID);
    assert_int_equal(frames_free_count(), before - 1);
    struct disks others = {0};
    before = frames_free_count();
    config.disk[1] = (struct config_disk){.size = 64 * MIB};
    assert_int_equal(disks_make(&others, &config, ID + 1, &why), STATUS_NO_MEMORY);
    assert_int_equal(frames_free_count(), before);
    assert_int_equal(frames_held(disks_owner(ID + 1)).alone, 0);
    assert_int_equal(frames_held(disks_owner(ID + 1)).lent, 0);
}

#define PROMISED(name) cmocka_unit_test_setup_teardown(name, make_promised, unmake_machine)
#define OVERCOMMITTED(name)                                                                        \
    cmocka_unit_test_setup_teardown(name, make_overcommitted, unmake_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PROMISED(each_page_is_there_when_the_machine_is_full),
        PROMISED(disks_outlive_their_vms),
        OVERCOMMITTED(what_is_discarded_is_anothers_once_no_cpu_sees_it),
        OVERCOMMITTED(without_a_frame_the_vm_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
