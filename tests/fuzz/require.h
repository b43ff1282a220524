// What holds whatever the input is.
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define require(promise) ((promise) ? (void)0 : broken_promise(#promise, __FILE__, __LINE__))

static inline void broken_promise(const char *promise, const char *file, int line)
{
    fprintf(stderr, "%s:%d: ERROR: promise broken: %s\n", file, line, promise);
    abort();
}
