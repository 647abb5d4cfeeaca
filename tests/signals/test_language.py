"""signals/language: what is surely not English is not read; what is short, borrowed or a name is."""

from __future__ import annotations

import pytest
from rejoinder.signals.language import is_unknown

FOREIGN = [
    "Nein, das ist falsch, bitte noch einmal.",
    "Kannst du das kürzer schreiben?",
    "No, eso no es lo que pedí.",
    "Gracias, está muy bien.",
    "Non, ce n'est pas la bonne réponse.",
    "Merci, c’est parfait !",
    "Não, isso está errado.",
    "Grazie, la risposta è perfetta.",
    "Nee, dat is niet wat ik bedoel.",
    "Nej, det är inte vad jag frågade.",
    "Nie, to jest źle.",
    "Hayır, bu çok uzun, lütfen kısa yaz.",
    "Tidak, itu bukan yang saya minta.",
    "Không phải, câu trả lời này sai.",
    "違います、もっと短くしてください。",
    "不对，我要的是摄氏度",
    "Нет, это неправильно.",
    "لا، هذا ليس ما طلبته",
    "아니요, 너무 길어요",
    "Όχι, αυτό είναι λάθος",
    "नहीं, यह गलत है",
    "NEIN DAS IST FALSCH",
    "Falsch. Das Ergebnis ist 3.",
    "In der Zeile x = 3 fehlt etwas.\nBitte mach das noch einmal, aber kürzer.",
    "Das ist falsch, `def f()` ist nicht Python",
]
READ = [
    "no",
    "ok",
    "Thanks!",
    "Danke!",
    "merci",
    "C'est la vie, thanks anyway",
    "gracias amigo, that was great",
    "How do you say 'das ist falsch' in English?",
    "Who directed La La Land, Damien Chazelle or Robert De Niro?",
    "Vincent van Gogh, Ludwig van Beethoven",
    "SELECT * FROM users WHERE id = 3;",
    "42",
    "👍👍",
    "",
    "lol ha ha ha",
    "Write 'привет' in Latin letters please",
    "def f(x): return x + 1",
    "El Paso",
    "u r wrong m8",
    "var min = 3",
    "import os\nos.remove('com')",
    "z = w + 1",
    "x, y, z, w",
    "`var den = till`",
    "```\nvar min\nvar den\n```",
    "https://example.com/os/das/und/nicht",
    "Los Angeles, Las Vegas",
    "Ben, Var and Sen",
    "Dan, Ada, Di",
]


@pytest.mark.parametrize("text", FOREIGN)
def test_a_sentence_in_another_language_is_unknown(text: str) -> None:
    assert is_unknown(text)


@pytest.mark.parametrize("text", READ)
def test_english_and_what_says_too_little_is_read(text: str) -> None:
    assert not is_unknown(text)
