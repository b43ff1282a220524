"""Software that nobody wrote for Corbel, besides Linux."""
from harness import SKYLAKE

GRUB_SECTOR = "/usr/lib/grub/i386-pc/boot.img"


def case_grub_sector(t):
    """GRUB's boot sector runs in real mode, asks its BIOS for the disk, and says that there is none."""
    console = t.boot(t.iso(f"sector={GRUB_SECTOR}", config="[vm grub]\nkernel = sector\nmemory = 2M\n"), cpu=SKYLAKE, limit=120)
    console.expect("GRUB Floppy Error", 60)  # the last kind that it tries
    console.type("\x01x")
    console.ends(0)
