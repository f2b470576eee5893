"""MIT-Adobe FiveK: lists -> courtesy -> part -> download -> fetching -> fetch -> stream."""

from pp_lib.photos.fivek.fetch import FetchReport, fetch
from pp_lib.photos.fivek.stream import fetch_and_prepare

__all__ = ["FetchReport", "fetch", "fetch_and_prepare"]
