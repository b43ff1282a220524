"""Software that nobody wrote for Corbel, besides Linux."""
import gzip

from cases_disks import boot
from harness import GUEST, SKYLAKE, check

GRUB_SECTOR = "/usr/lib/grub/i386-pc/boot.img"


def case_grub_sector(t):
    """GRUB's boot sector runs in real mode, asks its BIOS for the disk, says that there is none, and gives up by INT 18h."""
    config = "[vm grub]\nkernel = sector\nmemory = 2M\non_reboot = destroy\n"
    console = t.boot(t.iso(f"sector={GRUB_SECTOR}", config=config), cpu=SKYLAKE, limit=120)
    console.expect("GRUB Floppy Error", 60)  # the last kind that it tries
    console.expect("VM grub ended: reset", 60)
    console.ends(2)


def case_gnumach(t):
    """GNU Mach, by Multiboot: finds its memory, the clock and the serial port, and gives up as there is no first server of the Hurd."""
    config = "[vm mach]\nkernel = gnumach\nmemory = 64M\ncmdline = console=com0\n"
    console = t.boot(t.iso(t.file("gnumach", gzip.decompress((GUEST / "gnumach.gz").read_bytes())), config=config), cpu=SKYLAKE, limit=300)
    console.expect(r"GNU Mach 1\.8", 120)
    console.expect("vm_page: DMA32: pages: 12288 ", 60)
    console.expect("RTC time is 20", 60)
    console.expect("No bootstrap code loaded with the kernel", 60)
    console.type("\x01x")
    console.ends(0)


MEMTEST = """
[vm memtest]
firmware = seabios
memory   = 32M
disk     = module:memtest.iso

[vm memtest-efi]
firmware = ovmf
memory   = 128M
disk     = module:memtest86+x64.iso
"""


def long_disk_memtest(t):
    """memtest86+ by SeaBIOS and GRUB: all tests but the one that only waits. Its own ISO by OVMF: it misses a screen, and says so."""
    t.bare_iso("console=ttyS0,115200 nopause", GUEST / "memtest86+").rename(t.folder / "memtest.iso")
    console = boot(t, MEMTEST, t.folder / "memtest.iso", GUEST / "tree/memtest86+/usr/lib/memtest86+/memtest86+x64.iso", memory=512)
    console.expect("corbel: ready", 120)
    console.type("\x012")
    console.expect(r"set_screen_info\(\) failed", 600)
    console.type("\x011")
    console.expect(r"#10 \[Bit fade", 1800)
    console.expect(r"Errors: (\d+)", 60)
    check(console.matched() == "Errors: 0", console.matched())
    console.type("\x01x")
    console.ends(0)
