"""Draw the pictures that stand for the book elsewhere: the card of a shared link, and the icons.

    python book/card.py

makes book/_static/social_card.jpg from the logo and the contact sheet, and icon.png and icon.ico
from the logo alone, for what shows no SVG. It needs Chromium, as the tests of the pages do; run it
again after the logo, the sheet or the title has changed.
"""

import base64
import io
import os
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

STATIC = Path(__file__).resolve().parent / "_static"
sys.path.insert(0, str(STATIC.parent / "_ext"))
from address import CARD_SIZE_PX  # noqa: E402  (the folder is Sphinx's)

TOUCH_PX, ICO_PX = 180, (16, 32, 48)
LOGO = (STATIC / "logo.svg").read_text(encoding="utf-8")
SHEET = base64.b64encode((STATIC / "contact_sheet.webp").read_bytes()).decode()
CARD = f"""<!doctype html><meta charset="utf-8"><style>
  body {{ margin: 0; display: flex; width: 1200px; height: 630px; overflow: hidden;
         background: #12161b; color: #fff; font-family: "DejaVu Sans", sans-serif; }}
  .words {{ flex: 0 0 570px; box-sizing: border-box; padding: 66px 40px 0 64px; }}
  svg {{ width: 130px; display: block; }}
  h1 {{ font-size: 70px; margin: 34px 0 10px; letter-spacing: -2px; }}
  p {{ margin: 0 0 26px; font-size: 30px; line-height: 1.42; color: #d5dde5; }}
  .sheet {{ flex: 1; background: url(data:image/webp;base64,{SHEET}) left top / auto 100%; }}
</style><div class="words">{LOGO}<h1>PhotoPilot</h1><p>A book that runs.</p>
<p>How a network learns to read aperture, ISO and shutter from a photograph.</p></div>
<div class="sheet"></div>"""


def main():
    """Write the three files."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not chromium:
        sys.exit("no browser: apt-get install chromium, or set CHROMIUM to one's path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        width, height = CARD_SIZE_PX
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_content(CARD)
        page.screenshot(path=STATIC / "social_card.jpg", type="jpeg", quality=82)
        pictures = {size: drawn(browser, size) for size in (TOUCH_PX, *ICO_PX)}
        browser.close()
    # A telephone puts the icon on a square of its own colour; white suits the logo.
    touch = Image.new("RGB", (TOUCH_PX, TOUCH_PX), "white")
    touch.paste(pictures[TOUCH_PX], mask=pictures[TOUCH_PX])
    touch.save(STATIC / "icon.png", optimize=True)
    small, *others = (pictures[size] for size in reversed(ICO_PX))
    small.save(STATIC / "icon.ico", sizes=[(s, s) for s in ICO_PX], append_images=others)


def drawn(browser, size_px):
    """Return the logo as a picture of that many pixels, transparent around it."""
    page = browser.new_page(viewport={"width": size_px, "height": size_px})
    page.set_content(f"<style>body {{ margin: 0 }} svg {{ display: block }}</style>{LOGO}")
    picture = Image.open(io.BytesIO(page.screenshot(omit_background=True)))
    page.close()
    return picture.convert("RGBA")


if __name__ == "__main__":
    main()
