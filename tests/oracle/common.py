"""What the readings share: declarations, times, and JSON whose numbers stay the text that was sent."""

import datetime
import decimal
import functools
import json
import pathlib
import re
import zoneinfo

SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "schemas"
UTC = datetime.timezone.utc
NEW_YORK = "America/New_York"
# Stands for an id that is a hash of ours, and for a score of ours: a reading tells that there is one, not which.
HASH = "<hash>"
SCORED = "<scored>"
# Decimals have so many digits after the point; what follows is rounded.
SCALE = decimal.Decimal("1e-12")
DIGITS = decimal.Context(prec=60)


class Request:
    """What a response answers."""

    def __init__(self, item, offset, received_at, last_modified):
        self.item = item
        self.offset = offset
        self.received_at = received_at
        self.last_modified = self.known(last_modified)

    def known(self, time):
        """That time, or the receipt: nothing is known before it is received."""
        return self.received_at if time is None else min(time, self.received_at, key=instant)


class Number(str):
    """A number as it was sent."""


@functools.cache
def declaration(dataset):
    """What is declared of a dataset."""
    return json.loads((SCHEMAS / f"{dataset}.avsc").read_text())


def record(dataset, **values):
    """A record with all fields of its dataset: null, or an empty list, where none is given."""
    fields = {}
    for field in declaration(dataset)["fields"]:
        name, kind = field["name"], field["type"]
        if name in ("observed_at", "flags"):
            continue
        default = [] if isinstance(kind, dict) and kind["type"] == "array" else None
        value = values.pop(name, default)
        if value is None and not isinstance(kind, list):
            raise ValueError(f"{dataset}.{name} is null")
        kind = kind[1] if isinstance(kind, list) else kind
        is_decimal = isinstance(kind, dict) and kind.get("logicalType") == "decimal"
        fields[name] = plain(value) if is_decimal and value is not None else value
    if values:
        raise ValueError(f"{dataset} has no {sorted(values)}")
    return {"dataset": dataset, "record": fields}


def plain(number):
    """A decimal without exponent and needless zeros."""
    rounded = decimal.Decimal(number).quantize(SCALE, decimal.ROUND_HALF_EVEN, DIGITS)
    return format(rounded.normalize(DIGITS) + 0, "f")


def key(entry):
    """What records are sorted by; those of the same key stay in the order in which they came."""
    names = declaration(entry["dataset"])["key"]
    return entry["dataset"], [entry["record"][name] for name in names]


def load(body):
    """JSON with every number as text; of a name that comes twice the last one counts."""
    return json.loads(body.decode("utf-8-sig"), parse_float=Number, parse_int=Number)


def dump(value):
    """JSON again, with every number as it was sent."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{dump(part)}" for name, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump, value)) + "]"
    return json.dumps(value)


def number(value):
    """A number, also one in quotes; None for what stands for nothing."""
    if value is None or isinstance(value, bool):
        return None
    text = str(value).strip()
    return text if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) else None


def text(value):
    """A text without blanks around it; None when nothing is left."""
    if value is None:
        return None
    return str(value).strip() or None


def date(value):
    """The date at the beginning of a text, `YYYY-MM-DD`; None when there is none, or that of year 0."""
    found = re.match(r"\d{4}-\d\d-\d\d", value or "")
    if not found or found.group() == "0000-00-00":
        return None
    return datetime.date.fromisoformat(found.group()).isoformat()


def instant(time):
    """The instant of RFC 3339 as Python writes instants."""
    return datetime.datetime.fromisoformat(time.replace("Z", "+00:00"))


def rfc3339(time):
    """An instant as RFC 3339 in UTC."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def of_epoch(seconds):
    """Seconds since 1970 as an instant."""
    return datetime.datetime.fromtimestamp(int(seconds), UTC)


def midnight(day, zone="UTC"):
    """When a date begins in a time zone: at midnight, or where the clocks leave that out, as soon as it is that date."""
    start = datetime.datetime.fromisoformat(day).replace(tzinfo=zoneinfo.ZoneInfo(zone))
    while start.astimezone(UTC).astimezone(start.tzinfo).replace(tzinfo=None) != start.replace(tzinfo=None):
        start += datetime.timedelta(minutes=1)
    return rfc3339(start)


def day_after(day, zone="UTC"):
    """When the day after a date begins in a time zone."""
    if day is None:
        return None
    return midnight((datetime.date.fromisoformat(day) + datetime.timedelta(days=1)).isoformat(), zone)


def published(time):
    """When an article of that time was public: of a date without a time, once the date has ended in the last zone."""
    if time is None or not re.search(r"T00:00:00(\.0+)?(Z|\+00:00)$", time):
        return time
    return day_after(date(time), "Etc/GMT+12")


def federal_holidays(year):
    """The days on which federal offices are closed, weekends aside."""
    of = lambda month, day: datetime.date(year, month, day)
    # The n-th of a weekday (Monday is 0) on or after a date.
    nth = lambda start, weekday, n: start + datetime.timedelta((weekday - start.weekday()) % 7 + 7 * (n - 1))
    fixed = [of(1, 1), of(7, 4), of(11, 11), of(12, 25), datetime.date(year + 1, 1, 1)]
    fixed += [of(6, 19)] if year >= 2021 else []
    days = {nth(of(2, 1), 0, 3), nth(of(5, 25), 0, 1), nth(of(9, 1), 0, 1), nth(of(10, 1), 0, 2), nth(of(11, 1), 3, 4)}
    days |= {nth(of(1, 1), 0, 3)} if year >= 1986 else set()
    shift = {5: -1, 6: 1}
    return days | {day + datetime.timedelta(shift.get(day.weekday(), 0)) for day in fixed}


def public(accepted_at, filed_on, form):
    """When a filing was public that EDGAR accepted then; None when nobody says it."""
    form = (form or "").removesuffix("/A")
    if form in ("UPLOAD", "CORRESP", "LETTER", "DRS", "DRSLTR"):
        return None
    if accepted_at is None:
        return day_after(filed_on, NEW_YORK)
    local = instant(accepted_at).astimezone(zoneinfo.ZoneInfo(NEW_YORK))
    day, time = local.date(), local.time()
    closed = lambda day: day.weekday() > 4 or day in federal_holidays(day.year)
    latest = datetime.time(22) if form in ("3", "4", "5", "144") else datetime.time(17, 30)
    times = [accepted_at]
    if time > latest or closed(day):
        day += datetime.timedelta(1)
        while closed(day):
            day += datetime.timedelta(1)
        times.append(clock(f"{day} 06:00:00", NEW_YORK))
    times.append(clock(f"{day} 06:00:00", NEW_YORK))
    if filed_on is not None:
        times.append(clock(f"{filed_on} 06:00:00", NEW_YORK))
    return max(times, key=instant)


def clock(time, zone):
    """A time of the clocks of a zone, `YYYY-MM-DD HH:MM:SS`, as an instant."""
    return rfc3339(datetime.datetime.fromisoformat(time).replace(tzinfo=zoneinfo.ZoneInfo(zone)))


def occ(symbol):
    """What an option's symbol says, read from the right: expiration, type, strike in thousandths."""
    day, kind, strike = symbol[-15:-9], symbol[-9], symbol[-8:]
    return {
        "expiration_date": f"20{day[:2]}-{day[2:4]}-{day[4:]}",
        "option_type": {"C": "call", "P": "put"}[kind],
        "strike": f"{int(strike[:5])}.{strike[5:]}",
    }


def ten_digits(cik):
    """A filer's number at the SEC."""
    return None if text(cik) is None else text(cik).zfill(10)


# Parameters of an address that say who sent the reader, not what is read.
TRACKING = {
    "_ga", "_gl", "dclid", "fbclid", "gbraid", "gclid", "gclsrc", "guccounter", "guce_referrer", "guce_referrer_sig",
    "igshid", "mc_cid", "mc_eid", "mkt_tok", "msclkid", "ncid", "ocid", "soc_src", "soc_trk", "tsrc", "twclid", "wbraid",
    "yclid", "yptr",
}  # fmt: skip


def article_id(url):
    """One address for all forms of it: `https`, a host in small letters, no fragment, no trailing slash, no campaign."""
    found = re.fullmatch(r"(?i:https?)://([^/?#]+)([^?#]*)(?:\?([^#]*))?(?:#.*)?", (url or "").strip())
    if not found:
        return HASH
    host, path, query = found.group(1).lower(), found.group(2).rstrip("/"), found.group(3) or ""
    host = re.sub(r":(443|80)$", "", host)
    kept = []
    for parameter in query.replace("&amp;", "&").split("&"):
        name = parameter.split("=")[0].lower()
        if parameter and not name.startswith("utm_") and name not in TRACKING:
            kept.append(parameter)
    address = f"https://{host}{path}" + ("?" + "&".join(kept) if kept else "")
    encoded = "".join(chr(byte) if 32 < byte < 127 else f"%{byte:02X}" for byte in address.encode())
    return encoded if len(encoded) <= 500 else HASH


# What exchanges are called at Yahoo, EODHD and FMP, as far as the responses that are read name them; funds, currencies
# and crypto trade at none.
MICS = {
    "AMEX": "XASE", "ASX": "XASX", "BATS": "BATS", "GER": "XETR", "LSE": "XLON", "NASDAQ": "XNAS", "NMS": "XNAS",
    "NYQ": "XNYS", "NYSE": "XNYS", "NYSE ARCA": "ARCX", "PCX": "ARCX", "SW": "XSWX", "TOR": "XTSE",
}  # fmt: skip
AMERICAN = {"XASE", "XNAS", "XNYS", "ARCX", "BATS"}
# Prices in hundredths of a currency: the provider's code, the currency's, and the code of the hundredth.
HUNDREDTHS = {"GBp": ("GBP", "GBX"), "GBX": ("GBP", "GBX"), "ZAc": ("ZAR", "ZAC")}


def instrument(source, symbol, code, exchange, kind, currency, adjustments, known_at, isin=None):
    """What the prices of a symbol are; `code` is its name at the exchange, `adjustments` those of prices, adjusted
    closes and volumes."""
    unit, per_currency = currency, "1.0"
    if kind == "index":
        currency, unit, per_currency = None, "points", None
    elif currency in HUNDREDTHS:
        (currency, unit), per_currency = HUNDREDTHS[currency], "100.0"
    elif not re.fullmatch("[A-Z]{3}", currency or ""):
        currency, unit, per_currency = None, None, None
    return record(
        "instrument",
        source=source,
        symbol=symbol,
        mic=MICS.get(exchange),
        ticker=code if exchange in MICS else None,
        isin=isin,
        exchange=exchange,
        kind=kind,
        currency=currency,
        unit=unit,
        units_per_currency=per_currency,
        price_adjustment=adjustments[0],
        adjusted_close_adjustment=adjustments[1],
        volume_adjustment=adjustments[2],
        known_at=known_at,
    )


def code(symbol, exchange):
    """A symbol without the suffix that names an exchange outside the United States."""
    return symbol if MICS.get(exchange) in AMERICAN else symbol.rsplit(".", 1)[0]
