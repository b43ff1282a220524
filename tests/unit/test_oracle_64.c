// Random 64-bit instructions, by the emulator and by libunicorn.

#include "tests/unit/oracle.h"

int main(int count, char **arguments)
{
    return oracle_main(64, count, arguments);
}
