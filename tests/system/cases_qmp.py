"""QMP: QEMU's own client for it, and a guest's. What sessions answer is in tests/unit/test_qmp_client.py."""
import re

from harness import BUILD, GUEST, KERNEL, SKYLAKE, Console, check, check_says, plain, uuid_of

SERVER = BUILD / "unit/qmp_server"


def shell(t, path, *options):
    """QEMU's qmp-shell at a server's socket."""
    console = Console(["/usr/bin/env", f"HOME={t.folder}", (GUEST / "qmp-shell").resolve(), *options, path], t.log)
    t.consoles.append(console)
    console.expect(r"Connected to QEMU 7\.2\.0", 20)
    console.expect(r"\(QEMU\) ", 20)
    return console


def ask(console, line):
    console.type(line + "\r")
    return console.expect(r"\(QEMU\) ", 20)


def case_qmp_shell(t):
    """QEMU's qmp-shell orders a VM about: sessions of monitor/qmp.c on a socket of this machine."""
    path = t.folder / "socket"
    path.unlink(missing_ok=True)
    server = Console([str(SERVER), path, 3], t.log)
    t.consoles.append(server)
    while not path.exists():
        check(server.child.isalive(), "the server has ended")
    console = shell(t, path)
    check_says(ask(console, "query-status"), '"status": "running"')
    check_says(ask(console, "query-cpus-fast"), '"cpu-index": 1')
    check_says(ask(console, "stop"), r'{"return": {}}')
    check_says(ask(console, "query-status"), '"status": "paused"')
    check_says(ask(console, "balloon value=100663296"), r'{"return": {}}')
    check_says(ask(console, "balloon value=1 now=true"), "Parameter 'now' is unexpected")
    check_says(ask(console, "nosuch"), "CommandNotFound")
    console.type("query-mem\t\r")  # completed from query-commands
    check_says(console.expect(r"\(QEMU\) ", 20), '"base-memory": 268435456')
    text = shell(t, path, "-H")
    check_says(ask(text, "info vms"), r"\* 1 web +stopped")
    check_says(ask(text, "cont"), "web runs")
    check_says(ask(text, "x /4xb 0"), "0x00 0x00 0x00 0x00")
    check_says(ask(text, "quit"), "it is the operator's")
    check(not re.search(r"\bdb\b", ask(text, "info vms")), "another VM is seen")
    check_says(ask(console, "query-status"), '"status": "running"')
    check_says(ask(console, ""), "STOP", "RESUME")  # an empty line shows the events that came with answers


CONFIG = """
[vm service]
memory  = 128M
kernel  = vmlinuz
initrd  = initrd-vsock.gz
cmdline = console=ttyS0 quiet mitigations=off
vsock   = yes
control = poser:take button:operate service:observe
[vm poser]
memory  = 4M
kernel  = neighbour.elf
cmdline = pose
[vm button]
memory  = 2M
kernel  = neighbour.elf
cmdline = button
"""

# A shell's functions, in lines that need no second row: requests, then silence; a session, from a port of root's; bytes.
FUNCTIONS = ["n() { printf '{\"execute\":\"%s\"}' qmp_capabilities $@; sleep $W; }",
             "s() { socat -t 5 - VSOCK-CONNECT:2:$1,bind=:$2 2>&1; }",
             "u() { socat -u VSOCK-CONNECT:2:$1,bind=:$2 - 2>&1; }",
             "x() { hexdump -v -e '1/1 \"%02x\"'; }", "W=2"]


def long_qmp_vsock(t):
    """socat in a Linux guest speaks QMP of other VMs and of its own, hears their events, and takes one out as a core file."""
    iso = t.iso(f"vmlinuz={KERNEL}", BUILD / "system/initrd-vsock.gz", BUILD / "guests/neighbour.elf", config=CONFIG)
    console = t.boot(iso, cpu=SKYLAKE, cpus=2, memory=512, limit=600)
    console.type("\x011")
    console.settle(400)
    for line in FUNCTIONS:
        console.run(line)
    said = console.run("n query-status query-name stop query-status cont | s 2002 1000")
    check_says(said, r'{"QMP": .*"major": 7', '"status": "running"', '{"name": "poser"}', '"event": "STOP"', '"status": "paused"',
               '"event": "RESUME"')
    said = console.run("n query-uuid stop | s 2001 1000")  # its own
    check_says(said, f'"UUID": "{uuid_of("service")}"', "stop needs the right to operate the VM")
    check_says(console.run("u 2004 1000"), "reset by peer")

    console.run("(W=40; n | s 2003 1001 >/tmp/events) &")
    said = console.run("(W=8; n system_powerdown) | s 2003 1000")
    check_says(said, '"event": "POWERDOWN"', '"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}')
    said = console.run("n query-status system_reset | s 2003 1000")
    check_says(said, '"status": "shutdown"', '"event": "RESUME"')
    check_says(console.run("cat /tmp/events"), "POWERDOWN", "SHUTDOWN", "RESUME")

    console.run("u 3002 1002 >/tmp/core")
    size = console.run("wc -c </tmp/core")
    check(int(size) == (4 << 20) + 4096, f"the core has {size} bytes")
    check_says(console.run("head -c 20 /tmp/core | x"), "^7f454c46020101000000000000000000" "04003e00")
    check(int(console.run("head -c 4096 /tmp/core | x | grep -o 8877665544332211 | wc -l")) >= 2, "RAX is not in the notes")
    check_says(console.run("u 3003 1002"), "reset by peer")  # that one it may only operate
    check_says(console.run("n query-status | s 2002 1000"), '"status": "running"')
    console.type("\x01x")
    console.ends(0)
    check("panic" not in plain(t.seen()).lower(), "panic")
