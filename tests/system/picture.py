"""Reads the text out of a picture of the screen: every cell is compared with every glyph of the font, dot by dot."""
import pathlib
import re

from harness import BUILD, Failure, check

GLYPH_BYTES = 16  # 8x16 dots
VGABIOS = pathlib.Path("/usr/share/seabios/vgabios-stdvga.bin")
VGA_LETTER_A = bytes.fromhex("000010386cc6c6fec6c6c6c600000000")


def corbel_font():
    """The font in the image: {glyph: character}."""
    rows = re.findall(r"\[0x(..)\] = \{([^}]*)\}", (BUILD / "font.c").read_text())
    return {bytes(int(dots, 16) for dots in row.split(",")): chr(int(code, 16))
            for code, row in rows if 0x20 <= int(code, 16) < 0x7f}


def vga_font():
    """The font of the VGA BIOS that QEMU's standard card shows text with."""
    rom = VGABIOS.read_bytes()
    first = rom.index(VGA_LETTER_A) - ord("A") * GLYPH_BYTES
    font = {rom[first + code * GLYPH_BYTES:][:GLYPH_BYTES]: chr(code) for code in range(0x20, 0x7f)}
    # The cursor, two lines of dots, blinks in an empty cell.
    return font | {bytes(top) + b"\xff\xff" + bytes(14 - top): " " for top in (13, 14)}


class Picture:
    """A PPM file of 8 bits a colour."""

    def __init__(self, path):
        if not path.exists():
            raise Failure(f"no picture was taken: {path}")
        content = path.read_bytes()
        header = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", content)
        check(header, f"{path} is no PPM file")
        self.width, self.height = int(header[1]), int(header[2])
        self.pixels = content[header.end():]
        # A dot is lit or dark: anything but black is lit.
        self.lit = [any(self.pixels[at:at + 3]) for at in range(0, len(self.pixels), 3)]

    def glyph(self, column, row, cell_width, scale):
        glyph = bytearray()
        for y in range(GLYPH_BYTES):
            at = (row * GLYPH_BYTES + y) * scale * self.width + column * cell_width * scale
            glyph.append(sum(self.lit[at + x * scale] << (7 - x) for x in range(8)))
        return bytes(glyph)

    def text(self, font, cell_width=8, scale=1):
        """The lines of text, without blanks at their ends and without empty lines below. Unknown glyphs become '?'."""
        lines = []
        for row in range(self.height // (GLYPH_BYTES * scale)):
            cells = (self.glyph(column, row, cell_width, scale) for column in range(self.width // (cell_width * scale)))
            lines.append("".join(font.get(cell, "?") for cell in cells).rstrip())
        while lines and not lines[-1]:
            lines.pop()
        return lines


def wrapped(text, columns):
    """Text as a screen of that width shows it."""
    lines = []
    for line in text.splitlines():
        line = line.rstrip()
        lines += [line[at:at + columns].rstrip() for at in range(0, max(len(line), 1), columns)]
    return lines
