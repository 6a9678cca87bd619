"""What the symbol of a tag says: an address that should be short. Known without what draws symbols."""

from __future__ import annotations

from cloud.labels import BadLabel
from settings.words import Sentence

SHORT, LONG = 29, 47  # characters that fit 25 and 29 modules at level Q (ISO/IEC 18004 table 7)


def address(public_url: str, code: str) -> str:
    """Return what a tag says: the host in capitals, the path of a tree. Raises BadLabel without a public address."""
    scheme, separator, rest = public_url.rstrip("/").partition("://")
    if not separator or scheme.lower() not in {"http", "https"} or not rest:
        raise BadLabel("no_address", url=public_url)
    return f"{scheme}://{rest}/T/{code}".upper()


def advice(url: str) -> Sentence | None:
    """Return what is to be said of a tag's address before any is printed: that a shorter one is read from farther."""
    if not SHORT < len(url) <= LONG:
        return None
    return Sentence("cloud.labels", "label", "large", url=url, length=len(url), limit=SHORT)
