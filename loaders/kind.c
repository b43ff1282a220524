// Recognises common files by their magic numbers, in the order of the table; then text, then
// nothing.

#include "loaders/kind.h"

#include "lib/string.h"

struct magic {
    uint64_t offset;
    const char *bytes;
    uint8_t length;
    const char *text;
};

static const struct magic magics[] = {
    {0, "\x1f\x8b", 2, "a gzip archive; unpack it first (gunzip)"},
    {0, "BZh", 3, "a bzip2 archive; unpack it first"},
    {0,
     "\xfd"
     "7zXZ",
     5, "an xz archive; unpack it first (unxz)"},
    {0, "\x28\xb5\x2f\xfd", 4, "a zstd archive; unpack it first (unzstd)"},
    {0, "\x04\x22\x4d\x18", 4, "an LZ4 archive; unpack it first"},
    {0, "\x89LZO", 4, "an LZO archive; unpack it first"},
    {0, "PK\003\004", 4, "a zip archive; unpack it first"},
    {0, "070701", 6, "a cpio archive, an initrd; give it as initrd ="},
    {0, "070702", 6, "a cpio archive, an initrd; give it as initrd ="},
    {0, "\xc7\x71", 2, "an old cpio archive; give it as initrd ="},
    {257, "ustar", 5, "a tar archive; unpack it first"},
    {0, "!<arch>\n", 8, "a Debian package or a static library; take the kernel out of it"},
    {0, "\xed\xab\xee\xdb", 4, "an RPM package; take the kernel out of it"},
    {0x8001, "CD001", 5,
     "an ISO image of a disc; give it as disk = module:NAME to a VM with firmware ="},
    {0, "QFI\xfb", 4, "a QCOW2 disk image; give the kernel file that is in it"},
    {0, "KDMV", 4, "a VMDK disk image; give the kernel file that is in it"},
    {512, "EFI PART", 8,
     "an image of a GPT disk; give it as disk = module:NAME to a VM with firmware ="},
    {0, "hsqs", 4, "a squashfs file system; give it as initrd = or take the kernel out of it"},
    {0x438, "\x53\xef", 2, "an ext file system; take the kernel out of it"},
    {0, "\177ELF", 4, "an ELF file without a Multiboot header or PVH note; give a bzImage instead"},
    {0, "MZ", 2, "a UEFI or Windows program (PE); there is no UEFI for guests here"},
    {0, "\xcf\xfa\xed\xfe", 4, "a Mach-O program; give a kernel"},
    {0, "\xd0\x0d\xfe\xed", 4, "a device tree; give a kernel"},
    {0, "#!", 2, "a script; give a kernel"},
};

// Text has no control characters but white space in its first part.
static bool looks_like_text(const struct image *image)
{
    uint64_t looked_at = MIN(image->size, 512);
    for (uint64_t i = 0; i < looked_at; i++) {
        uint8_t c = image->bytes[i];
        if (c == 0x7f || (c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f'))
            return false;
    }
    return true;
}

const char *kind_describe(const struct image *image)
{
    if (!image->size)
        return "an empty file; copy it again";
    for (unsigned i = 0; i < ARRAY_LENGTH(magics); i++) {
        const struct magic *magic = &magics[i];
        if (image->size >= magic->offset + magic->length &&
            memcmp(image->bytes + magic->offset, magic->bytes, magic->length) == 0)
            return magic->text;
    }
    if (looks_like_text(image))
        return "a text file; give a kernel";
    if (image->size >= 512 && image->bytes[510] == 0x55 && image->bytes[511] == 0xaa)
        return "a disk image with a boot sector; give it as disk = module:NAME to a VM with "
               "firmware =, or the sector alone with boot = sector";
    return "nothing known; for a plain image of code say boot = flat@ADDRESS:MODE";
}
