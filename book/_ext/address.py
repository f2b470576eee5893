"""Where the book is published, and how it looks when somebody shares a link to it.

Every page needs its public address: for ``<link rel="canonical">`` and for the card that a message
or a search result shows (Open Graph, written by sphinxext-opengraph). The one setting it follows
from is the repository's address in _config.yml; GitHub Pages serves a repository from there.
"""

import re
from html import escape
from pathlib import Path

from sphinx.errors import ConfigError

REPOSITORY = re.compile(r"https://github\.com/(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)/?")
CARD = "_static/social_card.jpg"
CARD_SIZE_PX = (1200, 630)
CARD_ALT = (
    "PhotoPilot, a book that runs: how a network learns to read aperture, ISO and shutter from a "
    "photograph. Beside the words, photographs taken by the book's simulated camera."
)
DESCRIPTION = (
    "A book that runs: how a network learns to read a camera's settings from a photograph. Every "
    "formula is derived, written in NumPy, and checked on the page."
)


def public_address(repository):
    """Return where GitHub Pages serves a repository, with a slash at the end.

    Parameters
    ----------
    repository : str
        Such as ``https://github.com/owner/name``. The repository ``owner.github.io`` is served
        from the root, every other one from a folder of its name.

    Raises
    ------
    ValueError
        If it is not the address of a repository on GitHub.
    """
    match = REPOSITORY.fullmatch(repository)
    if match is None:
        raise ValueError(
            f"repository.url must be https://github.com/OWNER/NAME, got {repository!r}: the "
            "published book's address follows from it"
        )
    host = f"{match['owner']}.github.io"
    return (
        f"https://{host}/"
        if match["name"].lower() == host.lower()
        else f"https://{host}/{match['name']}/"
    )


def configure(app, config):
    """Set what Sphinx and sphinxext-opengraph want to know, all from the repository's address."""
    try:
        address = public_address(config.html_theme_options.get("repository_url", ""))
    except ValueError as problem:
        raise ConfigError(str(problem)) from problem
    config.html_baseurl = address
    config.ogp_site_url = address
    config.ogp_site_name = config.html_title
    config.ogp_image = CARD
    config.ogp_image_alt = CARD_ALT
    width, height = CARD_SIZE_PX
    config.ogp_custom_meta_tags = (
        f'<meta property="og:image:width" content="{width}" />',
        f'<meta property="og:image:height" content="{height}" />',
        '<meta name="twitter:card" content="summary_large_image" />',
    )


def add_icons(app, pagename, templatename, context, doctree):
    """Link the icon for browsers that take no SVG; the theme links the SVG."""
    ico, touch = (context["pathto"](f"_static/{name}", 1) for name in ("icon.ico", "icon.png"))
    context["metatags"] = context.get("metatags", "") + (
        f'<link rel="icon" href="{ico}" sizes="32x32" />\n'
        f'<link rel="apple-touch-icon" href="{touch}" />\n'
    )


def front_door(app, exception):
    """Write index.html, which leads to the first page; links to the site are shared with it."""
    if exception is not None or app.builder.name != "html":
        return
    first, title = f"{app.config.master_doc}.html", escape(app.config.html_title)
    address = app.config.ogp_site_url
    tags = {
        "og:title": title,
        "og:type": "website",
        "og:url": address,
        "og:description": escape(DESCRIPTION),
        "og:image": address + CARD,
        "og:image:alt": escape(CARD_ALT),
    }
    page = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        '<head><meta charset="utf-8" />',
        f"<title>{title}</title>",
        f'<meta http-equiv="Refresh" content="0; url={first}" />',
        f'<link rel="canonical" href="{address}{first}" />',
        '<link rel="icon" href="_static/logo.svg" />',
        f'<meta name="description" content="{escape(DESCRIPTION)}" />',
        *(f'<meta property="{name}" content="{value}" />' for name, value in tags.items()),
        *app.config.ogp_custom_meta_tags,
        "</head>",
        f'<body><main><h1>{title}</h1><p><a href="{first}">To the first page</a></p></main></body>',
        "</html>",
    ]
    Path(app.outdir, "index.html").write_text("\n".join(page) + "\n", encoding="utf-8")


def setup(app):
    """Connect the three steps."""
    app.setup_extension("sphinxext.opengraph")
    app.connect("config-inited", configure)
    app.connect("html-page-context", add_icons)
    app.connect("build-finished", front_door)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
