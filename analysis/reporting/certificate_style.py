"""How the certificate looks: A4, black on white, and a small drawing of each interval against its limit."""

from __future__ import annotations

from analysis.contracts import GuardrailResult

FONT = (
    'body{font-family:"Source Sans","Noto Sans JP","Noto Sans CJK JP","Hiragino Sans","Yu Gothic UI",Meiryo,sans-serif;'
    "font-size:9.5pt;line-height:1.35;color:#1a1a1a;background:#fff;margin:0}"
)

CSS = (
    "@page{size:A4;margin:12mm 15mm}"
    "main,.texts{max-width:179mm;margin:0 auto}"
    "@media screen{main,.texts{padding:12mm 15mm}}"
    "html{line-break:strict;word-break:auto-phrase;overflow-wrap:anywhere}"
    "header{display:flex;justify-content:space-between;align-items:baseline;border-bottom:1.5pt solid #1a1a1a}"
    "header p{text-align:right;margin:0}"
    "h1{font-size:17pt;margin:0 0 2mm}"
    "h2{font-size:10.5pt;margin:3mm 0 1mm;break-after:avoid}"
    "h3{font-size:9pt;font-weight:normal;margin:0}"
    ".verdict{border:1pt solid #1a1a1a;padding:2mm 3mm;margin:3mm 0 0}"
    ".verdict strong{font-size:13pt;margin-right:3mm}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{border:.5pt solid #777;padding:.7mm 1.5mm;text-align:left;vertical-align:top}"
    "thead th{background:#eee}"
    "th{overflow-wrap:normal}"
    ".facts th{width:30%;font-weight:normal;background:#f4f4f4}"
    ".results td:nth-child(5){text-align:right}"
    ".figures td:nth-child(n+2){white-space:nowrap}"
    ".results svg{display:block}"
    ".pair{display:grid;grid-template-columns:1fr 1fr;gap:4mm}"
    "ul{margin:0;padding-left:5mm}"
    "p{margin:1mm 0}"
    ".signatures{margin-top:4mm;break-inside:avoid}.signatures td{width:33%;height:17mm}"
    ".signatures p{min-height:5mm;margin:1.5mm 0 0;font-size:11pt}"
    "small{color:#444}"
    ".dense{font-size:8pt;line-height:1.2}"
    ".dense th,.dense td{padding:.35mm 1.2mm}"
    ".dense h2{margin:1.8mm 0 .6mm;font-size:9pt}"
    ".texts{break-before:page}"
)

_WIDTH, _HEIGHT, _LIMIT_AT = 110.0, 14.0, 66.0


def bar(result: GuardrailResult) -> str:
    """The measured interval against its limit as a small SVG: the limit is the tall line, the allowed side is shaded."""
    found = result.measured
    if found.value is None:
        return ""
    low, high = (found.value if end is None else end for end in (found.low, found.high))
    limit = result.guardrail.value
    reach = max(abs(end - limit) for end in (low, high, found.value)) or 1.0
    allowed_left = result.guardrail.op == "<="
    at = _LIMIT_AT if allowed_left else _WIDTH - _LIMIT_AT
    scale = min(at, _WIDTH - at) / reach * 0.9

    def x(value: float) -> str:
        return f"{at + (value - limit) * scale:.1f}"

    shade = (0.0, at) if allowed_left else (at, _WIDTH - at)
    middle = _HEIGHT / 2
    return (
        f'<svg width="{_WIDTH:.0f}" height="{_HEIGHT:.0f}" viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-hidden="true">'
        f'<rect x="{shade[0]:.1f}" y="2" width="{shade[1]:.1f}" height="{_HEIGHT - 4:.0f}" fill="#e4e4e4"/>'
        f'<line x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{_HEIGHT:.0f}" stroke="#1a1a1a" stroke-width="1.5"/>'
        f'<line x1="{x(low)}" x2="{x(high)}" y1="{middle}" y2="{middle}" stroke="#1a1a1a" stroke-width="2"/>'
        f'<circle cx="{x(found.value)}" cy="{middle}" r="2.8" fill="#1a1a1a"/></svg>'
    )
