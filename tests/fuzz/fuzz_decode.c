// vm/emulate/decode.c against libzydis on any bytes: the first byte chooses the mode.

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/decode_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct instruction instruction;
    if (size < 2)
        return 0;
    const struct decode_mode *mode = &decode_modes[data[0] % ARRAY_LENGTH(decode_modes)];
    unsigned count = (unsigned)MIN(size - 1, 15);
    if (decode(data + 1, count, mode->bits, mode->has_vex, &instruction) == DECODE_TRUNCATED)
        return 0;
    const char *disagreement = decode_disagreement(data + 1, count, mode);
    if (disagreement) {
        fprintf(stderr, "%u bits: disagreement about %s\n", mode->bits, disagreement);
        abort();
    }
    return 0;
}
