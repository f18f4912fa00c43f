"""A follow-up question and its history → a stand-alone question, by rules; it is shown and can be edited.

A pronoun is replaced by what the user last spoke of, a fragment ("and for part-timers?") is set into the last
question, and a question that has a subject of its own is left exactly as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.terms import STOP, terms
from rag.types import Turn

_ASKS = re.compile(r"^\W*(?:\w+\s+){0,2}?(?:what|when|where|who|which|how|why)\b", re.I)
_AND_ASKS = re.compile(
    r"\s*[,?]?\s+and\s+(?=(?:(?:at|by|for|from|in|on|to|until) )?(?:what|when|where|who|which|how|why)\b)", re.I
)
LONG = 16  # words
_SENTENCES = re.compile(r"\w{3,}[.?!]\s+\w")
_LEAD = re.compile(r"^\s*(?:(?:and|but|or|so|also|then|ok|okay|well|sorry|hmm|um|uh)\b[\s,]*)+", re.I)
_FRAGMENT = re.compile(r"^(?:what|how) about\s+|^(?:(?:is|does|do)\s+)?(?:the\s+)?same\s+(?:for|in)\s+", re.I)
_PREPOSITIONS = "for|in|on|at|of|with|during|after|before|from|to|by|outside|over|under|if|when"
_PREPOSITION = re.compile(rf"^({_PREPOSITIONS})\b", re.I)
_MEASURE = re.compile(r"^\w+ (?:days?|weeks?|months?|years?|hours?|minutes?) (?:after|before)\b", re.I)
_CLAUSAL = re.compile(
    r"\b(?:wh\w+|how|is|are|am|was|were|do|does|did|can|could|will|would|should|may|might|must|has|have|had)\b", re.I
)
_ACT = re.compile(r"\b(?:do|does|did|doing|done)\s+(?:it|this|that|so)\b", re.I)
_PERSON = re.compile(r"\b(?:he|she|him|himself|herself|his|hers|her)\b", re.I)
_THING = re.compile(
    r"\b(?:(?:it|they|them|its|their|theirs)\b|(?:this|that|these|those)(?=\s*[?.!,]|\s*$|\s+(?:is|are|was|were|do|"
    r"does|did|can|will|apply|applies|cost|costs|take|takes|happen|happens|mean|means|work|works)\b))",
    re.I,
)
_CLAUSE = re.compile(r",|\b(?:and|or|but|if|when|because|that)\b", re.I)
_MANY = frozenset("they them their theirs these those".split())
_POSSESSIVE = frozenset("his her its their theirs hers".split())
_EMPTY_IT = re.compile(r"\bit\s+(?:take|takes|possible|true|mean|matter|rain)|\b(?:is|was)\s+it\s+(?:that|to)\b", re.I)
_NAME = re.compile(r"[A-Z][\w’'.&-]*(?:\s+(?:(?:of|the|and|de|for)\s+)*[A-Z0-9][\w’'.&-]*)*")
_ASKING = frozenset(
    "what which who whom whose when where why how is are was were do does did can could will would should may might"
    " must has have had tell me please describe explain many much long often far old big good there any some in on at"
    " for and the a an i we you my our it he she they".split()
)
_VERB = frozenset(
    "get gets need needs use used make makes say says know go goes come take takes give happen happened work works cost"
    " costs pay paid allowed called mean means stand stands start end find want".split()
)


def parts(question: str) -> tuple[str, ...]:
    """The two questions of "When does it open and how much is a ticket?", each stand-alone; () when it is one."""
    halves = _AND_ASKS.split(question, maxsplit=2)
    if len(halves) != 2 or min(len(half.split()) for half in halves) < 4 or not _ASKS.match(halves[0]):
        return ()
    first, second = f"{halves[0].strip(' ,')}?", halves[1].strip()
    return first, standalone(second, [Turn("user", first)])


def standalone(question: str, history: Sequence[Turn]) -> str:
    """The question unchanged when it can stand alone; else with what it leaves out, from the user's questions."""
    asked = [turn.content.strip() for turn in history if turn.role == "user" and turn.content.strip()]
    said: list[str] = []
    topics: list[str] = []
    for earlier in asked:  # each in the light of those before it, so that a subject is carried along
        resolved, topic = _resolved(earlier, said, topics)
        said.append(resolved)
        topics.append(topic or _subject(resolved))
    return _resolved(question, said, topics)[0]


def _resolved(question: str, said: Sequence[str], topics: Sequence[str]) -> tuple[str, str]:
    """(the stand-alone question, the subject that it took over or "")."""
    if not said or not question.strip() or len(question.split()) > LONG or _SENTENCES.search(question):
        return question, ""  # what is said at length, or in sentences, brings its subject along
    bare = _LEAD.sub("", question).strip(" ?.!")
    fragment = _FRAGMENT.sub("", bare)
    if fragment != bare or (bare != question.strip(" ?.!") and not _CLAUSAL.search(bare.split(" if ")[0])):
        return _set_in(fragment, said[-1]), ""
    if _ACT.search(bare):
        return f"{question.rstrip(' ?.!')}: {said[-1]}", topics[-1]
    if not terms(bare) or (len(bare.split()) <= 2 and set(bare.lower().split()) <= STOP):
        return f"{bare}: {said[-1]}", topics[-1]
    subject = next((topic for topic in reversed(topics) if topic), "")
    pronoun = _PERSON.search(question)
    if pronoun:
        names = [name for earlier in said for name in _names(earlier)]
        people = [name for name in names if " " in name] or names
        if people:
            subject = subject if subject in people else people[0]
    else:
        pronoun = None if _EMPTY_IT.search(question) else _THING.search(question)
    if not pronoun or _own_subject(question[: pronoun.start()]):
        return question, ""
    if pronoun[0].lower() in _MANY and not subject[:1].isupper():
        subject = next(filter(None, (_subject(earlier, many=True) for earlier in reversed(said))), subject)
    return _replaced(question, pronoun, subject), subject


def _own_subject(before: str) -> bool:
    """True when what stands before a pronoun names its subject already, as in "what is X and where is it"."""
    return bool(_names(before) or (_CLAUSE.search(before) and _subject(_CLAUSE.split(before)[0])))


def _replaced(question: str, pronoun: re.Match[str], subject: str) -> str:
    """`subject` in the place of the pronoun; the question itself when it names the subject or there is none."""
    if not subject or subject.lower() in question.lower():
        return question
    owns = pronoun[0].lower() in _POSSESSIVE and not re.match(r"\s*(?:$|[?.!,])", question[pronoun.end() :])
    written = subject + (("’" if subject.endswith("s") else "’s") if owns else "")
    return question[: pronoun.start()] + written + question[pronoun.end() :]


def _set_in(fragment: str, earlier: str) -> str:
    """The earlier question asked again of `fragment`, in the place of a phrase that begins with the same word."""
    base = earlier.strip(" ?.!")
    lead = _PREPOSITION.match(fragment) or _MEASURE.match(fragment)
    if lead and lead.re is _PREPOSITION:
        held = re.search(rf"\b{lead[1]}\s+(?:(?!\b(?:{_PREPOSITIONS})\b)[^,])*", base, re.I)
        if held and held.start():
            return f"{base[: held.start()]}{fragment}{' ' if held[0].endswith(' ') else ''}{base[held.end() :]}?"
    elif _names(fragment) == [fragment] and (named := _names(base)):
        before, _, after = base.rpartition(named[-1])
        return f"{before}{fragment}{after}?"
    elif re.match(r"an?\s", fragment, re.I) and (
        same := re.search(r"\ban?\s+(?!day|week|month|year|hour|mile)[\w-]+", base, re.I)
    ):
        return f"{base[: same.start()]}{fragment}{base[same.end() :]}?"
    return f"{base} {fragment if lead else f'for {fragment}'}?"


def _names(text: str) -> list[str]:
    """The runs of capitalised words, without the words that only begin a sentence."""
    found = []
    for match in _NAME.finditer(text):
        words = match[0].split()
        while words and words[0].lower() in _ASKING:
            words = words[1:]
        name = re.sub(r"[’']s$", "", " ".join(words)).strip(".’'")
        begins = match.start() == 0 or text[: match.start()].rstrip()[-1:] in (".", "?", "!")
        alone = len(match[0].split()) == 1 and begins and match[0] != text.strip()
        if name and not alone and name.lower() not in STOP:
            found.append(name)
    return found


def _subject(text: str, many: bool = False) -> str:
    """What a question speaks of: its first name, or else a run of words that ask nothing, best one with an article.

    `many` prefers a plural, as "they" does.
    """
    names = _names(text)
    if names and not many:
        return names[0]
    runs: list[tuple[bool, list[str]]] = [(False, [])]
    for word in text.strip(" ?.!").split():
        plain = word.lower().strip("?,.!")
        if plain in _ASKING or (plain in STOP and plain != "of") or plain in _VERB or plain.endswith("ly"):
            runs.append((plain in ("the", "a", "an", "my", "our"), []))
        elif plain != "of" or runs[-1][1]:
            runs[-1][1].append(word.strip("?,.!"))
    found = [(article, " ".join(words).removesuffix(" of")) for article, words in runs if words and words != ["of"]]
    if many:
        plural = [run for _, run in found if re.search(r"[^s]s$", run.split(" of ")[0])]
        return plural[0] if plural else ""
    return max(found, key=lambda run: len(run[1].split()) + 2 * run[0], default=(False, ""))[1]
