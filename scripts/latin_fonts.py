"""Cut the small fonts of invoices out of the whole ones: `python scripts/latin_fonts.py [FOLDER]`.

To be run when LATIN in apps/invoices/pdf.py or a font changes; FOLDER is apps/invoices/fonts unless it is given. A test
prints every character with the small fonts and with the whole ones and compares the bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from apps.invoices.pdf import FONTS, LATIN  # noqa: E402

# What a PDF's own subset of the font leaves out as well (fpdf2 does so), and the kerning, which fpdf2 does not use.
UNUSED = ["FFTM", "GDEF", "GPOS", "GSUB", "MATH", "kern"]


def cut(whole: Path, part: Path) -> None:
    """Everything that describes the font as a whole stays as it is, so that the PDF says the same of it."""
    options = Options(
        drop_tables=[*Options().drop_tables, *UNUSED],
        glyph_names=True,
        legacy_cmap=True,
        name_IDs=["*"],
        name_languages=["*"],
        name_legacy=True,
        notdef_outline=True,
        prune_unicode_ranges=False,
        recalc_average_width=False,
        recalc_bounds=False,
        recommended_glyphs=True,
        symbol_cmap=True,
    )
    font = TTFont(whole, recalcTimestamp=False, recalcBBoxes=False)
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=[code for first, last in LATIN for code in range(first, last + 1)])
    subsetter.subset(font)
    font.save(part)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FONTS
    for name in ("DejaVuSans", "DejaVuSans-Bold"):
        cut(FONTS / f"{name}.ttf", folder / f"{name}-Latin.ttf")


if __name__ == "__main__":
    main()
