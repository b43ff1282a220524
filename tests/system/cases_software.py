"""Software that nobody wrote for Corbel, besides Linux."""
from harness import SKYLAKE

GRUB_SECTOR = "/usr/lib/grub/i386-pc/boot.img"


def case_grub_sector(t):
    """GRUB's boot sector runs in real mode, asks its BIOS for the disk, says that there is none, and gives up by INT 18h."""
    config = "[vm grub]\nkernel = sector\nmemory = 2M\non_reboot = destroy\n"
    console = t.boot(t.iso(f"sector={GRUB_SECTOR}", config=config), cpu=SKYLAKE, limit=120)
    console.expect("GRUB Floppy Error", 60)  # the last kind that it tries
    console.expect("VM grub ended: reset", 60)
    console.ends(2)
