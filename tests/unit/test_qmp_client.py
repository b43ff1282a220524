#!/usr/bin/python3
"""usage: test_qmp_client

QMP as programs speak it, by a socket: a client of its own and Python's JSON against build/unit/qmp_server, which serves
sessions of monitor/qmp.c. Prints what cmocka's tests print.
"""
import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

SERVER = pathlib.Path(__file__).resolve().parent / "qmp_server"
LIMIT = 20


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(LIMIT)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")
        self.greeting = self.hear()
        self.events = []

    def hear(self):
        line = self.file.readline()
        assert line.endswith(b"\r\n"), line
        return json.loads(line.decode("ascii"))

    def send(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def answer(self):
        """The next one; events are put aside."""
        while "event" in (message := self.hear()):
            self.events.append(message)
        return message

    def ask(self, command, **arguments):
        self.send(json.dumps({"execute": command, "arguments": {name.replace("_", "-"): value for name, value in arguments.items()}}))
        return self.answer()

    def get(self, command, **arguments):
        return self.ask(command, **arguments)["return"]

    def refused(self, command, **arguments):
        return self.ask(command, **arguments)["error"]

    def event(self):
        return self.events.pop(0) if self.events else self.hear()


@contextlib.contextmanager
def server(right=2):
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/qmp"
        with subprocess.Popen([SERVER, path, str(right)]) as process:
            try:
                for _ in range(LIMIT * 100):
                    if pathlib.Path(path).exists():
                        break
                    time.sleep(0.01)
                yield path
                assert process.poll() is None, "the server has ended"
            finally:
                process.kill()


def client(path):
    one = Client(path)
    assert one.get("qmp_capabilities") == {}
    return one


def check(actual, expected):
    assert actual == expected, f"{actual!r} is not {expected!r}"


# ---- the tests ----

def a_greeting_and_negotiation(path):
    one = Client(path)
    check(one.greeting["QMP"]["version"]["qemu"], {"major": 7, "minor": 2, "micro": 0})
    check(one.greeting["QMP"]["capabilities"], [])
    check(one.refused("query-status")["class"], "CommandNotFound")
    check(one.get("qmp_capabilities", enable=[]), {})
    check(one.get("query-status"), {"status": "running", "singlestep": False, "running": True})


def every_query(path):
    one = client(path)
    names = [command["name"] for command in one.get("query-commands")]
    check(len(names), len(set(names)))
    for name in names:
        if name.startswith("query-"):
            one.get(name)
    check(one.get("query-name"), {"name": "web"})
    check([cpu["cpu-index"] for cpu in one.get("query-cpus-fast")], [0, 1])
    disks = one.get("query-block")
    check([disk["inserted"]["image"]["virtual-size"] for disk in disks], [1 << 20, 2 << 20])


def orders_and_their_events(path):
    one, other = client(path), client(path)
    for command, event in (("stop", "STOP"), ("cont", "RESUME"), ("system_powerdown", "POWERDOWN"), ("system_reset", "RESET"),
                           ("quit", "SHUTDOWN")):
        check(one.get(command), {})
        for each in (one, other):
            told = each.event()
            check(told["event"], event)
            check(told["timestamp"], {"seconds": 1700000000, "microseconds": 123456})
    check(told["data"], {"guest": False, "reason": "host-qmp-quit"})
    check(one.get("inject-nmi"), {})
    check(one.get("balloon", value=96 << 20), {})
    check(one.get("set_link", name="net0", up=False), {})
    check(one.get("human-monitor-command", command_line="stop"), "web is stopped; 'cont web' lets it go on\n")


def ids_and_errors(path):
    one = client(path)
    one.send('{"execute": "query-kvm", "id": {"n": [1, "\\u20ac", null]}}\n')
    check(one.answer()["id"], {"n": [1, "\u20ac", None]})
    check(one.refused("stop", now=1), {"class": "GenericError", "desc": "Parameter 'now' is unexpected"})
    check(one.refused("nosuch"), {"class": "CommandNotFound", "desc": "The command nosuch has not been found"})
    check(one.refused("set_link", name="net7", up=True)["class"], "DeviceNotFound")
    one.send("".join(json.dumps({"execute": "query-name", "id": number}) for number in range(500)))
    check([one.answer()["id"] for _ in range(500)], list(range(500)))


def hostile_clients_harm_nobody(path):
    good, bad = client(path), client(path)
    half = Client(path)
    half.send('{"execute": "qmp_capa')  # and nothing more
    bad.send(b"\x00\xff garbage {]\n")
    check(bad.answer()["error"]["class"], "GenericError")
    bad.send("[" * 100000 + "]" * 100000)
    assert "error" in bad.answer()
    bad.send('\n{"execute": "' + "x" * 1000000)  # without an end
    assert "error" in bad.answer()
    bad.socket.setblocking(False)
    with contextlib.suppress(BlockingIOError):  # asks, and does not read
        while True:
            bad.socket.send(b'"}\n{"execute": "query-commands"}' * 100)
    check(good.get("query-name"), {"name": "web"})
    check(good.get("human-monitor-command", command_line="help")[:8], "announce")
    bad.socket.close()
    half.socket.close()
    check(client(path).get("query-name"), {"name": "web"})


def rights_are_kept(path):
    one = client(path)
    check(one.get("query-name"), {"name": "web"})
    assert "right to operate" in one.refused("stop")["desc"]
    assert "right to" in one.get("human-monitor-command", command_line="xp 0")


TESTS = [(a_greeting_and_negotiation, 2), (every_query, 2), (orders_and_their_events, 2), (ids_and_errors, 2),
         (hostile_clients_harm_nobody, 2), (rights_are_kept, 1)]


def main():
    failed = 0
    for test, right in TESTS:
        try:
            with server(right) as path:
                test(path)
            print(f"[       OK ] {test.__name__}", flush=True)
        except (AssertionError, KeyError, OSError, ValueError) as error:
            failed += 1
            print(f"{error!r}\n[  FAILED  ] {test.__name__}", flush=True)
    if failed:
        print(f"[  FAILED  ] {failed} test(s)")
    return failed != 0


sys.exit(main())
