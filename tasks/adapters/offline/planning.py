"""A week of a plan, put together from what the goal says and from the passages that bear on it."""

from typing import Any

from tasks.adapters.offline.words import content_words, listed, sentences, stem

Facts = dict[str, Any]

MAX_EFFORT = 10
QUOTED_CHARS = 140  # of a passage, in a task
TOPIC_WORDS = 3  # of the goal's title, in a task

# kind of goal -> words that tell it
KINDS = {
    "body": "fit fitness run running marathon weight lose stamina gym exercise strength yoga swim "
    "swimming cycle health sleep diet muscle walk workout climb",
    "mind": "learn study course curriculum exam language read reading machine learning program "
    "programming code math statistics history certificate piano guitar chess master",
    "work": "build launch start business write book novel website app project finish ship "
    "portfolio job career promotion blog publish thesis",
    "home": "save saving money budget debt declutter clean organize house garden habit quit "
    "smoking meditate move renovate",
}
# kind -> stages from lighter to harder: milestone, and what is done for it
STAGES: dict[str, list[tuple[str, list[str]]]] = {
    "body": [
        ("Know where you stand", [
            "Measure where you stand today: time, distance or weight",
            "Do 20 easy minutes for {topic}",
            "Put three sessions of this week and the next into your calendar",
        ]),
        ("A steady routine", [
            "Do 30 easy minutes for {topic}",
            "Do 15 minutes of strength and 10 of stretching",
            "Plan the meals of three days, and keep to them",
        ]),
        ("More of it", [
            "Do 40 minutes for {topic}, the last ten a little harder",
            "Do a session with five short, hard intervals",
            "Do 25 minutes of strength",
            "Take a full day of rest, and sleep eight hours",
        ]),
        ("Close to the limit", [
            "Do the longest session so far for {topic}",
            "Do eight hard intervals with full pauses",
            "Do 30 minutes of strength, with more weight than before",
            "Measure again, and compare with the first week",
        ]),
        ("The real thing", [
            "Try out {topic} as if it counted",
            "Do one short, hard session",
            "Take two easy days",
            "Measure the result against the first week",
            "Decide what you keep up from here on",
        ]),
    ],
    "mind": [
        ("An overview", [
            "Write down what you can already do in {topic}, and what you cannot",
            "Choose one course or book on {topic}, and read its contents",
            "Work through its first lesson, and take notes",
        ]),
        ("The foundations", [
            "Work through two lessons on the foundations of {topic}",
            "Explain each of them in your own words, on half a page",
            "Solve five exercises without looking anything up",
        ]),
        ("Practice", [
            "Work through two further lessons on {topic}",
            "Solve ten exercises, and go over every mistake",
            "Make flash cards of what you keep forgetting",
            "Begin a small project of your own",
        ]),
        ("On your own", [
            "Work on the hardest part of {topic} so far",
            "Carry your project to where it works",
            "Show it to somebody who knows more, and ask what to improve",
            "Solve an old exam, or a task of that size, against the clock",
        ]),
        ("Mastery", [
            "Finish your project on {topic}",
            "Teach the core of it to somebody in ten minutes",
            "Close the two largest gaps of your list from week 1",
            "Take a full test under real conditions",
            "Write down what comes next",
        ]),
    ],
}  # fmt: skip
STAGES["work"] = STAGES["home"] = STAGES["other"] = [
    ("A clear aim", [
        "Write down in one sentence what {topic} looks like when it is done",
        "List what you have, what is missing and who could help",
        "Do the smallest useful part today",
    ]),
    ("A first piece", [
        "Split {topic} into parts of a few hours each",
        "Finish the first of them",
        "Keep the same hour free for it on three days",
    ]),
    ("Momentum", [
        "Finish two further parts of {topic}",
        "Remove what has held you up most",
        "Show somebody what there is, and ask what they think",
        "Look back: keep what works, drop what does not",
    ]),
    ("The hard part", [
        "Do the part of {topic} that you have put off",
        "Give it two sessions without a phone",
        "Put right what others have pointed out",
        "Go through what is still missing, in order",
    ]),
    ("Done", [
        "Finish the last part of {topic}",
        "Go through all of it once, as a stranger would",
        "Mend what that has shown",
        "Tell somebody that it is done, and show it",
        "Decide what you keep up from here on",
    ]),
]  # fmt: skip


def plan_week(extra: Facts) -> Facts:
    """Return week `week` of `weeks` as title, effort and tasks.

    Reads `title`, `description`, `least_effort`, `most_effort` and `sources` (`id, excerpt`).
    """
    week, weeks = int(extra.get("week") or 1), int(extra.get("weeks") or 1)
    done = (week - 1) / max(1, weeks - 1)
    stages = STAGES[_kind(extra)]
    title, tasks = stages[round(done * (len(stages) - 1))]
    topic = _topic(str(extra.get("title") or "your goal"))
    told = [{"title": task.format(topic=topic), "source": None} for task in tasks]
    if read := _reading(extra, week):
        told = [*told[:4], read]
    least, most = int(extra.get("least_effort") or 1), int(extra.get("most_effort") or MAX_EFFORT)
    effort = min(max(least, round(1 + done * (MAX_EFFORT - 1))), max(least, most))
    return {"title": f"{title} (week {week})", "effort": effort, "tasks": told}


def _kind(extra: Facts) -> str:
    """Return the kind of goal that most words speak for."""
    said = [
        stem(word) for word in content_words(f"{extra.get('title')} {extra.get('description')}")
    ]
    counts = {
        kind: sum(word in {stem(one) for one in words.split()} for word in said)
        for kind, words in KINDS.items()
    }
    best = max(counts, key=lambda kind: counts[kind])
    return best if counts[best] else "other"


def _topic(title: str) -> str:
    short = " ".join(title.split())
    if len(short) <= 60:
        return f"“{short}”"
    return listed(content_words(title)[:TOPIC_WORDS]) or "your goal"


def _reading(extra: Facts, week: int) -> Facts | None:
    """Return a task that rests on one of the sources, each week another one."""
    sources = extra.get("sources") or []
    if not sources:
        return None
    source = sources[(week - 1) % len(sources)]
    said = sentences(str(source.get("excerpt") or ""))
    quoted = next((one for one in said if len(one.split()) > 4), "")[:QUOTED_CHARS].strip()
    if not quoted:
        return None
    told = f"Try out what {source.get('source', 'the article')} says: {' '.join(quoted.split())}"
    return {"title": told, "source": source["id"]}
