"""The machine's own keyboard, where no serial line is: typed at the emulator's screen by VNC's protocol."""
import os
import pathlib
import socket
import struct
import threading
import time

from harness import SCALE, SKYLAKE, Failure

CONTROL, RETURN = 0xffe3, 0xff0d
SPINNING = b"\xeb\xfe" + bytes(508) + b"\x55\xaa"  # a boot sector: jmp $


def emulator_of(pid):
    """The Bochs below a process."""
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        name = pathlib.Path(f"/proc/{child}/comm").read_text().strip()
        if name.startswith("bochs"):
            return int(child)
    raise Failure("no emulator runs")


def listening_port(pid):
    """The TCP port that a process listens on."""
    sockets = {os.readlink(entry) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
            return int(words[1].rpartition(":")[2], 16)
    raise Failure("the emulator shows no screen by VNC")


class Keyboard:
    """A client of RFB 3.3 that only presses keys."""

    def __init__(self, port):
        self.line = socket.create_connection(("127.0.0.1", port), 10)
        self.line.recv(12)
        self.line.sendall(b"RFB 003.003\n")
        self.line.recv(4)  # no authentication
        self.line.sendall(b"\x01")
        # Pictures come unasked; an emulator whose line is full stands still.
        threading.Thread(target=self.drop_pictures, daemon=True).start()

    def drop_pictures(self):
        try:
            while self.line.recv(65536):
                pass
        except OSError:
            pass  # the emulator has gone

    def key(self, symbol, is_down):
        self.line.sendall(struct.pack(">BBHI", 4, is_down, 0, symbol))
        time.sleep(0.15 * SCALE)

    def press(self, *symbols):
        """Holds each down until the last is pressed."""
        for symbol in symbols:
            self.key(symbol, 1)
        for symbol in reversed(symbols):
            self.key(symbol, 0)

    def type(self, text):
        for character in text:
            self.press(ord(character))


def case_keyboard(t):
    """Ctrl-A c and a command typed at the machine's keyboard reach the monitor."""
    console = t.boot(t.iso(t.file("spin.bin", SPINNING), config="[vm spin]\nkernel = spin.bin\nboot = sector\n"),
                     cpu=SKYLAKE, limit=180)
    console.expect(r"ready: 1 VM", 120)
    keyboard = Keyboard(listening_port(emulator_of(console.child.pid)))
    keyboard.press(CONTROL, ord("a"))
    keyboard.type("c")
    console.expect(r"\(corbel\) ", 30)
    keyboard.type("info vms")
    keyboard.press(RETURN)
    console.expect(r"\bspin\b", 30)
