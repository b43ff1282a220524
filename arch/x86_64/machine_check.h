// Machine checks of the host: the banks are switched on at boot and read when one comes, and now
// and then for errors that were corrected, which raise none. What they said is kept until somebody,
// or a panic, tells it: a machine check may come where nothing can be printed. What to do about it
// is decided in mca.c.
#pragma once

#include "arch/x86_64/policy/mca.h"

// On each CPU: names the errors that are still there from before this boot (a machine that was
// reset by one keeps it), clears them and lets all kinds be reported.
void machine_check_init(struct printer *to);

// A machine check has come, in root or, as a VM exit, in a guest. With MCA_TELL_GUEST *consumed
// says what it used.
enum mca_action machine_check_serve(bool in_guest, struct mca_bank *consumed);

// On each CPU, now and then: looks for corrected errors.
void machine_check_poll(void);

// The next thing that was kept and not yet told. One CPU at a time.
bool machine_check_next(struct mca_bank *told);

// How many CPUs have read their banks and go no further.
unsigned machine_check_ended(void);

// For panics: all that is kept.
void machine_check_print(struct printer *to);
