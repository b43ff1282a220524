// Every exit handler, by the file it lives in. Called only through exit_table[]; each is given the
// facts that its row asks for and answers with a verdict.
#pragma once

#include "vm/exit.h"

// refuse.c: what no guest gets, and exits that need no work or end the VM
exit_handler exit_undefined;    // #UD
exit_handler exit_resume;       // nothing to do: look for events and enter again
exit_handler exit_triple_fault; // the guest is in the shutdown state
exit_handler exit_entry_failed; // VM entry refused the guest's state
exit_handler exit_unknown;      // never asked for: stop with the reason's number
exit_handler exit_notify;       // no instruction boundary for too long

// exception.c
exit_handler exit_exception;

// cpuid.c, msr.c
exit_handler exit_cpuid;
exit_handler exit_rdmsr;
exit_handler exit_wrmsr;

// cr.c, dr.c, xcr.c
exit_handler exit_cr_access;
exit_handler exit_mov_dr;
exit_handler exit_xsetbv;

// io.c, ept.c
exit_handler exit_io;
exit_handler exit_ept_violation;
exit_handler exit_ept_misconfiguration;

// apic.c
exit_handler exit_apic_access;
exit_handler exit_apic_write;
exit_handler exit_tpr_threshold;
exit_handler exit_virtualized_eoi;

// hlt.c, vmcall.c
exit_handler exit_hlt;
exit_handler exit_pause;
exit_handler exit_vmcall;

// Exits that only a forced trap causes: rdtsc.c, cache.c, random.c, descriptor.c
exit_handler exit_rdtsc;
exit_handler exit_rdtscp;
exit_handler exit_rdpmc;
exit_handler exit_cache; // INVD, WBINVD
exit_handler exit_invlpg;
exit_handler exit_invpcid;
exit_handler exit_random; // RDRAND, RDSEED
exit_handler exit_gdtr_idtr;
exit_handler exit_ldtr_tr;

// task.c
exit_handler exit_task_switch;
