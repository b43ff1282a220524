// Checks a vms.conf as the machine will, with its parser, before a medium is made of it:
//
//     vmsconf VMS.CONF NAME...     # NAME: of the boot modules that there will be
//
// Every mistake is a line; one is exit status 1. A file that a VM names, and that no NAME is, is
// looked for beside VMS.CONF, and firmware where Debian has it: where it is found, NAME=PATH is
// printed. Built by make, run by tools/mkiso and tools/mkusb.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/panic.h"
#include "loaders/files.h"

#define BUILT_IN "selftest"
#define NAMES    1024

static struct vm_config vms[CONFIG_VMS];
static struct config_switches switches;
static struct notes errors;
static struct image images[NAMES];
static unsigned image_count, error_count;
static const char *path; // of VMS.CONF

_Noreturn void panic(const char *format, ...)
{
    fprintf(stderr, "vmsconf: %s\n", format);
    abort();
}

// In a line about it, the file has the name that the user gave.
static void report(const char *line)
{
    static const char name[] = "vms.conf:";
    bool is_named = strncmp(line, name, sizeof(name) - 1) == 0;
    fprintf(stderr, "%s%s\n", is_named ? path : "", line + (is_named ? sizeof(name) - 2 : 0));
    error_count++;
}

static void add(const char *name)
{
    if (image_count == NAMES)
        panic("too many files");
    images[image_count++] = (struct image){.name = name};
}

static const char *folder_of(const char *file)
{
    static char folder[4096];
    const char *slash = strrchr(file, '/');
    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash + 1 - file) : 0, file);
    return folder;
}

// Offers the file of that name, if the folder has it.
static bool take_from(const char *folder, const char *name)
{
    char file[4096 + CONFIG_PATH];
    snprintf(file, sizeof(file), "%s%s", folder, name);
    if (strchr(name, '/') || access(file, R_OK) != 0)
        return false;
    printf("%s=%s\n", name, file);
    add(name);
    return true;
}

static void need_file(const struct vm_config *config, const char *key, unsigned line,
                      const char *name)
{
    struct explanation why;
    struct image found;
    const struct file_search search = {config, images, image_count, &why, line};
    if (!name[0] || file_find(&search, key, name, &found) == STATUS_OK)
        return;
    if (!take_from(folder_of(path), name))
        report(why.text);
}

static void need_firmware(const struct vm_config *config)
{
    const struct firmware_file *file;
    struct explanation why;
    for (unsigned i = 0; (file = firmware_file(config->traits.firmware, i)); i++) {
        if (i > 0 && config->nvram[0])
            continue;
        const struct file_search search = {config, images, image_count, &why, 0};
        struct image found;
        if (file_find(&search, "firmware", file->name, &found) == STATUS_OK ||
            take_from(folder_of(path), file->name) || take_from(file->folder, file->name))
            continue;
        (void)config_explain(&why, STATUS_NOT_FOUND, config, "firmware",
                             "firmware: there is no %s%s: apt-get install %s", file->folder,
                             file->name, file->package);
        report(why.text);
    }
}

static char *read_file(size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    *size = 0;
    for (size_t got = 1; file && got; *size += got) {
        text = realloc(text, *size + 65536);
        got = text ? fread(text + *size, 1, 65536, file) : 0;
    }
    if (!text || ferror(file)) {
        perror(path);
        exit(1);
    }
    fclose(file);
    return text;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: vmsconf VMS.CONF NAME...\n");
        return 1;
    }
    path = argv[1];
    for (int i = 2; i < argc; i++)
        add(argv[i]);
    add(BUILT_IN);
    size_t size;
    unsigned count;
    char *text = read_file(&size);
    status_t status = config_parse(text, size, vms, CONFIG_VMS, true, &count, &switches, &errors);
    for (unsigned i = 0; status != STATUS_OK && i < errors.count; i++)
        report(errors.line[i].text);
    if (errors.left_out)
        fprintf(stderr, "%s: and %u more\n", path, errors.left_out);
    for (const struct vm_config *vm = vms; vm < vms + count; vm++) {
        need_firmware(vm);
        need_file(vm, "nvram", 0, vm->nvram);
        need_file(vm, "kernel", 0, vm->kernel);
        need_file(vm, "restore", 0, vm->restore);
        need_file(vm, "initrd", 0, vm->initrd);
        for (unsigned i = 0; i < vm->module_count; i++)
            need_file(vm, "modules", 0, vm->module[i].name);
        for (unsigned i = 0; i < vm->disk_count; i++)
            need_file(vm, "disk", vm->disk[i].line, vm->disk[i].module);
    }
    free(text);
    return error_count != 0;
}
