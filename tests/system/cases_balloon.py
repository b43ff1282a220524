"""Linux' balloon driver, and memory that comes and goes."""
import re
import subprocess
import time

from cases_linux import reach_shell
from cases_monitor import Desk
from cases_vms import GUEST, end, vm
from harness import INITRD, KERNEL, SKYLAKE, check

LENDING = 48  # MiB of a VM that lends; the one that gets the memory has less, and there is none for both
SEEKING = 46
CONFIG = """
[vm linux]
cpus    = {cpus}
memory  = {memory}M
kernel  = vmlinuz
initrd  = initrd.gz
cmdline = console=ttyS0
balloon = yes
"""


class Guest:
    """A VM with a balloon: its shell, and the monitor."""

    def __init__(self, t, *files, more="", cpus=1, memory=128):
        iso = t.iso(f"vmlinuz={KERNEL}", INITRD, *files, config=CONFIG.format(cpus=cpus, memory=memory) + more)
        self.console = t.boot(iso, cpu=SKYLAKE, cpus=cpus, limit=1200)
        self.desk = Desk(self.console)
        self.asked = 0
        reach_shell(self.console)

    def run(self, command, limit=120):
        return self.console.run(command, limit)

    def asks(self, *commands):
        """The monitor's answers, one after another."""
        self.desk.enter()
        answers = [self.desk.say(command) for command in commands]
        self.desk.ctrl_a("1")
        self.asked += 1
        self.console.type(f"echo mark''{self.asked}\r")
        self.console.expect(rf"\nmark{self.asked}\r*\n", 60)  # behind all prompts that are drawn again
        self.console.expect("guest# ", 60)
        return answers if len(answers) > 1 else answers[0]

    def memory(self):
        """MiB of the machine that are free, and of the VM that are away."""
        mem, balloon = self.asks("info mem", "info balloon")
        return int(re.search(r"(\d+) KiB of them free", mem)[1]) >> 10, int(re.search(r"away=(\d+)", balloon)[1]), balloon

    def free(self):
        """MiB of the machine and what is away of the VM: what it reports as free comes and goes meanwhile."""
        free, away, _ = self.memory()
        return free - away

    def waits_for(self, condition, what):
        """The memory, once it is so."""
        for _ in range(60):
            free, away, balloon = self.memory()
            if condition(free, away, balloon):
                return free, away, balloon
            time.sleep(1)
        check(False, f"{what}: {free} MiB free, {balloon}")


def long_balloon(t):
    """A balloon that is filled gives the machine its memory, and what the guest holds is as it was; emptied, it has all again."""
    guest = Guest(t)
    guest.run("dd if=/dev/urandom of=/tmp/kept bs=1M count=8")
    wanted = guest.run("md5sum </tmp/kept")
    free, away, balloon = guest.waits_for(lambda free, away, balloon: "total_mem=" in balloon, "the first statistics")
    check("actual=128 target=128 max=128" in balloon, f"at the beginning: {balloon}")
    guest.asks("balloon linux 96M")
    less, gone, balloon = guest.waits_for(lambda free, away, balloon: "actual=96 " in balloon and away >= 32, "filling")
    check(less - free >= gone - away - 2, f"{gone - away} MiB are away, but only {less - free} MiB more are free")
    check(guest.run("md5sum </tmp/kept") == wanted, "the file has changed")
    check(int(guest.run("awk '/MemTotal/ { print $2 }' /proc/meminfo")) < 68 << 10, "the guest has more than it was left")
    guest.asks("balloon 128")
    guest.waits_for(lambda free, away, balloon: "actual=128 " in balloon, "emptying")
    guest.run("mkdir -p /mnt; mount -t tmpfs -o size=80M tmpfs /mnt")  # the root has half of the memory at most
    guest.run("dd if=/dev/urandom of=/mnt/big bs=1M count=40 2>/dev/null; md5sum </mnt/big >/tmp/sum", 300)
    check(guest.run("md5sum </mnt/big | cmp - /tmp/sum && md5sum </tmp/kept", 300) == wanted, "the files have changed")
    more, rest, _ = guest.memory()
    check(rest < 16 and more < less - 14, f"{rest} MiB are away after use, and {more} MiB free")
    guest.console.type("poweroff -f\r")
    guest.console.ends(0)


def long_reporting(t):
    """What Linux has free goes back to the machine by itself, and comes again when it is used."""
    guest = Guest(t, memory=224)  # Linux reports while 64 MiB are free
    guest.run("mkdir -p /mnt; mount -t tmpfs -o size=80M tmpfs /mnt")
    guest.waits_for(lambda _free, away, _balloon: away >= 64, "reporting")
    guest.run("dd if=/dev/urandom of=/mnt/big bs=1M count=48 2>/dev/null; md5sum </mnt/big >/tmp/sum", 300)
    free, away, _ = guest.memory()
    guest.run("cp /mnt/big /tmp/big; rm /mnt/big")  # as much is used as before
    check(guest.run("md5sum </tmp/big | cmp - /tmp/sum && echo same", 300) == "same", "the file has changed")
    guest.run("rm /tmp/big; echo 3 >/proc/sys/vm/drop_caches")
    more, gone, _ = guest.waits_for(lambda _free, now, _balloon: now >= away + 36, "reporting what was used")
    check(more - free >= gone - away - 4, f"{gone - away} MiB more are away, but only {more - free} MiB more are free")
    guest.run("dd if=/dev/urandom of=/mnt/big bs=1M count=48 2>/dev/null", 300)
    _, rest, _ = guest.memory()
    check(rest <= gone - 24, f"{rest} MiB of {gone} are away while the file is there")
    guest.console.type("poweroff -f\r")
    guest.console.ends(0)
    return f"{gone - away} MiB went, {gone - rest} came again; {more - free} MiB more were free"


def case_lent_memory(t):
    """Overcommitted memory: what a VM lends another gets, clean; the lender that wants it again waits, is told what helps, and goes on with zeros."""
    config = vm("lender", "lend", memory=f"{LENDING}M", balloon="yes") + vm("beside", "seek", memory="20M") + vm("seeker", "seek", memory=f"{SEEKING}M")
    console = t.boot(t.iso(GUEST, config=config, arguments="overcommit"), cpu=SKYLAKE, cpus=2, memory=96, limit=500)
    console.expect(rf"MARKED {LENDING - 16} MiB", 120)
    desk = Desk(console)
    desk.enter()
    # No command is longer than the serial FIFO: these guests poll with interrupts off (see cases_isolation.py).
    desk.asks("info vms", r"seeker +ended")
    desk.asks("start seeker", r"does not fit")
    desk.ctrl_a("1")
    desk.keys("x")
    console.expect("LENT", 60)
    desk.enter()
    for _ in range(30):
        away = int(re.search(r"away=(\d+)", desk.say("info balloon"))[1])
        free = int(re.search(r"(\d+) KiB of them free", desk.say("info mem"))[1]) >> 10
        if away >= LENDING - 16 and free > SEEKING + 4:
            break
        time.sleep(0.5)
    check(away >= LENDING - 16 and free > SEEKING + 4, f"{away} MiB are away, {free} MiB free")
    desk.say("start seeker")
    desk.ctrl_a("3")
    console.expect(rf"SOUGHT (\d+) marks in {SEEKING - 16} MiB", 120)
    check(re.search(r"SOUGHT 0 ", console.matched()), f"the lender's bytes: {console.matched()}")
    desk.ctrl_a("1")
    desk.keys("x")
    console.expect(r"\[lender\] paused: it needs memory that was given to others \(overcommit\): end a VM, or let one give memory back \('balloon'\)", 120)
    for place in "32":  # nobody else is hurt
        desk.ctrl_a(place)
        desk.keys("x")
        console.expect(r"STANDS 0 words are lost", 60)
    desk.enter()
    desk.asks("info vms", r"lender +stopped")
    desk.say("kill seeker")
    console.expect(r"\[lender\] there is memory again: it goes on", 60)
    desk.ctrl_a("1")
    console.expect("TAKEN 0 words are not zero", 120)
    console.expect("HELD 0 words are lost", 60)
    end(t, console)
    return f"{away} MiB were lent"


def long_sparse_disk(t):
    """Disks in RAM have the memory of what was written, and give back what is discarded."""
    image = t.folder / "ext4.img"
    image.write_bytes(bytes(16 << 20))
    subprocess.run(["mke2fs", "-q", "-t", "ext4", image], check=True, stdin=subprocess.DEVNULL)
    guest = Guest(t, image, more="disk = ram:64M\ndisk = module:ext4.img,overlay\n")
    guest.run("dd if=/dev/urandom of=/tmp/random bs=1M count=12 2>/dev/null")
    wanted = guest.run("md5sum </tmp/random")
    free = [guest.free()]
    guest.run("dd if=/tmp/random of=/dev/vda bs=64k seek=100 conv=fsync 2>/dev/null", 300)
    free.append(guest.free())
    guest.run("mkdir -p /mnt; mount -t ext4 /dev/vdb /mnt; cp /tmp/random /mnt/copy; sync; echo 3 >/proc/sys/vm/drop_caches", 300)
    free.append(guest.free())
    check(guest.run("md5sum </mnt/copy", 300) == wanted, "vdb has other bytes")
    check(guest.run("dd if=/dev/vda bs=64k skip=100 count=192 2>/dev/null | md5sum", 300) == wanted, "vda has other bytes")
    check(guest.run("dd if=/dev/vda bs=64k count=100 2>/dev/null | md5sum", 300) == guest.run("dd if=/dev/zero bs=64k count=100 2>/dev/null | md5sum", 300), "what was not written is not zero")
    guest.run("blkdiscard /dev/vda; rm /mnt/copy; sync; fstrim /mnt", 300)
    free.append(guest.free())
    used = [before - after for before, after in zip(free, free[1:])]
    check(10 <= used[0] <= 14 and 10 <= used[1] <= 15 and -26 <= used[2] <= -21, f"MiB that were used by writing, copying and discarding: {used}")
    check(guest.run("cat /dev/vda | tr -d '\\0' | wc -c", 300) == "0", "what was discarded is not zero")
    guest.console.type("poweroff -f\r")
    guest.console.ends(0)
