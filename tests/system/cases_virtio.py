"""Linux and its own drivers of virtio."""
import re
import subprocess

from cases_linux import reach_shell
from harness import BUILD, INITRD, KERNEL, SKYLAKE, check, check_says, plain

CONFIG = """
[vm linux]
cpus    = {cpus}
memory  = 128M
kernel  = vmlinuz
initrd  = initrd.gz
cmdline = console=ttyS0 {cmdline}
disk    = ram:8M
disk    = module:ext4.img,overlay
disk    = module:ext4.img
rng     = yes
"""


def boot(t, cpus, cmdline="", initrd=INITRD):
    image = t.folder / "ext4.img"
    image.write_bytes(bytes(8 << 20))
    subprocess.run(["mke2fs", "-q", "-t", "ext4", image], check=True, stdin=subprocess.DEVNULL)
    iso = t.iso(f"vmlinuz={KERNEL}", f"initrd.gz={initrd}", image, config=CONFIG.format(cpus=cpus, cmdline=cmdline))
    console = t.boot(iso, cpu=SKYLAKE, cpus=cpus, limit=1200)
    reach_shell(console)
    console.run("mkdir -p /mnt")
    return console


def check_sum(console, command):
    """The 4 MiB that /tmp/random has."""
    console.run("echo 3 >/proc/sys/vm/drop_caches")
    wanted = console.run("md5sum </tmp/random", 120)
    found = console.run(command, 120).splitlines()[0]
    check(len(wanted) > 32 and found == wanted, f"{command}: {found}, not {wanted}")


def case_virtio_disk(t):
    """Disks in RAM and in modules: what is written is read back, also by the next life of the VM; what is read-only stays."""
    console = boot(t, 1)
    names = console.run("cat /proc/partitions")
    check(re.findall(r"vd[a-z]", names) == ["vda", "vdb", "vdc"], f"disks: {names}")
    console.run("dd if=/dev/urandom of=/tmp/random bs=1M count=4", 120)
    console.run("dd if=/tmp/random of=/dev/vda bs=64k conv=fsync", 120)
    check_sum(console, "dd if=/dev/vda bs=64k count=64 2>/dev/null | md5sum")
    console.run("mount -t ext4 /dev/vdb /mnt && cp /tmp/random /mnt/copy && umount /mnt && mount -t ext4 /dev/vdb /mnt", 120)
    check_sum(console, "md5sum </mnt/copy")
    check("copy" not in console.run("umount /mnt; mount -o ro -t ext4 /dev/vdc /mnt; ls /mnt; umount /mnt"), "vdc has vdb's file")
    refused = console.run("dd if=/tmp/random of=/dev/vdc bs=4k count=1 2>&1")
    check("not permitted" in refused, f"a read-only disk: {refused}")
    check(console.run("cat /sys/block/vda/serial; echo") == "corbel-disk0", "the serial number")
    check(console.run("cat /sys/class/misc/hw_random/rng_current") == "virtio_rng.0", "no source of entropy")
    numbers = {console.run("dd if=/dev/hwrng bs=64 count=1 2>/dev/null | md5sum") for _ in range(4)}
    check(len(numbers) == 4, f"/dev/hwrng: {numbers}")
    check("PCI-MSI" in console.run("grep virtio /proc/interrupts"), "no MSI-X")
    wanted = console.run("md5sum </tmp/random", 120)
    console.type("reboot -f\r")
    reach_shell(console)
    found = console.run("mkdir -p /mnt && mount -t ext4 /dev/vdb /mnt && md5sum </mnt/copy", 120).splitlines()[-1]
    check(found == wanted, f"after a restart: {found}, not {wanted}")
    console.type("poweroff -f\r")
    console.ends(0)


def case_virtio_line(t):
    """Two vCPUs without MSI: the disks' lines are shared, and each has a queue for each vCPU."""
    console = boot(t, 2, "pci=nomsi")
    interrupts = console.run("grep virtio /proc/interrupts")
    check(re.search(r"1[01]-fasteoi +virtio0", interrupts) and "MSI" not in interrupts, f"interrupts: {interrupts}")
    check(console.run("ls /sys/block/vda/mq").split() == ["0", "1"], "queues")
    console.run("dd if=/dev/urandom of=/tmp/random bs=1M count=4", 120)
    console.run("for cpu in 1 2; do taskset $cpu dd if=/tmp/random of=/dev/vda bs=64k conv=fsync; done", 240)
    check_sum(console, "dd if=/dev/vda bs=64k count=64 2>/dev/null | md5sum")
    console.type("poweroff -f\r")
    console.ends(0)


def long_virtio_load(t):
    """Two vCPUs with a queue each write and read a disk's blocks at random, several at a time: each read finds what was written last."""
    console = boot(t, 2, initrd=BUILD / "system" / "initrd-diskload.gz")
    said = console.run("diskload /dev/vda 8 700", 400)
    check(said.startswith("PASS 2 threads"), said)
    counts = [sum(map(int, re.findall(r"\d+", line.split(":")[1])[:2])) for line in console.run("grep virtio0-req /proc/interrupts").splitlines()]
    check(len(counts) == 2 and min(counts) > 50, f"interrupts of the queues: {counts}")
    console.type("poweroff -f\r")
    console.ends(0)
    return f"{said}; interrupts of the queues: {counts}"


# How else Linux may find PCI and its interrupts, beside the other cases' ways: the command line, and what it says of the disk's then.
WAYS = {"ports": ("pci=nommconf", r"PCI-MSI\S* +\d+-edge +virtio\d-req"), "old": ("acpi=off pci=nomsi", r"(XT-PIC\S*|IO-APIC +1[01]-\w+) +.*virtio\d")}


def case_virtio_ways(t):
    """Linux without ECAM, and without ACPI and MSI: each finds its disk and its interrupts."""
    config = "".join(f"[vm {name}]\nmemory = 96M\nkernel = vmlinuz\ninitrd = initrd.gz\ndisk = ram:2M\n"
                     f"cmdline = console=ttyS0 quiet mitigations=off {words}\n" for name, (words, _) in WAYS.items())
    iso = t.iso(f"vmlinuz={KERNEL}", f"initrd.gz={BUILD / 'system' / 'initrd-disk.gz'}", config=config)
    console = t.boot(iso, cpu=SKYLAKE, cpus=2, memory=768, limit=900)
    for _ in WAYS:
        console.expect(r"DISK (GOOD|BAD)", 600)
    console.type("\x01x")  # without ACPI it cannot switch itself off
    console.ends(0)
    text = plain(t.seen())
    for name, (_, interrupts) in WAYS.items():
        said = "\n".join(re.findall(rf"^\[{name}\] (.*)", text, re.M))
        check("DISK GOOD" in said, f"{name}: the disk: {said[-300:]!r}")
        check_says(said, interrupts)
        check(("ACPI is on" in said) == (name != "old"), f"{name}: ACPI")
