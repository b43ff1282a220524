"""VMs that begin with OVMF: its variables, GRUB from an EFI partition, Linux."""
import gzip
import subprocess

from harness import GUEST, INITRD, KERNEL, PROMPT, SANDY_BRIDGE, SKYLAKE, check, check_says

CONFIG = """
[vm linux]
cpus     = {cpus}
memory   = 256M
firmware = ovmf
disk     = module:linux.iso,overlay
"""
EFIVARS = "/sys/firmware/efi/efivars"
VARIABLE = f"{EFIVARS}/Test-6a29e1a4-0d43-4c1c-9f0a-1f6f3a5c3c11"


def initrd_with_efivarfs(t):
    """The guest's, with the driver of EFI variables behind it in another archive."""
    driver = next(GUEST.glob("tree/linux-image-*cloud*/lib/modules/*/kernel/fs/efivarfs/efivarfs.ko"))
    t.file("efivarfs.ko", driver.read_bytes())
    archive = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], input=b"efivarfs.ko\n", cwd=t.folder, check=True,
                             stdout=subprocess.PIPE).stdout
    return t.file("initrd-efi.gz", INITRD.read_bytes() + gzip.compress(archive))


def boot(t, cpu, cpus=1):
    t.bare_iso("console=ttyS0 quiet", KERNEL, initrd_with_efivarfs(t)).rename(t.folder / "linux.iso")
    console = t.boot(t.build(["-c", t.file("vms.conf", CONFIG.format(cpus=cpus))]), cpu=cpu, limit=1500)
    reach_shell(console)
    return console


def reach_shell(console):
    """OVMF's own lines come first, by the serial port."""
    console.expect("BdsDxe: starting Boot", 400)
    console.expect(PROMPT, 400)


def case_firmware_ovmf(t):
    """OVMF boots an EFI partition's GRUB, which boots Linux on two CPUs; a variable that Linux sets is there after a reset."""
    console = boot(t, SKYLAKE, cpus=2)
    check(console.run("nproc") == "2", "the second CPU")
    check_says(console.run("dmesg -r", 240), "efi: EFI v2.70 by EDK II", "ACPI: XSDT .*CORBEL", r"\[8086:29c0\]", "vda: vda1")
    console.run(f"insmod /efivarfs.ko && mount -t efivarfs none {EFIVARS}")
    check("Boot0000" in console.run(f"ls {EFIVARS}"), "OVMF's own variables")
    console.run(rf"printf '\007\000\000\000kept' >{VARIABLE}")
    check("kept" in console.run(f"cat {VARIABLE}"), "the variable is not there")
    console.type("reboot -f\r")
    reach_shell(console)
    console.run(f"insmod /efivarfs.ko && mount -t efivarfs none {EFIVARS}")
    check("kept" in console.run(f"cat {VARIABLE}"), "the variable is lost")
    console.type("poweroff -f\r")
    console.ends(0)


def long_ovmf_sandy_bridge(t):
    """The same on an older CPU, as far as the shell."""
    console = boot(t, SANDY_BRIDGE)
    console.type("poweroff -f\r")
    console.ends(0)
