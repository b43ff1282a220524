"""What a case of tests/system has in hand: ISOs to build, machines to run, a console to type at."""
import contextlib
import os
import pathlib
import re
import subprocess
import threading
import traceback
import uuid

import pexpect

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
GUEST = BUILD / "guest"
KERNEL = GUEST / "vmlinuz-cloud"
INITRD = GUEST / "initrd.gz"
PROMPT = "guest# "
SCALE = float(os.environ.get("TIME_SCALE", "1"))
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\([0-9A-Z]|[\x0f\x18]")
KERNEL_LINE = re.compile(r"(?<!>)\[ *\d+\.\d+\] [^\n]*\n")

SKYLAKE, HASWELL, SANDY_BRIDGE = "corei7_skylake_x", "corei7_haswell_4770", "corei7_sandy_bridge_2600k"
ICELAKE, TIGERLAKE = "corei7_icelake_u", "tigerlake"

iso_lock = threading.Lock()


def uuid_of(name):
    """A VM's, where vms.conf says none."""
    return str(uuid.uuid5(uuid.UUID("a72b1a07-3d72-49bc-9e55-746479b4bf4f"), name))


class Failure(Exception):
    """What was expected and what came."""


class Skip(Exception):
    """Why this case cannot run here."""


# Corbel breaks its long lines between words.
BROKEN_LINE = re.compile(r"(?<=.{40})\n {4}(?=\S)")


def plain(text):
    """Terminal output as a person reads it."""
    return BROKEN_LINE.sub(" ", ESCAPES.sub("", text).replace("\r", ""))


def across_rows(pattern):
    """The pattern, whose blanks may be where a line was broken."""
    return re.sub(r"\[[^\]]*\]|\\.| ", lambda part: r"(?: |\r?\n {4})" if part[0] == " " else part[0], pattern)


class Console:
    """A machine under tools/run, and a person at its terminal."""

    def __init__(self, command, log):
        self.log = open(log, "a", encoding="utf-8", errors="replace", newline="")
        self.child = pexpect.spawn(command[0], [str(word) for word in command[1:]], encoding="utf-8",
                                   codec_errors="replace", dimensions=(50, 200), timeout=60, echo=False)
        self.child.logfile_read = self.log
        self.child.delaybeforesend = 0.05

    def expect(self, pattern, limit):
        """Waits for a pattern; returns what came before it."""
        try:
            self.child.expect(across_rows(pattern) if isinstance(pattern, str) else pattern, timeout=limit * SCALE)
        except pexpect.TIMEOUT:
            raise Failure(f"no {pattern!r} within {limit * SCALE:g} s") from None
        except pexpect.EOF:
            raise Failure(f"no {pattern!r} before the machine ended") from None
        return plain(self.child.before)

    def matched(self):
        return plain(self.child.after)

    def type(self, text):
        """Keys one after another, as fast as a good typist."""
        for key in text:
            self.child.send(key)

    def run(self, command, limit=60):
        """Types a command at the guest's shell; returns its output, without messages of the kernel."""
        self.type(command + "\r")
        _echo, _newline, output = KERNEL_LINE.sub("", self.expect(PROMPT, limit)).partition("\n")
        return output.strip()

    def settle(self, limit=120):
        """Waits for the shell's first prompt; those that a console shows again are behind it then."""
        self.expect(PROMPT, limit)
        self.type("echo settled-$((6 * 7))\r")
        self.expect("settled-42\r*\n", 60)
        self.expect(PROMPT, 60)

    def ends(self, status, limit=120):
        """The machine goes down by itself, and tools/run has this exit status. Returns the last words."""
        try:
            self.child.expect(pexpect.EOF, timeout=limit * SCALE)
        except pexpect.TIMEOUT:
            raise Failure(f"the machine still runs after {limit * SCALE:g} s") from None
        words = plain(self.child.before)
        self.child.wait()  # its last descriptor is closed; it may take a moment yet to end
        if self.child.exitstatus != status:
            raise Failure(f"exit status {self.child.exitstatus} where {status} was expected")
        return words

    def close(self):
        if not self.child.closed and self.child.isalive():
            self.child.kill(15)  # tools/run ends its emulator
            try:
                self.child.expect(pexpect.EOF, timeout=10)
            except (pexpect.TIMEOUT, pexpect.EOF):
                pass
        self.child.ptyproc.delayafterterminate = 10  # on a busy machine a killed process ends late; one that has ended costs nothing
        self.child.close(force=True)
        self.log.close()


class Case:
    """One case: its folder, its machines."""

    def __init__(self, name):
        self.name = name
        self.folder = BUILD / "system" / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "serial.txt"
        self.log.write_text("")
        self.consoles = []

    def file(self, name, content):
        """A file of this case."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def iso(self, *files, config=None, arguments="", quiet=False):
        """An ISO with Corbel and these files (paths, or NAME=PATH); config is the text of vms.conf. Debug messages are shown, unless quiet."""
        words = [str(file) for file in files]
        if config is not None:
            words.insert(0, f"vms.conf={self.file('vms.conf', config)}")
        return self.build(["-a", arguments if quiet else f"loglevel=debug {arguments}", *words])

    def bare_iso(self, cmdline, *files):
        """An ISO that boots Linux itself."""
        return self.build(["-b", cmdline, *files])

    def build(self, words):
        out = self.folder / "boot.iso"
        command = [ROOT / "tools/mkiso", "-o", out, *words]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise Failure(f"tools/mkiso: {done.stderr.strip()}")
        return out

    @staticmethod
    def command(iso, batch, emulator="bochs", cpu=None, cpus=1, memory=512, limit=600, more=()):
        words = [ROOT / "tools/run", "--emulator", emulator, "--cpus", cpus, "--memory", memory,
                 "--limit", limit * SCALE, "--clock", "exact", *more]
        if batch:
            words.append("--batch")
        if cpu:
            words += ["--cpu", cpu]
        return [str(word) for word in [*words, iso]]

    def boot(self, iso, **machine):
        """Starts a machine to type at. machine: emulator, cpu, cpus, memory (MB), limit (s), more (options of tools/run)."""
        console = Console(self.command(iso, False, **machine), self.log)
        self.consoles.append(console)
        return console

    def batch(self, iso, status, **machine):
        """Runs a machine to its end; fails unless tools/run has this exit status. Returns the serial output."""
        done = subprocess.run(self.command(iso, True, **machine), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        text = plain(done.stdout.decode(errors="replace"))
        with open(self.log, "ab") as log:
            log.write(done.stdout)
        if done.returncode != status:
            raise Failure(f"exit status {done.returncode} where {status} was expected")
        return text

    def seen(self):
        """All that the machines of this case have printed, as it came."""
        for console in self.consoles:
            if not console.log.closed:
                console.log.flush()
        return self.log.read_bytes().decode(errors="replace")

    def tail(self, lines=25):
        """The last that was seen, for a failure's report."""
        text = plain(self.seen())
        return "".join(f"        | {line}\n" for line in text.splitlines()[-lines:]) + f"        whole: {self.log}"

    def judge(self, function):
        """Runs function(self) and closes the case: 'passed', 'failed' or 'skipped', and what it returned or why."""
        try:
            with contextlib.closing(self):
                return "passed", function(self) or ""
        except Skip as skip:
            return "skipped", str(skip)
        except Failure as failure:
            return "failed", f"{failure}\n{self.tail()}"
        except Exception:  # one that does not work, or does not end, fails, and the others run
            return "failed", f"{traceback.format_exc()}{self.tail()}"

    def close(self):
        for console in self.consoles:
            console.close()


def check(condition, what):
    if not condition:
        raise Failure(what)


def check_says(text, *patterns):
    """Each pattern stands in the text, case apart."""
    text = plain(text)
    for pattern in patterns:
        check(re.search(pattern, text, re.I), f"nothing like {pattern!r} in the output")
