// Names to images. A boot module's name is compared as a whole.

#include "loaders/files.h"

#include "lib/print.h"
#include "lib/string.h"
#include "vm/suggest.h"

// What is looked for: `images` for the key `key` of `config`.
struct search {
    const struct vm_config *config;
    const struct image *images;
    unsigned count;
    struct explanation *why;
};

static status_t not_found(const struct search *search, const char *key, const char *name)
{
    struct suggestion meant = suggest_for(name, strlen(name));
    for (unsigned i = 0; i < search->count; i++)
        suggest_look(&meant, search->images[i].name);
    const char *near = suggest_result(&meant);
    const char *vm = search->config->name;
    unsigned line = search->config->line;
    if (near)
        return explain(search->why, STATUS_NOT_FOUND,
                       "vms.conf:%u: VM %s: %s: no boot module has the name %s; did you mean %s?",
                       line, vm, key, name, near);
    char names[128] = "none";
    size_t length = 0;
    for (unsigned i = 0; i < search->count && length < sizeof(names); i++)
        length += format_text(names + length, sizeof(names) - length, "%s%s", i ? ", " : "",
                              search->images[i].name);
    return explain(search->why, STATUS_NOT_FOUND,
                   "vms.conf:%u: VM %s: %s: no boot module has the name %s; there are: %s", line,
                   vm, key, name, names);
}

static status_t find(const struct search *search, const char *key, const char *name,
                     struct image *image)
{
    for (unsigned i = 0; i < search->count; i++)
        if (strcmp(search->images[i].name, name) == 0) {
            *image = search->images[i];
            return STATUS_OK;
        }
    return not_found(search, key, name);
}

status_t files_find(const struct vm_config *config, const struct image *images, unsigned count,
                    struct guest_files *files, struct explanation *why)
{
    struct search search = {config, images, count, why};
    *files = (struct guest_files){.has_initrd = config->initrd[0] != 0};
    status_t status = find(&search, "kernel", config->kernel, &files->kernel);
    if (status == STATUS_OK && files->has_initrd)
        status = find(&search, "initrd", config->initrd, &files->initrd);
    for (unsigned i = 0; i < config->module_count && status == STATUS_OK; i++) {
        struct image *module = &files->module[files->module_count++];
        status = find(&search, "modules", config->module[i].name, module);
        module->cmdline = config->module[i].cmdline;
    }
    return status;
}
