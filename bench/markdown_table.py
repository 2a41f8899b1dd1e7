"""Tables for the pages that benches write."""

__all__ = ["head", "line"]


def head(*names: str) -> list[str]:
    """Return the first two lines of a table."""
    return [line(*names), "|" + "---|" * len(names)]


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
