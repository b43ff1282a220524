"""The stick of tools/mkusb: it boots everywhere, what a person edits on it counts, and no disk is overwritten by mistake."""
import os
import subprocess

from harness import INITRD, ROOT, Failure, check, check_says

MB = 2048  # sectors


def tool(*words, answer="", machine=None):
    """Runs a program; returns (exit status, all that it printed)."""
    environment = dict(os.environ, MACHINE=str(machine)) if machine else None
    done = subprocess.run([str(word) for word in words], input=answer, capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout + done.stderr


def stick(t, config, *files):
    path = t.folder / "stick.img"
    status, said = tool(ROOT / "tools/mkusb", "-o", path, "-c", t.file("vms.conf", config), *files)
    if status:
        raise Failure(f"tools/mkusb: {said}")
    return path


def edit(path, name, content, t):
    """What a person does with an editor, on any computer that reads FAT."""
    status, said = tool("mcopy", "-o", "-i", f"{path}@@1M", t.file("edited", content), f"::{name}")
    check(status == 0, f"mcopy: {said}")


def case_usb_boots(t):
    """A stick boots by BIOS and by UEFI, and its guests travel as modules."""
    path = stick(t, "[vm first]\n", INITRD)
    for more in (["--usb"], ["--usb", "--uefi"]):
        text = t.batch(path, 4, emulator="qemu-tcg", limit=180, more=more)
        check_says(text, r"/guests/initrd\.gz", r"missing: Intel VMX")


def case_usb_edit(t):
    """vms.conf and the command line edited on the stick, as Windows writes them, count at the next boot."""
    path = stick(t, "[vm first]\nmemory = 32M\n")
    text = t.batch(path, 0, limit=180, more=["--usb"])
    check_says(text, r"VM first ended: powered off")
    edit(path, "vms.conf", "[vm second]\r\nmemory = 32M\r\nkernel = kernel.bin\r\n", t)
    edit(path, "guests/kernel.bin", b"no kernel at all", t)
    edit(path, "corbel.cfg", 'set arguments="end=loud"\r\n', t)
    text = t.batch(path, 2, limit=180, more=["--usb"])
    check_says(text, r"kernel\.bin: no kernel", r"\"end=loud\" is ignored")
    check("VM first" not in text, "the old vms.conf still counts")


def disk(machine, name, removable, mb=128, model="Stick 3000"):
    """A disk of a machine that is only a folder."""
    sys = machine / "sys/block" / name
    (sys / "device").mkdir(parents=True, exist_ok=True)
    (sys / "holders").mkdir(exist_ok=True)
    for file, value in (("removable", removable), ("size", mb * MB), ("ro", 0), ("dev", f"8:{ord(name[-1])}"),
                        ("device/vendor", "ACME"), ("device/model", model)):
        (sys / file).write_text(f"{value}\n")
    (machine / "dev").mkdir(exist_ok=True)
    path = machine / "dev" / name
    path.write_bytes(b"precious")
    os.truncate(path, mb * MB * 512)
    return path


def case_usb_asks(t):
    """A disk is written only when it is whole, not in use, and its name was typed; a fixed disk needs two words more."""
    machine = t.folder / "machine"
    tool("rm", "-rf", machine)
    (machine / "proc/self").mkdir(parents=True)
    mounts, swaps = machine / "proc/self/mountinfo", machine / "proc/swaps"
    mounts.write_text("")
    swaps.write_text("Filename Type\n")
    removable, fixed = disk(machine, "sdx", 1), disk(machine, "sdy", 0, model="Disk 1T")
    part = machine / "sys/block/sdx/sdx1"
    (part / "holders").mkdir(parents=True)
    (part / "dev").write_text("8:77\n")
    (part / "size").write_text(f"{100 * MB}\n")

    def attempt(path, answer, status, *says, written=False):
        code, said = tool(ROOT / "tools/mkusb", "-o", path, answer=answer, machine=machine)
        check(code == status, f"exit status {code} where {status} was expected: {said}")
        check_says(said, *says)
        if path.exists():
            check((path.read_bytes()[:8] != b"precious") == written, f"{path} written: {not written}; {said}")

    attempt(removable, "", 1, r"/dev/sdx +128 MB +ACME Stick 3000", r"sdx1 +100 MB", r"nothing was written")
    attempt(removable, "yes\n", 1, r"nothing was written")
    mounts.write_text("36 35 8:77 / /media/photos rw - vfat /dev/sdx1 rw\n")
    attempt(removable, "sdx\n", 1, r"in use: mounted at /media/photos")
    mounts.write_text("")
    swaps.write_text("Filename Type\n/dev/sdx1 partition 1 0 -2\n")
    attempt(removable, "sdx\n", 1, r"in use: swap")
    swaps.write_text("")
    (part / "holders/dm-0").write_text("")
    attempt(removable, "sdx\n", 1, r"in use: part of dm-0")
    (part / "holders/dm-0").unlink()
    attempt(fixed, "sdy\n", 1, r"NOT a removable disk", r"nothing was written")
    (machine / "dev/sdx1").write_bytes(b"precious")
    attempt(machine / "dev/sdx1", "sdx1\n", 1, r"no whole disk")
    attempt(removable, "sdx\n", 0, r"ready", written=True)
    attempt(fixed, "sdy fixed disk\n", 0, r"ready", written=True)
    listed = tool("mdir", "-b", "-i", f"{removable}@@1M", "::")[1]
    check_says(listed, r"corbel\.cfg", r"guests")
    small = disk(machine, "sdz", 1, mb=16)
    attempt(small, "sdz\n", 1, r"16 MB, \d+ are needed")
