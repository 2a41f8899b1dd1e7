"""A run as one self-contained HTML page: figures, charts, tables, and what made them."""

from skimp_sim.html_report.page import html_page

__all__ = ["html_page"]
