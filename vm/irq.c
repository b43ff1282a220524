// What a line is for a saved state. Called through the tables of the devices that own lines.
#include "vm/irq.h"

const struct field irq_line_fields[] = {
    WIRING(struct irq_line, set),
    WIRING(struct irq_line, controller),
    WIRING(struct irq_line, input),
    FIELD(struct irq_line, level),
    {0},
};
