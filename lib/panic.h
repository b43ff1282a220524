// A panic stops the whole machine and means: our bug. Nothing that a guest does may lead here.
// The machine half provides panic() on the target, the tests on the host.
#pragma once

__attribute__((noreturn, format(printf, 1, 2))) void panic(const char *format, ...);

#define assert(condition)                                                                          \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #condition);                  \
    } while (0)
