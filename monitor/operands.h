// The operands of a decoded instruction, as an assembler has them.
#pragma once

#include "vm/emulate/emulate.h"

#define OPERANDS_SIZE 80

// Writes them with a space before the first, or nothing if it has none that the decoder keeps.
void operands_format(char text[OPERANDS_SIZE], const struct instruction *instruction);
