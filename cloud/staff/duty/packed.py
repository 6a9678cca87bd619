"""Answers in a third of their bytes: who stands in a forest waits for each of them.

Only the duty's pages, and what is the same for everybody (style, script). Of what others write into those pages all is
written in the journal, with who and when: who guesses at secrets by the length of an answer is seen.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.responses import Response

    from cloud.staff.visit import Visit

WORTH = 1_000  # bytes; less is one packet anyhow


def packed(visit: Visit, answer: Response) -> Response:
    """Return an answer, packed where the browser understands that; whoever keeps answers for others is told so."""
    answer.headers["Vary"] = "Accept-Encoding"
    if len(answer.body) > WORTH and _takes_gzip(visit.headers.get("accept-encoding", "")):
        answer.body = gzip.compress(answer.body, 5)
        answer.headers["Content-Encoding"] = "gzip"
        answer.headers["Content-Length"] = str(len(answer.body))
    return answer


def _takes_gzip(accepted: str) -> bool:
    """Tell whether a browser asks for gzip (RFC 9110, 12.5.3): a weight of 0 says that it does not."""
    for one in accepted.lower().split(","):
        name, _, weight = one.partition(";")
        if name.strip() in ("gzip", "x-gzip"):
            return weight.replace(" ", "").removeprefix("q=").strip("0.") != "" or not weight.strip()
    return False
