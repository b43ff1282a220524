// The 8042 and its PS/2 commands, after IBM's "PS/2 Hardware Interface Technical Reference:
// Keyboard and Auxiliary Device Controller". Its output port can pulse the CPU's reset line, which
// is what guests want of it most.
#include "drivers/virt/legacy/vi8042.h"

#include "vm/platform.h"
#include "vm/vm.h"

#define STATUS_OUTPUT_FULL 0x01
#define STATUS_SYSTEM      0x04
#define STATUS_COMMAND     0x08
#define STATUS_UNLOCKED    0x10
#define STATUS_MOUSE       0x20
#define STATUS_TIMEOUT     0x40

#define BYTE_KEYBOARD_IRQ 0x01 // of the command byte
#define BYTE_MOUSE_IRQ    0x02
#define BYTE_SYSTEM       0x04
#define BYTE_NO_KEYBOARD  0x10
#define BYTE_NO_MOUSE     0x20

#define OUTPUT_NO_RESET 0x01 // of the output port: low resets the CPU
#define OUTPUT_A20      0x02
#define OUTPUT_IDLE     0xcc // the lines to the two devices

#define COMMAND_READ         0x20 // to 3Fh: the byte of internal RAM
#define COMMAND_WRITE        0x60 // to 7Fh
#define COMMAND_PASSWORD     0xa4
#define COMMAND_MOUSE_OFF    0xa7
#define COMMAND_MOUSE_ON     0xa8
#define COMMAND_MOUSE_TEST   0xa9
#define COMMAND_SELF_TEST    0xaa
#define COMMAND_TEST         0xab
#define COMMAND_KEYBOARD_OFF 0xad
#define COMMAND_KEYBOARD_ON  0xae
#define COMMAND_READ_INPUT   0xc0
#define COMMAND_READ_OUTPUT  0xd0
#define COMMAND_WRITE_OUTPUT 0xd1
#define COMMAND_ECHO         0xd2
#define COMMAND_MOUSE_ECHO   0xd3
#define COMMAND_MOUSE_WRITE  0xd4
#define COMMAND_TEST_INPUTS  0xe0
#define COMMAND_PULSE        0xf0 // to FFh: the bits that are zero pulse low

#define PASSWORD_ABSENT 0xf1
#define SELF_TEST_OK    0x55
#define INPUT_UNLOCKED  0x80
#define NO_ANSWER       0xfe
#define NOTHING         0xff

static void update_irqs(struct vi8042 *controller)
{
    bool full = controller->status & STATUS_OUTPUT_FULL;
    bool mouse = controller->status & STATUS_MOUSE;
    irq_set(&controller->keyboard_irq,
            full && !mouse && (controller->memory[0] & BYTE_KEYBOARD_IRQ));
    irq_set(&controller->mouse_irq, full && mouse && (controller->memory[0] & BYTE_MOUSE_IRQ));
}

// Puts a byte into the output buffer, with STATUS_MOUSE or STATUS_TIMEOUT if they belong to it.
static void answer(struct vi8042 *controller, uint8_t byte, uint8_t status)
{
    controller->output = byte;
    controller->status &= (uint8_t) ~(STATUS_OUTPUT_FULL | STATUS_MOUSE | STATUS_TIMEOUT);
    update_irqs(controller); // a new byte is a new edge
    controller->status |= STATUS_OUTPUT_FULL | status;
}

static void write_output_port(struct vi8042 *controller, uint8_t value)
{
    controller->output_port = value;
    if (!(value & OUTPUT_NO_RESET))
        vm_stop(controller->device.vm, STOP_RESET, 0);
}

static void write_memory(struct vi8042 *controller, unsigned at, uint8_t value)
{
    controller->memory[at] = value;
    if (at == 0)
        controller->status = (uint8_t)((controller->status & ~STATUS_SYSTEM) |
                                       (value & BYTE_SYSTEM ? STATUS_SYSTEM : 0));
}

static void write_command(struct vi8042 *controller, uint8_t command)
{
    controller->status |= STATUS_COMMAND;
    controller->command = 0;
    if (command >= COMMAND_PULSE) {
        if (!(command & OUTPUT_NO_RESET))
            vm_stop(controller->device.vm, STOP_RESET, 0);
        return;
    }
    if ((command & 0xe0) == COMMAND_READ) {
        answer(controller, controller->memory[command & 0x1f], 0);
        return;
    }
    switch (command) {
    case COMMAND_PASSWORD:
        answer(controller, PASSWORD_ABSENT, 0);
        break;
    case COMMAND_MOUSE_OFF:
        controller->memory[0] |= BYTE_NO_MOUSE;
        break;
    case COMMAND_MOUSE_ON:
        controller->memory[0] &= (uint8_t)~BYTE_NO_MOUSE;
        break;
    case COMMAND_SELF_TEST:
        write_memory(controller, 0, BYTE_SYSTEM | BYTE_NO_KEYBOARD | BYTE_NO_MOUSE);
        answer(controller, SELF_TEST_OK, 0);
        break;
    case COMMAND_MOUSE_TEST:
    case COMMAND_TEST:
    case COMMAND_TEST_INPUTS:
        answer(controller, 0, 0);
        break;
    case COMMAND_KEYBOARD_OFF:
        controller->memory[0] |= BYTE_NO_KEYBOARD;
        break;
    case COMMAND_KEYBOARD_ON:
        controller->memory[0] &= (uint8_t)~BYTE_NO_KEYBOARD;
        break;
    case COMMAND_READ_INPUT:
        answer(controller, INPUT_UNLOCKED, 0);
        break;
    case COMMAND_READ_OUTPUT:
        answer(controller, controller->output_port, 0);
        break;
    default: // those that take a data byte; others do nothing, and their byte is dropped
        controller->command = command;
        break;
    }
}

static void write_data(struct vi8042 *controller, uint8_t value)
{
    uint8_t command = controller->command;
    controller->command = 0;
    controller->status &= (uint8_t)~STATUS_COMMAND;
    if ((command & 0xe0) == COMMAND_WRITE) {
        write_memory(controller, command & 0x1f, value);
        return;
    }
    switch (command) {
    case 0: // to the keyboard, which turns its clock on
        controller->memory[0] &= (uint8_t)~BYTE_NO_KEYBOARD;
        answer(controller, NO_ANSWER, STATUS_TIMEOUT);
        break;
    case COMMAND_WRITE_OUTPUT:
        write_output_port(controller, value);
        break;
    case COMMAND_ECHO:
        answer(controller, value, 0);
        break;
    case COMMAND_MOUSE_ECHO:
        answer(controller, value, STATUS_MOUSE);
        break;
    case COMMAND_MOUSE_WRITE:
        answer(controller, NO_ANSWER, STATUS_MOUSE | STATUS_TIMEOUT);
        break;
    default:
        break;
    }
}

// Firmware waits seconds for a keyboard to answer, unless it finds no controller at all.
static bool is_fitted(const struct vi8042 *controller)
{
    return !controller->device.vm->traits.firmware;
}

static bool vi8042_access(struct vdev *device, struct access *access)
{
    struct vi8042 *controller = CONTAINER_OF(device, struct vi8042, device);
    bool data = access->offset == PORT_KBD_DATA;
    if (access->write) {
        if (data)
            write_data(controller, (uint8_t)access->value);
        else
            write_command(controller, (uint8_t)access->value);
    } else if (data) {
        access->value = controller->output;
        controller->status &= (uint8_t) ~(STATUS_OUTPUT_FULL | STATUS_MOUSE | STATUS_TIMEOUT);
    } else {
        access->value = is_fitted(controller) ? controller->status : NOTHING;
    }
    update_irqs(controller);
    return true;
}

static void vi8042_reset(struct vdev *device)
{
    struct vi8042 *controller = CONTAINER_OF(device, struct vi8042, device);
    controller->memory[0] = BYTE_SYSTEM | BYTE_NO_KEYBOARD | BYTE_NO_MOUSE;
    controller->status = STATUS_UNLOCKED | STATUS_SYSTEM; // as after the firmware's test
    controller->output_port = OUTPUT_IDLE | OUTPUT_A20 | OUTPUT_NO_RESET;
}

static const struct field fields[] = {
    WIRING(struct vi8042, device),
    FIELD_ONE(struct vi8042, keyboard_irq, irq_line_fields),
    FIELD_ONE(struct vi8042, mouse_irq, irq_line_fields),
    FIELD_ARRAY(struct vi8042, memory),
    FIELD(struct vi8042, status),
    FIELD(struct vi8042, output),
    FIELD(struct vi8042, output_port),
    FIELD(struct vi8042, command),
    {0},
};

const struct vdev_class vi8042_class = {.name = "8042",
                                        .size = sizeof(struct vi8042),
                                        .bytewise = true,
                                        .access = vi8042_access,
                                        .reset = vi8042_reset,
                                        .fields = fields};
