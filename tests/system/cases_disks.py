"""A disk with Debian on it, which firmware boots: tools/mkdisk's, unmodified Debian 12. Long: `make firmware-matrix`."""
import re
import subprocess

from harness import GUEST, ROOT, SKYLAKE, check, check_says, uuid_of

DEBIAN = """
[vm debian]
firmware = {firmware}
memory   = 256M
disk     = module:debian.img,overlay
"""
SHELL = "root@debian:~# "
RESCUE = r"\(initramfs\) "
BIOS_VENDOR = {"seabios": "SeaBIOS", "ovmf": "EFI Development Kit|EDK II"}
PROGRESS = 600  # seconds without a line of Debian's or its firmware's: it hangs; the kernel for PCs is unpacked for minutes


def boot(t, config, *files, **machine):
    """A machine with these files; tools/mkiso finds those of firmware."""
    return t.boot(t.build(["-c", t.file("vms.conf", config), *files]), cpu=SKYLAKE, limit=7200, **machine)


def wait_for(console, pattern):
    """However long it takes, as long as lines come."""
    while True:
        console.expect(f"\n|{pattern}", PROGRESS)
        if console.matched() != "\n":
            return


def log_in(console):
    wait_for(console, "debian login: ")
    console.type("root\r")
    console.expect(SHELL, 120)
    console.type("bind 'set enable-bracketed-paste off'; dmesg -n 1\r")
    console.expect(SHELL, 60)


def run(console, command, limit=120, prompt=SHELL):
    console.type(command + "\r")
    _echo, _newline, output = console.expect(prompt, limit).partition("\n")
    return output.strip()


def check_system(console, firmware):
    """It is that machine, with that firmware, and nothing of it has failed."""
    check("0 loaded units" in run(console, "systemctl --failed | cat"), "units failed")
    check_says(run(console, "cat /sys/class/dmi/id/*_vendor /sys/class/dmi/id/product_uuid"), BIOS_VENDOR[firmware], "Corbel", uuid_of("debian"))
    check(("efi" in run(console, "ls /sys/firmware")) == (firmware == "ovmf"), "the way in which it was booted")
    check_says(run(console, "cat /sys/bus/acpi/devices/CRBL0001:00/path"), "VGEN")


def check_file_system(console):
    """From the menu, a shell before the disk is mounted: was it left clean, and is it whole?"""
    wait_for(console, "GNU GRUB")
    console.type("r")
    wait_for(console, RESCUE)
    said = run(console, "e2fsck -fn /dev/vda3; echo status $?", 300, RESCUE)
    check_says(said, "status 0", "non-contiguous")
    check("recovery" not in said, f"the file system was not left clean:\n{said}")


def whole_life(t, firmware):
    """To the login, work on the disk, reboot, the work is there, reboot to a check of the file system, off."""
    console = boot(t, DEBIAN.format(firmware=firmware), GUEST / "debian.img", memory=1024)
    log_in(console)
    check_system(console, firmware)
    run(console, "head -c 4M /dev/urandom >/root/file; md5sum /root/file >/root/sum; sync", 300)
    console.type("reboot\r")
    console.expect("VM debian: reset: restart 1\r?\n", 600)
    log_in(console)
    check_says(run(console, "md5sum -c /root/sum", 300), "OK")
    console.type("reboot\r")
    console.expect("VM debian: reset: restart 2\r?\n", 600)
    check_file_system(console)
    console.type("poweroff -f\r")
    console.ends(0, 300)


def case_mkdisk_words(t):
    """tools/mkdisk says what is wrong with its words, and makes nothing then."""
    out = t.folder / "none.img"
    for words, said in (
            (("-o", "/dev/null"), r"/dev/null is no file"),
            (("-k", "rt"), r"-k rt: there are cloud and generic"),
            (("-i", "10.0.0.1"), r"-i 10\.0\.0\.1: write ADDRESS/BITS"),
            (("-n", "my host"), r"-n my host: .* letters"),
            (("-s", "1G"), r"-s and -t take numbers"),
            (("-c", "a='b'"), r"no quotes"),
            (("file",), r"file: write FILE=/PATH"),
            (("missing=/root/file",), r"missing: no such file"),
            (("-z",), r"usage: tools/mkdisk")):
        done = subprocess.run([ROOT / "tools/mkdisk", "-o", out, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        check(done.returncode == 1 and re.search(said, done.stderr), f"{words}: {done.returncode}: {done.stderr}")
        check(not out.exists(), f"{words}: a disk was made")


def long_disk_seabios(t):
    """Debian on a disk by SeaBIOS: login, reboot, a clean file system."""
    whole_life(t, "seabios")


def long_disk_ovmf(t):
    """The same disk by OVMF."""
    whole_life(t, "ovmf")


LOADERS = """
[vm grub]
firmware = seabios
memory   = 64M
disk     = module:grub.iso

[vm ipxe]
firmware = seabios
memory   = 64M
disk     = module:ipxe.iso

[vm ipxe-efi]
firmware = ovmf
memory   = 128M
disk     = module:ipxe.iso
"""


def long_disk_loaders(t):
    """Hybrid images as read-only disks: GRUB's rescue CD by SeaBIOS, iPXE by SeaBIOS and by OVMF, each to its command line."""
    console = boot(t, LOADERS, GUEST / "grub.iso", GUEST / "ipxe.iso", memory=768)
    console.expect("corbel: ready", 300)
    console.type("\x011")
    wait_for(console, "GNU GRUB")
    console.type("c")
    wait_for(console, "grub> ")
    console.type("ls (hd0)/boot/grub/grub.cfg\r")
    console.expect(r"\n.*grub\.cfg", 120)
    for key, word in (("2", "ipxe"), ("3", "ipxe-efi")):
        console.type(f"\x01{key}")
        wait_for(console, "Press Ctrl-B for the iPXE command line")
        console.type("\x02")
        wait_for(console, "iPXE> ")
        console.type("show platform\r")
        wait_for(console, r"platform:string = (efi|pcbios)")
        check(console.matched().endswith("efi" if "efi" in word else "pcbios"), f"{word}: {console.matched()}")
    console.type("reboot\r")
    console.expect("VM ipxe-efi: reset: restart 1\r?\n", 300)
    console.type("\x01x")
    console.ends(0)
