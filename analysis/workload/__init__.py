"""The user's own prompts: read, checked, sliced, split, hashed and turned into tokens.

Files: JSON Lines (.jsonl, .ndjson), JSON (.json: a list, or an object with one list), CSV and TSV with a head line,
Excel (.xlsx), Parquet, and plain text (.txt, one prompt per line); several at once. Text is UTF-8 (with or without
byte order mark), UTF-16 with byte order mark, or cp932 (Shift_JIS).

| field | meaning | needed |
|---|---|---|
| `prompt` | what the user asks | this or `messages` |
| `messages` | a chat log: a list of `{"role", "content"}`, see below | this or `prompt` |
| `system` | the system text in front of the conversation | no |
| `response` | the answer that belongs to the prompt; it is run with it | no |
| `choices`, `answer` | possible answers, and the right one (its text, or its number counted from 0) | both or neither |
| `slice` | the kind of work, such as order entry | no |
| `weight` | how much the example counts, 1 by default | no |
| `critical` | a wrong answer is expensive: true / false, yes / no, 1 / 0, はい / いいえ | no |
| `requests_per_month` | what its slice gets in a month, on one or all of its rows; for money only | no |

Roles of a chat log are system (or developer), user, assistant and tool. When it ends with an assistant turn, that turn is the
response; when it ends otherwise, all of it is the prompt.

Columns are never guessed: a file whose prompts stand in `text` needs `--map prompt=text`. Other columns are not used,
and a note says so. In CSV and Excel cells, `messages` and `choices` are written as JSON. Numbers may have full-width
digits and thousands separators.
"""

from analysis.workload.encoded import EncodedWorkload, encode_workload, preview_workload
from analysis.workload.encoder import PROMPT, RESPONSE, TEMPLATE, EncodedExample, Encoder
from analysis.workload.example import Example, Part, Turn
from analysis.workload.reading import FORMATS, SAMPLE_PATH, read_workload, requested_workload, sample_workload
from analysis.workload.rows import FIELDS
from analysis.workload.scored import scored
from analysis.workload.slicing import SLICINGS, Slicing
from analysis.workload.terms import response_terms
from analysis.workload.workload import Workload

__all__ = [
    "FIELDS",
    "FORMATS",
    "PROMPT",
    "RESPONSE",
    "SAMPLE_PATH",
    "SLICINGS",
    "TEMPLATE",
    "EncodedExample",
    "EncodedWorkload",
    "Encoder",
    "Example",
    "Part",
    "Slicing",
    "Turn",
    "Workload",
    "encode_workload",
    "preview_workload",
    "read_workload",
    "requested_workload",
    "response_terms",
    "sample_workload",
    "scored",
]
