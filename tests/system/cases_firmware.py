"""VMs that begin with firmware: SeaBIOS, GRUB from a disk, Linux."""
from cases_input import skipped
from cases_linux import kernel_log
from harness import INITRD, KERNEL, PROMPT, SANDY_BRIDGE, SKYLAKE, check, check_says

CONFIG = """
[vm linux]
cpus     = 2
memory   = 128M
firmware = seabios
disk     = module:linux.iso,overlay
"""


def boot(t, cpu):
    """A machine whose VM has a disk with GRUB on it; GRUB has started Linux from there."""
    t.bare_iso("console=ttyS0", KERNEL, INITRD).rename(t.folder / "linux.iso")
    console = t.boot(t.build(["-c", t.file("vms.conf", CONFIG)]), cpu=cpu, limit=900)
    reach_kernel(console)
    return console


def reach_kernel(console):
    """The serial port speaks from firmware's first line on."""
    console.expect(r"SeaBIOS \(version", 240)
    console.expect("Booting from Hard Disk", 120)
    console.expect("GRUB", 120)
    console.expect("Linux version", 300)


def case_firmware_seabios(t):
    """SeaBIOS boots a disk's GRUB, which boots Linux on two CPUs; a reset leads through it again. tools/mkiso finds its file."""
    console = boot(t, SKYLAKE)
    console.expect(PROMPT, 300)
    check(console.run("nproc") == "2", "the second CPU")
    check(console.run("cat /sys/class/dmi/id/sys_vendor") == "Corbel", "SMBIOS")
    check_says(kernel_log(console), "ACPI: XSDT .*CORBEL", "PCI: MMCONFIG at .* reserved in E820", r"\[8086:29c0\]",
               r"\[8086:2918\]", "vda: vda1")
    check("PCI-MSI" in console.run("grep virtio /proc/interrupts"), "no MSI-X")
    console.type("reboot -f\r")
    reach_kernel(console)


def case_firmware_sandy_bridge(t):
    """The same on an older CPU, as far as Linux' first line."""
    boot(t, SANDY_BRIDGE)


def case_firmware_missing(t):
    """The file of firmware is no boot module."""
    skipped(t, config="[vm a]\nfirmware = seabios\n",
            says=[r"vms\.conf:2: VM a: firmware: no boot module has the name bios-256k\.bin"])
