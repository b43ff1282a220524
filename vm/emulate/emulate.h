// The instruction emulator: executes one guest instruction that touches memory which is not RAM.
#pragma once

#include "vm/emulate/decode.h"
#include "vm/exit.h"

// The groups of state that every instruction needs and that are not fetched yet.
uint32_t emulate_missing(const struct vcpu *vcpu);

// Fetches and decodes the instruction at CS:RIP. False: *fault is the verdict, as below.
MUST_CHECK bool emulate_decode(struct vcpu *vcpu, struct instruction *instruction,
                               verdict_t *fault);

// Executes it; its operands may be registers, RAM and devices. An exit during event delivery is not
// its business. Verdicts:
//   next   done; the length is the instruction's, and without one that of the VMCS
//   again  a repeated string instruction has iterations left, or another CPU changed what a locked
//          access read
//   fault  what the instruction raises; nothing but CR2 has changed, or whole iterations of a
//          string instruction
//   need   call again with these groups
//   stop   at CPL < 3: an instruction that is not known, or code or paging structures outside RAM.
//          User code gets #UD for the former.
verdict_t emulate_decoded(struct vcpu *vcpu, const struct instruction *instruction, uint64_t now);
