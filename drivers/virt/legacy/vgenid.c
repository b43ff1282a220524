// Called from the memory bus.
#include "drivers/virt/legacy/vgenid.h"

#include "vm/vm.h"

static bool vgenid_access(struct vdev *device, struct access *access)
{
    uint8_t guid[16];
    uint64_t value = 0;
    uuid_to_guid(&device->vm->generation, guid);
    for (unsigned i = 0; i < access->size && access->offset + i < sizeof(guid); i++)
        value |= (uint64_t)guid[access->offset + i] << 8 * i;
    if (!access->write)
        access->value = value;
    return access->offset < sizeof(guid);
}

static const struct field fields[] = {
    WIRING(struct vgenid, device),
    {0},
};

const struct vdev_class vgenid_class = {.name = "generation ID",
                                        .size = sizeof(struct vgenid),
                                        .access = vgenid_access,
                                        .fields = fields};
