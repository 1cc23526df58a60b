"""One demo container for the dashboard to show, on stores of the tests' own."""

from tests.live.conftest import engine

__all__ = ("engine",)
