"""Who may do what: one row for each way in, named as `cloud.staff.app` names it. What has no row cannot be built.

`ANYBODY` needs no sign-in. The roles are those of `Person.access` in the registry.
"""

from __future__ import annotations

from cloud.registry.kinds import KINDS
from cloud.registry.people import ACCESS

ANYBODY: frozenset[str] = frozenset()
SEE = frozenset(ACCESS)
EDIT = frozenset({"editor", "moderator", "admin"})
REVIEW = frozenset({"moderator", "admin"})
WATCH = frozenset({"officer", "admin"})  # who acts on fires, and says which were to be expected
CONTACTS = frozenset({"officer", "admin"})  # addresses and telephone numbers of people
ADMIN = frozenset({"admin"})

PRIVATE = {kind for kind, struct in KINDS.items() if struct.private}
TABLES = (
    "tree", "zone", "tag", "gateway", "device", "binding", "calibration", "maintenance", "person", "consent", "duty",
    "burn_permit", "known_source", "photo", "voice", "lot", "lot_input", "danger_table", "official_level", "team",
    "hamlet", "commune", "province",
)  # fmt: skip
READ = {kind: CONTACTS if kind in PRIVATE else SEE for kind in KINDS}
WRITE = {kind: ADMIN if kind in PRIVATE else EDIT for kind in KINDS} | {
    "duty": WATCH,
    "burn_permit": WATCH,
    "known_source": EDIT | WATCH,
    "official_level": EDIT | WATCH,
}
BRING = WRITE | {
    "story": ADMIN,
    "photo": ADMIN,
    "voice": ADMIN,
}  # by a file, which nobody else reads before it is published

MATRIX: dict[str, frozenset[str]] = {
    "style": ANYBODY,
    "icon": ANYBODY,
    "up": ANYBODY,
    "sign-in": ANYBODY,
    "sign-in try": ANYBODY,
    "link": ANYBODY,
    "link use": ANYBODY,
    "today": SEE,
    "sign-out": SEE,
    "language": SEE,
    "me": SEE,
    "device end": SEE,
    "password": SEE,
    "handbook": SEE,
    "chapter": SEE,
    "tables": SEE,
    "data": SEE,
    "data csv": SEE,
    "data xlsx": SEE,
    "report": SEE,
    "report pdf": SEE,
    **{f"{kind} list": READ[kind] for kind in TABLES},
    **{f"{kind} row": READ[kind] for kind in TABLES},
    **{f"{kind} new": WRITE[kind] for kind in TABLES},
    **{f"{kind} save": WRITE[kind] for kind in TABLES},
    **{f"{kind} remove": WRITE[kind] for kind in TABLES},
    "worker": ANYBODY,
    "field script": ANYBODY,
    "queue script": ANYBODY,
    "field": EDIT,
    "field of a tag": EDIT,
    "field garden": EDIT,
    "field ticket": EDIT,
    "field send": EDIT,
    "duty": SEE,
    "duty state": SEE,
    "duty script": ANYBODY,
    "duty history": SEE,
    "incident": SEE,
    "incident replay": SEE,
    "duty act": WATCH,
    "letter link": ANYBODY,
    "letter answer": ANYBODY,
    "hook": ANYBODY,
    "maintenance": SEE,
    "maintenance begin": EDIT,
    "maintenance end": EDIT,
    "phones": EDIT,
    "phones invite": EDIT,
    "phones revoke": EDIT,
    "surveys": EDIT,
    "survey send": EDIT,
    "survey": EDIT,
    "invite": ADMIN,
    "sign somebody out": ADMIN,
    "acts": EDIT,
    "act": EDIT,
    "undo": EDIT,
    **{f"{kind} export": READ[kind] for kind in TABLES},
    "import": EDIT,
    "import try": EDIT,
    "import write": EDIT,
    "photo send": EDIT,
    "picture": SEE,
    "voice send": EDIT,
    "sound": SEE,
    "stories": SEE,
    "story": SEE,
    "story save": EDIT,
    "story review": REVIEW,
    "queue": REVIEW,
    "reports": REVIEW | WATCH,
    "reports judge": REVIEW,
    "tags": SEE,
    "tags mint": EDIT,
    "tags sheet": EDIT,
    "photo review": REVIEW,
    "voice review": REVIEW,
}
