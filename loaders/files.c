// Names to images. A boot module's name is compared as a whole.

#include "loaders/files.h"

#include "lib/print.h"
#include "lib/string.h"
#include "lib/suggest.h"

static status_t not_found(const struct file_search *search, const char *key, const char *name)
{
    struct suggestion meant = suggest_for(name, strlen(name));
    for (unsigned i = 0; i < search->count; i++)
        suggest_look(&meant, search->images[i].name);
    const char *near = suggest_result(&meant);
    char names[128] = "none";
    size_t length = 0;
    for (unsigned i = 0; !near && i < search->count && length < sizeof(names); i++)
        length += format_text(names + length, sizeof(names) - length, "%s%s", i ? ", " : "",
                              search->images[i].name);
    char text[sizeof(search->why->text)];
    format_text(text, sizeof(text), "%s: no boot module has the name %s; %s %s%s", key, name,
                near ? "did you mean" : "there are:", near ? near : names, near ? "?" : "");
    return search->line
               ? config_explain_line(search->why, STATUS_NOT_FOUND, search->config, search->line,
                                     "%s", text)
               : config_explain(search->why, STATUS_NOT_FOUND, search->config, key, "%s", text);
}

status_t file_find(const struct file_search *search, const char *key, const char *name,
                   struct image *image)
{
    for (unsigned i = 0; i < search->count; i++)
        if (strcmp(search->images[i].name, name) == 0) {
            *image = search->images[i];
            return STATUS_OK;
        }
    return not_found(search, key, name);
}

const struct firmware_file *firmware_file(enum vm_firmware firmware, unsigned part)
{
    static const struct firmware_file files[] = {
        {FIRMWARE_SEABIOS, "bios-256k.bin", "/usr/share/seabios/", "seabios"},
        {FIRMWARE_OVMF, "OVMF_CODE_4M.fd", "/usr/share/OVMF/", "ovmf"},
        {FIRMWARE_OVMF, "OVMF_VARS_4M.fd", "/usr/share/OVMF/", "ovmf"},
    };
    for (unsigned i = 0; i < ARRAY_LENGTH(files); i++)
        if (files[i].firmware == firmware && part-- == 0)
            return &files[i];
    return NULL;
}

static status_t find_debians(const struct file_search *search, const struct firmware_file *file,
                             struct image *image)
{
    status_t status = file_find(search, "firmware", file->name, image);
    return status == STATUS_OK
               ? status
               : config_explain(search->why, status, search->config, "firmware",
                                "firmware: no boot module has the name %s; Debian's package %s "
                                "has it, in %s",
                                file->name, file->package, file->folder);
}

// The variables can begin with a file of the user's.
static status_t find_firmware(const struct file_search *search, struct guest_files *files)
{
    const char *nvram = search->config->nvram;
    const struct firmware_file *file;
    status_t status = STATUS_OK;
    for (unsigned i = 0; i < FIRMWARE_PARTS && status == STATUS_OK; i++) {
        file = firmware_file(search->config->traits.firmware, i);
        if (file)
            status = i > 0 && nvram[0] ? file_find(search, "nvram", nvram, &files->firmware[i])
                                       : find_debians(search, file, &files->firmware[i]);
    }
    return status;
}

status_t files_find(const struct vm_config *config, const struct image *images, unsigned count,
                    struct guest_files *files, struct explanation *why)
{
    struct file_search search = {config, images, count, why, 0};
    *files = (struct guest_files){.has_initrd = config->initrd[0] != 0};
    if (config->traits.firmware)
        return find_firmware(&search, files);
    status_t status = file_find(&search, "kernel", config->kernel, &files->kernel);
    if (status == STATUS_OK && files->has_initrd)
        status = file_find(&search, "initrd", config->initrd, &files->initrd);
    for (unsigned i = 0; i < config->module_count && status == STATUS_OK; i++) {
        struct image *module = &files->module[files->module_count++];
        status = file_find(&search, "modules", config->module[i].name, module);
        module->cmdline = config->module[i].cmdline;
    }
    return status;
}
