// What happens on each VM exit, as vm/exit.h says. run.c looks the row up, fetches what `needs`
// names, calls the handler and applies its verdict. SDM: "VMX Basic Exit Reasons".

#include "exits/handlers.h"

#define ROW(number, name, text, handler, needs) [number] = {exit_##handler, needs, text},
const struct exit_row exit_table[] = {VM_EXITS(ROW)};
_Static_assert(sizeof(exit_table) == EXIT_REASONS * sizeof(exit_table[0]),
               "a row for every basic exit reason");
