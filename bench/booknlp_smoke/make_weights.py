"""Makes what BookNLP loads, of the small architecture and with random numbers in it.

Runs in BookNLP's environment: `python make_weights.py FOLDER TEXT`. FOLDER gets `models` (three
files of weights, with the entry that trained ones have too much), `google/…` (three BERT models
with a vocabulary from TEXT) and `spacy` (a pipeline that has seen three sentences).
"""

import os
import random
import re
import sys
from collections import Counter
from pathlib import Path

import spacy
import torch
from booknlp.common.sequence_layered_reader import read_tagset
from spacy.training import Example
from transformers import BertConfig, BertModel

SEED = 7
SPREAD = 30.0  # of the tagger's choices
VOCABULARY = 30_522  # words of the uncased BERT models
BASES = {
    "entities": (4, 256, 4),
    "coref": (2, 256, 4),
    "speaker": (8, 256, 4),
}  # layers, dim, heads
RELEASES = {"entities": "1.0", "coref": "1.0", "speaker": "1.0.1"}
SENTENCES = [
    (
        ["Ann", "saw", "her", "friend", "."],
        ["PROPN", "VERB", "PRON", "NOUN", "PUNCT"],
        ["nsubj", "ROOT", "poss", "dobj", "punct"],
        [1, 1, 3, 1, 1],
    ),
    (
        ["He", "was", "kind", "and", "happy", "."],
        ["PRON", "AUX", "ADJ", "CCONJ", "ADJ", "PUNCT"],
        ["nsubj", "ROOT", "acomp", "cc", "conj", "punct"],
        [1, 1, 1, 2, 2, 1],
    ),
    (
        ["They", "walked", "and", "talked", "."],
        ["PRON", "VERB", "CCONJ", "VERB", "PUNCT"],
        ["nsubj", "ROOT", "cc", "conj", "punct"],
        [1, 1, 1, 1, 1],
    ),
]


def base_name(part: str) -> str:
    """Return the name of the BERT model under a part of BookNLP."""
    layers, size, heads = BASES[part]
    return f"bert_uncased_L-{layers}_H-{size}_A-{heads}"


def make_base(folder: Path, part: str, words: list[str]) -> None:
    """Write a BERT model of the right shape."""
    layers, size, heads = BASES[part]
    target = folder / "google" / base_name(part)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * size,
    )
    BertModel(config).save_pretrained(target)
    (target / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")


def vocabulary(text: str) -> list[str]:
    """Return specials, single characters, endings and the text's words, filled up to size."""
    signs = sorted(set(text.lower()) - set(" \n\t"))
    counts = Counter(re.findall(r"[a-z]+", text.lower()))
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *signs, *(f"##{c}" for c in signs)]
    words += [word for word, _ in counts.most_common(20_000) if len(word) > 1]
    return words + [f"[unused{n}]" for n in range(VOCABULARY - len(words))]


def make_parts(folder: Path) -> None:
    """Write the three models as BookNLP's own classes make them."""
    from booknlp.english import english_booknlp
    from booknlp.english.bert_coref_quote_pronouns import BERTCorefTagger
    from booknlp.english.speaker_attribution import BERTSpeakerID
    from booknlp.english.tagger import Tagger

    data = Path(english_booknlp.__file__).parent / "data"
    genders = [["he", "him", "his"], ["she", "her"], ["they", "them", "their"]]
    base = {part: f"google/{base_name(part)}" for part in BASES}
    made = {
        "entities": Tagger(
            base_model=base["entities"],
            tagset=read_tagset(str(data / "entity_cat.tagset")),
            supersense_tagset=read_tagset(str(data / "supersense.tagset")),
            tagset_flat={"EVENT": 1, "O": 1},
            device=torch.device("cpu"),
        ),
        "coref": BERTCorefTagger(genders, base_model=base["coref"]),
        "speaker": BERTSpeakerID(base_model=base["speaker"]),
    }
    calm(made["entities"])
    for part, model in made.items():
        state = model.state_dict()
        state["bert.embeddings.position_ids"] = torch.arange(512).unsqueeze(0)
        name = f"{part}_google_{base_name(part)}-v{RELEASES[part]}.model"
        torch.save(state, folder / "models" / name)


def calm(tagger: torch.nn.Module) -> None:
    """Let the random tagger find few things, and people rather than vehicles.

    No events at all: an event at the mark that ends a batch, which training rules out, is one place
    too far for BookNLP.
    """
    with torch.no_grad():
        tagger.flat_classifier.bias.copy_(torch.tensor([50.0, -50.0]))
        tagger.hidden2tag1.weight.mul_(SPREAD)  # else one tag takes everything
        for layer, outside in ((tagger.hidden2tag1, 2.0), (tagger.hidden2tag2, 9.0)):
            for tag, place in tagger.tagset.items():
                layer.bias[place] += outside if tag == "O" else 1.0 if tag.endswith("_PER") else -3
        tagger.hidden2tag3.bias.copy_(tagger.hidden2tag2.bias)


def make_spacy(folder: Path) -> None:
    """Write a pipeline with the parts that BookNLP asks for results."""
    nlp = spacy.blank("en")
    for name in ("sentencizer", "morphologizer", "tagger"):
        nlp.add_pipe(name)
    nlp.add_pipe("parser", config={"min_action_freq": 1})
    examples = [
        Example.from_dict(
            nlp.make_doc(" ".join(words)),
            {"words": words, "pos": tags, "tags": tags, "deps": deps, "heads": heads},
        )
        for words, tags, deps, heads in SENTENCES
    ]
    nlp.initialize(lambda: examples)
    for _ in range(20):
        nlp.update(examples)
    nlp.to_disk(folder / "spacy")


def main(folder: Path, text: str) -> None:
    """Write everything to `folder`."""
    random.seed(SEED)
    torch.manual_seed(SEED)
    spacy.util.fix_random_seed(SEED)
    (folder / "models").mkdir(parents=True)
    words = vocabulary(text)
    for part in BASES:
        make_base(folder, part, words)
    os.chdir(folder)
    make_parts(folder)
    make_spacy(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).read_text(encoding="utf-8"))
