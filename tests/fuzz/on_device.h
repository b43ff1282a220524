// Instructions that a fuzzer runs with their operand in a device.
#pragma once

#include <stdint.h>

// What random bytes rarely make: registers and vectors that are stored to the device, loaded from
// it, and system registers. ModRM, where it is not given, is [RAX] and a register that the input
// chooses. The length comes first.
static const uint8_t on_device[][4] = {
    {3, 0x0f, 0x01, 0x20}, // SMSW
    {3, 0x0f, 0x01, 0x30}, // LMSW
    {3, 0x0f, 0x01, 0x00}, // SGDT
    {3, 0x0f, 0x01, 0x18}, // LIDT
    {3, 0x0f, 0x00, 0x08}, // STR
    {2, 0x0f, 0x11},       // MOVUPS
    {2, 0x0f, 0x10},
    {3, 0x66, 0x0f, 0x7f}, // MOVDQA
    {3, 0xf3, 0x0f, 0x6f}, // MOVDQU
    {2, 0x0f, 0x7f},       // MOVQ of MMX
    {2, 0x0f, 0x6f},
    {3, 0x66, 0x0f, 0xd6}, // MOVQ of XMM
    {3, 0xf3, 0x0f, 0x11}, // MOVSS
    {3, 0x66, 0x0f, 0x7e}, // MOVD
    {2, 0x0f, 0x13},       // MOVLPS
    {3, 0xc5, 0xfc, 0x11}, // VMOVUPS
    {3, 0xc5, 0xfd, 0x6f}, // VMOVDQA
    {2, 0x0f, 0xc7},       // CMPXCHG8B with ModRM.reg 1
    {3, 0xf0, 0x0f, 0xb1}, // LOCK CMPXCHG
    {2, 0x0f, 0xa4},       // SHLD
    {1, 0xf7},             // NOT to IDIV
    {2, 0xf3, 0xa4},       // REP MOVSB
};
