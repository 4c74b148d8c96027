"""Files of one's own: CSV, JSON lines and Parquet, with what the columns mean in the item."""

import csv as reader
import datetime
import decimal
import io
import json
import re
import zoneinfo
from urllib.parse import unquote

from common import UTC, declaration, day_after, dump, instant, load, midnight, number, record, rfc3339

NOTHING = ("", "NA", "N/A", "NaN", "None", "null", "-")


class Mapping:
    """`<path>?<dataset>&<field>=<column>|<format>&<field>:=<value>`."""

    def __init__(self, item):
        said = item.split("?", 1)[1].split("&")
        self.dataset = said[0]
        self.columns, self.values = {}, {}
        for part in said[1:]:
            name, value = part.split("=", 1)
            if name.endswith(":"):
                self.values[name[:-1]] = unquote(value)
            else:
                column, _, form = value.partition("|")
                self.columns[name] = unquote(column), unquote(form)
        self.zone = zoneinfo.ZoneInfo(self.values.pop("zone", "UTC"))


def rows_of(request, names, rows):
    """Records of rows that are values by the names of their columns."""
    mapping = Mapping(request.item)
    fields = declaration(mapping.dataset)["fields"]
    for row in rows:
        values = {"source": "file"}
        for field in fields:
            name, kind = field["name"], field["type"]
            kind = kind[1] if isinstance(kind, list) else kind
            if name in ("observed_at", "flags"):
                continue
            column, form = mapping.columns.get(name, (None, ""))
            if column is None:
                column = name if name in names else next((own for own in names if own.lower() == name), None)
            value = mapping.values.get(name) if column is None else row.get(column)
            if value is not None:
                values[name] = read(value, kind, form, mapping.zone)
            if name == "known_at" and values.get(name) and is_day(value, form):
                values[name] = day_after(date_in(values[name], mapping.zone), mapping.zone.key)
        if mapping.dataset == "ohlcv_bar":
            if values.get("ts_start") is None:
                values["ts_start"] = midnight(values["trading_date"], mapping.zone.key)
            if values.get("trading_date") is None:
                start = datetime.datetime.fromisoformat(values["ts_start"].replace("Z", "+00:00"))
                values["trading_date"] = start.astimezone(mapping.zone).date().isoformat()
        values["known_at"] = request.known(values.get("known_at") or request.last_modified)
        yield record(mapping.dataset, **values)


def is_day(value, form):
    """Whether a value is a date without a time."""
    if form:
        return form not in ("s", "ms", "us", "ns") and not re.search("%[HIkLsTcrRX]", form)
    is_date = isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)
    return is_date or not isinstance(value, datetime.date) and ":" not in str(value)


def date_in(time, zone):
    """The date of an instant in a zone."""
    return instant(time).astimezone(zone).date().isoformat()


def read(value, kind, form, zone):
    """A value as the kind of its field."""
    logical = kind.get("logicalType") if isinstance(kind, dict) else None
    if isinstance(kind, dict) and kind["type"] == "array":
        if isinstance(value, str):
            value = json.loads(value) if value.strip().startswith("[") else value.split("|")
        return [part for part in value if part]
    if kind == "string" or isinstance(kind, dict) and kind["type"] == "string":
        return str(value) or None
    if isinstance(value, str) and value.strip() in NOTHING:
        return None
    if logical == "date":
        return moment(value, form, zone).astimezone(zone).date().isoformat()
    if logical and logical.startswith("timestamp"):
        return rfc3339(moment(value, form, zone))
    if kind == "long":
        return str(int(decimal.Decimal(value)))
    if isinstance(value, (int, float, decimal.Decimal)):
        return format(value, "f") if isinstance(value, decimal.Decimal) else repr(value)
    return number(value)


def moment(value, form, zone):
    """A date or time in any of the ways in which it may be written."""
    if isinstance(value, datetime.datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day, tzinfo=zone)
    if form in ("s", "ms", "us", "ns"):
        seconds = decimal.Decimal(value) / {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[form]
        return datetime.datetime.fromtimestamp(0, UTC) + datetime.timedelta(microseconds=int(seconds * 1_000_000))
    text = str(value).strip()
    time = datetime.datetime.strptime(text, form) if form else datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return time if time.tzinfo else time.replace(tzinfo=zone)


def csv(request, body):
    text = body.decode("utf-8-sig")
    head = text.splitlines()[0]
    separator = max(",;\t|", key=head.count)
    names, *rows = reader.reader(io.StringIO(text, newline=""), delimiter=separator)
    yield from rows_of(request, names, (dict(zip(names, row)) for row in rows if row))


def jsonl(request, body):
    for line in body.decode("utf-8-sig").splitlines():
        if line.strip():
            row = load(line.encode())
            row = {name: value for name, value in row.items() if value is not None}
            plain = {name: dump(value) if isinstance(value, (dict, list)) else value for name, value in row.items()}
            yield from rows_of(request, list(plain), [plain])


def parquet(request, body):
    from pyarrow import parquet as arrow

    table = arrow.read_table(io.BytesIO(body))
    yield from rows_of(request, table.column_names, table.to_pylist())
