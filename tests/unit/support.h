// What every unit test includes first: cmocka and what it needs.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// A panic in tested code fails the test; panics_expected() lets the next one return to the test
// instead.
#define expect_panic(call)                                                                         \
    do {                                                                                           \
        panic_expected = 1;                                                                        \
        if (setjmp(panic_return) == 0) {                                                           \
            call;                                                                                  \
            fail_msg("no panic: %s", #call);                                                       \
        }                                                                                          \
        panic_expected = 0;                                                                        \
    } while (0)

extern jmp_buf panic_return;
extern int panic_expected;
extern char panic_text[256];
