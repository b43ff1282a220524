// Random 32-bit instructions, by the emulator and by libunicorn.

#include "tests/unit/oracle.h"

int main(int count, char **arguments)
{
    return oracle_main(32, count, arguments);
}
