// Constants for enter.asm.

#include <stddef.h>

#include "vmx/machine.h"

#define OFFSET(name, value) __asm__ volatile("\n->" #name " %c0" : : "i"(value))

void offsets(void);

void offsets(void)
{
    OFFSET(VCPU_REQUESTS, offsetof(struct vcpu, requests));
    OFFSET(FRAME_VCPU, 0);
    OFFSET(FRAME_RSP, offsetof(struct host_frame, rsp) - offsetof(struct host_frame, vcpu));
    OFFSET(ENTER_REQUESTED, ENTER_REQUESTED);
    OFFSET(ENTER_FAILED, ENTER_FAILED);
}

_Static_assert(offsetof(struct vcpu, gpr) == 0, "enter.asm finds the registers at the start");
