"""A follow-up question and its history → a stand-alone question, by rules; it is shown and can be edited.

A pronoun is replaced by what the user last spoke of, a fragment ("and for part-timers?") is set into the last
question, and a question that has a subject of its own is left exactly as it is. `looser` gives further forms.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.terms import STOP, WORD, content, terms
from rag.types import Turn

_ASKS = re.compile(r"^\W*(?:\w+\s+){0,2}?(?:what|when|where|who|which|how|why)\b", re.I)
_AND_ASKS = re.compile(
    r"\s*[,?]?\s+and\s+(?=(?:(?:at|by|for|from|in|on|to|until) )?(?:what|when|where|who|which|how|why)\b)", re.I
)
SAID = 2_000  # characters of an earlier question that are looked at
LONG = 14  # words
OWN = 3  # words with meaning before a pronoun: enough to have named what it stands for
_SENTENCES = re.compile(r"\w{3,}[.?!]\s+\w")
_LEAD = re.compile(r"^\s*(?:(?:and|but|or|so|also|then|ok|okay|well|sorry|hmm|um|uh)\b[\s,]*)+", re.I)
_FRAGMENT = re.compile(r"^(?:what|how) about\s+|^(?:(?:is|does|do)\s+)?(?:the\s+)?same\s+(?:for|in)\s+", re.I)
_PREPOSITIONS = "for|in|on|at|of|with|during|after|before|from|to|by|outside|over|under|if|when"
_PREPOSITION = re.compile(rf"^({_PREPOSITIONS})\b", re.I)
_MEASURE = re.compile(r"^\w+ (?:days?|weeks?|months?|years?|hours?|minutes?) (?:after|before)\b", re.I)
_CLAUSAL = re.compile(
    r"\b(?:wh\w+|how|is|are|am|was|were|do|does|did|can|could|will|would|should|may|might|must|has|have|had)\b", re.I
)
_ACT = re.compile(  # "do it", and not "does it work"
    rf"\b(?:do|does|did|doing|done)\s+(?:it|this|that|so)\b(?=\s*(?:$|[?.!,]|(?:{_PREPOSITIONS}|as|too|again|alone)\b))",
    re.I,
)
_PERSON = re.compile(r"\b(?:he|she|him|his|hers|her)\b", re.I)
_THING = re.compile(
    r"\b(?:(?:it|they|them|its|their|theirs)\b|(?:this|that|these|those)(?=\s*[?.!,]|\s*$|\s+(?:is|are|was|were|do|"
    r"does|did|can|will|apply|applies|cost|costs|take|takes|happen|happens|mean|means|work|works)\b))",
    re.I,
)
_CLAUSE = re.compile(r",|\b(?:and|or|but|if|when|because|that)\b", re.I)
_SENTENCE = re.compile(r"(?<=[.?!])\s+")
_THERE = re.compile(r"(?<!\bis )(?<!\bare )\bthere(?=\s*[?.!]*$)", re.I)
_PLACE = re.compile(r"\b(?:in|on|at|from|to)\s+(?:the\s+)?[A-Z][\w’'-]*(?:\s+[A-Z][\w’'-]*)*")
_THEN = re.compile(r"\b(?:then|in that case)(?=\s*[?.!]*$)", re.I)
_CASE = re.compile(r"\b(?:if|when)\s+.+$", re.I)
_MOST = r"(?:\w{3,}est|most|maximum|minimum|best|worst|first|last)"
_SUPERLATIVE = re.compile(rf"^(?:the\s+)?({_MOST})$", re.I)
_OWNED = r"\b(?:the|an?|my|our)\s+"
_WHERE = frozenset("in on at outside".split())
_DATES = frozenset(
    "monday tuesday wednesday thursday friday saturday sunday january february march april may june july august"
    " september october november december".split()
)
_HELPING = frozenset("do does did can could may might must will would should".split())
_ARTICLES = frozenset("the a an my our".split())
_DONE = ("ed", "kept", "made", "paid", "sent", "held", "given", "taken")  # "are timesheets | kept"
_BEING = frozenset("is are was were".split())
_BEFORE_THAT = _HELPING | _BEING | STOP | frozenset("about like before after during".split())
_MANY = frozenset("they them their theirs these those".split())
_POSSESSIVE = frozenset("his her its their theirs hers".split())
_EMPTY_IT = re.compile(  # "it" that stands for what follows
    r"\bit\s+(?:take|takes|possible|true|mean|matter|rain)|\b(?:is|was)\s+it\s+(?:that|to)\b|\b(?:is|was)\s+it\s+"
    r"(?:called|considered)\s+when\b|\bit\s+(?:(?:is|was)\s+)?(?:said|believed|known|understood|argued)\s+that\b|"
    r"\b(?:is|was)\s+it\s+(?:so\s+|too\s+)?(?:hard|difficult|easy|safe|important|necessary|ok|okay|legal|common)\s.*\bto\b",
    re.I,
)
_RELATIVE = re.compile(r"(\w+)\s+$")  # the word before "that"
_OWN_NAME = re.compile(r"\b(?:do|does|did|can|could|will|would|is|was|were|are|has|had)\s+(?:the\s+)?[A-Z]")
_QUOTED = re.compile(r"[\"“][^\"”]*[\"”]")
_NAME = re.compile(r"[A-Z][\w’'.&-]*(?:\s+(?:(?:of|the|and|de|for)\s+)*[A-Z0-9][\w’'.&-]*)*")
_ASKING = frozenset(
    "what which who whom whose when where why how is are was were do does did can could will would should may might"
    " must has have had tell me please describe explain many much long often far old big good there any some in on at"
    " for and the a an i we you my our it he she they least most"
    " after before between during since until under over".split()
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
    return _resolved(question, *_spoken(history))[0]


def looser(question: str, history: Sequence[Turn]) -> tuple[str, ...]:
    """Further forms to try when the stand-alone one is met with silence: the topic before the question as it was asked
    ("training course: Which person takes the bookings?") and, for a pronoun, the last question before it.

    () for a question that neither holds a pronoun nor takes up a word of the last question.
    """
    said, topics = _spoken(history)
    topic = next((topic for topic in reversed(topics) if topic), "")
    if not topic or topic.lower() in question.lower():
        return ()
    resolved, taken = _resolved(question, said, topics)
    topical = f"{topic}: {question}"
    if resolved == question:  # the last question before it would be what is answered
        return (topical,) if (content(question) & content(said[-1])) - _ASKING else ()
    # a fragment has been set in already, and what was added whole leaves nothing to add
    return (topical, f"{said[-1]} {question}") if taken and said[-1] not in resolved else ()


def _spoken(history: Sequence[Turn]) -> tuple[list[str], list[str]]:
    """The user's questions and their topics, each in the light of those before it: a subject is carried along."""
    said: list[str] = []
    topics: list[str] = []
    for turn in history:
        if turn.role == "user" and (asked := " ".join(turn.content[:SAID].split())):
            resolved, topic = _resolved(asked, said, topics)
            said.append(resolved)
            topics.append(topic or _topic(resolved))
    return said, topics


def _resolved(question: str, said: Sequence[str], topics: Sequence[str]) -> tuple[str, str]:
    """(the stand-alone question, the subject that it took over or "")."""
    if not said or not question.strip() or len(question.split()) > LONG or _SENTENCES.search(question):
        return question, ""  # what is said at length, or in sentences, brings its subject along
    bare = _LEAD.sub("", question).strip(" ?.!")
    fragment = _FRAGMENT.sub("", bare)
    if fragment != bare or (bare != question.strip(" ?.!") and not _CLAUSAL.search(bare.split(" if ")[0])):
        return (_set_in(fragment, said[-1]) if fragment else said[-1]), ""
    if _ACT.search(bare):
        return f"{question.rstrip(' ?.!')}: {said[-1]}", topics[-1]
    if (there := _THERE.search(question)) and (place := _PLACE.search(said[-1])):
        return f"{question[: there.start()]}{place[0]}{question[there.end() :]}", topics[-1]
    if (then := _THEN.search(question)) and (case := _CASE.search(said[-1].strip(" ?.!"))) and case.start():
        return f"{question[: then.start()]}{case[0]}{question[then.end() :]}", topics[-1]
    if not terms(bare) or (len(bare.split()) <= 2 and set(bare.lower().split()) <= STOP):
        return f"{bare}: {said[-1]}", topics[-1]
    subject = next((topic for topic in reversed(topics) if topic), "")
    person = _PERSON.search(question)
    thing = None if _EMPTY_IT.search(question) else _THING.search(question)
    names = [name for earlier in said for name in _names(earlier)] if person else []
    if people := [name for name in names if " " in name] or names:
        subject = subject if subject in people else people[0]
        thing = None
    pronoun = min(filter(None, (person, thing)), key=lambda m: m.start(), default=None)
    if not pronoun or _stands_for_its_own(question, pronoun):
        return question, ""
    if pronoun[0].lower() in _MANY and not subject[:1].isupper():
        subject = next(filter(None, (_subject(earlier, many=True) for earlier in reversed(said))), subject)
    the = subject and re.search(rf"{_OWNED}{re.escape(subject)}\b", " ".join(said), re.I)
    return _replaced(question, pronoun, f"the {subject}" if the else subject), subject


def _stands_for_its_own(question: str, pronoun: re.Match[str]) -> bool:
    """True when a pronoun stands for something in its own question."""
    before, after = question[: pronoun.start()], question[pronoun.end() :]
    word = pronoun[0].lower()
    if any(quoted.start() < pronoun.start() < quoted.end() for quoted in _QUOTED.finditer(question)):
        return True
    if word == "that" and (last := _RELATIVE.search(before)) and last[1].lower() not in _BEFORE_THAT:
        return True  # "the words that are used"
    return bool(_OWN_NAME.search(after)) or _own_subject(before)


def _own_subject(before: str) -> bool:
    """True when what stands before a pronoun names its subject already, as in "what is X and where is it"."""
    if _names(before) or len([word for word in terms(before) if word not in STOP | _ASKING]) >= OWN:
        return True
    return any(_subject(clause) for clause in _CLAUSE.split(before)[:-1])


def _replaced(question: str, pronoun: re.Match[str], subject: str) -> str:
    """`subject` in the place of the pronoun; the question itself when it names the subject or there is none."""
    if not subject or subject.removeprefix("the ").lower() in question.lower():
        return question
    owns = pronoun[0].lower() in _POSSESSIVE and not re.match(r"\s*(?:$|[?.!,])", question[pronoun.end() :])
    written = subject + (("’" if subject.endswith("s") else "’s") if owns else "")
    return question[: pronoun.start()] + written + question[pronoun.end() :]


def _set_in(fragment: str, earlier: str) -> str:
    """The earlier question asked again of `fragment`, in the place of a phrase of the same kind."""
    base = _SENTENCE.split(earlier.strip(" ?.!"))[-1]
    lead = _PREPOSITION.match(fragment) or _MEASURE.match(fragment)
    if lead and lead.re is _PREPOSITION:
        place = _alike(fragment, lead[1], base)
    else:
        place = None if lead else _slot(fragment, base)
    if superlative := _SUPERLATIVE.match(fragment):
        fragment = superlative[1] if place else fragment
    if place:
        return f"{base[: place[0]]}{fragment}{base[place[1] :]}?"
    return f"{base} {fragment if lead else f'for {fragment}'}?"


def _alike(fragment: str, lead: str, base: str) -> tuple[int, int] | None:
    """Where the phrase with the same preposition stands, or one that shares a word, or one of place for a place."""
    phrases = list(re.finditer(rf"\b({_PREPOSITIONS})\s+(?:(?!\b(?:{_PREPOSITIONS})\b)[^,])*", base, re.I))
    same = [p for p in phrases if p[1].lower() == lead.lower()]
    asked = content(fragment)
    shared = [(p, word) for p in same or phrases for word in WORD.finditer(base, *p.span()) if content(word[0]) & asked]
    if shared and shared[0][0].start():
        return shared[0][0].start(), shared[-1][1].end()
    if not same and lead.lower() in _WHERE and not re.search(r"\d", fragment):
        same = [p for p in phrases if p[1].lower() in _WHERE and not re.search(r"\d", p[0])][-1:]
    if not same or not same[0].start():
        return None
    return same[0].start(), same[0].start() + len(same[0][0].rstrip())


def _slot(fragment: str, base: str) -> tuple[int, int] | None:
    """Where the phrase stands whose place a fragment without a preposition takes; None when there is none."""
    found: re.Match[str] | None
    if _names(fragment) == [fragment] and (named := _names(base)):
        return base.rindex(named[-1]), base.rindex(named[-1]) + len(named[-1])
    if _SUPERLATIVE.match(fragment):
        found = re.search(rf"(?<=\bthe ){_MOST}\b", base, re.I)
    elif re.match(r"an?\s", fragment, re.I):
        found = re.search(r"\ban?\s+(?!day|week|month|year|hour|mile)[\w-]+", base, re.I)
    elif re.match(_OWNED, fragment, re.I):
        head = re.escape(fragment.split()[-1])
        found = re.search(rf"{_OWNED}[\w-]+\s+{head}\b", base, re.I)
        found = found or re.search(rf"(?<=\bfor ){_OWNED}[\w-]+$", base, re.I)
    else:
        subject = re.escape(_subject(base))
        found = re.search(rf"(?<=\bis ){subject}\b|(?<=\bare ){subject}\b", base) if subject else None
    return found.span() if found else None


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
        if name and not alone and (name.lower() not in STOP | _DATES or (len(name) > 1 and name.isupper())):
            found.append(name)
    return found


def _topic(text: str) -> str:
    """The subject of the last of its sentences that has one: the question, or what was said before it was asked."""
    return next(filter(None, (_subject(sentence) for sentence in reversed(_SENTENCE.split(text)))), "")


def _subject(text: str, many: bool = False) -> str:
    """What a question speaks of: its first name, or else a run of words that ask nothing, best one with an article.

    `many` prefers a plural, as "they" does.
    """
    names = _names(text)
    if names and not many:
        return names[0]
    runs: list[tuple[bool, list[str]]] = [(False, [])]
    after = ""  # the word before the run, its article apart
    for word in text.strip(" ?.!").split():
        plain = word.lower().strip("?,.!")
        if plain in _ASKING or (plain in STOP and plain != "of") or plain in _VERB or plain.endswith("ly"):
            if len(runs[-1][1]) > 1 and after in _HELPING and plain not in _VERB | {"be"}:  # "the ferries | follow" on
                runs[-1][1].pop()
            after = plain if plain in _HELPING | _BEING or plain not in _ARTICLES else after
            runs.append((plain in _ARTICLES, []))
        elif plain != "of" or runs[-1][1]:
            runs[-1][1].append(word.strip("?,.!"))
    last = runs[-1][1]
    if len(last) > 1 and (after in _HELPING or (after in _BEING and last[-1].endswith(_DONE))):
        last.pop()
    found = [(article, " ".join(words).removesuffix(" of")) for article, words in runs if words and words != ["of"]]
    if many:
        plural = [run for _, run in found if re.search(r"[^s]s$", run.split(" of ")[0])]
        return plural[0] if plural else ""
    return max(found, key=lambda run: len(run[1].split()) + 2 * run[0], default=(False, ""))[1]
