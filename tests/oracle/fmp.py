"""FMP: statements, ratios, prices and profiles, of `/stable/` and of v3, as JSON; the bulk of a day as CSV."""

import csv
import io

from common import (
    NEW_YORK,
    Number,
    clock,
    code,
    date,
    dump,
    instrument,
    load,
    midnight,
    number,
    public,
    record,
    ten_digits,
    text,
)

# Texts that stand in front of the numbers of a statement.
NOT_AMOUNTS = {"calendarYear", "fiscalYear", "cik"}


def first(row, *names):
    """The value of the first of these names that is there: v3 and `/stable/` spell some differently."""
    for name in names:
        if row.get(name) is not None:
            return row[name]
    return None


def metrics(row):
    """All that is a number; `"Infinity"` is a text."""
    kept = {name: value for name, value in row.items() if isinstance(value, Number) and name not in NOT_AMOUNTS}
    return dump(kept)


def newest(rows, dated):
    """One row for each period: of several the last filed, and of equal ones the first."""
    by_period = {}
    for row in rows:
        period = row["date"], row["period"]
        if period not in by_period or dated(row) > dated(by_period[period]):
            by_period[period] = row
    return by_period.values()


def statement(request, body, name, amounts):
    rows = newest(load(body), lambda row: first(row, "acceptedDate") or first(row, "filingDate", "fillingDate") or "")
    for row in rows:
        period_end, accepted = row["date"], row.get("acceptedDate") or ""
        filed_on = date(first(row, "filingDate", "fillingDate"))
        # For old statements both are the end of the period, which cannot be.
        if filed_on and filed_on <= period_end:
            filed_on = None
        has_time = len(accepted) > len("YYYY-MM-DD") and date(accepted) > period_end
        accepted_at = clock(accepted, NEW_YORK) if has_time else None
        yield record(
            "financial_statement",
            source="fmp",
            symbol=row["symbol"],
            statement=name,
            period=row["period"],
            period_end=period_end,
            fiscal_year=number(first(row, "fiscalYear", "calendarYear")),
            currency=text(row.get("reportedCurrency")),
            cik=ten_digits(row.get("cik")),
            filed_on=filed_on,
            accepted_at=accepted_at,
            link=text(row.get("link")),
            **{field: number(first(row, *names)) for field, names in amounts.items()},
            metrics=metrics(row),
            known_at=request.known(public(accepted_at, filed_on, None)),
        )


def income_statement(request, body):
    return statement(
        request,
        body,
        "income",
        {
            "revenue": ["revenue"],
            "operating_income": ["operatingIncome"],
            "net_income": ["netIncome"],
            "eps_diluted": ["epsDiluted", "epsdiluted"],
        },
    )


def balance_sheet(request, body):
    return statement(
        request,
        body,
        "balance_sheet",
        {
            "total_assets": ["totalAssets"],
            "total_liabilities": ["totalLiabilities"],
            "total_equity": ["totalStockholdersEquity"],
        },
    )


def cash_flow(request, body):
    return statement(
        request,
        body,
        "cash_flow",
        {
            "net_income": ["netIncome"],
            "operating_cash_flow": ["operatingCashFlow"],
            "free_cash_flow": ["freeCashFlow"],
        },
    )


def ratio_set(request, body, name):
    for row in newest(load(body), lambda row: ""):
        yield record(
            "financial_ratio",
            source="fmp",
            symbol=row["symbol"],
            ratio_set=name,
            period=row["period"],
            period_end=row["date"],
            fiscal_year=number(first(row, "fiscalYear", "calendarYear")),
            currency=text(row.get("reportedCurrency")),
            market_cap=number(row.get("marketCap")),
            price_earnings=number(first(row, "priceToEarningsRatio", "priceEarningsRatio", "peRatio")),
            price_book=number(first(row, "priceToBookRatio", "pbRatio")),
            return_on_equity=number(first(row, "returnOnEquity", "roe")),
            debt_to_equity=number(first(row, "debtToEquityRatio", "debtEquityRatio", "debtToEquity")),
            current_ratio=number(row.get("currentRatio")),
            net_margin=number(row.get("netProfitMargin")),
            metrics=metrics(row),
            known_at=request.received_at,
        )


def ratios(request, body):
    return ratio_set(request, body, "ratios")


def key_metrics(request, body):
    return ratio_set(request, body, "key_metrics")


def bar(request, symbol, day, **prices):
    return record(
        "ohlcv_bar",
        source="fmp",
        symbol=symbol,
        bar_interval="1d",
        ts_start=midnight(day, NEW_YORK),
        trading_date=day,
        known_at=request.received_at,
        **{name: number(value) for name, value in prices.items()},
    )


def eod_prices(request, body):
    answer = load(body)
    rows = answer if isinstance(answer, list) else answer["historical"]
    for row in rows:
        symbol = row["symbol"] if isinstance(answer, list) else answer["symbol"]
        # Prices that are not adjusted for splits are named as if they were adjusted.
        misnamed = "close" not in row and "adjClose" in row
        yield bar(
            request,
            symbol,
            row["date"],
            open=row.get("adjOpen" if misnamed else "open"),
            high=row.get("adjHigh" if misnamed else "high"),
            low=row.get("adjLow" if misnamed else "low"),
            close=row["adjClose"] if misnamed else first(row, "close", "price"),
            volume=row.get("volume"),
            adjusted_close=None if misnamed else row.get("adjClose"),
        )


def eod_bulk(request, body):
    if body.strip() == b"[]":
        return
    for row in csv.DictReader(io.StringIO(body.decode())):
        prices = {name: row[name] for name in ("open", "high", "low", "close", "volume")}
        # An adjusted close would be taken back by the prices of a symbol, which have none.
        yield bar(request, row["symbol"], row["date"], **prices)


# What a profile says that is stored under a name of its own.
NAMED = {
    "symbol", "companyName", "cik", "isin", "cusip", "exchange", "exchangeShortName", "currency", "country", "sector",
    "industry", "description", "website", "fullTimeEmployees", "ipoDate", "marketCap", "mktCap",
}  # fmt: skip


def profile(request, body):
    for row in load(body):
        kinds = [kind for flag, kind in (("isEtf", "ETF"), ("isFund", "Fund"), ("isAdr", "ADR")) if row.get(flag)]
        other = {name: value for name, value in row.items() if name not in NAMED and value not in (None, "")}
        yield record(
            "company",
            source="fmp",
            symbol=row["symbol"],
            name=row["companyName"],
            cik=ten_digits(row.get("cik")),
            isin=text(row.get("isin")),
            cusip=text(row.get("cusip")),
            kind=kinds[0] if kinds else None,
            exchange=text(first(row, "exchangeShortName", "exchange")),
            currency=text(row.get("currency")),
            country=text(row.get("country")),
            sector=text(row.get("sector")),
            industry=text(row.get("industry")),
            description=text(row.get("description")),
            website=text(row.get("website")),
            employees=number(row.get("fullTimeEmployees")),
            listed_on=date(row.get("ipoDate")),
            market_cap=number(first(row, "marketCap", "mktCap")),
            other=dump(other) if other else None,
            known_at=request.received_at,
        )
        exchange = text(first(row, "exchangeShortName", "exchange"))
        yield instrument(
            "fmp",
            row["symbol"],
            code(row["symbol"], exchange),
            exchange,
            # A receipt is for a share, and what is nothing else is one.
            {"ETF": "etf", "Fund": "fund"}.get(kinds[0] if kinds else None, "share"),
            text(row.get("currency")),
            ("splits", None, "splits"),
            request.received_at,
            isin=text(row.get("isin")),
        )
