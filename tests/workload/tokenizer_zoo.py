"""Small tokenizers of every family, made here; each as a folder like a model's."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

LETTERS = "abcdefghijklmnopqrstuvwxyz検査"
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_SYSTEM = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "<{{ m['role'] }}>{{ m['content'] | trim }}\n{% endfor %}"
)
MARKS = ["<|im_start|>", "<|im_end|>", "<s>", "</s>"]


def byte_level() -> Tokenizer:
    """As GPT-2, Qwen and SmolLM: bytes as letters, merges, a leading space trimmed from the offsets."""
    vocab = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("æ", "Ł"), ("ã", "ģ"), ("?", "?")]
    vocab.update({one + other: len(vocab) + place for place, (one, other) in enumerate(merges)})
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(MARKS)
    return tokenizer


def byte_fallback() -> Tokenizer:
    """As Llama 2 and Gemma: spaces become a mark, unknown letters fall back to their bytes, a begin token is added."""
    vocab = {
        token: number for number, token in enumerate(["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *LETTERS, "▁t", "he"])
    }
    tokenizer = Tokenizer(models.BPE(vocab, [("▁", "t"), ("h", "e")], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.add_special_tokens(MARKS)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    begin = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", begin)])
    return tokenizer


def wordpiece() -> Tokenizer:
    """As BERT: lower case, pieces of words, [CLS] and [SEP] around; cut and padded by its own file, which must not count."""
    words = [
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[PAD]",
        "the",
        "valve",
        "##s",
        "leak",
        "検",
        "査",
        ".",
        "?",
        *LETTERS[:26],
        *(f"##{c}" for c in LETTERS[:26]),
    ]
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(dict.fromkeys(words))}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    return tokenizer


ZOO = {"byte level": byte_level, "byte fallback": byte_fallback, "wordpiece": wordpiece}


def model_folder(folder: Path, kind: str, config: dict[str, object] | None = None, *, jinja: str | None = None) -> Path:
    """A folder with that tokenizer, its config and, when given, its template in a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    ZOO[kind]().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **(config or {})}))
    if jinja is not None:
        (folder / "chat_template.jinja").write_text(jinja, encoding="utf-8")
    return folder
