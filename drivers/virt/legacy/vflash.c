// Flash memory with Intel's basic command set. Intel's data sheet "28F004/400 Boot Block Flash
// Memory": "Command Definitions", "Status Register Definition". Called from the memory bus: for all
// writes, and for reads while a command is under way; the guest reads the bytes themselves without
// it.
#include "drivers/virt/legacy/vflash.h"

#include "lib/string.h"
#include "vm/vm.h"

enum {
    COMMAND_READ_ARRAY = 0xff,
    COMMAND_PROGRAM = 0x10,
    COMMAND_PROGRAM_TOO = 0x40,
    COMMAND_ERASE = 0x20,
    COMMAND_CONFIRM = 0xd0,
    COMMAND_CLEAR_STATUS = 0x50,
    COMMAND_READ_STATUS = 0x70,
};

// What is read, and what the next write is.
enum { MODE_ARRAY, MODE_STATUS, MODE_PROGRAM, MODE_ERASE, MODES };

#define STATUS_READY    BIT32(7)              // no command takes time here
#define STATUS_SEQUENCE (BIT32(5) | BIT32(4)) // failed: no such sequence of commands

static const struct gmem *bytes_of(const struct vflash *flash)
{
    return flash->device.vm->memory.rom.memory;
}

// The guest reads the bytes in one mode only.
static void set_mode(struct vflash *flash, uint32_t mode)
{
    struct vm *vm = flash->device.vm;
    bool was_array = flash->mode == MODE_ARRAY, is_array = mode == MODE_ARRAY;
    flash->mode = mode;
    if (was_array == is_array)
        return;
    vm_exert(vm);
    gmem_hide_rom(&vm->memory, is_array ? 0 : flash->size);
    if (!is_array && vm->host->memory_hide)
        vm->host->memory_hide(vm);
}

static void end_command(struct vflash *flash, uint32_t status)
{
    flash->status |= status;
    set_mode(flash, MODE_STATUS);
}

static void erase(struct vflash *flash, uint64_t offset)
{
    uint8_t erased[64];
    memset(erased, 0xff, sizeof(erased));
    offset = align_down(offset, VFLASH_BLOCK);
    vm_exert(flash->device.vm);
    for (uint64_t done = 0; done < VFLASH_BLOCK; done += sizeof(erased))
        if (!gmem_write(bytes_of(flash), gpa(offset + done), erased, sizeof(erased)))
            return;
}

static void begin_command(struct vflash *flash, uint8_t command)
{
    switch (command) {
    case COMMAND_PROGRAM:
    case COMMAND_PROGRAM_TOO:
        set_mode(flash, MODE_PROGRAM);
        break;
    case COMMAND_ERASE:
        set_mode(flash, MODE_ERASE);
        break;
    case COMMAND_READ_STATUS:
        set_mode(flash, MODE_STATUS);
        break;
    case COMMAND_CLEAR_STATUS:
        flash->status = 0; // READY, too: by this OVMF knows a chip
        set_mode(flash, MODE_ARRAY);
        break;
    default:
        set_mode(flash, MODE_ARRAY);
        break;
    }
}

// Programming makes ones zeros; only erasing makes zeros ones.
static void write(struct vflash *flash, uint64_t offset, uint8_t byte)
{
    if (flash->mode == MODE_PROGRAM) {
        (void)gmem_clear_bits(bytes_of(flash), gpa(offset), (uint8_t)~byte);
        end_command(flash, STATUS_READY);
    } else if (flash->mode == MODE_ERASE && byte == COMMAND_CONFIRM) {
        erase(flash, offset);
        end_command(flash, STATUS_READY);
    } else if (flash->mode == MODE_ERASE && byte != COMMAND_READ_ARRAY) {
        end_command(flash, STATUS_READY | STATUS_SEQUENCE);
    } else {
        begin_command(flash, byte);
    }
}

static bool vflash_access(struct vdev *device, struct access *access)
{
    struct vflash *flash = CONTAINER_OF(device, struct vflash, device);
    bool is_code = access->offset >= flash->size;
    uint8_t byte = (uint8_t)flash->status;
    if (access->write) {
        if (!is_code)
            write(flash, access->offset, (uint8_t)access->value);
        return true;
    }
    if ((is_code || flash->mode == MODE_ARRAY) &&
        !gmem_read(bytes_of(flash), gpa(access->offset), &byte, 1))
        return false;
    access->value = byte;
    return true;
}

static void vflash_reset(struct vdev *device)
{
    struct vflash *flash = CONTAINER_OF(device, struct vflash, device);
    flash->status = STATUS_READY;
    gmem_hide_rom(&device->vm->memory, 0);
}

static void vflash_loaded(struct vdev *device)
{
    struct vflash *flash = CONTAINER_OF(device, struct vflash, device);
    uint32_t mode = flash->mode;
    flash->mode = MODE_ARRAY;
    gmem_hide_rom(&device->vm->memory, 0); // whatever it was
    set_mode(flash, mode);
}

static const struct field fields[] = {
    WIRING(struct vflash, device),
    WIRING(struct vflash, size),
    FIELD_WITHIN(struct vflash, mode, 0, MODES - 1),
    FIELD_WITHIN(struct vflash, status, 0, UINT8_MAX),
    {0},
};

const struct vdev_class vflash_class = {.name = "flash",
                                        .size = sizeof(struct vflash),
                                        .bytewise = true,
                                        .access = vflash_access,
                                        .reset = vflash_reset,
                                        .loaded = vflash_loaded,
                                        .fields = fields};
