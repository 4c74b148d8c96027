"""FRED and ALFRED, as JSON and XML."""

import re
import xml.etree.ElementTree as ElementTree

from common import NEW_YORK, date, day_after, load, number, record, text

OPEN_END = "9999-12-31"


def answer(body, rows):
    """The attributes of the whole response, and the rows."""
    if body.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"<"):
        # A line break in an attribute is meant as one; to a reader of XML it is a space unless it is escaped.
        body = re.sub(rb'"[^"]*"', lambda quoted: quoted.group().replace(b"\n", b"&#10;"), body)
        root = ElementTree.fromstring(body)
        return root.attrib, [dict(row.attrib) or row.text for row in root]
    whole = load(body)
    return whole, whole[rows]


def observations(request, body):
    _, rows = answer(body, "observations")
    for row in rows:
        yield record(
            "observation",
            source="fred",
            series_id=request.item,
            observation_date=date(row["date"]),
            value=value(row),
            known_at=request.last_modified,
        )


def value(row):
    return None if row["value"] == "." else number(row["value"])


def series(request, body):
    _, rows = answer(body, "seriess")
    for row in rows:
        yield record(
            "series",
            source="fred",
            series_id=row["id"],
            title=text(row["title"]),
            frequency=text(row["frequency"]),
            units=text(row["units"]),
            seasonal_adjustment=text(row["seasonal_adjustment"]),
            first_observation_date=date(row["observation_start"]),
            last_observation_date=date(row["observation_end"]),
            popularity=number(row.get("popularity")),
            notes=text(row.get("notes")),
            known_at=request.received_at,
        )


def vintages(request, body):
    whole, rows = answer(body, "observations")
    for row in rows:
        start, end = row["realtime_start"], row["realtime_end"]
        # A row is cut off where the window ends: it may well be valid longer.
        is_open = end in (OPEN_END, whole["realtime_end"])
        yield record(
            "observation_vintage",
            source="fred",
            series_id=request.item,
            observation_date=date(row["date"]),
            realtime_start=start,
            realtime_end=None if is_open else end,
            value=value(row),
            known_at=request.known(day_after(start if is_open else date(day_after(end)), NEW_YORK)),
        )


def vintage_dates(request, body):
    whole, rows = answer(body, "vintage_dates")
    for place, day in enumerate(rows, start=int(whole["offset"]) + 1):
        yield record(
            "series_vintage",
            source="fred",
            series_id=request.item,
            vintage_date=date(day),
            vintage_number=str(place),
            known_at=request.known(day_after(date(day), NEW_YORK)),
        )
