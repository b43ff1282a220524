// The VM-entry checker's order: that of the CPU.

#include "vmx/check/check.h"

unsigned check_entry(struct check *check)
{
    check_controls(check);
    check_host(check);
    check_guest(check);
    return check->violations;
}
