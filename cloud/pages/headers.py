"""What stands above an answer: the security headers, and the tag by which two answers are compared."""

from __future__ import annotations

import hashlib
from base64 import b64encode

NO_STORE = {"Cache-Control": "no-store"}


def security(styles: tuple[str, ...], scripts: tuple[str, ...]) -> dict[str, str]:
    """Return the headers: nothing may load but these style sheets, these scripts, our worker, pictures and voices."""
    looks, does = (" ".join(f"'{_digest(text)}'" for text in texts) for texts in (styles, scripts))
    policy = (
        f"default-src 'none'; style-src {looks}; script-src {does}; worker-src 'self'; "
        "connect-src 'self'; img-src 'self'; media-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def _digest(text: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def tag(body: bytes) -> str:
    """Return a weak ETag: what it stands for may travel compressed (RFC 9110 §8.8.3)."""
    return f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'
