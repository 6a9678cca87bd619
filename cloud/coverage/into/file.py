"""A file that somebody brings, whatever it is: the survey app's CSV, a ZIP of those, or geosubmit."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from cloud.coverage.into import csv, geosubmit

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from cloud.coverage.sample import BadSample, Sample


def read(
    file: IO[bytes],
    by: str,
    now_ms: int,
    progress: Callable[[int], None] | None = None,
    passed: Counter[str] | None = None,
) -> Iterator[Sample | BadSample | None]:
    """Yield the samples of a seekable file, and what is refused with its place and reason. Raises OSError only.

    None comes now and then where much gives neither, so that who waits can do something else.
    What the file is called says nothing: its first bytes do. `progress` is told the bytes that are done, `passed`
    counts what is neither sample nor fault.
    """
    start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    file.seek(0)
    reader = geosubmit.read if start[:1] in {b"{", b"["} else csv.read
    return reader(file, by, now_ms, progress, passed)
