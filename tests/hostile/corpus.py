"""Requests that nobody means well with, for the webhook: bodies, signatures and headers, each with its answer.

`REQUESTS` are well-formed HTTP and can be sent by any client. `RAW` are not: they are bytes for a socket, and the
server in front of the shop has its say too.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import time
import zlib
from dataclasses import dataclass, field
from typing import Any

from tests.support.sandbox import WEBHOOK_SECRET

PATH = "/api/payment/webhook/"
STORED, UNSIGNED, UNSUPPORTED, TOO_LARGE = 200, "invalid_signature", "unsupported_event", "too_large"

EVENT: dict[str, Any] = {
    "id": "evt_corpus",
    "object": "event",
    "type": "customer.created",
    "api_version": "2026-10-28.endive",
    "livemode": False,
    "created": 1_790_000_000,
    "data": {"object": {"id": "cus_1", "object": "customer"}},
}
BODY = json.dumps(EVENT).encode()


def digest(body: bytes, moment: int, secret: str = WEBHOOK_SECRET) -> str:
    return hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()


def signed(body: bytes, form: str = "t={t},v1={v1}", *, skew: int = 0, secret: str = WEBHOOK_SECRET) -> str:
    """A Stripe-Signature header of a form; `{other}` is somebody else's signature of the same bytes."""
    moment = int(time.time()) + skew
    own, other = digest(body, moment, secret), digest(body, moment, "whsec_somebody_else")
    return form.format(t=moment, v1=own, other=other, upper=own.upper(), short=own[:-1])


@dataclass(frozen=True)
class Hostile:
    """One request; `answer` is 200 or the code of the refusal. The header is made when it is sent."""

    name: str
    answer: int | str
    body: bytes = BODY
    form: str | None = "t={t},v1={v1}"
    skew: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def signature(self) -> str | None:
        return None if self.form is None else signed(self.body, self.form, skew=self.skew)


def event(**changes: Any) -> bytes:
    return json.dumps(EVENT | changes).encode()


def nested(levels: int) -> bytes:
    return BODY[:-1] + b', "more": ' + b"[" * levels + b"]" * levels + b"}"


# Bytes that are no UTF-8 never come to be read: Stripe signs text, and so does its library.
SIGNATURES = (
    Hostile("no header", UNSIGNED, form=None),
    Hostile("empty header", UNSIGNED, form=""),
    Hostile("no timestamp", UNSIGNED, form="v1={v1}"),
    Hostile("no signature", UNSIGNED, form="t={t}"),
    Hostile("the older scheme alone", UNSIGNED, form="t={t},v0={v1}"),
    Hostile("a wrong one and the right one", STORED, form="t={t},v1={other},v1={v1}"),
    Hostile("the right one and a wrong one", STORED, form="t={t},v1={v1},v1={other}"),
    Hostile("a hundred wrong ones", UNSIGNED, form="t={t}," + ",".join(["v1={other}"] * 100)),
    Hostile("cut short", UNSIGNED, form="t={t},v1={short}"),
    Hostile("upper case", UNSIGNED, form="t={t},v1={upper}"),
    Hostile("somebody else's", UNSIGNED, form="t={t},v1={other}"),
    Hostile("two timestamps, the later one signed", UNSIGNED, form="t=1,t={t},v1={v1}"),
    Hostile("two timestamps, the earlier one signed", UNSIGNED, form="t={t},v1={v1},t=1"),
    Hostile("signed ahead, with an older timestamp behind it", UNSIGNED, form="t={t},v1={v1},t=1", skew=360),
    Hostile("timestamp with a sign", UNSIGNED, form="t=+{t},v1={other}"),
    Hostile("timestamp in other digits", UNSIGNED, form="t=\u0661\u0662,v1={v1}"),
    Hostile("timestamp as a float", UNSIGNED, form="t={t}.0,v1={v1}"),
    Hostile("timestamp below zero", UNSIGNED, form="t=-{t},v1={v1}"),
    Hostile("timestamp of five thousand digits", UNSIGNED, form="t=" + "9" * 5000 + ",v1={v1}"),
    Hostile("spaces", UNSIGNED, form=" t = {t} , v1 = {v1} "),
    Hostile("semicolons", UNSIGNED, form="t={t};v1={v1}"),
    Hostile("not ASCII", UNSIGNED, form="t={t},v1=\u00e9\u00ff"),
    Hostile("thirty kilobytes", UNSIGNED, form="t={t},v1=" + "0" * 30_000),
    Hostile("six minutes old", UNSIGNED, skew=-360),
    Hostile("six minutes ahead", UNSIGNED, skew=360),
    Hostile("a second old", STORED, skew=-1),
)
BODIES = (
    Hostile("nothing", UNSUPPORTED, b""),
    Hostile("a blank", UNSUPPORTED, b" "),
    Hostile("invalid UTF-8", UNSIGNED, BODY[:-1] + b', "x": "\xff\xfe"}'),
    Hostile("overlong UTF-8", UNSIGNED, BODY[:-1] + b', "x": "\xc0\x80"}'),
    Hostile("UTF-16", UNSIGNED, BODY.decode().encode("utf-16")),
    Hostile("UTF-8 with a byte order mark", UNSUPPORTED, b"\xef\xbb\xbf" + BODY),
    Hostile("encoded halves of a surrogate pair", UNSIGNED, BODY[:-1] + b', "x": "\xed\xa0\x80"}'),
    Hostile("escaped halves of a surrogate pair", STORED, BODY[:-1] + b', "x": "\\ud800"}'),
    Hostile("escaped NUL", STORED, BODY[:-1] + b', "x": "\\u0000"}'),
    Hostile("bare NUL", UNSUPPORTED, BODY[:-1] + b', "x": "\x00"}'),
    Hostile("only NUL", UNSUPPORTED, b"\x00" * 1000),
    Hostile("trailing NUL", UNSUPPORTED, BODY + b"\x00"),
    Hostile("nested 98 deep", STORED, nested(98)),
    Hostile("nested 101 deep", UNSUPPORTED, nested(101)),
    Hostile("nested 900 deep", UNSUPPORTED, nested(900)),
    Hostile("nested 200,000 deep", UNSUPPORTED, nested(200_000)),
    Hostile("200,000 open brackets", UNSUPPORTED, b"[" * 200_000),
    Hostile("100,000 keys", UNSUPPORTED, b'{"a":1,' * 100_000),
    Hostile("50,000 fields", STORED, event(more={f"k{n}": n for n in range(50_000)})),
    Hostile("the id twice, the later one odd", UNSUPPORTED, BODY[:-1] + b', "id": 7}'),
    Hostile("the id twice, the later one fine", STORED, BODY[:-1] + b', "id": "evt_later"}'),
    Hostile("the object twice", UNSUPPORTED, BODY[:-1] + b', "object": "v2.core.event"}'),
    Hostile("1e400", STORED, BODY[:-1] + b', "x": 1e400}'),
    Hostile("NaN", STORED, BODY[:-1] + b', "x": NaN}'),
    Hostile("-Infinity", STORED, BODY[:-1] + b', "x": -Infinity}'),
    Hostile("a time of 1e400", UNSUPPORTED, BODY[:-1] + b', "created": 1e400}'),
    Hostile("a time of NaN", UNSUPPORTED, BODY[:-1] + b', "created": NaN}'),
    Hostile("an integer of 4,000 digits", STORED, BODY[:-1] + b', "x": ' + b"9" * 4000 + b"}"),
    Hostile("an integer of 5,000 digits", UNSUPPORTED, BODY[:-1] + b', "x": ' + b"9" * 5000 + b"}"),
    Hostile("a comment", UNSUPPORTED, BODY + b"// ok"),
    Hostile("two events", UNSUPPORTED, BODY + BODY),
    Hostile("a list of events", UNSUPPORTED, b"[" + BODY + b"]"),
    Hostile("single quotes", UNSUPPORTED, BODY.replace(b'"', b"'")),
    Hostile("a form", UNSUPPORTED, b"id=evt_1&object=event"),
    Hostile("XML with an entity", UNSUPPORTED, b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'),
    Hostile("gzip", UNSIGNED, gzip.compress(BODY), headers={"Content-Encoding": "gzip"}),
    Hostile("a gzip bomb", UNSIGNED, gzip.compress(b" " * 50_000_000), headers={"Content-Encoding": "gzip"}),
    Hostile("deflate", UNSIGNED, zlib.compress(BODY), headers={"Content-Encoding": "deflate"}),
    Hostile("plain, said to be gzip", STORED, headers={"Content-Encoding": "gzip"}),
    Hostile("one mebibyte", STORED, BODY + b" " * (1024 * 1024 - len(BODY))),
    Hostile("one mebibyte and a byte", TOO_LARGE, BODY + b" " * (1024 * 1024 - len(BODY) + 1)),
    Hostile("twenty mebibytes", TOO_LARGE, b"x" * (20 * 1024 * 1024), form=None),
)
HEADERS = (
    Hostile("a form's content type", STORED, headers={"Content-Type": "application/x-www-form-urlencoded"}),
    Hostile("a multipart content type", STORED, headers={"Content-Type": "multipart/form-data; boundary=x"}),
    Hostile("a multipart without a boundary", STORED, headers={"Content-Type": "multipart/form-data"}),
    Hostile("a charset that is none", STORED, headers={"Content-Type": "application/json; charset=x-none"}),
    Hostile("a charset of another kind", STORED, headers={"Content-Type": "application/json; charset=utf-16"}),
    Hostile("another method asked for", STORED, headers={"X-HTTP-Method-Override": "GET"}),
    Hostile("a path asked for", STORED, headers={"X-Original-URL": "/admin/", "X-Rewrite-URL": "/admin/"}),
    Hostile("somebody's session", STORED, headers={"Cookie": "sessionid=x; csrftoken=" + "y" * 3000}),
    Hostile("a dead token", STORED, headers={"Authorization": "Token nothing"}),
    Hostile("another origin", STORED, headers={"Origin": "https://evil.example", "Referer": "https://evil.example/"}),
    Hostile("a forged address", STORED, headers={"X-Forwarded-For": "127.0.0.1, " * 200}),
    Hostile("a request id with markup", STORED, headers={"X-Request-ID": "<script>" + "x" * 3000}),
    Hostile("a range", STORED, headers={"Range": "bytes=0-5"}),
    Hostile("a condition", STORED, headers={"If-Match": '"x"', "If-Modified-Since": "never"}),
    Hostile("a language", STORED, headers={"Accept-Language": "../../../etc/passwd," + "x;q=9," * 500}),
)
REQUESTS = (*SIGNATURES, *BODIES, *HEADERS)


def request(*lines: str, body: bytes = b"") -> bytes:
    head = (f"POST {PATH} HTTP/1.1", "Host: localhost", "Connection: close", "Content-Type: application/json", *lines)
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def chunked(body: bytes, size: int = 50) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def raw() -> dict[str, tuple[bytes, set[int], bool]]:
    """Bytes by name, the statuses that may come back (0: the connection is closed), and whether an event is stored."""
    length, header = f"Content-Length: {len(BODY)}", f"Stripe-Signature: {signed(BODY)}"
    return {
        "an ordinary one": (request(length, header, body=BODY), {200}, True),
        "chunked": (request("Transfer-Encoding: chunked", header, body=chunked(BODY)), {200, 400}, True),
        "chunked, three mebibytes": (
            request("Transfer-Encoding: chunked", header, body=chunked(b"x" * 3_000_000, 60_000)),
            {400, 413},
            False,
        ),
        "chunked and a length": (
            request("Transfer-Encoding: chunked", length, header, body=chunked(BODY)),
            {400},
            False,
        ),
        "chunks that are none": (request("Transfer-Encoding: chunked", header, body=b"zz\r\nx\r\n"), {0, 400}, False),
        "two lengths": (request(length, "Content-Length: 5", header, body=BODY), {400}, False),
        "a length below zero": (request("Content-Length: -1", header, body=BODY), {400}, False),
        "a length that is no number": (request("Content-Length: 1e3", header, body=BODY), {400}, False),
        "a length of 99 digits": (request("Content-Length: " + "9" * 99, header), {0, 400, 413}, False),
        "shorter than it says": (request(f"Content-Length: {len(BODY) + 9}", header, body=BODY), {0, 200, 400}, True),
        "longer than it says": (request("Content-Length: 9", header, body=BODY), {400}, False),
        "no length": (request(header, body=BODY), {400, 411}, False),
        "a bare line feed in a header": (request(length, header + "\nX-Evil: 1", body=BODY), {200, 400}, False),
        "a bare return in a header": (request(length, header + "\rX-Evil: 1", body=BODY), {400}, False),
        "a NUL in a header": (request(length, header + "\x00", body=BODY), {400}, False),
        "a folded header": (request(length, header + "\r\n folded", body=BODY), {400}, False),
        "a blank before the colon": (request(length, header, "X-Evil : 1", body=BODY), {400}, False),
        "two signatures": (request(length, header, "Stripe-Signature: t=1,v1=x", body=BODY), {400}, False),
        "an underscore's signature": (request(length, header.replace("-", "_", 1), body=BODY), {400}, False),
        "a hundred and one headers": (
            request(length, header, *(f"X-H{n}: 1" for n in range(101)), body=BODY),
            {0, 400, 431},
            False,
        ),
        "a header of a megabyte": (
            request(length, header, "X-Long: " + "x" * 1_000_000, body=BODY),
            {0, 400, 431},
            False,
        ),
        "no host": (
            f"POST {PATH} HTTP/1.1\r\n{length}\r\n{header}\r\n\r\n".encode() + BODY,
            {200, 400},
            True,
        ),
        "another host": (
            f"POST {PATH} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n{length}\r\n{header}\r\n\r\n".encode()
            + BODY,
            {200, 400},
            True,
        ),
        "an address with a host": (
            request(length, header, body=BODY).replace(PATH.encode(), b"http://evil.example" + PATH.encode(), 1),
            {200, 400},
            True,
        ),
        "HTTP/0.9": (f"POST {PATH}\r\n\r\n".encode(), {0, 400}, False),
        "HTTP/9.9": (request(length, header, body=BODY).replace(b"HTTP/1.1", b"HTTP/9.9", 1), {0, 400, 505}, False),
        "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200, {0, 400}, False),
    }
