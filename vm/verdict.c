#include "vm/verdict.h"

#define TEXT(name, text) (text),

const char *stop_reason_text(enum stop_reason reason)
{
    static const char *const texts[] = {VM_STOPS(TEXT)};
    return reason < STOP_REASONS ? texts[reason] : "unknown";
}
