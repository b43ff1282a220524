#include "mm/stack.h"

#include "mm/paging.h"
#include "mm/tables/frames.h"

uint64_t stack_make(uint64_t size)
{
    uint8_t *bottom = frames_allocate(size + PAGE_SIZE, PAGE_SIZE, FRAMES_CORBEL);
    if (!bottom)
        return 0;
    paging_guard((uintptr_t)bottom);
    return (uintptr_t)bottom + PAGE_SIZE + size;
}
