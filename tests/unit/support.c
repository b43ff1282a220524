// The tests' panic(): fails the running test, or returns to it where it expected one. And what is
// called at each branch of vm/sched/, for those that count none.

#include "tests/unit/support.h"

jmp_buf panic_return;
int panic_expected;
char panic_text[256];

__attribute__((noreturn, format(printf, 1, 2))) void panic(const char *format, ...);

void panic(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(panic_text, sizeof(panic_text), format, arguments);
    va_end(arguments);
    if (panic_expected)
        longjmp(panic_return, 1);
    fail_msg("panic: %s", panic_text);
    abort();
}

void __sanitizer_cov_trace_pc(void);
__attribute__((weak)) void __sanitizer_cov_trace_pc(void) {}
