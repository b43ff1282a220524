// The instruction emulator: executes one guest instruction that touches memory which is not RAM.
#pragma once

#include "vm/decode.h"
#include "vm/exit.h"

// Fetches, decodes and executes the instruction at CS:RIP; its operands may be registers, RAM and
// devices. Reads of the exit only the time; an exit during event delivery is not its business.
// Verdicts:
//   next   done; the length is the decoder's
//   again  a repeated string instruction has iterations left, or another CPU changed what a locked
//          access read
//   fault  what the instruction raises; nothing but CR2 has changed, or whole iterations of a
//   string
//          instruction
//   need   call again with these groups
//   stop   at CPL < 3: an instruction that is not known, or code or paging structures outside RAM.
//          User code gets #UD for the former.
verdict_t emulate(struct vcpu *vcpu, const struct exit *exit);

// The first part of it alone, with what vm/linear.h needs. False: *fault is the verdict.
MUST_CHECK bool emulate_decode(struct vcpu *vcpu, struct instruction *instruction,
                               verdict_t *fault);

// The second part alone, with what emulate_missing() names. Without a length: that of the VMCS.
verdict_t emulate_decoded(struct vcpu *vcpu, const struct instruction *instruction, uint64_t now);

// The groups of state that every instruction needs and that are not fetched yet.
uint32_t emulate_missing(const struct vcpu *vcpu);
