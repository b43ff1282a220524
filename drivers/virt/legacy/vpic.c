// Two 8259As, after Intel's data sheet "8259A Programmable Interrupt Controller", with the ELCR of
// PCI chipsets in the place of ICW1's level bit. Called from the port bus, by devices through
// board.c, and for the acknowledge cycle by the event code through vm->irqchip.
#include "drivers/virt/legacy/vpic.h"

#include "vm/platform.h"
#include "vm/vm.h"

#define CASCADE     2
#define CASCADE_BIT 0x04
#define SPURIOUS    7
#define NO_INPUT    8
#define ELCR_MASTER 0xf8 // inputs 0 to 2 are edge-triggered for good
#define ELCR_SLAVE  0xde // and so are 8 and 13

#define ICW1           0x10
#define ICW1_NEEDS_4   0x01
#define ICW1_SINGLE    0x02
#define ICW4_AUTO_EOI  0x02
#define ICW4_SFNM      0x10
#define OCW3           0x08
#define OCW3_SET_SMM   0x40
#define OCW3_SMM       0x20
#define OCW3_POLL      0x04
#define OCW3_READ      0x02
#define OCW3_READ_ISR  0x01
#define OCW2_LEVEL     0x07
#define POLL_INTERRUPT 0x80

enum vpic_command { // OCW2: rotate, specific, EOI
    ROTATE_AUTO_OFF,
    EOI,
    NO_OPERATION,
    EOI_SPECIFIC,
    ROTATE_AUTO_ON,
    EOI_ROTATE,
    SET_PRIORITY,
    EOI_SPECIFIC_ROTATE,
};

static bool is_master(const struct vpic *pic, const struct vpic_chip *chip)
{
    return chip == &pic->chip[0];
}

// IRR. The cascade behaves as a level, so that the master follows whatever the slave's output does.
static uint8_t requests(const struct vpic *pic, const struct vpic_chip *chip)
{
    uint8_t level = chip->level_inputs | (is_master(pic, chip) ? CASCADE_BIT : 0);
    return (uint8_t)((chip->lines & level) | (chip->latched & ~level));
}

// The distance from the highest priority of the first of `inputs`; NO_INPUT if there is none.
static unsigned highest_rank(const struct vpic_chip *chip, uint8_t inputs)
{
    unsigned shift = (chip->lowest + 1U) & 7;
    unsigned rotated = ((unsigned)inputs >> shift | (unsigned)inputs << (8 - shift)) & 0xff;
    return rotated ? lowest_bit(rotated) : NO_INPUT;
}

static unsigned input_at(const struct vpic_chip *chip, unsigned rank)
{
    return (chip->lowest + 1U + rank) & 7;
}

// The input among `wanting` that the chip asks for service now, or NO_INPUT.
static unsigned wanted_among(const struct vpic *pic, const struct vpic_chip *chip, uint8_t wanting)
{
    wanting &= (uint8_t)~chip->mask;
    if (!wanting || !chip->initialised || chip->next_word)
        return NO_INPUT;
    uint8_t blocking = chip->service;
    if (chip->special_mask)
        blocking &= (uint8_t)~chip->mask;
    if (chip->special_fully_nested && is_master(pic, chip))
        blocking &= (uint8_t)~CASCADE_BIT;
    unsigned rank = highest_rank(chip, wanting);
    return rank < highest_rank(chip, blocking) ? input_at(chip, rank) : NO_INPUT;
}

static unsigned wanted_input(const struct vpic *pic, const struct vpic_chip *chip)
{
    return wanted_among(pic, chip, requests(pic, chip));
}

// INTR, if what has fallen again asks for nothing: an edge that nobody acknowledges passes through.
static bool follows_lines(const struct vpic *pic)
{
    const struct vpic_chip *master = &pic->chip[0], *slave = &pic->chip[1];
    uint8_t lines = master->lines & (uint8_t)~CASCADE_BIT;
    if (wanted_among(pic, slave, requests(pic, slave) & slave->lines) != NO_INPUT)
        lines |= CASCADE_BIT;
    return wanted_among(pic, master, requests(pic, master) & lines) != NO_INPUT;
}

// Lets the outputs follow the state. INTR rising is news for the CPU.
static void update(struct vpic *pic)
{
    bool slave = wanted_input(pic, &pic->chip[1]) != NO_INPUT;
    pic->chip[0].lines = (uint8_t)((pic->chip[0].lines & ~CASCADE_BIT) | (slave ? CASCADE_BIT : 0));
    bool line = follows_lines(pic);
    if (!atomic_exchange(&pic->unacknowledged, line) && line)
        lapic_lint0_rise(pic->device.vm);
    bool output = wanted_input(pic, &pic->chip[0]) != NO_INPUT;
    if (output == atomic_load_explicit(&pic->output, memory_order_relaxed))
        return;
    atomic_store_explicit(&pic->output, output, memory_order_release);
    if (output && pic->device.vm->vcpu_count)
        vcpu_request(pic->device.vm->vcpu[0], REQUEST_EVENT);
}

static void set_input(struct vpic_chip *chip, unsigned input, bool level)
{
    uint8_t bit = (uint8_t)(1U << input);
    // An edge stays latched when the line falls again: the guest may be slow to look, and must not
    // lose it.
    if (level && !(chip->lines & bit))
        chip->latched |= bit;
    chip->lines = level ? chip->lines | bit : chip->lines & (uint8_t)~bit;
}

void vpic_set(void *controller, unsigned input, bool level)
{
    struct vpic *pic = controller;
    if (input == CASCADE || input > 15)
        return;
    spin_lock(&pic->device.lock);
    set_input(&pic->chip[input >> 3], input & 7, level);
    update(pic);
    spin_unlock(&pic->device.lock);
}

// The acknowledge cycle inside one chip: `input` goes into service.
static void take(struct vpic_chip *chip, unsigned input)
{
    uint8_t bit = (uint8_t)(1U << input);
    chip->latched &= (uint8_t)~bit;
    if (!chip->auto_eoi)
        chip->service |= bit;
    else if (chip->rotates_on_auto_eoi)
        chip->lowest = (uint8_t)input;
}

bool vpic_pending(void *controller)
{
    struct vpic *pic = controller;
    return atomic_load_explicit(&pic->output, memory_order_acquire);
}

bool vpic_line(void *controller)
{
    struct vpic *pic = controller;
    return atomic_load(&pic->unacknowledged);
}

uint8_t vpic_acknowledge(void *controller)
{
    struct vpic *pic = controller;
    spin_lock(&pic->device.lock);
    struct vpic_chip *chip = &pic->chip[0];
    unsigned input = wanted_input(pic, chip);
    if (input == CASCADE) {
        take(chip, input);
        chip = &pic->chip[1];
        input = wanted_input(pic, chip);
    }
    if (input != NO_INPUT)
        take(chip, input);
    uint8_t vector = chip->vector_base | (uint8_t)(input == NO_INPUT ? SPURIOUS : input);
    update(pic);
    spin_unlock(&pic->device.lock);
    return vector;
}

static void end_of_interrupt(struct vpic_chip *chip, enum vpic_command command, uint8_t level)
{
    bool specific = command == EOI_SPECIFIC || command == EOI_SPECIFIC_ROTATE;
    unsigned input = level;
    if (!specific) {
        // In special mask mode a masked input in service is not the one that is meant.
        uint8_t served = chip->service & (chip->special_mask ? (uint8_t)~chip->mask : 0xff);
        unsigned rank = highest_rank(chip, served);
        if (rank == NO_INPUT)
            return;
        input = input_at(chip, rank);
    }
    chip->service &= (uint8_t) ~(1U << input);
    if (command == EOI_ROTATE || command == EOI_SPECIFIC_ROTATE)
        chip->lowest = (uint8_t)input;
}

static void write_ocw2(struct vpic_chip *chip, uint8_t value)
{
    enum vpic_command command = (enum vpic_command)(value >> 5);
    switch (command) {
    case ROTATE_AUTO_OFF:
    case ROTATE_AUTO_ON:
        chip->rotates_on_auto_eoi = command == ROTATE_AUTO_ON;
        break;
    case EOI:
    case EOI_SPECIFIC:
    case EOI_ROTATE:
    case EOI_SPECIFIC_ROTATE:
        end_of_interrupt(chip, command, value & OCW2_LEVEL);
        break;
    case SET_PRIORITY:
        chip->lowest = value & OCW2_LEVEL;
        break;
    case NO_OPERATION:
        break;
    }
}

static void write_ocw3(struct vpic_chip *chip, uint8_t value)
{
    if (value & OCW3_SET_SMM)
        chip->special_mask = value & OCW3_SMM;
    if (value & OCW3_POLL)
        chip->polls = true;
    else if (value & OCW3_READ)
        chip->reads_service = value & OCW3_READ_ISR;
}

static void write_icw1(struct vpic_chip *chip, uint8_t value)
{
    struct vpic_chip fresh = {.lines = chip->lines, // whose edges have to come anew
                              .level_inputs = chip->level_inputs,
                              .vector_base = chip->vector_base,
                              .lowest = 7,
                              .next_word = 2,
                              .initialised = true,
                              .expects_icw3 = !(value & ICW1_SINGLE),
                              .expects_icw4 = value & ICW1_NEEDS_4};
    *chip = fresh;
}

static void write_odd(struct vpic_chip *chip, uint8_t value)
{
    switch (chip->next_word) {
    case 0:
        chip->mask = value;
        return;
    case 2:
        chip->vector_base = value & 0xf8;
        break;
    case 3: // who is cascaded where: the board has it wired
        break;
    case 4:
        chip->auto_eoi = value & ICW4_AUTO_EOI;
        chip->special_fully_nested = value & ICW4_SFNM;
        break;
    }
    if (chip->next_word == 2 && chip->expects_icw3)
        chip->next_word = 3;
    else if (chip->next_word < 4 && chip->expects_icw4)
        chip->next_word = 4;
    else
        chip->next_word = 0;
}

static uint8_t read_chip(struct vpic *pic, struct vpic_chip *chip, bool odd)
{
    if (chip->polls) {
        unsigned input = wanted_input(pic, chip);
        chip->polls = false;
        if (input == NO_INPUT)
            return SPURIOUS;
        take(chip, input);
        update(pic);
        return (uint8_t)(POLL_INTERRUPT | input);
    }
    if (odd)
        return chip->mask;
    return chip->reads_service ? chip->service : requests(pic, chip);
}

static void write_chip(struct vpic_chip *chip, bool odd, uint8_t value)
{
    if (odd)
        write_odd(chip, value);
    else if (value & ICW1)
        write_icw1(chip, value);
    else if (value & OCW3)
        write_ocw3(chip, value);
    else
        write_ocw2(chip, value);
}

static bool access_elcr(struct vpic *pic, struct access *access)
{
    bool odd = access->offset & 1;
    struct vpic_chip *chip = &pic->chip[odd];
    if (!access->write) {
        access->value = chip->level_inputs;
        return true;
    }
    uint8_t value = (uint8_t)access->value & (odd ? ELCR_SLAVE : ELCR_MASTER);
    if (value == chip->level_inputs)
        return true;
    chip->level_inputs = value;
    update(pic);
    return true;
}

__attribute__((noinline)) static bool access_chip(struct vpic *pic, struct access *access)
{
    bool odd = access->offset & 1;
    struct vpic_chip *chip = &pic->chip[access->offset >= PORT_PIC_SLAVE];
    if (!access->write) {
        access->value = read_chip(pic, chip, odd);
        return true;
    }
    write_chip(chip, odd, (uint8_t)access->value);
    update(pic);
    return true;
}

static bool vpic_access(struct vdev *device, struct access *access)
{
    struct vpic *pic = CONTAINER_OF(device, struct vpic, device);
    return access->offset >= PORT_ELCR ? access_elcr(pic, access) : access_chip(pic, access);
}

static void vpic_reset(struct vdev *device)
{
    struct vpic *pic = CONTAINER_OF(device, struct vpic, device);
    pic->chip[0].lowest = pic->chip[1].lowest = 7;
    pic->chip[1].level_inputs = // as firmware leaves it
        BIT32(IRQ_SCI - 8) | BIT32(IRQ_PCI_AB - 8) | BIT32(IRQ_PCI_CD - 8);
}

static void vpic_loaded(struct vdev *device)
{
    update(CONTAINER_OF(device, struct vpic, device));
}

static const struct field chip_fields[] = {
    FIELD(struct vpic_chip, lines),
    FIELD(struct vpic_chip, latched),
    FIELD(struct vpic_chip, level_inputs),
    FIELD(struct vpic_chip, service),
    FIELD(struct vpic_chip, mask),
    FIELD_WITHIN(struct vpic_chip, lowest, 0, 7),
    FIELD(struct vpic_chip, vector_base),
    FIELD_WITHIN(struct vpic_chip, next_word, 0, 4),
    FIELD(struct vpic_chip, initialised),
    FIELD(struct vpic_chip, expects_icw3),
    FIELD(struct vpic_chip, expects_icw4),
    FIELD(struct vpic_chip, auto_eoi),
    FIELD(struct vpic_chip, rotates_on_auto_eoi),
    FIELD(struct vpic_chip, special_fully_nested),
    FIELD(struct vpic_chip, special_mask),
    FIELD(struct vpic_chip, reads_service),
    FIELD(struct vpic_chip, polls),
    {0},
};

static const struct field fields[] = {
    WIRING(struct vpic, device),
    FIELD_EACH(struct vpic, chip, chip_fields),
    DERIVED(struct vpic, output),
    FIELD(struct vpic, unacknowledged),
    {0},
};

const struct vdev_class vpic_class = {.name = "8259",
                                      .size = sizeof(struct vpic),
                                      .bytewise = true,
                                      .access = vpic_access,
                                      .reset = vpic_reset,
                                      .loaded = vpic_loaded,
                                      .fields = fields};
