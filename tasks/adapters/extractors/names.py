"""From runs of capitalised words to names: with the whole book known, a run is cut up."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from models.reading import ChapterScan, FormEvidence

from .lexicon import Lexicon, lexicon

_INITIAL = re.compile(r"[A-Z]\.")
LEFT_EVIDENCE = frozenset({"said_l", "at", "to", "the"})
RIGHT_EVIDENCE = frozenset({"said_r", "does", "poss", "he", "she"})
COMPOUND_COUNT = 3  # "the White Rabbit" has to come up this often to be one name


class Name(NamedTuple):
    """A title, lower case and possibly empty, and the words after it as printed."""

    title: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def key(self) -> str:
        """Return the form in which names are compared and looked up."""
        return normal([*self.title, *self.words])

    @property
    def printed(self) -> str:
        """Return the name as one would write it."""
        title = [word[0].upper() + word[1:] for word in self.title]
        return " ".join([*title, *self.words])

    @property
    def core(self) -> tuple[str, ...]:
        """Return the lower-case words without initials and particles."""
        joining = lexicon().of("names", "particles") | {"of"}
        kept = [w.lower() for w in self.words if not _INITIAL.fullmatch(w)]
        kept = [w for w in kept if w not in joining]
        return tuple(kept) or tuple(w.lower() for w in self.words)


def normal(words: Iterable[str]) -> str:
    """Return words in lower case, without the stop of an abbreviation, joined by spaces."""
    return " ".join(word.lower().rstrip(".").replace("\u2019", "'") for word in words)


@dataclass(slots=True)
class CaseCounts:
    """How often a lower-case word is not capitalised, is in mid-sentence, and at a start."""

    low: Counter[str] = field(default_factory=Counter)
    middle: Counter[str] = field(default_factory=Counter)
    opening: Counter[str] = field(default_factory=Counter)

    def ordinary(self, word: str) -> bool:
        """Say whether a name's word is also so common that a sentence may just begin with it."""
        return self.low[word] > 0.1 * self.middle[word] and self.low[word] >= 2


def count_cases(scans: list[ChapterScan]) -> CaseCounts:
    """Add up how the words of a book are written."""
    cases = CaseCounts()
    for scan in scans:
        cases.low.update(scan.lowercase)
        for form in scan.forms:
            for place, word in enumerate(form.words):
                opens = form.initial and place == 0
                (cases.opening if opens else cases.middle)[word.lower()] += form.count
    return cases


def name_words(cases: CaseCounts) -> set[str]:
    """Return the lower-case words that are names by the way they are written."""
    lists = lexicon()
    never = lists.of("names", "never") | lists.of("names", "nations")
    found = set()
    for word in cases.middle.keys() | cases.opening.keys():
        if word in never or _is_title(word, lists) or len(word) < 2:
            continue
        middle, low, opening = cases.middle[word], cases.low[word], cases.opening[word]
        if (
            (middle >= 2 and middle >= 1.5 * low)
            or (middle >= 8 and lists.gender(word) and middle >= 0.1 * low)
            or (middle >= 1 and low == 0 and (lists.known(word) or middle + opening >= 3))
            or (middle == 0 and low == 0 and opening >= 2 and lists.known(word))
        ):
            found.add(word)
    return found


def _is_title(word: str, lists: Lexicon) -> bool:
    return any(word in lists.of("titles", group) for group in ("he", "she", "open", "soft"))


class Cutter:
    """Cuts runs into names, knowing how the whole book is written."""

    def __init__(self, scans: list[ChapterScan]) -> None:
        self.cases = count_cases(scans)
        self.words = name_words(self.cases)
        self.compounds = self._find_compounds(scans)
        self._lists = lexicon()

    def _find_compounds(self, scans: list[ChapterScan]) -> set[tuple[str, ...]]:
        """Find runs like "White Rabbit" that keep together behind an article."""
        lists = lexicon()
        the: Counter[tuple[str, ...]] = Counter()
        total: Counter[tuple[str, ...]] = Counter()
        for form in (form for scan in scans for form in scan.forms):
            if len(form.words) == 2 and not form.initial:
                the[form.words] += form.counts.get("the", 0)
                total[form.words] += form.count
        return {
            words
            for words, count in total.items()
            if the[words] >= max(COMPOUND_COUNT, 0.4 * count)
            and not _is_title(words[0].lower(), lists)
            and words[0].lower() not in lists.of("names", "nations")
            and words[1].lower() not in lists.of("names", "place_heads")
        }

    def cut(self, form: FormEvidence) -> Iterator[tuple[Name, int, int]]:
        """Yield the names in a run, with the places of their words in it."""
        i, words = 0, form.words
        while i < len(words):
            if words[i : i + 2] in self.compounds:
                yield Name((), words[i : i + 2]), i, i + 2
                i += 2
                continue
            titled = self._titles_end(words, i)
            end = self._name_end(words, titled, titled > i)
            if end > titled and not all(_INITIAL.fullmatch(w) for w in words[titled:end]):
                yield self._name(words, i, titled, end), i, end
                i = end
            elif titled == i + 1 and self._stands_alone(words[i], form.initial and i == 0):
                yield Name((), (words[i],)), i, i + 1
                i += 1
            else:
                i = max(titled, i + 1)

    def _name(self, words: tuple[str, ...], start: int, titled: int, end: int) -> Name:
        soft = self._lists.of("titles", "soft")
        title = tuple(w.lower() for w in words[start:titled] if w.lower() not in soft)
        return Name(title, words[titled:end])

    def _titles_end(self, words: tuple[str, ...], i: int) -> int:
        while i < len(words) and _is_title(words[i].lower(), self._lists):
            i += 1
        return i

    def _name_end(self, words: tuple[str, ...], start: int, titled: bool) -> int:
        """Return where the name that begins at `start` ends; `start` when there is none."""
        end = start
        while end < len(words):
            word, low = words[end], words[end].lower()
            joins = end > start and (low in self._lists.of("names", "particles") or low == "of")
            if (joins and end + 1 < len(words) and words[end].islower()) or self._belongs(
                word, low, first=end == start, titled=titled
            ):
                end += 1
            else:
                break
        while end > start and words[end - 1].islower():
            end -= 1
        return end

    def _belongs(self, word: str, low: str, *, first: bool, titled: bool) -> bool:
        """Say whether a word is part of a name that may begin, or has begun, before it."""
        if low in self.words or _INITIAL.fullmatch(word):
            return True
        lists = self._lists
        if word.islower() or _is_title(low, lists) or len(low) < 2:
            return False
        possible = low not in lists.of("names", "never")
        if first:
            return titled and possible
        return possible and low not in lists.of("names", "nations") and self.cases.middle[low] >= 2

    def _stands_alone(self, word: str, opening: bool) -> bool:
        """Say whether a title is used as a name: the General, the Queen."""
        low = word.lower()
        if opening or low in self._lists.of("titles", "never_alone"):
            return False
        middle = self.cases.middle[low]
        return middle >= 3 and middle >= 0.4 * self.cases.low[low]


def collect_names(scans: list[ChapterScan], cutter: Cutter) -> dict[Name, Counter[str]]:
    """Return every name of a book with its evidence; "n" counts it."""
    found: dict[Name, Counter[str]] = defaultdict(Counter)
    for form in (form for scan in scans for form in scan.forms):
        for name, start, end in cutter.cut(form):
            evidence = found[name]
            evidence["n"] += form.count
            for key, value in form.counts.items():
                cut_off = (start > 0 and key in LEFT_EVIDENCE) or (
                    end < len(form.words) and key in RIGHT_EVIDENCE
                )
                whole = start == 0 and end == len(form.words)
                if not cut_off and (whole or key != "call"):
                    evidence[key] += value
    return dict(found)
