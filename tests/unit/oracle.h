// The instruction emulator against libunicorn, in one mode.
#pragma once

// main() of such a test. bits: 16 (real mode), 32 or 64. Arguments of the program, both optional:
// how many instructions are drawn, and a seed.
int oracle_main(unsigned bits, int count, char **arguments);
