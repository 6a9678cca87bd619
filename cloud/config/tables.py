"""What may stand in cloud.toml: one struct a table. Sample, reference and refusals are made from these.

`[signal]`, `[store]`, `[alerts]` and `[[rule]]` have theirs in the rooms that read them.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from settings import credentials

ROOMS = ("ingest", "alerts", "coverage", "pages", "staff")  # as they start: ingest alone makes and migrates the store
SHOWN = {  # what [broker.<room>] and [store.<room>] may say: who this room is, where it has an account of its own
    "broker": ("user", "password_file", "cert_file", "key_file"),
    "store": ("user", "password_file", "token_file"),
}
_Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
_Telephone = Annotated[str, msgspec.Meta(pattern=r"^(\+?[0-9]{3,15})?$")]
_Listening = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Data(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the server keeps its own files: `[data]`."""

    path: Annotated[str, msgspec.Meta(description="folder for quarantine, alerts and the embedded store")] = "."


class Broker(credentials.Broker, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the broker is and how we show who we are: `[broker]`.

    A room may have an account of its own: `[broker.pages]` with `user` and `password_file`, or `cert_file` and
    `key_file`; of the store `[store.pages]` with `user` and `password_file`, or `token_file`. Of alerts alike.
    """

    host: Annotated[str, msgspec.Meta(description="name or address of the MQTT broker", min_length=1)] = "127.0.0.1"
    share: Annotated[
        str,
        msgspec.Meta(
            description="name that the servers give which share the batches; only on a broker that knows $share",
            pattern=r"^[A-Za-z0-9_-]{0,32}$",
        ),
    ] = ""


class Http(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the pages are served: `[http]`. A reverse proxy with TLS stands before them in production."""

    host: Annotated[str, msgspec.Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[_Listening, msgspec.Meta(description="port to listen on; 0 takes any")] = 8080
    public_url: Annotated[str, msgspec.Meta(description="how the world reaches the pages, as printed on tags")] = ""
    duty_tel: Annotated[
        _Telephone,
        msgspec.Meta(description="telephone of the duty that the report form shows; only one whose owner agreed"),
    ] = ""
    duty_sms: Annotated[
        _Telephone, msgspec.Meta(description="number to which the report form offers to write an SMS; alike")
    ] = ""


class Staff(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the people of the garden sign in: `[staff]`, an origin of its own beside the public pages."""

    host: Annotated[str, msgspec.Meta(description="address to listen on; beyond loopback only with a public_url")] = (
        "127.0.0.1"
    )
    port: Annotated[_Listening, msgspec.Meta(description="port to listen on; 0 takes any")] = 8082
    public_url: Annotated[
        str,
        msgspec.Meta(description="how staff reach their pages: https://, on a host name that the pages do not have"),
    ] = ""


class Health(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the operator asks how the server is: `[health]`, `/healthz` and `/metrics`. Not for the world."""

    host: Annotated[str, msgspec.Meta(description="address to listen on; beyond loopback only with a token")] = (
        "127.0.0.1"
    )
    port: Annotated[_Listening, msgspec.Meta(description="port to listen on; 0 takes any")] = 8081
    token_file: Annotated[
        str, msgspec.Meta(description="file with the token that who asks must show (Authorization: Bearer …)")
    ] = ""


class Garden(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the registry is: `[garden]`."""

    path: Annotated[
        str, msgspec.Meta(description="folder with zones, trees, stories, hamlets, contacts and bindings")
    ] = "garden"
    licence: Annotated[
        str,
        msgspec.Meta(
            description="under which data is given away, as it stands in JSON, CSV and GeoJSON", max_length=200
        ),
    ] = ""


class Hotspots(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where hotspots of satellites come from: `[hotspots]`. Without `key_file` nobody is asked."""

    key_file: Annotated[
        str, msgspec.Meta(description="file that holds the MAP_KEY of NASA FIRMS, nothing else; without it: no asking")
    ] = ""
    url: Annotated[
        str, msgspec.Meta(description="where the area API is; behind it come key, source, area and days")
    ] = "https://firms.modaps.eosdis.nasa.gov/api/area/csv"
    sources: Annotated[
        tuple[Annotated[str, msgspec.Meta(pattern="^[A-Z0-9_]{1,40}$")], ...],
        msgspec.Meta(description="which lists are asked for, as FIRMS names them"),
    ] = ("VIIRS_SNPP_NRT", "VIIRS_NOAA20_NRT", "VIIRS_NOAA21_NRT")
    area: Annotated[
        tuple[Annotated[float, msgspec.Meta(ge=-180, le=180)], ...],
        msgspec.Meta(description="west, south, east, north in degrees; 30 km around the zones when left out"),
    ] = ()
    days: Annotated[int, msgspec.Meta(ge=1, le=5, description="how many days back each time; FIRMS gives five")] = 2
    every_s: Annotated[
        float, msgspec.Meta(ge=600, le=86_400, description="how often it is asked; lists are some three hours late")
    ] = 1_800.0


class Cap(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Warnings for other systems, as CAP 1.2: `[cap]`, at /cap/feed.atom of the staff room; none without key."""

    key_file: Annotated[
        str, msgspec.Meta(description="file with the key that whoever reads the feed must show; 24 characters at least")
    ] = ""
    sender: Annotated[
        str,
        msgspec.Meta(
            description="who warns, unique in the world: an e-mail address of yours; no space, comma, < or &",
            pattern="^[^\\s,<&]{0,100}$",
        ),
    ] = ""
    name_vi: Annotated[str, msgspec.Meta(description="who warns, for people, in Vietnamese", max_length=100)] = ""
    name_en: Annotated[str, msgspec.Meta(description="the same in English", max_length=100)] = ""
    contact: Annotated[
        str, msgspec.Meta(description="whom readers may ask, as a telephone number of the duty", max_length=200)
    ] = ""
    restriction: Annotated[
        str, msgspec.Meta(description="for whom these warnings are: they are Restricted", max_length=200)
    ] = "Tổ trực PCCCR / forest fire duty teams"


class Coverage(_Table, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Coverage of the mobile network: `[coverage]`. Without `phone_host` no team's telephone can be invited."""

    phone_host: Annotated[
        str, msgspec.Meta(description="name under which telephones of teams reach the MQTT broker, from anywhere")
    ] = ""
    phone_port: Annotated[
        int, msgspec.Meta(ge=1, le=65_535, description="port of the broker's listener for telephones")
    ] = 8884
    phone_tls: Annotated[
        bool,
        msgspec.Meta(description="whether that listener speaks TLS; false is refused but within this machine or house"),
    ] = True
    near_m: Annotated[
        float,
        msgspec.Meta(ge=100, le=3_000, description="cells so near to a hamlet's point (m) are those of its households"),
    ] = 1_000.0
    keep_months: Annotated[
        int,
        msgspec.Meta(ge=1, le=240, description="so many months samples are kept one by one; what they showed stays"),
    ] = 12
