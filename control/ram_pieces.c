// RAM in pieces, which VMs and their disks have. Called by control/instance_ram.c and
// control/disks.c.

#include "control/ram_pieces.h"

#include "lib/string.h"
#include "mm/paging.h"
#include "mm/tables/frames.h"
#include "vmx/task.h"

#define PIECE_BYTES (UINT64_C(16) << 20) // given back between looks at the time

static uint64_t table_size(const struct gmem *memory)
{
    return align_up(memory->pieces * sizeof(*memory->piece), PAGE_SIZE);
}

bool ram_pieces_make(struct gmem *memory, uint64_t end, unsigned owner)
{
    *memory = (struct gmem){.pieces = align_up(end, GMEM_PIECE) / GMEM_PIECE};
    uint64_t size = table_size(memory);
    void *table = frames_allocate(size, PAGE_SIZE, owner);
    if (table)
        memset(table, 0, size);
    gmem_init(memory, table, table ? memory->pieces : 0);
    return table;
}

uint64_t ram_pieces_take(struct gmem *memory, gpa_t start, uint64_t size, unsigned owner)
{
    uint64_t whole = align_up(size, PAGE_2M), done = 0, most = PAGE_1G;
    while (done < whole && most) {
        uint64_t piece = MIN(whole - done, most);
        void *ram = frames_allocate(piece, piece == PAGE_1G ? PAGE_1G : PAGE_2M, owner);
        if (ram)
            gmem_add(memory, gpa(start.value + done), paging_window(hpa((uintptr_t)ram)),
                     MIN(piece, size - done));
        done += ram ? piece : 0;
        most = ram ? most : align_down(piece / 2, PAGE_2M);
    }
    return whole - done;
}

// The last 2 MiB was taken whole, however much of it is RAM.
static uint64_t whole(const struct gmem *memory, uint64_t at, uint64_t size)
{
    uint64_t end = at + size;
    return (gmem_is_split(memory, gpa(end - 1)) ? end : align_up(end, PAGE_2M)) - at;
}

void ram_pieces_release(struct gmem *memory, unsigned owner)
{
    uint64_t size;
    uint8_t *bytes;
    for (uint64_t at = 0; (bytes = gmem_next(memory, &at, PIECE_BYTES, &size)); at += size) {
        hpa_t ram = paging_window_hpa(bytes);
        size = whole(memory, at, size);
        paging_show(ram, size);
        frames_free((void *)ram.value, size, owner);
        task_pause();
    }
    for (uint64_t i = 0; i < memory->pieces; i++)
        if (memory->piece[i].page) {
            frame_free(memory->piece[i].page, owner);
            task_pause();
        }
    if (memory->piece)
        frames_free(memory->piece, table_size(memory), owner);
}
