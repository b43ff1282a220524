// Checks the setup header of a bzImage against the file and the VM, puts the pieces into RAM, and
// fills boot_params. Modules are not for Linux: it takes one initrd.

#include "loaders/linux.h"

#include "lib/string.h"
#include "lib/bytes.h"
#include "loaders/entry.h"
#include "vm/platform.h"

// The setup header in the file; in boot_params it has the same offsets.
#define SETUP_SECTS        0x1f1
#define SYSSIZE            0x1f4 // in units of 16 bytes
#define VID_MODE           0x1fa
#define BOOT_FLAG          0x1fe
#define JUMP_DISTANCE      0x201
#define HEADER_MAGIC       0x202
#define VERSION            0x206
#define TYPE_OF_LOADER     0x210
#define LOADFLAGS          0x211
#define CODE32_START       0x214
#define RAMDISK_IMAGE      0x218
#define RAMDISK_SIZE       0x21c
#define CMD_LINE_PTR       0x228
#define INITRD_ADDR_MAX    0x22c
#define KERNEL_ALIGNMENT   0x230
#define RELOCATABLE_KERNEL 0x234
#define XLOADFLAGS         0x236
#define CMDLINE_SIZE       0x238
#define SETUP_DATA         0x250
#define PREF_ADDRESS       0x258
#define INIT_SIZE          0x260
#define HEADER_NEEDED      0x264 // the header of version 2.12 ends here
#define HEADER_LIMIT       0x290 // other fields of boot_params begin here

// Fields of boot_params that are not in the file.
#define ACPI_RSDP_ADDR    0x070
#define EXT_RAMDISK_IMAGE 0x0c0
#define EXT_RAMDISK_SIZE  0x0c4
#define ALT_MEM_K         0x1e0
#define E820_ENTRIES      0x1e8
#define E820_TABLE        0x2d0
#define E820_ENTRY_SIZE   20

#define LOADED_HIGH     BIT32(0) // loadflags
#define XLF_KERNEL_64   BIT32(0) // xloadflags
#define XLF_ABOVE_4G    BIT32(1)
#define VERSION_MIN     0x20c
#define LOADER_UNKNOWN  0xff
#define VID_MODE_NORMAL 0xffff
#define ENTRY_64        0x200 // from the start of the protected-mode part

bool linux_recognise(const struct image *image)
{
    return image->size >= HEADER_NEEDED && get16(image->bytes + BOOT_FLAG) == 0xaa55 &&
           memcmp(image->bytes + HEADER_MAGIC, "HdrS", 4) == 0;
}

// What linux_load() needs to know of a bzImage that passed the checks.
struct bzimage {
    const uint8_t *payload; // the protected-mode part
    uint64_t payload_size;
    // RAM that the kernel needs from its load address on, before it reads the memory map
    uint64_t run_size;
    uint64_t load; // where it goes
};

static status_t check_header(const struct image *kernel, struct explanation *why)
{
    const uint8_t *b = kernel->bytes;
    if (!linux_recognise(kernel))
        return explain(why, STATUS_INVALID,
                       "%s: not a bzImage; give a kernel as distributions ship it (vmlinuz)",
                       kernel->name);
    if (get16(b + VERSION) < VERSION_MIN)
        return explain(why, STATUS_UNSUPPORTED,
                       "%s: boot protocol %u.%02u is too old; Linux 3.8 or newer is needed",
                       kernel->name, b[VERSION + 1], b[VERSION]);
    if (!(get16(b + XLOADFLAGS) & XLF_KERNEL_64))
        return explain(why, STATUS_UNSUPPORTED,
                       "%s: a 32-bit Linux kernel; give a 64-bit one (x86_64)", kernel->name);
    if (!(b[LOADFLAGS] & LOADED_HIGH))
        return explain(why, STATUS_UNSUPPORTED, "%s: a zImage; build a bzImage", kernel->name);
    uint64_t alignment = get32(b + KERNEL_ALIGNMENT);
    if (alignment < PAGE_SIZE || (alignment & (alignment - 1)))
        return explain(why, STATUS_INVALID, "%s: kernel_alignment 0x%lx; the file is damaged",
                       kernel->name, alignment);
    return STATUS_OK;
}

static status_t find_payload(const struct image *kernel, struct bzimage *bz,
                             struct explanation *why)
{
    const uint8_t *b = kernel->bytes;
    unsigned setup_sectors = b[SETUP_SECTS] ? b[SETUP_SECTS] : 4;
    uint64_t start = (setup_sectors + 1) * UINT64_C(512);
    uint64_t size = get32(b + SYSSIZE) * UINT64_C(16);
    // syssize is rounded up to 16 bytes.
    if (kernel->size < start || kernel->size - start + 15 < size)
        return explain(why, STATUS_TRUNCATED,
                       "%s: the file has %lu bytes, its header speaks of %lu; copy it again",
                       kernel->name, kernel->size, start + size);
    bz->payload = b + start;
    bz->payload_size = MIN(size, kernel->size - start);
    if (bz->payload_size <= ENTRY_64)
        return explain(why, STATUS_INVALID, "%s: a kernel of %lu bytes; the file is damaged",
                       kernel->name, bz->payload_size);
    bz->run_size = MAX(get32(b + INIT_SIZE), bz->payload_size);
    return STATUS_OK;
}

// The preferred address, or for a relocatable kernel the lowest one above it that has room: below,
// kernels still unpack themselves at the preferred one.
static status_t place_kernel(struct loading *loading, struct bzimage *bz)
{
    const struct image *kernel = loading->kernel;
    const uint8_t *b = kernel->bytes;
    struct memblock_request request = {
        .size = bz->run_size,
        .alignment = get32(b + KERNEL_ALIGNMENT),
        .low = BIOS_END,
        .high = HIGH_MEMORY_START,
    };
    uint64_t preferred = get64(b + PREF_ADDRESS);
    if (preferred < HIGH_MEMORY_START) // the page tables that it starts with reach no further
        request.low = MAX(BIOS_END, preferred);
    if (!b[RELOCATABLE_KERNEL])
        request.low = preferred, request.high = preferred + bz->run_size;
    status_t status =
        memblock_alloc(&loading->memblock, &request, kernel->name, &bz->load, loading->why);
    if (status != STATUS_OK)
        return explain(loading->why, status,
                       "%s: the kernel needs %lu MiB from %lu MiB on to start (init_size, "
                       "pref_address), the VM's memory ends at %lu MiB; give it more (memory =)",
                       kernel->name, (bz->run_size >> 20) + 1, request.low >> 20,
                       memory_map_low_end(&loading->map) >> 20);
    loading_write_file(loading, bz->load, bz->payload, bz->payload_size);
    return STATUS_OK;
}

static status_t place_initrd(struct loading *loading, uint8_t *params)
{
    const struct image *initrd = loading->initrd;
    if (!initrd || !initrd->size)
        return STATUS_OK;
    uint64_t limit = get32(params + INITRD_ADDR_MAX) + UINT64_C(1), at;
    status_t status = loading_place_high(loading, initrd, MIN(limit, HIGH_MEMORY_START), &at);
    if (status == STATUS_NO_MEMORY && (get16(params + XLOADFLAGS) & XLF_ABOVE_4G))
        status = loading_place_high(loading, initrd, UINT64_MAX, &at);
    if (status != STATUS_OK)
        return explain(loading->why, status,
                       "%s: no room for an initrd of %lu KiB beside the kernel in %lu MiB below "
                       "0x%lx; give the VM more memory",
                       initrd->name, initrd->size >> 10, loading->config->memory >> 20, limit);
    put32(params + RAMDISK_IMAGE, (uint32_t)at);
    put32(params + RAMDISK_SIZE, (uint32_t)initrd->size);
    put32(params + EXT_RAMDISK_IMAGE, (uint32_t)(at >> 32));
    put32(params + EXT_RAMDISK_SIZE, (uint32_t)(initrd->size >> 32));
    return STATUS_OK;
}

// Without a word Linux would look for a screen, and be silent. The driver of a virtio console comes
// late.
#define DEFAULT_CMDLINE "console=ttyS0"
#define DEFAULT_VIRTIO  "console=ttyS0 console=hvc0"

static status_t place_cmdline(struct loading *loading, uint8_t *params)
{
    const char *cmdline = loading->config->cmdline;
    if (!*cmdline)
        cmdline = loading->config->traits.virtio_console ? DEFAULT_VIRTIO : DEFAULT_CMDLINE;
    uint32_t limit = get32(params + CMDLINE_SIZE);
    if (strlen(cmdline) > limit)
        return explain(loading->why, STATUS_RANGE,
                       "%s: the command line has %zu characters, this kernel takes %u; shorten it",
                       loading->kernel->name, strlen(cmdline), limit);
    uint64_t at;
    status_t status = loading_place_text(loading, cmdline, "command line", &at);
    if (status == STATUS_OK)
        put32(params + CMD_LINE_PTR, (uint32_t)at);
    return status;
}

static void describe_memory(struct loading *loading, uint8_t *params)
{
    const struct memory_map *map = &loading->map;
    params[E820_ENTRIES] = (uint8_t)map->count;
    memory_map_pack(map, params + E820_TABLE, E820_ENTRY_SIZE);
    put32(params + ALT_MEM_K, memory_map_upper_kib(map));
}
_Static_assert(E820_TABLE + MEMORY_RANGES * E820_ENTRY_SIZE <= 4096,
               "the E820 map fits boot_params");

// The kernel's own header, and what it expects from its loader. screen_info stays zero: there is no
// display.
static void begin_params(const struct loading *loading, const struct bzimage *bz, uint8_t *params)
{
    const uint8_t *b = loading->kernel->bytes;
    uint64_t end = MAX(HEADER_MAGIC + b[JUMP_DISTANCE], HEADER_NEEDED);
    end = MIN(MIN(end, HEADER_LIMIT), loading->kernel->size);
    memcpy(params + SETUP_SECTS, b + SETUP_SECTS, end - SETUP_SECTS);
    params[TYPE_OF_LOADER] = LOADER_UNKNOWN;
    params[LOADFLAGS] |= LOADED_HIGH;
    put16(params + VID_MODE, VID_MODE_NORMAL);
    put32(params + CODE32_START, (uint32_t)bz->load);
    put64(params + SETUP_DATA, 0);
    put64(params + ACPI_RSDP_ADDR, loading->rsdp.value);
}

status_t linux_load(struct loading *loading)
{
    struct bzimage bz;
    uint64_t at;
    uint8_t params[PAGE_SIZE] = {0};
    if (loading->module_count)
        return explain(loading->why, STATUS_UNSUPPORTED,
                       "%s: Linux takes an initrd, no modules; remove the line modules =",
                       loading->kernel->name);
    status_t status = check_header(loading->kernel, loading->why);
    if (status == STATUS_OK)
        status = find_payload(loading->kernel, &bz, loading->why);
    if (status == STATUS_OK)
        status = place_kernel(loading, &bz);
    if (status == STATUS_OK)
        status = loading_take_info(loading, sizeof(params), PAGE_SIZE, "boot_params", &at);
    if (status != STATUS_OK)
        return status;
    begin_params(loading, &bz, params);
    describe_memory(loading, params);
    status = place_cmdline(loading, params);
    if (status == STATUS_OK)
        status = place_initrd(loading, params);
    if (status == STATUS_OK)
        status = entry_long(loading, bz.load + ENTRY_64);
    if (status != STATUS_OK)
        return status;
    loading_write(loading, at, params, sizeof(params));
    loading->vm->vcpu[0]->gpr[RSI] = at;
    return STATUS_OK;
}
