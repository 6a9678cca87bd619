"""Answers in a third of their bytes: who stands in a forest waits for each of them.

Only of the duty's pages: what others write into them is written in the journal, with who and when.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.responses import Response

    from cloud.staff.visit import Visit

WORTH = 1_000  # bytes; less is one packet anyhow


def packed(visit: Visit, answer: Response) -> Response:
    """Return an answer, packed where the browser understands that."""
    if len(answer.body) > WORTH and "gzip" in visit.headers.get("accept-encoding", ""):
        answer.body = gzip.compress(answer.body, 5)
        answer.headers["Content-Encoding"] = "gzip"
        answer.headers["Content-Length"] = str(len(answer.body))
    return answer
