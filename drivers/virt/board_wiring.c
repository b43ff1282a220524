// Called while a board is built, by its devices when a line of theirs changes, and when a state was
// loaded.
#include "drivers/virt/board_wiring.h"

#include "lib/panic.h"
#include "lib/string.h"
#include "vm/platform.h"

// Lines that share an input are ORed: it falls with the last of them. An ISA interrupt reaches both
// controllers; the guest masks the one that it does not use. Inputs behind those are the I/O APIC's
// alone.
static void set_irq(void *controller, unsigned irq, bool level)
{
    struct board *board = controller;
    spin_lock(&board->irq_lock);
    unsigned before = board->raised[irq], now = level ? before + 1 : before - 1;
    board->raised[irq] = (uint8_t)now;
    if (before + now == 1) { // none and one
        if (irq < ISA_IRQS)
            vpic_set(&board->pic, irq, level);
        vioapic_set(&board->ioapic, irq == IRQ_PIT ? GSI_PIT : irq, level);
    }
    spin_unlock(&board->irq_lock);
}

// Counts the lines that are up, among the fields of a device.
static void count_lines(struct board *board, const struct field *fields, void *object)
{
    for (const struct field *field = fields; field->kind; field++)
        for (unsigned i = 0; field->kind == FIELD_STRUCT && i < field->count; i++) {
            void *element = field_element(field, object, i);
            const struct irq_line *line = element;
            if (field->nested != irq_line_fields)
                count_lines(board, field->nested, element);
            else if (line->set && line->level)
                board->raised[line->input]++;
        }
}

void board_count_lines(struct board *board)
{
    memset(board->raised, 0, sizeof(board->raised));
    for (unsigned i = 0; i < board->device_count; i++)
        count_lines(board, board->device[i]->class->fields, board->device[i]);
}

void board_connect(struct board *board, struct irq_line *line, unsigned irq)
{
    line->set = set_irq;
    line->controller = board;
    line->input = irq;
}

void board_plug(struct board *board, struct vm *vm, struct vdev *device,
                const struct vdev_class *class)
{
    assert(board->device_count < BOARD_DEVICES); // as many as a configuration can ask for
    vm_plug(vm, device, class);
    board->device[board->device_count++] = device;
}
