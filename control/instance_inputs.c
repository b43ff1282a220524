// What boot/ hands over for all VMs. Called by whoever makes one, or a disk.

#include "control/instance_inputs.h"

#include "loaders/files.h"

struct instance_inputs instance_inputs;

uint64_t inputs_wall_clock(uint64_t tsc)
{
    return instance_inputs.wall_clock * NS_PER_SECOND + clock_ns(&instance_inputs.clock, tsc);
}

status_t inputs_find_file(const struct vm_config *config, const char *key, unsigned line,
                          const char *name, struct image *image, struct explanation *why)
{
    const struct file_search search = {config, instance_inputs.images, instance_inputs.image_count,
                                       why, line};
    return file_find(&search, key, name, image);
}
