"""An ISO installs Debian on a disk, which boots then. Long: `make firmware-matrix`."""
from cases_disks import boot, check_system, log_in, run, wait_for
from harness import BUILD, check, check_says

CONFIG = """
[vm debian]
firmware = {firmware}
memory   = 256M
disk     = {}
disk     = {}
"""
MEDIUM, TARGET = "module:installer.iso", "ram:320M"


def whole_life(t, firmware, disk, *disks):
    """The ISO's menu, the installation on this disk, a reboot; the new system to its login."""
    console = boot(t, CONFIG.format(*disks, firmware=firmware), BUILD / "system" / "installer.iso", memory=1024)
    wait_for(console, "Install Debian")
    console.type("i")
    for step, limit in ((f"partitions on /dev/{disk}", 600), ("\nfiles", 300), ("\nGRUB, ", 3000), ("No error reported", 900),
                        ("The system is installed", 600)):
        console.expect(step, limit)
    console.expect("VM debian: reset: restart 1\r?\n", 120)
    if firmware == "seabios":  # it boots the first disk only
        wait_for(console, "Boot the second disk")
        console.type("d")
    log_in(console)
    check_system(console, firmware)
    check_says(run(console, "findmnt -n -o SOURCE,FSTYPE,OPTIONS /"), f"/dev/{disk}3 +ext4 +rw")
    check("EXT4-fs error" not in run(console, "dmesg"), "errors on the new file system")
    if firmware == "ovmf":
        check_says(run(console, "efibootmgr"), r"BootCurrent: (\w{4})\n(?s:.*)\nBoot\1\* debian")
    console.type("poweroff\r")
    console.ends(0, 300)


def long_disk_install_seabios(t):
    """A hybrid ISO by SeaBIOS installs Debian on a disk in RAM, which its menu boots then."""
    whole_life(t, "seabios", "vdb", MEDIUM, TARGET)


def long_disk_install_ovmf(t):
    """The same by OVMF, which goes on to the ISO as the first disk is empty; later a variable tells it where that one's GRUB is."""
    whole_life(t, "ovmf", "vda", TARGET, MEDIUM)
