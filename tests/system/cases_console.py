"""A virtio console in Linux, and QEMU's guest agent."""
import itertools
import re
import subprocess

from cases_linux import reach_shell
from harness import GUEST, INITRD, KERNEL, ROOT, SKYLAKE, check

CONFIG = """
[vm linux]
memory  = 128M
kernel  = vmlinuz
initrd  = initrd.gz
console = virtio
"""


returns = itertools.count()


def to_guest(console):
    """From the monitor to the guest's shell, which first shows its last lines again."""
    word = f"back{next(returns)}"
    console.type(f"\x011echo ''{word}\r")
    console.expect(f"\n{word}", 60)
    console.expect("guest# ", 60)


def case_virtio_console(t):
    """hvc0 is typed at and shown, COM1 beside it, its size is the terminal's; and a long output arrives whole."""
    iso = t.iso(f"vmlinuz={KERNEL}", INITRD, config=CONFIG)
    console = t.boot(iso, cpu=SKYLAKE, limit=1200)
    reach_shell(console)
    check(console.run("tty") == "/dev/hvc0", "the shell is elsewhere")
    check(console.run("cat /sys/class/tty/console/active") == "ttyS0 hvc0", "consoles")
    check("on COM1" in console.run("echo on COM1 >/dev/ttyS0; sleep 1"), "COM1 is silent")
    lines = console.run("seq 4000", 600).splitlines()
    check([int(line) for line in lines] == list(range(1, 4001)), f"{len(lines)} of 4000 lines")
    console.type("\x01c")
    console.expect(r"\(corbel\) ", 60)
    console.type("resize 132x43\r")
    console.expect(r"\(corbel\) ", 60)
    console.type("info qtree\r")
    tree = console.expect(r"\(corbel\) ", 60)
    check('dev: virtio-console, "console0"' in tree, f"info qtree: {tree}")
    to_guest(console)
    check(console.run("stty size") == "43 132", "the size that was said")
    console.type("\x01c")
    console.expect(r"\(corbel\) ", 60)
    console.type("\x011")
    console.expect(re.compile(r"\x1b\[18t"), 60)
    console.child.send("\x1b[8;50;100t")
    to_guest(console)
    check(console.run("stty size") == "50 100", "the size that the terminal answers")
    console.run("(sleep 2; timeout 4 yes 'a flood'; echo; echo is''over) &")
    console.type("\x01c")
    console.expect(r"\(corbel\) ", 60)
    console.type("info vms\r")  # the guest prints as fast as it can, and the monitor answers
    console.expect("running", 60)
    console.type("\x011")
    console.expect("a flood\r?\na flood", 120)
    console.expect("\nisover", 300)
    console.run("")
    console.type("echo last words; poweroff -f\r")
    check("\nlast words" in console.ends(0), "the last words are lost")


AGENT_CONFIG = """
[vm linux]
memory  = 128M
kernel  = vmlinuz
initrd  = initrd-agent.gz
guest_agent = yes
disk    = module:ext4.img,overlay
"""
AGENT = "qemu-ga -d -p /dev/virtio-ports/org.qemu.guest_agent.0 -f /run/qemu-ga.pid -t /run"


def agent_initrd(t):
    """The guest's initramfs, with Debian's qemu-ga, its libraries, and the program by which that switches off."""
    agent = GUEST / "qemu-ga"
    shutdown = t.file("shutdown", "#!/bin/sh\npoweroff -f\n")
    shutdown.chmod(0o755)
    libraries = re.findall(r"/\S+", subprocess.run(["ldd", agent], capture_output=True, check=True, text=True).stdout)
    more = t.folder / "more.gz"
    subprocess.run([ROOT / "tools/mkinitramfs", more, GUEST / "busybox", f"{agent}=usr/sbin/qemu-ga", f"{shutdown}=sbin/shutdown",
                    *[f"{library}={library[1:]}" for library in libraries]], check=True)
    return t.file("initrd-agent.gz", INITRD.read_bytes() + more.read_bytes())


def ask(console, words, answer, limit=60):
    """Types at the monitor, and waits for what is said of it."""
    console.type(words + "\r")
    console.expect(answer, limit)


def long_guest_agent(t):
    """qemu-ga answers, freezes file systems and thaws them, is silent, and shuts its guest down."""
    image = t.folder / "ext4.img"
    image.write_bytes(bytes(8 << 20))
    subprocess.run(["mke2fs", "-q", "-t", "ext4", image], check=True, stdin=subprocess.DEVNULL)
    iso = t.iso(f"vmlinuz={KERNEL}", agent_initrd(t), image, config=AGENT_CONFIG)
    console = t.boot(iso, cpu=SKYLAKE, limit=1200)
    reach_shell(console)
    console.run("mkdir -p /mnt && mount -t ext4 /dev/vda /mnt")
    console.type("\x01c")
    console.expect(r"\(corbel\) ", 60)
    ask(console, "guest-ping", "no agent runs in linux")
    to_guest(console)
    console.run(AGENT)
    console.run("sleep 2")
    console.type("\x01c")
    ask(console, "guest-ping", r"\[linux\] guest agent: it answers")
    ask(console, "guest-fsfreeze linux status", "guest agent: file systems are thawed")
    ask(console, "guest-fsfreeze linux freeze", "guest agent: 1 file systems are frozen")
    ask(console, "guest-fsfreeze linux status", "guest agent: file systems are frozen")
    to_guest(console)
    check(console.run("(echo x >/mnt/x; echo written) & sleep 2; echo") == "", "a frozen file system is written to")
    console.type("\x01c")
    ask(console, "guest-fsfreeze linux thaw", "guest agent: 1 file systems are thawed")
    to_guest(console)
    check(console.run("sleep 1; cat /mnt/x") == "x", "a thawed file system is not")
    console.run("kill -STOP $(cat /run/qemu-ga.pid)")
    console.type("\x01c")
    ask(console, "guest-ping", "guest agent: it does not answer")
    ask(console, "system_powerdown", "guest agent: it does not answer")
    console.expect(r"\[linux\] it.*power button", 60)
    to_guest(console)
    console.run("kill -CONT $(cat /run/qemu-ga.pid)")
    console.type("\x01c")
    ask(console, "guest-ping", r"guest agent: it answers")
    console.type("system_powerdown\r")
    console.ends(0)
