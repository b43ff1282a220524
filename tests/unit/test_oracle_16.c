// Random 16-bit (real mode) instructions, by the emulator and by libunicorn.

#include "tests/unit/oracle.h"

int main(int count, char **arguments)
{
    return oracle_main(16, count, arguments);
}
