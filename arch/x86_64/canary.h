// Stack canaries, in debug builds (make DEBUG=1): the compiler puts the guard between a function's
// arrays and its return address, and looks at it before it returns.
#pragma once

// Chooses the guard of this boot. To be called by a function that never returns.
void canary_init(void);
