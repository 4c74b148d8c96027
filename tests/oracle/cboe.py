"""Cboe: histories of indexes as CSV, delayed quotes of options as JSON."""

import csv
import io

from common import NEW_YORK, clock, load, midnight, number, occ, record

CHICAGO = "America/Chicago"


def index_history(request, body):
    rows = list(csv.reader(io.StringIO(body.decode())))
    names = rows[0]
    for row in rows[1:]:
        named = dict(zip(names, row))
        month, day, year = named["DATE"].split("/")
        trading_date = f"{year}-{month}-{day}"
        # Most indexes have one column, named as they are.
        yield record(
            "ohlcv_bar",
            source="cboe",
            symbol=request.item,
            bar_interval="1d",
            ts_start=midnight(trading_date, CHICAGO),
            trading_date=trading_date,
            open=named.get("OPEN"),
            high=named.get("HIGH"),
            low=named.get("LOW"),
            close=named["CLOSE"] if "CLOSE" in named else row[1],
            known_at=request.last_modified,
        )


def options(request, body):
    file = load(body)
    data = file["data"]
    # The only time without a zone that is UTC.
    quoted_at = request.known(clock(file["timestamp"], "UTC")) if "timestamp" in file else request.received_at
    for row in data["options"]:
        traded = row["last_trade_time"]
        yield record(
            "option_quote",
            source="cboe",
            contract_symbol=row["option"],
            quoted_at=quoted_at,
            # Asked for as `_VIX`, written as `^VIX`.
            underlying_symbol=request.item.replace("_", "^"),
            **occ(row["option"]),
            bid=number(row["bid"]),
            ask=number(row["ask"]),
            bid_size=number(row["bid_size"]),
            ask_size=number(row["ask_size"]),
            last_price=unless_zero(row["last_trade_price"]),
            last_traded_at=traded and clock(traded, NEW_YORK),
            change=number(row["change"]),
            change_percent=number(row["percent_change"]),
            open=unless_zero(row["open"]),
            high=unless_zero(row["high"]),
            low=unless_zero(row["low"]),
            previous_close=number(row["prev_day_close"]),
            volume=number(row["volume"]),
            open_interest=number(row["open_interest"]),
            implied_volatility=unless_zero(row["iv"]),
            delta=number(row["delta"]),
            gamma=number(row["gamma"]),
            theta=number(row["theta"]),
            vega=number(row["vega"]),
            rho=number(row["rho"]),
            theoretical_price=number(row["theo"]),
            underlying_price=number(data["current_price"]),
            known_at=quoted_at,
        )


def unless_zero(value):
    """Nothing was traded at 0, and no volatility is 0: it stands for none."""
    return None if float(value) == 0 else number(value)
