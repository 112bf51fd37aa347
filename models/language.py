"""Whether a text is English, told by the share of its words that every English text is full of."""

import re
from itertools import islice

from models.errors import Unprocessable

# Words of grammar that no neighbouring language writes the same; a third of any English novel.
_GRAMMAR = frozenset(
    [
        "the", "of", "and", "to", "was", "that", "with", "for", "his", "had", "you", "it", "not",
        "she", "which", "have", "from", "they", "this", "were", "would", "but", "there", "what",
        "by", "he", "is", "my", "be", "at", "him", "her", "been", "if", "who", "when", "them",
        "could", "their", "its", "than", "then", "should", "did", "are", "your", "our", "how",
        "where", "those", "these", "because", "though", "about", "into", "upon", "only", "very",
        "more",
    ]
)  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+")
# The lowest share of LitBank's 100 works and seven novels is 0.31; French to Dutch have 0 to 0.03.
ENGLISH_SHARE = 0.15
SAMPLE_WORDS = 20_000  # from the middle: what stands at the ends may be in another language
FEWEST_WORDS = 40  # with fewer, only letters of another script tell
LATIN_SHARE = 0.5


class NotEnglish(Unprocessable):
    """Only English books can be read: this text is in another language."""

    code = "not_english"


def english_share(text: str) -> float:
    """Return the share of English words of grammar, 0..1."""
    words = _words(text)
    return sum(word in _GRAMMAR for word in words) / len(words) if words else 0.0


def is_english(text: str) -> bool:
    """Say whether a text may be English: it is not clearly in another language or script."""
    letters = [char for char in islice(text, SAMPLE_WORDS) if char.isalpha()]
    latin = sum(char < "\u0250" for char in letters)
    if letters and latin < LATIN_SHARE * len(letters):
        return False
    return len(_words(text)) < FEWEST_WORDS or english_share(text) >= ENGLISH_SHARE


def check_english(text: str) -> None:
    """Raise NotEnglish where a text is clearly in another language or script."""
    if not is_english(text):
        raise NotEnglish(english_words=round(english_share(text), 3))


def _words(text: str) -> list[str]:
    """Return the lower-case words of the middle of a text."""
    around = 6 * SAMPLE_WORDS // 2  # characters; a word is about six with its space
    middle = len(text) // 2
    return _WORD.findall(text[max(0, middle - around) : middle + around].lower())
