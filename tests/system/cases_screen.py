"""The screen: what GRUB hands over on UEFI and on BIOS, and that all of the text stands there, dot by dot."""
import time

from harness import check, check_says
from picture import Picture, corbel_font, vga_font, wrapped

BANNER = "Corbel, a hypervisor for Intel VMX"


def check_shows(lines, serial, columns):
    """The screen shows what the serial line got, from the first word to the last."""
    expected = wrapped(serial[serial.index(BANNER):], columns)
    while expected and not expected[-1]:
        expected.pop()
    while lines and not lines[0]:
        lines = lines[1:]
    for seen, wanted in zip(lines, expected):
        check(seen == wanted, f"the screen shows {seen!r} where {wanted!r} was printed")
    check(len(lines) == len(expected), f"{len(lines)} lines on the screen, {len(expected)} were printed")


def refusal(t, *more):
    path = t.folder / "screen.ppm"
    path.unlink(missing_ok=True)
    serial = t.batch(t.iso(), 4, emulator="qemu-tcg", limit=120, more=["--screenshot", path, *more])
    check_says(serial, r"missing: Intel VMX", r"end: refused")
    return Picture(path), serial


def case_screen_uefi(t):
    """UEFI: the refusal stands on the framebuffer, complete and in the font's very dots."""
    picture, serial = refusal(t, "--uefi")
    check_shows(picture.text(corbel_font()), serial, picture.width // 8)


def case_screen_bios(t):
    """BIOS: the same on the 80x25 text screen."""
    picture, serial = refusal(t)
    check((picture.width, picture.height) == (720, 400), f"{picture.width}x{picture.height} is not the VGA's text mode")
    check_shows(picture.text(vga_font(), cell_width=9), serial, 80)


def case_screen_stays(t):
    """`end=halt` keeps the machine on, so that a refusal can be read; without it an emulator goes down."""
    console = t.boot(t.iso(arguments="end=halt"), emulator="qemu-tcg", limit=120)
    console.expect(r"halted, so that this stays on the screen", 60)
    console.expect(r"end: refused", 10)
    time.sleep(1.5)
    check(console.child.isalive(), "the machine went down")
    console.ends(4, 10)
