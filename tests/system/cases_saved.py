"""VMs that become bytes, and bytes that become VMs again."""
import re
import subprocess

from harness import BUILD, INITRD, KERNEL, ROOT, SANDY_BRIDGE, SKYLAKE, check, check_says

SETTINGS = "memory = 80M\nkernel = vmlinuz\ninitrd = initrd.gz\ndisk = ram:4M\ncmdline = console=ttyS0 quiet\n"


def monitor(console, command):
    console.type("\x01c")
    console.expect(r"\(corbel\) ", 60)
    console.type(command + "\r")
    console.expect(r"\n", 60)
    return console.expect(r"\(corbel\) ", 60)


def back(console, words):
    """The guest's console again, whatever it shows first."""
    console.type("console web\r")
    console.expect("console web", 60)
    console.type(f"\recho {words}-$((6 * 7))\r")
    console.expect(f"{words}-42\r?\n", 60)
    console.expect("guest# ", 60)


def save(t, console, folder):
    monitor(console, "save web")
    console.expect(r"\[web\] saved: \d+ KiB", 300)
    done = subprocess.run([ROOT / "tools/saved", "-o", t.folder / "web.corbel", folder / "emulator.txt"], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    check(done.returncode == 0, f"tools/saved: {done.stderr}")
    return done.stdout


def kept(console, key, limit=60):
    """What the small guest still has: how many ticks it has seen."""
    console.type(key)
    console.expect(rf"KEPT {key} lost=\d+ ticks=on turns=on after=\d+\r?\n", limit)
    lost, ticks = re.search(r"lost=(\d+) .* after=(\d+)", console.matched()).groups()
    check(lost == "0", f"{lost} words or registers are others")
    return int(ticks)


def case_saved_small(t):
    """A guest with two vCPUs, a timer, registers and memory that it checks goes on in a second machine, and in a third from the second."""
    config = "[vm web]\nmemory = 24M\ncpus = 2\nkernel = neighbour.elf\ncmdline = keep\n"
    guest, ticks = BUILD / "guests" / "neighbour.elf", 0
    for number in range(3):
        folder = t.folder / str(number)
        files, more = (guest, t.folder / "web.corbel"), "restore = web.corbel\n"
        console = t.boot(t.iso(*files[: 1 + (number > 0)], config=config + more * (number > 0)), cpu=SKYLAKE, cpus=2, limit=300,
                         more=["--log", str(folder)])
        if number:
            console.expect("VM web goes on from web.corbel", 120)
        console.expect("corbel: ready", 120)
        if not number:
            console.expect("keeping", 60)
        after = kept(console, "a")
        check(after > ticks, f"{after} ticks after {ticks}")
        check_says(save(t, console, folder), "cpus = 2", r"vCPU 1: version 0, \d+ fields", "ram: 24576 KiB")
        console.type("console web\r")
        ticks = after
        check(kept(console, "b") > ticks, "it does not go on where it was saved")
        console.type("\x01x")
        console.ends(0)
    restored = [guest, t.folder / "web.corbel"], config + "restore = web.corbel\n"
    for cpu, changed, why in ((SANDY_BRIDGE, "cpus = 2", r"its CPUs had [a-z0-9_]+, which this machine does not give it"),
                              (SKYLAKE, "cpus = 1", "it was saved with 'cpus = 2': write that"),
                              (SKYLAKE, "cpus = 2\ncpuid = -avx512f", r"its CPUs had avx512f, which this machine does not give it")):
        text = t.batch(t.iso(*restored[0], config=restored[1].replace("cpus = 2", changed)), 2, cpu=cpu, limit=120)
        check_says(text, rf"vms\.conf:\d+: VM web: restore = web\.corbel: {why}")


def long_saved_linux(t):
    """A Linux is saved and goes on; what was saved goes on in another machine, with its shell, its files and its disk."""
    folder = t.folder / "first"
    console = t.boot(t.iso(f"vmlinuz={KERNEL}", INITRD, config=f"[vm web]\n{SETTINGS}"), cpu=SKYLAKE, limit=600,
                     more=["--log", str(folder)])
    console.expect("guest# ", 400)
    console.run("word=kept; (i=0; while :; do i=$((i + 1)); echo $i > /tmp/count; usleep 20000; done) &")
    console.run("dd if=/dev/urandom of=/dev/vda bs=4096 count=64 2>/dev/null; md5sum < /dev/vda > /tmp/sum; sync")
    listed = save(t, console, folder)
    check_says(listed, "VM web: cpus = 1, memory = 81920K, firmware = none", r"vCPU 0: version 0, \d+ fields", "ram: 81920 KiB", "disk0: 4096 KiB")
    back(console, "on")
    first = int(console.run("cat /tmp/count"))
    console.type("\x01x")
    console.ends(0)

    console = t.boot(t.iso(f"vmlinuz={KERNEL}", INITRD, t.folder / "web.corbel", config=f"[vm web]\nrestore = web.corbel\n{SETTINGS}"),
                     cpu=SKYLAKE, limit=600)
    console.expect("VM web goes on from web.corbel", 120)
    console.expect("corbel: ready", 60)
    console.type("\recho $word-$((6 * 7))\r")
    console.expect("kept-42\r?\n", 60)
    console.expect("guest# ", 60)
    count = int(console.run("cat /tmp/count"))
    console.run("usleep 500000")
    later = int(console.run("cat /tmp/count"))
    check(later > count > 0, f"its loop stands still: {count}, {later}; {first} in the first machine")
    check(console.run("md5sum < /dev/vda | diff - /tmp/sum && echo same") == "same", "the disk is another")
    said = console.run("dmesg | tail -n 3")
    check("BUG" not in said and "stall" not in said, said)
    console.run("poweroff -f &")
    console.ends(0)
