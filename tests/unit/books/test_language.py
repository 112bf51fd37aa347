import pytest

from models.language import NotEnglish, check_english, is_english

from .novels import text_of

FRENCH = """Longtemps, je me suis couché de bonne heure. Parfois, à peine ma bougie éteinte, mes
yeux se fermaient si vite que je n'avais pas le temps de me dire: Je m'endors. Et, une
demi-heure après, la pensée qu'il était temps de chercher le sommeil m'éveillait; je voulais poser
le volume."""
GERMAN = """Als Gregor Samsa eines Morgens aus unruhigen Träumen erwachte, fand er sich in seinem
Bett zu einem ungeheueren Ungeziefer verwandelt. Er lag auf seinem panzerartig harten Rücken und
sah, wenn er den Kopf ein wenig hob, seinen gewölbten, braunen, geteilten Bauch, auf dessen Höhe
sich die Bettdecke kaum noch erhalten konnte. Was war mit ihm geschehen, dachte er."""
RUSSIAN = "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива."  # noqa: RUF001
CHINESE = "话说天下大势，分久必合，合久必分。"  # noqa: RUF001


@pytest.mark.parametrize("text", [FRENCH, GERMAN, RUSSIAN, CHINESE])
def test_another_language_is_refused(text: str) -> None:
    with pytest.raises(NotEnglish) as refused:
        check_english(text)
    assert not is_english(text)
    assert (refused.value.code, refused.value.status) == ("not_english", 422)


@pytest.mark.parametrize("name", ["Emma", "TheSportOfTheGods"])
def test_novels_are_english(name: str) -> None:
    assert is_english(text_of(name))


@pytest.mark.parametrize(
    "text",
    [
        '"Mais oui, monsieur," said he, and ' * 20,
        "'Deed I is gwine ter tell dat man," * 4 + " she said, and went to the door. " * 8,
    ],
)
def test_dialect_and_foreign_phrases_are_english(text: str) -> None:
    assert is_english(text)


@pytest.mark.parametrize("text", ["Bonjour, Madame!", ""])
def test_a_text_too_short_to_tell_is_not_refused(text: str) -> None:
    assert is_english(text)
