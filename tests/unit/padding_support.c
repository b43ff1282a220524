#include "drivers/virt/board.h"
#include "tests/unit/padding.h"

#define DEFINE(name)                                                                               \
    void padding_of_##name(struct name *bytes)                                                     \
    {                                                                                              \
        __builtin_clear_padding(bytes);                                                            \
    }
PADDED_STRUCTS(DEFINE)
PADDED_PARTS(DEFINE)
