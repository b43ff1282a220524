"""QMP and QEMU's own client for it. What it says is in tests/unit/test_qmp_client.py; here it is typed at."""
import re

from harness import BUILD, GUEST, Console, check, check_says

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
