"""The letter of a day to one person: each zone's level and what changed, what to do first, then the bulletins. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cloud.danger.bulletin import written
from cloud.danger.levels import ROMAN
from settings.words import said as say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.danger.bulletin import Bulletin
    from cloud.danger.issued import Issue, Said

LISTED, WHOLE = 20, 20  # zones in the short form, and bulletins below it; the page has all


class Letter(NamedTuple):
    """A letter: its short form, what only a mail has room for, and what an SMS says (to be made plain, and cut)."""

    subject: str
    text: str
    more: str
    short: str


def letter(issue: Issue, zones: Sequence[str], before: Issue | None, lang: str, link: str) -> Letter:
    """Return the letter of a day about some of its zones, all where none is named. `before` is the day before's."""
    chosen = [issue.said[zone] for zone in zones if zone in issue.said] or list(issue.said.values())
    ordered = sorted(chosen, key=lambda one: -one.worst)
    known = before.said if before else {}
    written_ = _Writer(issue, ordered, known, lang)
    return Letter(
        written_.subject(),
        "\n".join(written_.lines(link)) + "\n",
        "\n———\n\n".join(written_.bulletin(one).text() for one in ordered[:WHOLE]),
        _Writer(issue, ordered, known, "vi").sms(),
    )


class _Writer:
    def __init__(self, issue: Issue, zones: list[Said], before: dict[str, Said], lang: str) -> None:
        self._issue, self._zones, self._before, self._lang = issue, zones, before, lang
        self._time = written(issue.time.hour, issue.time.minute, lang)

    def bulletin(self, one: Said) -> Bulletin:
        return one.vi if self._lang == "vi" else one.en

    def subject(self) -> str:
        return self._say("subject", day=f"{self._issue.day:%d/%m}", most=self._most())

    def lines(self, link: str) -> list[str]:
        lines = [self._say("head", day=f"{self._issue.day:%d/%m/%Y}", time=self._time)]
        for one in self._zones[:LISTED]:
            made = self.bulletin(one)
            facts = {"large": made.large, "beside": made.beside, "change": self._change(one)}
            lines.append(self._say("line", place=self._place(one), **facts))
            if one.official:
                facts = {**self._named(one.official.level), "source": one.official.source}
                lines.append(self._say("official", **facts) + self._published(one))
        if (rest := len(self._zones) - LISTED) > 0:
            lines.append(self._say("rest", n=rest))
        if todo := self._todo():
            lines.append(self._say("todo", roman=ROMAN[self._zones[0].worst - 1], words=" ".join(todo)))
        return [*lines, *([self._say("link", link=link)] if link else []), self._say("weather")]

    def sms(self) -> str:
        """Return the zones at the highest level first, then what to do."""
        told = [f"{self._place(one)} {self._brief(one)}" for one in self._zones]
        words = self._say("sms", day=f"{self._issue.day:%d/%m}", time=self._time, zones="; ".join(told))
        return " ".join([words, *self._todo()[:1]])

    def _most(self) -> str:
        first = self._zones[0]
        if not first.worst:
            return self._say("most_none")
        facts = self._named(first.worst)
        facts["least"] = self._say("least") if first.at_least and first.worst == first.level else ""
        if first.worst != first.level:
            return self._say("most_official", **facts)
        if len(self._zones) > 1:
            return self._say("most_many", n=len(self._zones), **facts)
        return self._say("most", place=self._place(first), **facts)

    def _named(self, level: int) -> dict[str, str]:
        roman = ROMAN[level - 1]
        return {"roman": roman, "name": say("cloud.danger", "level", roman, self._lang)}

    def _change(self, one: Said) -> str:
        if (was := self._before.get(one.zone)) is None:
            return ""
        if was.level == one.level:
            return self._say("same") if one.level else ""
        return self._say("was", before=ROMAN[was.level - 1]) if was.level else self._say("was_none")

    def _brief(self, one: Said) -> str:
        """Return both levels of a zone as an SMS says them, which is Vietnamese: each with its own change."""
        ours = f"cấp {ROMAN[one.level - 1]}" if one.level else one.vi.large.replace(" = ", "=")
        ours = (self._say("least") if one.at_least else "") + ours + self._change(one)
        if one.official is None:
            return ours
        return ours + self._say("brief", roman=ROMAN[one.official.level - 1]) + self._published(one)

    def _published(self, one: Said) -> str:
        """Return how what the rangers published changed, where it did."""
        was = self._before.get(one.zone)
        if was is None or one.official is None or (was.official and was.official.level == one.official.level):
            return ""
        return self._say("was", before=ROMAN[was.official.level - 1]) if was.official else self._say("was_unpublished")

    def _todo(self) -> tuple[str, ...]:
        return self._zones[0].todo_vi if self._lang == "vi" else self._zones[0].todo_en

    def _place(self, one: Said) -> str:
        return one.name_vi if self._lang == "vi" else one.name_en

    def _say(self, name: str, /, **facts: Any) -> str:
        return say("cloud.danger", "letter", name, self._lang, **facts)
