"""Names from users and model files, quoted by the rules of a format."""

from __future__ import annotations


def yaml_string(text: str) -> str:
    """A YAML double-quoted scalar in printable ASCII: nothing in a name can end it or start anything else."""
    return '"' + "".join(map(_yaml_character, text)) + '"'


def _yaml_character(character: str) -> str:
    code = ord(character)
    if 0x20 <= code < 0x7F and character not in '"\\':
        return character
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
