"""How to ask a server that others need too: few tries, pauses that grow, and its word obeyed.

RFC 9110 (HTTP Semantics): Retry-After in 10.2.3, Content-Range in 14.4.
"""

import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# statuses that mean "not now": asking again may help
NOT_NOW = frozenset({408, 425, 429, 500, 502, 503, 504})

FAILURES = {
    "not there": "the server has no such file (404, 410)",
    "refused": "the server does not give it to us (401, 403 and others)",
    "server trouble": "the server answered that it cannot at the moment (429, 5xx), every time",
    "no connection": "the connection could not be made, broke off or fell silent, every time",
    "wrong answer": "what came did not fit what the server had said of it, every time",
    "cannot be opened": "it came whole, but it is no DNG that can be opened",
    "not tried": "too many others before it had failed",
}


class NotFetched(RuntimeError):  # noqa: N818  a verdict about a file, which is counted
    """A file that could not be had, and why: `reason` is one of `FAILURES`."""

    def __init__(self, reason: str, detail: str):
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}")


class TryAgain(NotFetched):
    """It could not be had this time. `wait_s` is what the server asked for, if it did."""

    def __init__(self, reason: str, detail: str, wait_s: float | None = None):
        super().__init__(reason, detail)
        self.wait_s = wait_s


class Stopped(Exception):  # noqa: N818  no error: somebody wants us to end
    """Raised in a thread when the run is to end."""


@dataclass(frozen=True)
class Patience:
    """How long to go on with one file.

    Attributes
    ----------
    tries : int
        At most so many requests a file.
    first_pause_s, longest_pause_s : float
        The pause doubles from the first to the longest. Half of it is random, so that many who
        were turned away together do not come back together.
    longest_wait_s : float
        A server that asks for more is not waited for.
    timeout_s : float
        So long without a byte is a broken connection.
    """

    tries: int = 6
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    longest_wait_s: float = 900.0
    timeout_s: float = 30.0

    def pause_s(self, n_failures: int) -> float:
        """Give the pause after so many failures, 1 or more."""
        longest = min(self.first_pause_s * 2.0 ** min(n_failures - 1, 60), self.longest_pause_s)
        return longest * random.uniform(0.5, 1.0)


class Courtesy:
    """What all connections to one server share: patience, a common pause, and the wish to stop."""

    def __init__(self, patience: Patience, say: Callable[[str], None]):
        self.patience, self.say = patience, say
        self.stop = threading.Event()
        self._not_before, self._lock = 0.0, threading.Lock()

    def persist(self, what: str, attempt: Callable[[], object]):
        """Call `attempt` until it does not raise TryAgain, or patience is at its end."""
        for n_failures in range(1, self.patience.tries + 1):
            self._wait_for_all()
            try:
                return attempt()
            except TryAgain as trouble:
                pause_s = self.patience.pause_s(n_failures)
                if trouble.wait_s is not None:
                    if trouble.wait_s > self.patience.longest_wait_s:
                        asked = f"the server asks to come back in {trouble.wait_s:,.0f} s"
                        raise NotFetched(trouble.reason, f"{trouble.detail}; {asked}") from trouble
                    # it is busy with all of us, not with this file
                    pause_s = max(pause_s, trouble.wait_s)
                    with self._lock:
                        self._not_before = max(self._not_before, time.monotonic() + pause_s)
                if n_failures == self.patience.tries:
                    detail = f"{trouble.detail} ({n_failures} tries)"
                    raise NotFetched(trouble.reason, detail) from trouble
                self.say(f"{what}: {trouble.detail}; again in {pause_s:.0f} s")
                self._pause(pause_s)
        raise ValueError(f"tries must be at least 1, got {self.patience.tries}")

    def _wait_for_all(self) -> None:
        while (left_s := self._not_before - time.monotonic()) > 0:
            self._pause(left_s)
        self.check()

    def _pause(self, seconds: float) -> None:
        self.stop.wait(seconds)
        self.check()

    def check(self) -> None:
        """Raise Stopped if the run is to end."""
        if self.stop.is_set():
            raise Stopped


def http_date(text: str | None) -> datetime | None:
    """Read a date as HTTP writes it; None for anything else."""
    try:
        date = parsedate_to_datetime(text or "")
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def retry_after_s(text: str | None, now: datetime) -> float | None:
    """Read Retry-After, seconds or a date; None where there is nothing to be read."""
    text = (text or "").strip()
    if re.fullmatch(r"[0-9]{1,12}", text):
        return float(text)
    date = http_date(text)
    return None if date is None else max(0.0, (date - now).total_seconds())


def content_range(text: str | None) -> tuple[int | None, int | None, int | None] | None:
    """Read Content-Range as (first, last, length of the whole).

    "bytes */9" gives (None, None, 9); "bytes 2-8/*" gives (2, 8, None); what is not well-formed,
    or contradicts itself, gives None.
    """
    match = re.fullmatch(
        r"\s*bytes\s+(?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18}|\*)\s*",
        text or "",
        re.IGNORECASE,
    )
    if match is None:
        return None
    first, last, length = (int(g) if g and g != "*" else None for g in match.groups())
    if first is None:
        return None if length is None else (None, None, length)
    if last < first or (length is not None and last >= length):
        return None
    return first, last, length
