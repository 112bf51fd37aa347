import pytest
from pydantic import BaseModel

from models.reading import Reading

from .novels import called, read_novel, speaker_of

FALSE_PERSONS_ALLOWED = 1  # among those mentioned ten times or more


class Expected(BaseModel):
    """What a reader knows about a novel's cast."""

    top: list[str]  # aliases of those who must be among the first
    within: int
    he: list[str]
    she: list[str]
    together: list[set[str]]
    apart: list[set[str]]
    narrator: str | None = None
    people: set[str] = set()  # further people who may be mentioned often


NOVELS = {
    "PrideAndPrejudice": Expected(
        top=["Elizabeth", "Mr. Darcy", "Jane", "Mr. Bingley", "Mrs. Bennet", "Wickham", "Lydia"],
        within=9,
        he=[
            "Mr. Darcy",
            "Mr. Bingley",
            "Mr. Collins",
            "Wickham",
            "Mr. Bennet",
            "Mr. Gardiner",
            "Colonel Fitzwilliam",
            "Sir William",
        ],
        she=[
            "Elizabeth",
            "Jane",
            "Lydia",
            "Kitty",
            "Mary",
            "Charlotte",
            "Lady Catherine",
            "Miss Bingley",
            "Mrs. Bennet",
            "Mrs. Gardiner",
            "Georgiana",
            "Mrs. Hurst",
        ],
        together=[
            {"Elizabeth", "Lizzy", "Eliza", "Miss Elizabeth", "Elizabeth Bennet"},
            {"Jane", "Miss Bennet", "Jane Bennet"},
            {"Mr. Darcy", "Darcy"},
            {"Mr. Bingley", "Bingley"},
            {"Miss Bingley", "Caroline", "Caroline Bingley"},
            {"Wickham", "Mr. Wickham", "George Wickham"},
            {"Lady Catherine", "Lady Catherine de Bourgh"},
            {"Charlotte", "Charlotte Lucas", "Miss Lucas", "Mrs. Collins"},
            {"Maria", "Maria Lucas"},
            {"Miss Darcy", "Georgiana"},
            {"Sir William", "Sir William Lucas"},
        ],
        apart=[
            {"Mr. Bennet", "Mrs. Bennet", "Jane", "Elizabeth", "Lydia", "Kitty", "Mary"},
            {"Mr. Darcy", "Miss Darcy", "Colonel Fitzwilliam"},
            {"Mr. Bingley", "Miss Bingley", "Mrs. Hurst"},
            {"Lady Catherine", "Miss de Bourgh"},
            {"Charlotte", "Sir William", "Lady Lucas"},
            {"Mr. Collins", "Mrs. Collins"},
            {"Mary", "Maria Lucas", "Charlotte"},
        ],
    ),
    "Emma": Expected(
        top=["Emma", "Harriet", "Mr. Knightley", "Frank Churchill", "Mrs. Weston", "Mr. Elton"],
        within=8,
        he=[
            "Mr. Knightley",
            "Mr. Weston",
            "Mr. Elton",
            "Frank Churchill",
            "Mr. Woodhouse",
            "Robert Martin",
            "John Knightley",
        ],
        she=[
            "Emma",
            "Harriet",
            "Jane Fairfax",
            "Mrs. Weston",
            "Mrs. Elton",
            "Miss Bates",
            "Isabella",
            "Mrs. Goddard",
        ],
        together=[
            {"Emma", "Miss Woodhouse", "Emma Woodhouse"},
            {"Harriet", "Miss Smith", "Harriet Smith"},
            {"Jane Fairfax", "Jane", "Miss Fairfax"},
            {"Mr. Knightley", "Knightley"},
            {"Mr. John Knightley", "John Knightley"},
            {"Frank Churchill", "Frank", "Mr. Frank Churchill"},
            {"Robert Martin", "Mr. Martin"},
            {"Mr. Perry", "Perry"},
        ],
        apart=[
            {"Mr. Knightley", "John Knightley", "Mrs. John Knightley"},
            {"Mr. Weston", "Mrs. Weston"},
            {"Mr. Elton", "Mrs. Elton"},
            {"Miss Bates", "Mrs. Bates", "Jane Fairfax"},
            {"Emma", "Mr. Woodhouse"},
        ],
    ),
    "AlicesAdventuresInWonderland": Expected(
        top=["Alice", "Queen", "King", "Hatter", "Gryphon", "Mock Turtle"],
        within=9,
        he=["King", "Hatter", "Mock Turtle", "White Rabbit", "Gryphon", "March Hare", "Bill"],
        she=["Alice", "Queen", "Duchess", "Dinah"],
        together=[{"White Rabbit", "Rabbit"}, {"Cat", "Cheshire Cat"}],
        apart=[
            {
                "King",
                "Queen",
                "Duchess",
                "Hatter",
                "Cat",
                "March Hare",
                "Dormouse",
                "Mouse",
                "Caterpillar",
                "Dodo",
                "White Rabbit",
                "Alice",
            }
        ],
    ),
    "TheSignOfTheFour": Expected(
        top=["Holmes", "Watson", "Athelney Jones", "Miss Morstan", "Thaddeus Sholto"],
        within=6,
        he=[
            "Holmes",
            "Watson",
            "Athelney Jones",
            "Thaddeus Sholto",
            "Bartholomew Sholto",
            "Jonathan Small",
            "Toby",
        ],
        she=["Miss Morstan", "Mrs. Hudson", "Mrs. Smith"],
        together=[
            {"Holmes", "Sherlock Holmes", "Mr. Holmes", "Mr. Sherlock Holmes"},
            {"Watson", "Dr. Watson"},
            {"Miss Morstan", "Mary Morstan"},
            {"Athelney Jones", "Mr. Jones"},
            {"Thaddeus Sholto", "Mr. Thaddeus"},
            {"Bartholomew Sholto", "Bartholomew"},
            {"Jonathan Small", "Jonathan"},
        ],
        apart=[
            {"Thaddeus Sholto", "Bartholomew Sholto", "Major Sholto"},
            {"Miss Morstan", "Captain Morstan"},
            {"Mordecai Smith", "Mrs. Smith"},
            {"Holmes", "Watson"},
        ],
        narrator="Watson",
    ),
    "TheInvisibleMan": Expected(
        top=["Kemp", "Griffin", "Mr. Marvel", "Mrs. Hall", "the stranger"],
        within=7,
        he=["Kemp", "Griffin", "Mr. Marvel", "Hall", "Adye", "Henfrey", "Mr. Bunting", "Cuss"],
        she=["Mrs. Hall", "Millie", "Mrs. Bunting"],
        together=[
            {"Griffin", "Invisible Man", "Voice"},
            {"Kemp", "Dr. Kemp", "Doctor Kemp"},
            {"Mr. Marvel", "Marvel", "Mr. Thomas Marvel"},
            {"Henfrey", "Teddy Henfrey", "Teddy"},
            {"Hall", "Mr. Hall"},
        ],
        apart=[{"Hall", "Mrs. Hall"}, {"Mr. Bunting", "Mrs. Bunting"}, {"Griffin", "Kemp"}],
    ),
    "DaisyMiller": Expected(
        top=["Winterbourne", "Daisy", "Mrs. Walker", "Mrs. Costello"],
        within=7,
        he=["Winterbourne", "Randolph", "Mr. Giovanelli", "Eugenio"],
        she=["Daisy", "Mrs. Miller", "Mrs. Walker", "Mrs. Costello"],
        together=[
            {"Daisy", "Miss Miller", "Daisy Miller", "Miss Daisy Miller"},
            {"Winterbourne", "Mr. Winterbourne"},
            {"Mr. Giovanelli", "Giovanelli"},
        ],
        apart=[{"Daisy", "Mrs. Miller", "Randolph"}],
    ),
    "TheSportOfTheGods": Expected(
        top=["Joe", "Berry", "Maurice Oakley", "Fannie", "Kitty"],
        within=8,
        he=["Joe", "Berry", "Maurice Oakley", "Frank", "Thomas", "Skaggs", "Sadness"],
        she=["Kitty", "Fannie", "Hattie", "Minty", "Mrs. Jones", "Mrs. Oakley"],
        together=[
            {"Joe", "Joe Hamilton"},
            {"Berry", "Berry Hamilton"},
            {"Kitty", "Kit", "Kitty Hamilton"},
            {"Maurice Oakley", "Maurice", "Oakley"},
            {"Frank", "Francis", "Francis Oakley"},
            {"Hattie", "Hattie Sterling"},
            {"Minty", "Minty Brown"},
        ],
        apart=[{"Joe", "Berry", "Fannie", "Kitty"}, {"Maurice Oakley", "Frank", "Mrs. Oakley"}],
    ),
}

# Everybody else in these novels who is named ten times or more.
OTHERS = {
    "PrideAndPrejudice": "Philips|Denny|Hurst|Forster|Reynolds|Long|Jenkinson",
    "Emma": "Perry|Taylor|Churchill|Cole|Dixon|Campbell|Henry|James|Larkins|Hawkins|Ford|Nash|"
    "Patty|Martin|Suckling|Wingfield|Selina|Bates|Goddard|Knightley",
    "AlicesAdventuresInWonderland": "Pigeon|Dormouse|Mouse|Caterpillar|Dodo|Cat|Knave|Footman",
    "TheSignOfTheFour": "Morstan|Smith|Sholto|Forrester|Mahomet|Abdullah",
    "TheInvisibleMan": "Huxter|Jaffers|Wadgers|Fearenside|Wicksteed|Heelas|mariner|policeman|"
    "stranger",
    "DaisyMiller": "child",
    "TheSportOfTheGods": "Hamilton|Be'y|Claire|Leslie|Skaggsy|Talbot|Colonel",
}


@pytest.fixture(params=sorted(NOVELS))
def novel(request: pytest.FixtureRequest) -> tuple[str, Reading, Expected]:
    name: str = request.param
    return name, read_novel(name), NOVELS[name]


def test_the_main_characters_come_first(novel: tuple[str, Reading, Expected]) -> None:
    _, reading, expected = novel
    first = [alias for c in reading.characters[: expected.within] for alias in c.aliases]
    assert [alias for alias in expected.top if alias not in first] == []


def test_the_names_of_one_person_are_together(novel: tuple[str, Reading, Expected]) -> None:
    _, reading, expected = novel
    for aliases in expected.together:
        assert len({called(reading, alias).id for alias in aliases}) == 1, aliases


def test_different_people_are_apart(novel: tuple[str, Reading, Expected]) -> None:
    _, reading, expected = novel
    for aliases in expected.apart:
        assert len({called(reading, alias).id for alias in aliases}) == len(aliases), aliases


def test_genders_are_right(novel: tuple[str, Reading, Expected]) -> None:
    _, reading, expected = novel
    wrong = [a for a in expected.he if called(reading, a).gender != "he"]
    wrong += [a for a in expected.she if called(reading, a).gender != "she"]
    assert wrong == []


def test_the_narrator_is_found(novel: tuple[str, Reading, Expected]) -> None:
    _, reading, expected = novel
    narrators = [c for c in reading.characters if c.is_narrator]
    assert reading.book.narration == ("first" if expected.narrator else "third")
    if expected.narrator is None:
        assert narrators == []
    else:
        assert [expected.narrator in c.aliases for c in narrators] == [True]
        assert narrators[0].id == 0


def test_hardly_anybody_often_mentioned_is_no_person(
    novel: tuple[str, Reading, Expected],
) -> None:
    name, reading, expected = novel
    people = [expected.top, expected.he, expected.she, *expected.together, *expected.apart]
    known = {alias for group in people for alias in group}
    others = OTHERS[name].split("|")
    strange = [
        c.name
        for c in reading.characters
        if c.mentions >= 10
        and not known.intersection(c.aliases)
        and not any(other in c.name for other in others)
    ]
    assert len(strange) <= FALSE_PERSONS_ALLOWED, strange


@pytest.mark.parametrize(
    ("novel_name", "words", "alias"),
    [
        ("PrideAndPrejudice", "I have not the pleasure of understanding you", "Mr. Bennet"),
        ("PrideAndPrejudice", "In vain have I struggled", "Mr. Darcy"),
        ("PrideAndPrejudice", "I often think,", "Mrs. Bennet"),
        ("AlicesAdventuresInWonderland", "Why is a raven like a writing-desk", "Hatter"),
        ("AlicesAdventuresInWonderland", "Off with their heads", "Queen"),
        ("TheSignOfTheFour", "How often have I said to you", "Holmes"),
        ("TheInvisibleMan", "I am just an ordinary man", "Griffin"),
        ("Emma", "You have been no friend to Harriet Smith", "Mr. Knightley"),
    ],
)
def test_famous_words_have_their_speaker(novel_name: str, words: str, alias: str) -> None:
    reading = read_novel(novel_name)
    assert speaker_of(reading, words) == called(reading, alias).name
