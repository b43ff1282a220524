// Every exit handler: each is given the facts that its row asks for and answers with a verdict.
#pragma once

#include "vm/exit.h"

#define HANDLER(number, name, text, handler, needs) exit_handler exit_##handler;
VM_EXITS(HANDLER)
