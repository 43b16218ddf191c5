"""Who speaks in Chinese prose: names and verbs of speech before a quotation (玄德曰：) and behind it (皇上淡淡道。)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from itertools import chain

# Verbs of speech; those behind a manner first.
_VERB = (
    r"(?:[说說](?:道|着|著|了)?|[问問](?:道|曰)?|回?答(?:道|曰)?"
    r"|[笑怒叹嘆泣哭喝骂罵叫喊呼嚷吼应應谢謝奏禀稟启啟告言](?:道|曰|云)"
    r"|吩咐(?:道)?|[解讲講]道|[补補]充道|接口道|插嘴道|低声道|沉吟道|喃喃道|道|曰|云"
    r"|[叫喊](?:道|了)?|[骂罵](?:道)?|大喝|大叫|大喊)"
)
_BEFORE = re.compile(rf"{_VERB}(?:[^，。；！？]{{0,3}})?[：:，,]?\s*$")
_AFTER = re.compile(rf"^[^。！？；：“”「」\n]{{0,14}}?{_VERB}")
# Between name and verb: manner and mood.
_MANNER = (
    r"(?:[乃遂又亦便即忙急大微冷苦厉厲淡轻輕高低连連忽]|[笑怒喜惊驚叹嘆泣哭喝]|大[怒笑喜惊驚]"
    r"|[高厉厲低轻輕大][声聲]|[^，]{1,6}[地着著])*"
)
_NAMED = re.compile(rf"^(?P<name>[一-鿿·]{{1,4}}?){_MANNER}{_VERB}[：:，,]?$")
# Words before the name at the head of a clause.
_HEAD = re.compile(
    r"^(?:这时|那时|此时|這時|那時|此時|只见|却说|且说|话说|忽见|忽|于是|那|这|只見|卻說|且說|話說|忽見|於是|這|旁边|旁邊|又见|当下|當下|时|時)?"
)
# A name behind one of these is spoken to or seen, not the speaker.
_OBJECT = frozenset("对對向谓謂与與跟和给給被把见見看朝问問令教唤喚拉望听聽")
_NO_NAME = re.compile(
    r"^(?:[他她它我你您俺吾汝彼众眾人其之皆各自乃遂又亦便即忙急忽大不有或只此答问問笑怒喝叹嘆哭回心口这那這]"
    r"|[如知听聽难難正再才说說道曰报報谓謂叫言告后後当當因厉厲奏叱称稱具拜使扬揚跪伏上下来來去入出起坐立指拔从從于於至]"
    r"|[轻輕低高柔厉厲大小][声聲]|[淡冷微苦轻輕][淡冷笑微]|左右|群臣|二人|三人|两人|一人|然后|然後|商议|商議|分付|吩咐|顿首|頓首)"
)
# Pronouns may mean anybody; other heads of a clause mean somebody in particular.
_PRONOUN = re.compile(r"^(?:[他她它我你您俺吾汝彼心口]|自己)")
_WRITTEN = re.compile(
    r"(?:[诗詩书書表诏詔檄谣謠歌赋賦词詞榜碑题題批略信疏])[^，。]{0,4}(?:[曰云道写寫]|如下)?[：:]?\s*$"
)
# What may follow a name of a single character, which otherwise begins a longer one.
_BEHIND_SHORT = frozenset(
    "曰道云问答笑怒叹大乃遂又亦急忙慌闻听见谓与令引入出拜谢喝叱哭泣惊喜从在视看顾指拔挺厉低高说"
    "說問嘆聞聽見謂與驚從視顧厲，："
)
_SURE = 2  # times that a name must be seen before a verb to be one

SOMEBODY = "?"
"""A speaker whom the text points at without a name that can be told."""


class Names:
    """The names of those who speak in a text: the roles', and such as stand before a verb of speech more than once."""

    def __init__(self, leads: Iterable[str], tags: Iterable[str], roles: Collection[str]) -> None:
        """leads: the text before each quotation; tags: the text behind it."""
        counts: Counter[str] = Counter()
        before = (re.split(r"[，。；！？、”」』\s]", lead.rstrip())[-1] for lead in leads)
        behind = (re.split(r"[，。；！？：“「『\s]", tag.strip())[0] for tag in tags)
        for clause in chain(before, behind):
            if (match := _NAMED.match(clause)) and not _NO_NAME.match(match["name"]):
                counts[match["name"]] += 1
        names = set(roles)
        for name, count in sorted(counts.items(), key=lambda pair: len(pair[0])):
            # A longer one that begins with a name is that name and how it spoke.
            if count >= _SURE and not any(name[:size] in names for size in range(2, len(name))):
                names.add(name)
        longest_first = sorted(names, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def before(self, sentence: str) -> str | None:
        """Who speaks the quotation that a sentence leads to; SOMEBODY where it is not told by a name."""
        if not (_BEFORE.search(sentence) or sentence.rstrip().endswith(("：", ":"))):
            return None
        clauses = [clause.strip() for clause in re.split(r"[，,；;、]", sentence.rstrip("：:，, ")) if clause.strip()]
        if not clauses:
            return None
        for clause in reversed(clauses):
            head = _HEAD.match(clause)
            if found := self._at(clause, head.end() if head else 0):
                return found
        last = clauses[-1]
        for match in self._pattern.finditer(last):
            short = len(match[0]) == 1 and last[match.end() :][:1] not in _BEHIND_SHORT
            if last[: match.start()][-1:] not in _OBJECT and not short:
                return match[0]
        if found := _unlisted(last):
            return found
        return None if _PRONOUN.match(clauses[0]) or _PRONOUN.match(last) else SOMEBODY

    def acting(self, before: str) -> str | None:
        """Who does something in the last sentence before a quotation that nothing leads to."""
        sentence = re.split(r"[。！？]", before.rstrip().rstrip("。！？…"))[-1].strip()
        head = _HEAD.match(sentence)
        return self._at(sentence, head.end() if head else 0)

    def after(self, text: str) -> str | None:
        """Who spoke the quotation that a text follows, where it says so."""
        if not _AFTER.match(text):
            return None
        clause = re.split(r"[，。！？；：]", text.strip())[0]
        return self._at(clause, 0) or _unlisted(clause)

    def _at(self, clause: str, at: int) -> str | None:
        match = self._pattern.match(clause, at)
        if match is None or (len(match[0]) == 1 and clause[match.end() :][:1] not in _BEHIND_SHORT):
            return None
        return match[0]


def tells(between: str) -> bool:
    """Whether what follows a quotation says who spoke it."""
    return _AFTER.match(between) is not None


def is_written(before: str) -> bool:
    """Whether what follows is quoted from a letter, a poem or the like."""
    return _WRITTEN.search(re.split(r"[。！？]", before)[-1]) is not None


def _unlisted(clause: str) -> str | None:
    """A name that is seen only here."""
    match = _NAMED.match(clause)
    return match["name"] if match and not _NO_NAME.match(match["name"]) else None
