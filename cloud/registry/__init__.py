"""The garden as people know it: zones, trees, stories, hamlets, contacts, and which channel hangs where.

Names of places are data with dates of validity (Yên Bái became part of Lào Cai in 2025); codes mean nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable
from datetime import date
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from cloud.registry import codes
from cloud.registry.table import Bad, Row, rows
from wire import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

STORY_LANGS = ("vi", "en")
ROLES = ("fire-watch", "telecom", "operator")
PLACES = ("tree", "zone", "hamlet")
LAT = (8.0, 24.0)  # Vietnam's mainland and near islands, WGS 84
LON = (102.0, 110.0)


class Problem(msgspec.Struct, frozen=True):
    """One row that could not be used, and what to do about it. The other rows are in use."""

    file: str
    line: int
    words: str


class Zone(msgspec.Struct, frozen=True):
    """A part of the garden with its own weather."""

    code: str
    name_vi: str
    name_en: str
    lat: float
    lon: float


class Tree(msgspec.Struct, frozen=True):
    """One old tree. Its age is a range, with the method and source of the estimate: nobody was there."""

    code: str
    label_no: str
    name_vi: str
    name_en: str
    zone: str
    lat: float
    lon: float
    alt_m: float
    age_low: int
    age_high: int
    age_method_vi: str
    age_method_en: str
    girth_cm: float | None = None


class Story(msgspec.Struct, frozen=True):
    """What the cooperative tells about a tree, in one language."""

    tree: str
    lang: str
    text: str


class Hamlet(msgspec.Struct, frozen=True):
    """A hamlet; its commune and province are names that were valid within the dates."""

    code: str
    name: str
    commune: str
    province: str
    lat: float
    lon: float
    households: int | None  # None: nobody has counted yet
    valid_from: date
    valid_to: date | None = None


class Contact(msgspec.Struct, frozen=True):
    """Somebody who is told about incidents. `addresses` are those beside the e-mail, by channel of cloud.toml."""

    name: str
    role: str  # fire-watch | telecom | operator
    email: str = ""
    lang: str = "vi"
    addresses: dict[str, str] = {}


class Binding(msgspec.Struct, frozen=True):
    """A channel hangs at a place from a date on. `distance_m` is from the sensor to the place's own point.

    `way_out` marks a modem that is also its gateway's own link: when it loses service, the gateway falls silent.
    """

    gateway: str
    channel: str
    place: str  # tree | zone | hamlet
    code: str
    valid_from: date
    valid_to: date | None = None
    distance_m: float = 0.0
    way_out: bool = False


class Registry(msgspec.Struct, frozen=True):
    """All of it, checked; `problems` are the rows that are not in it."""

    zones: dict[str, Zone]
    trees: dict[str, Tree]
    stories: dict[tuple[str, str], Story]  # (tree, lang)
    hamlets: dict[str, Hamlet]
    contacts: list[Contact]
    bindings: list[Binding]
    problems: list[Problem]
    hamlets_before: list[Hamlet] = []  # rows of the same codes under the names that they had earlier

    def hamlet(self, code: str, on: date) -> Hamlet | None:
        """Return a hamlet with the commune and province that it belongs to on a day."""
        known = [self.hamlets[code]] if code in self.hamlets else []
        earlier = [row for row in self.hamlets_before if row.code == code]
        return next((row for row in known + earlier if _valid(row, on)), None)

    def bound_to(self, place: str, code: str, on: date) -> list[Binding]:
        """Return the bindings of a place that are valid on a day, nearest first."""
        return sorted(
            (b for b in self.bindings if b.place == place and b.code == code and _valid(b, on)),
            key=lambda binding: binding.distance_m,
        )

    def places_of(self, gateway: str, channel: str, on: date) -> list[Binding]:
        """Return where a channel hangs on a day."""
        return [b for b in self.bindings if b.gateway == gateway and b.channel == channel and _valid(b, on)]


class _Period(Protocol):
    @property
    def valid_from(self) -> date: ...
    @property
    def valid_to(self) -> date | None: ...


def _valid(row: _Period, on: date) -> bool:
    return row.valid_from <= on and (row.valid_to is None or on < row.valid_to)


def load(folder: Path) -> Registry:
    """Return the registry kept in a folder: five CSV files, and `stories/<CODE>.<lang>.md`.

    A row that cannot be used is left out and told in `problems`. Raises table.TableError (a ValueError) when a file
    is missing or its columns are not ours: then nothing of the folder is to be trusted.
    """
    reading = _Folder(folder)
    zones = reading.table("zones.csv", Zone, _zone, lambda zone: zone.code)
    trees = reading.table("trees.csv", Tree, lambda row: _tree(row, zones), lambda tree: tree.code)
    dated = reading.table("hamlets.csv", Hamlet, _hamlet, lambda hamlet: (hamlet.code, hamlet.valid_from))
    hamlets, before = _newest_names(list(dated.values()))
    contacts = reading.table("contacts.csv", Contact, _contact, lambda who: (who.role, who.email or who.name))
    known = {"tree": set(trees), "zone": set(zones), "hamlet": set(hamlets)}
    bindings = reading.table(
        "bindings.csv",
        Binding,
        lambda row: _binding(row, known),
        lambda hung: (hung.gateway, hung.channel, hung.place, hung.code, hung.valid_from),
    )
    return Registry(
        zones=zones,
        trees=trees,
        stories=reading.stories(trees),
        hamlets=hamlets,
        contacts=list(contacts.values()),
        bindings=list(bindings.values()),
        problems=reading.problems,
        hamlets_before=before,
    )


T = TypeVar("T", bound=msgspec.Struct)
K = TypeVar("K", bound=Hashable)


class _Folder:
    """Reads one folder and gathers what was wrong in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.problems: list[Problem] = []

    def table(self, name: str, kind: type[T], build: Callable[[Row], T], key: Callable[[T], K]) -> dict[K, T]:
        """Return the rows of one file by their key; the columns are the fields of the struct."""
        found: dict[K, T] = {}

        def unique(row: Row) -> T:
            made = build(row)
            if key(made) in found:
                raise Bad(
                    f"trùng với một dòng ở trên: {_spoken(key(made))} — xoá một dòng",
                    f"the same as a row above: {_spoken(key(made))}: delete one of them",
                )
            return made

        fields = msgspec.structs.fields(kind)
        needed = tuple(field.name for field in fields if field.required)
        optional = tuple(field.name for field in fields if not field.required)
        for made in rows(self._folder / name, needed, unique, self._bad, optional):
            found[key(made)] = made
        return found

    def stories(self, trees: dict[str, Tree]) -> dict[tuple[str, str], Story]:
        """Return the stories; a file whose name is not `<CODE>.<lang>.md` of a known tree is a problem."""
        found = {}
        for path in sorted((self._folder / "stories").glob("*.md")):
            try:
                story = _story(path, trees)
            except Bad as error:
                self._bad(f"stories/{path.name}", 1, str(error))
            else:
                found[story.tree, story.lang] = story
        return found

    def _bad(self, file: str, line: int, words: str) -> None:
        self.problems.append(Problem(file, line, words))


def _spoken(key: Hashable) -> str:
    return " ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _zone(row: Row) -> Zone:
    lat, lon = _position(row)
    return Zone(code=_code(row, "code"), name_vi=row.text("name_vi"), name_en=row.text("name_en"), lat=lat, lon=lon)


def _tree(row: Row, zones: dict[str, Zone]) -> Tree:
    lat, lon = _position(row)
    age_low, age_high = row.whole("age_low", 1, 3000), row.whole("age_high", 1, 3000)
    if age_low > age_high:
        raise Bad(
            f"age_low {age_low} lớn hơn age_high {age_high} — đổi chỗ hai số",
            f"age_low {age_low} is above age_high {age_high}: exchange them",
        )
    zone = row.text("zone")
    if zone not in zones:
        raise _unknown("zone", zone, zones)
    return Tree(
        code=_tree_code(row.text("code")),
        label_no=row.blank_or_text("label_no"),
        name_vi=row.text("name_vi"),
        name_en=row.text("name_en"),
        zone=zone,
        lat=lat,
        lon=lon,
        alt_m=row.number("alt_m", -10, 3200),  # Fansipan is 3,147 m
        age_low=age_low,
        age_high=age_high,
        age_method_vi=row.text("age_method_vi"),
        age_method_en=row.text("age_method_en"),
        girth_cm=row.number_or_none("girth_cm", 1, 3000),
    )


def _hamlet(row: Row) -> Hamlet:
    lat, lon = _position(row)
    valid_from, valid_to = row.period()
    return Hamlet(
        code=_code(row, "code"),
        name=row.text("name"),
        commune=row.text("commune"),
        province=row.text("province"),
        lat=lat,
        lon=lon,
        households=row.whole_or_none("households", 0, 100_000),
        valid_from=valid_from,
        valid_to=valid_to,
    )


def _newest_names(dated: list[Hamlet]) -> tuple[dict[str, Hamlet], list[Hamlet]]:
    """Return the newest row of each code, and the earlier ones."""
    dated.sort(key=lambda row: row.valid_from)
    newest = {row.code: row for row in dated}
    return newest, [row for row in reversed(dated) if newest[row.code] is not row]


def _contact(row: Row) -> Contact:
    email, addresses = row.blank_or_text("email"), _addresses(row)
    name, at, host = email.partition("@")
    right = name and at and "." in host and "@" not in host and not any(mark in email for mark in ' ,;<>"')
    if not right and (email or not addresses):
        raise Bad(f"cột email: '{email}' không phải địa chỉ", f"column email: '{email}' is not one address")
    lang = row.choice("lang", STORY_LANGS) if row.blank_or_text("lang") else "vi"
    return Contact(name=row.text("name"), role=row.choice("role", ROLES), email=email, lang=lang, addresses=addresses)


def _addresses(row: Row) -> dict[str, str]:
    """Return the addresses by channel, written as `sms:+84912345678 zalo:4711`."""
    found = {}
    for word in row.blank_or_text("addresses").split():
        channel, colon, address = word.partition(":")
        if not (channel and colon and address) or channel in found:
            raise Bad(
                f"cột addresses: '{word}' — viết kênh:địa chỉ, mỗi kênh một lần, cách nhau bằng dấu cách",
                f"column addresses: '{word}' must be channel:address, each channel once, with spaces between",
            )
        found[channel] = address
    return found


def _binding(row: Row, known: dict[str, set[str]]) -> Binding:
    gateway, channel = row.text("gateway"), row.text("channel")
    for column, name, rule in (("gateway", gateway, topics.GATEWAY), ("channel", channel, topics.CHANNEL)):
        if not rule.fullmatch(name):
            raise Bad(
                f"cột {column}: '{name}' chỉ được có a-z, 0-9 và dấu gạch ngang ({rule.pattern})",
                f"column {column}: '{name}' may have only a-z, 0-9 and hyphens ({rule.pattern})",
            )
    place = row.choice("place", PLACES)
    code = _tree_code(row.text("code")) if place == "tree" else row.text("code")
    if code not in known[place]:
        raise _unknown(place, code, known[place])
    valid_from, valid_to = row.period()
    distance = row.number_or_none("distance_m", 0, 100_000)
    return Binding(
        gateway=gateway,
        channel=channel,
        place=place,
        code=code,
        valid_from=valid_from,
        valid_to=valid_to,
        distance_m=distance or 0.0,
        way_out=row.flag("way_out"),
    )


def _story(path: Path, trees: dict[str, Tree]) -> Story:
    code, _, lang = path.stem.partition(".")
    tree = codes.normalise(code)
    if tree not in trees or lang not in STORY_LANGS:
        raise Bad(
            "tên tệp phải là <mã cây>.vi.md hoặc <mã cây>.en.md của một cây trong trees.csv",
            "the file must be called <tree code>.vi.md or <tree code>.en.md after a tree in trees.csv",
        )
    try:
        text = path.read_text("utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise Bad(f"không đọc được: {error} — lưu dạng UTF-8", f"cannot be read: {error}: save it as UTF-8") from error
    return Story(tree=tree, lang=lang, text=unicodedata.normalize("NFC", text).strip())


def _code(row: Row, column: str) -> str:
    text = row.text(column)
    if not topics.CHANNEL.fullmatch(text):
        raise Bad(
            f"cột {column}: '{text}' chỉ được có a-z, 0-9 và dấu gạch ngang, tối đa 32",
            f"column {column}: '{text}' may have only a-z, 0-9 and hyphens, at most 32",
        )
    return text


def _tree_code(text: str) -> str:
    """Return the code of a tree. Raises Bad with the check character that would have been right."""
    code = codes.normalise(text)
    if code is not None:
        return code
    spelled = codes.spelled(text)
    if spelled is None:
        raise Bad(
            f"cột code: '{text}' phải có {codes.LENGTH} ký tự trong {codes.ALPHABET}",
            f"column code: '{text}' must be {codes.LENGTH} characters out of {codes.ALPHABET}",
        )
    right = spelled[:-1] + codes.check_char(spelled[:-1])
    raise Bad(
        f"cột code: '{text}' sai ký tự kiểm tra — gõ nhầm, hoặc phải là {right}",
        f"column code: '{text}' has a wrong check character: a slip, or {right} was meant",
    )


def _position(row: Row) -> tuple[float, float]:
    """Return (lat, lon) in Vietnam, WGS 84 degrees. Raises Bad that tells swapped columns and metres apart."""
    lat, lon = row.number("lat", -1e8, 1e8), row.number("lon", -1e8, 1e8)
    if LAT[0] <= lat <= LAT[1] and LON[0] <= lon <= LON[1]:
        return lat, lon
    if LAT[0] <= lon <= LAT[1] and LON[0] <= lat <= LON[1]:
        raise Bad(
            f"lat {lat} và lon {lon} bị đảo — đổi chỗ hai cột",
            f"lat {lat} and lon {lon} are swapped: exchange the two columns",
        )
    if abs(lat) > 1000 or abs(lon) > 1000:
        raise Bad(
            f"lat {lat}, lon {lon} có vẻ là mét VN-2000 — đổi sang độ WGS 84",
            f"lat {lat}, lon {lon} look like VN-2000 metres: convert them to WGS 84 degrees",
        )
    raise Bad(
        f"lat {lat}, lon {lon} nằm ngoài Việt Nam (lat {LAT[0]:g}–{LAT[1]:g}, lon {LON[0]:g}–{LON[1]:g})",
        f"lat {lat}, lon {lon} is outside Vietnam (lat {LAT[0]:g}–{LAT[1]:g}, lon {LON[0]:g}–{LON[1]:g})",
    )


def _unknown(what: str, code: str, known: Iterable[str]) -> Bad:
    there_are = ", ".join(sorted(known)) or "—"
    return Bad(
        f"{what} '{code}' chưa có trong danh sách; đang có: {there_are}",
        f"{what} '{code}' is not in the registry; there are: {there_are}",
    )
