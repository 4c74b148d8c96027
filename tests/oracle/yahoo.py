"""Yahoo: charts and options as JSON."""

import datetime
import zoneinfo

from common import code, instrument, load, midnight, number, occ, of_epoch, record, rfc3339, text

DAILY_OR_LONGER = {"1d", "5d", "1wk", "1mo", "3mo"}


def chart(request, body):
    symbol, _, interval = request.item.partition("@")
    interval = interval or "1d"
    result = load(body)["chart"]["result"][0]
    meta = result["meta"]
    zone = meta["exchangeTimezoneName"]
    quote = result["indicators"]["quote"][0]
    adjusted = result["indicators"].get("adjclose", [{}])[0].get("adjclose", [])
    bars = {}
    for place, seconds in enumerate(result.get("timestamp", [])):
        numbers = {name: quote[name][place] for name in ("open", "high", "low", "close", "volume")}
        if all(value is None for value in numbers.values()):
            continue
        is_last = place + 1 == len(result["timestamp"])
        if interval not in DAILY_OR_LONGER and is_last and abs(int(seconds) - int(meta["regularMarketTime"])) <= 1:
            continue  # The live quote, which is no bar; of a day it is that day's.
        trading_date = date_in(zone, seconds)
        start = midnight(trading_date, zone) if interval in DAILY_OR_LONGER else rfc3339(of_epoch(seconds))
        bars[start] = record(
            "ohlcv_bar",
            source="yahoo",
            symbol=symbol,
            bar_interval=interval,
            ts_start=start,
            trading_date=trading_date,
            **{name: number(value) for name, value in numbers.items()},
            adjusted_close=number(adjusted[place]) if adjusted else None,
            currency=text(meta.get("currency")),
            known_at=request.received_at,
        )
    found = [*bars.values(), *events(request, symbol, result, zone)]
    yield from found
    if found:
        yield priced(request, symbol, meta)


KINDS = {
    "EQUITY": "share", "ETF": "etf", "MUTUALFUND": "fund", "INDEX": "index", "CURRENCY": "currency",
    "CRYPTOCURRENCY": "crypto", "FUTURE": "future",
}  # fmt: skip


def priced(request, symbol, meta):
    exchange = meta["exchangeName"]
    return instrument(
        "yahoo",
        symbol,
        code(symbol, exchange),
        exchange,
        KINDS[meta["instrumentType"]],
        meta.get("currency"),
        ("splits", "all", "splits"),
        request.received_at,
    )


def date_in(zone, seconds):
    """The date on the clocks of the exchange at that time."""
    return of_epoch(seconds).astimezone(zoneinfo.ZoneInfo(zone)).date().isoformat()


def events(request, symbol, result, zone):
    of_kind = result.get("events", {})
    for name, action_type in (("dividends", "dividend"), ("splits", "split"), ("capitalGains", "capital_gain")):
        for event in of_kind.get(name, {}).values():
            yield record(
                "corporate_action",
                source="yahoo",
                symbol=symbol,
                action_type=action_type,
                # Its own date: the name of the entry is that of the bar.
                ex_date=date_in(zone, event["date"]),
                amount=number(event.get("amount")),
                # Some are paid in another currency than the quotes are in, and say so.
                currency=text(event.get("currency") or result["meta"].get("currency")) if "amount" in event else None,
                split_to=number(event.get("numerator")),
                split_from=number(event.get("denominator")),
                known_at=request.received_at,
            )


def options(request, body):
    symbol = request.item.split("@")[0]
    result = load(body)["optionChain"]["result"][0]
    quote = result.get("quote", {})
    # A contract has no time of its own: it was quoted with its underlying.
    quoted_at = request.received_at
    if quote.get("regularMarketTime"):
        quoted_at = request.known(rfc3339(of_epoch(quote["regularMarketTime"])))
    for chain in result["options"]:
        for row in chain["calls"] + chain["puts"]:
            traded = row.get("lastTradeDate")
            volatility = number(row.get("impliedVolatility"))
            yield record(
                "option_quote",
                source="yahoo",
                contract_symbol=row["contractSymbol"],
                quoted_at=quoted_at,
                underlying_symbol=symbol,
                **contract(row),
                bid=number(row.get("bid")),
                ask=number(row.get("ask")),
                last_price=number(row.get("lastPrice")),
                last_traded_at=rfc3339(of_epoch(traded)) if traded else None,
                change=number(row.get("change")),
                change_percent=number(row.get("percentChange")),
                volume=number(row.get("volume")),
                open_interest=number(row.get("openInterest")),
                # 1e-5 and below: none was computed.
                implied_volatility=volatility if volatility and float(volatility) > 1.01e-5 else None,
                underlying_price=number(quote.get("regularMarketPrice")),
                currency=text(row.get("currency")),
                contract_size=text(row.get("contractSize")),
                known_at=request.received_at,
            )


def contract(row):
    """The symbol of a contract must agree with the fields beside it."""
    said = occ(row["contractSymbol"])
    expiration = datetime.datetime.fromisoformat(said["expiration_date"] + "T00:00:00+00:00")
    if int(row["expiration"]) != int(expiration.timestamp()) or float(row["strike"]) != float(said["strike"]):
        raise ValueError(f"{row['contractSymbol']} is not what its row says")
    return said
