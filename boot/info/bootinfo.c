// Walks the tags of the Multiboot2 boot information and keeps what Corbel uses. Nothing here trusts
// a size: every tag is cut to the bytes that it truly has. What is wrong becomes a note; only what
// makes booting impossible is fatal.

#include "boot/info/bootinfo.h"
#include "boot/info/host_memory.h"
#include "lib/bytes.h"
#include "lib/string.h"

#define HEADER_BYTES 8U // of the whole structure, and of each tag

enum tag_type {
    TAG_END = 0,
    TAG_CMDLINE = 1,
    TAG_MODULE = 3,
    TAG_MEMORY_MAP = 6,
    TAG_FRAMEBUFFER = 8,
    TAG_RSDP_OLD = 14,
    TAG_RSDP_NEW = 15,
};

#define RSDP_OLD_BYTES 20U
#define RSDP_NEW_BYTES 36U

// The tag's payload: what follows its type and size.
struct tag {
    uint32_t type;
    const uint8_t *bytes;
    size_t size;
};

// Copies a string that should end inside the tag and may not. Returns false if it did not fit.
static bool copy_text(char *to, size_t room, const uint8_t *from, size_t size)
{
    size_t length = strnlen((const char *)from, size);
    size_t copied = MIN(length, room - 1);
    memcpy(to, from, copied);
    to[copied] = '\0';
    return copied == length;
}

static void take_cmdline(struct boot_info *info, const struct tag *tag)
{
    if (!copy_text(info->cmdline, sizeof(info->cmdline), tag->bytes, tag->size))
        notes_warn(&info->notes, "the command line is cut to %d characters: shorten it",
                   BOOT_CMDLINE_MAX - 1);
}

static void take_module(struct boot_info *info, const struct tag *tag)
{
    if (tag->size < 8) {
        notes_warn(&info->notes, "a module tag has %zu bytes, 8 are needed: module ignored",
                   tag->size);
        return;
    }
    if (info->module_count == BOOT_MODULES_MAX) {
        notes_warn(&info->notes, "more than %d modules: the one at 0x%x is ignored",
                   BOOT_MODULES_MAX, get32(tag->bytes));
        return;
    }
    struct boot_module *module = &info->modules[info->module_count++];
    module->start = get32(tag->bytes);
    module->end = get32(tag->bytes + 4);
    if (!copy_text(module->name, sizeof(module->name), tag->bytes + 8, tag->size - 8))
        notes_warn(&info->notes, "a module's name is cut to \"%.40s...\": shorten it",
                   module->name);
}

static void take_rsdp(struct boot_info *info, const struct tag *tag)
{
    uint32_t size = tag->type == TAG_RSDP_NEW ? RSDP_NEW_BYTES : RSDP_OLD_BYTES;
    if (tag->size < size) {
        notes_warn(&info->notes,
                   "the boot loader's copy of the ACPI RSDP has %zu bytes, not %u: ignored",
                   tag->size, size);
        return;
    }
    // The new one knows the 64-bit table; it wins in whichever order they come.
    if (info->rsdp_size >= size)
        return;
    memcpy(info->rsdp, tag->bytes, size);
    info->rsdp_size = size;
}

static bool field_fits(struct framebuffer_field field, uint8_t bpp)
{
    return field.size > 0 && field.size <= 16 && field.position + field.size <= bpp;
}

// NULL if the framebuffer can be drawn on, else what is wrong with it.
static const char *framebuffer_fault(const struct boot_framebuffer *fb)
{
    const struct framebuffer_mode *mode = &fb->mode;
    if (fb->address == 0 || mode->width == 0 || mode->height == 0 || mode->pitch == 0)
        return "a zero address or size";
    if (mode->width > 32768 || mode->height > 32768)
        return "a size beyond 32768";
    if (fb->type == FRAMEBUFFER_TEXT)
        return mode->pitch < mode->width * 2 ? "lines longer than their pitch" : NULL;
    if (fb->type != FRAMEBUFFER_RGB)
        return "indexed or unknown colours";
    if (mode->width < FONT_WIDTH || mode->height < FONT_HEIGHT)
        return "no room for a character";
    if (mode->bpp != 15 && mode->bpp != 16 && mode->bpp != 24 && mode->bpp != 32)
        return "a depth that is not 15, 16, 24 or 32";
    if (mode->pitch < mode->width * ((mode->bpp + 7U) / 8))
        return "lines longer than their pitch";
    if (fb->address > BIT(46) || (uint64_t)mode->pitch * mode->height > BIT(46) - fb->address)
        return "an end beyond 64 TiB";
    if (!field_fits(mode->red, mode->bpp) || !field_fits(mode->green, mode->bpp) ||
        !field_fits(mode->blue, mode->bpp))
        return "colour fields outside the pixel";
    return NULL;
}

static void take_framebuffer(struct boot_info *info, const struct tag *tag)
{
    const uint8_t *at = tag->bytes;
    if (tag->size < 22) {
        notes_warn(&info->notes, "the framebuffer tag has %zu bytes, 22 are needed: no screen",
                   tag->size);
        return;
    }
    struct boot_framebuffer fb = {.present = true, .type = at[21], .address = get64(at)};
    struct framebuffer_mode *mode = &fb.mode;
    *mode = (struct framebuffer_mode){
        .pitch = get32(at + 8), .width = get32(at + 12), .height = get32(at + 16), .bpp = at[20]};
    // Two reserved bytes, then the colours.
    if (fb.type == FRAMEBUFFER_RGB && tag->size >= 30) {
        mode->red = (struct framebuffer_field){at[24], at[25]};
        mode->green = (struct framebuffer_field){at[26], at[27]};
        mode->blue = (struct framebuffer_field){at[28], at[29]};
    }
    const char *fault = framebuffer_fault(&fb);
    if (fault == NULL)
        info->framebuffer = fb;
    else
        notes_warn(&info->notes, "the framebuffer (%ux%ux%u at 0x%lx, type %u) has %s: no screen",
                   mode->width, mode->height, mode->bpp, fb.address, at[21], fault);
}

// What else there is, now or later, is not for us.
static void take_tag(struct boot_info *info, const struct tag *tag)
{
    if (tag->type == TAG_CMDLINE)
        take_cmdline(info, tag);
    else if (tag->type == TAG_MODULE)
        take_module(info, tag);
    else if (tag->type == TAG_MEMORY_MAP)
        host_memory_parse(info->memory, &info->memory_count, &info->notes, tag->bytes, tag->size);
    else if (tag->type == TAG_FRAMEBUFFER)
        take_framebuffer(info, tag);
    else if (tag->type == TAG_RSDP_OLD || tag->type == TAG_RSDP_NEW)
        take_rsdp(info, tag);
}

static status_t walk_tags(struct boot_info *info, const uint8_t *bytes, size_t size)
{
    for (size_t at = HEADER_BYTES; info->notes.status == STATUS_OK;) {
        if (size - at < HEADER_BYTES)
            return notes_fail(&info->notes, STATUS_TRUNCATED,
                              "the boot information ends at byte %zu without an end tag", size);
        uint32_t tag_size = get32(bytes + at + 4);
        struct tag tag = {get32(bytes + at), bytes + at + HEADER_BYTES, tag_size - HEADER_BYTES};
        if (tag_size < HEADER_BYTES || tag_size > size - at)
            return notes_fail(&info->notes, STATUS_TRUNCATED,
                              "boot information tag %u at byte %zu claims %u bytes, %zu are left",
                              tag.type, at, tag_size, size - at);
        if (tag.type == TAG_END)
            break;
        take_tag(info, &tag);
        at += MIN(align_up(tag_size, 8), size - at);
    }
    if (info->notes.status == STATUS_OK && info->memory_count == 0)
        return notes_fail(&info->notes, STATUS_NOT_FOUND,
                          "the boot loader gave no memory map: use one that does, such as GRUB 2");
    return info->notes.status;
}

// NULL if the module can be used, else what is wrong with it.
static const char *module_fault(const struct boot_info *info, uint32_t index)
{
    const struct boot_module *module = &info->modules[index];
    if (module->start >= module->end)
        return "is empty";
    if (!bootinfo_is_usable(info, module->start, module->end))
        return "is not inside usable memory";
    if (module->name[0] == '\0')
        return "has no name (write it after the file in the loader's configuration)";
    for (uint32_t i = 0; i < info->module_count; i++) {
        const struct boot_module *other = &info->modules[i];
        if (i != index && module->start < other->end && other->start < module->end)
            return "overlaps another module";
        if (i < index && strcmp(module->name, other->name) == 0)
            return "has the name of an earlier module";
    }
    return NULL;
}

// Judges every module before the first is dropped: of two that overlap neither can be trusted.
static void drop_bad_modules(struct boot_info *info)
{
    bool bad[BOOT_MODULES_MAX] = {false};
    for (uint32_t i = 0; i < info->module_count; i++) {
        const struct boot_module *module = &info->modules[i];
        const char *fault = module_fault(info, i);
        bad[i] = fault != NULL;
        if (bad[i])
            notes_warn(&info->notes, "module \"%.60s\" (0x%lx-0x%lx) %s: ignored", module->name,
                       module->start, module->end, fault);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < info->module_count; i++) {
        if (!bad[i] && kept++ != i)
            info->modules[kept - 1] = info->modules[i];
    }
    info->module_count = kept;
}

status_t bootinfo_parse(struct boot_info *info, const uint8_t *bytes, size_t size)
{
    memset(info, 0, sizeof(*info));
    notes_init(&info->notes);
    if (size < HEADER_BYTES)
        return notes_fail(&info->notes, STATUS_TRUNCATED,
                          "the boot information has %zu bytes, its header needs %u", size,
                          HEADER_BYTES);
    uint32_t total = get32(bytes);
    if (total < HEADER_BYTES || total > size)
        return notes_fail(&info->notes, STATUS_TRUNCATED,
                          "the boot information claims %u bytes, %zu are readable", total, size);
    status_t status = walk_tags(info, bytes, total);
    if (status != STATUS_OK) {
        info->module_count = 0;
        return status;
    }
    drop_bad_modules(info);
    if (info->rsdp_size == 0)
        notes_warn(&info->notes, "the boot loader gave no ACPI RSDP: one CPU, no power switch");
    return STATUS_OK;
}

bool bootinfo_is_usable(const struct boot_info *info, uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < info->memory_count; i++) {
        const struct memory_range *range = &info->memory[i];
        if (range->type == MEMORY_USABLE && start >= range->start && end <= range->end)
            return start < end;
    }
    return false;
}

bool bootinfo_is_free(const struct boot_info *info, uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < info->module_count; i++) {
        if (start < info->modules[i].end && info->modules[i].start < end)
            return false;
    }
    return bootinfo_is_usable(info, start, end);
}

const struct boot_module *bootinfo_find_module(const struct boot_info *info, const char *name)
{
    for (uint32_t i = 0; i < info->module_count; i++) {
        if (strcmp(info->modules[i].name, name) == 0)
            return &info->modules[i];
    }
    return NULL;
}
