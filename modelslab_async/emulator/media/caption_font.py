"""A bitmap font of capital letters, digits and punctuation."""

import unicodedata

GLYPH_WIDTH = 5
GLYPH_HEIGHT = 7
# Each line has one character and then its seven rows of pixels, from top to bottom. A row is a
# hexadecimal number of five bits, one bit for each pixel.
_TABLE = """
A 0E 11 11 1F 11 11 11
B 1E 11 11 1E 11 11 1E
C 0E 11 10 10 10 11 0E
D 1E 11 11 11 11 11 1E
E 1F 10 10 1E 10 10 1F
F 1F 10 10 1E 10 10 10
G 0E 11 10 17 11 11 0F
H 11 11 11 1F 11 11 11
I 0E 04 04 04 04 04 0E
J 07 02 02 02 02 12 0C
K 11 12 14 18 14 12 11
L 10 10 10 10 10 10 1F
M 11 1B 15 15 11 11 11
N 11 19 15 13 11 11 11
O 0E 11 11 11 11 11 0E
P 1E 11 11 1E 10 10 10
Q 0E 11 11 11 15 12 0D
R 1E 11 11 1E 14 12 11
S 0F 10 10 0E 01 01 1E
T 1F 04 04 04 04 04 04
U 11 11 11 11 11 11 0E
V 11 11 11 11 11 0A 04
W 11 11 11 15 15 15 0A
X 11 11 0A 04 0A 11 11
Y 11 11 0A 04 04 04 04
Z 1F 01 02 04 08 10 1F
0 0E 11 13 15 19 11 0E
1 04 0C 04 04 04 04 0E
2 0E 11 01 02 04 08 1F
3 1F 02 04 02 01 11 0E
4 02 06 0A 12 1F 02 02
5 1F 10 1E 01 01 11 0E
6 06 08 10 1E 11 11 0E
7 1F 01 02 04 08 08 08
8 0E 11 11 0E 11 11 0E
9 0E 11 11 0F 01 02 0C
. 00 00 00 00 00 0C 0C
, 00 00 00 00 0C 04 08
! 04 04 04 04 04 00 04
? 0E 11 01 02 04 00 04
' 0C 04 08 00 00 00 00
" 0A 0A 0A 00 00 00 00
- 00 00 00 1F 00 00 00
+ 00 04 04 1F 04 04 00
: 00 0C 0C 00 0C 0C 00
/ 00 01 02 04 08 10 00
& 0C 12 14 08 15 12 0D
# 0A 0A 1F 0A 1F 0A 0A
( 02 04 08 08 08 04 02
) 08 04 02 02 02 04 08
"""
_GLYPHS = {
    character: tuple(int(row, 16) for row in rows)
    for character, *rows in map(str.split, _TABLE.strip().splitlines())
}
_BLANK = (0,) * GLYPH_HEIGHT
_UNKNOWN_CHARACTER = (0x15, 0x0A, 0x15, 0x0A, 0x15, 0x0A, 0x15)
_LOOK_ALIKES = str.maketrans({";": ",", "_": "-", "–": "-", "—": "-", "’": "'", "“": '"', "”": '"'})  # noqa: RUF001


def glyph(character: str) -> tuple[int, ...]:
    """Return a character's rows as five-bit numbers. The highest bit is the leftmost pixel."""
    return _BLANK if character.isspace() else _GLYPHS.get(character, _UNKNOWN_CHARACTER)


def to_font_characters(text: str) -> str:
    """Turn text into capitals without accents, since the font has no other letters."""
    decomposed = unicodedata.normalize("NFKD", text).upper().translate(_LOOK_ALIKES)
    return "".join(character for character in decomposed if not unicodedata.combining(character))
