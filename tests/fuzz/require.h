// What holds whatever the input is.
#pragma once

#include <stdbool.h>
#include <stdlib.h>

static inline void require(bool promise)
{
    if (!promise)
        abort();
}
