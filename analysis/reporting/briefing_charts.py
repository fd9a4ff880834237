"""The still drawings of the briefing: stack, waterfall, cash flow, quality by slice, stages. They print in grey on A4.

Each is one SVG element: text in the page's font, a title and a description in the language, no script, a few kilobytes.
"""

from __future__ import annotations

from analysis.reporting.drawing_money import cash_flow_svg, waterfall_svg
from analysis.reporting.drawing_quality import quality_svg
from analysis.reporting.drawing_stack import stack_svg
from analysis.reporting.drawing_stages import stages_svg

__all__ = ["cash_flow_svg", "quality_svg", "stack_svg", "stages_svg", "waterfall_svg"]
