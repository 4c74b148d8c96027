"""EODHD: JSON mostly; CSV where that is what came."""

import csv
import io

from common import (
    HASH,
    NEW_YORK,
    SCORED,
    Number,
    article_id,
    date,
    day_after,
    dump,
    instant,
    instrument,
    load,
    midnight,
    number,
    published,
    record,
    rfc3339,
    ten_digits,
    text,
)

# Exchanges of the responses that are read, by the last part of a symbol; currencies, crypto and indexes have no place.
ZONES = {
    "US": NEW_YORK,
    "AU": "Australia/Sydney",
    "F": "Europe/Berlin",
    "BE": "Europe/Berlin",
    "LSE": "Europe/London",
    "SW": "Europe/Zurich",
}


def table(body):
    """Rows by the names of their columns, in small letters. A CSV of old ends with the number of its bytes."""
    said = body.decode().strip()
    if said.startswith(("[", "{")):
        return load(body)
    if said == "No Results":
        return []
    names, *rows = csv.reader(io.StringIO(said))
    return [{name.lower(): value for name, value in zip(names, row)} for row in rows if len(row) == len(names)]


def bar(request, symbol, row):
    return record(
        "ohlcv_bar",
        source="eodhd",
        symbol=symbol,
        bar_interval="1d",
        ts_start=midnight(row["date"], ZONES.get(symbol.rsplit(".", 1)[-1], "UTC")),
        trading_date=row["date"],
        open=number(row["open"]),
        high=number(row["high"]),
        low=number(row["low"]),
        close=number(row["close"]),
        volume=number(row["volume"]),
        adjusted_close=number(row["adjusted_close"]),
        known_at=request.received_at,
    )


def eod(request, body):
    for row in table(body):
        if "date" in row:  # Else it is a warning alone.
            yield bar(request, request.item, row)


def bulk_eod(request, body):
    for row in table(body):
        yield bar(request, f"{row['code']}.{row.get('exchange_short_name') or request.item}", row)


def listed(request, row):
    """The symbol of a row: of an exchange's day each row is of another."""
    exchange = row.get("exchange") or row.get("ex") or request.item
    return f"{row['code']}.{exchange}" if "code" in row and "." not in request.item else request.item


def dividends(request, body):
    for row in table(body):
        yield record(
            "corporate_action",
            source="eodhd",
            symbol=listed(request, row),
            action_type="dividend",
            ex_date=row["date"],
            amount=number(row.get("value") or row.get("dividend") or row.get("dividends")),
            unadjusted_amount=number(row.get("unadjustedValue")),
            currency=text(row.get("currency")),
            period=text(row.get("period")),
            declared_on=date(row.get("declarationDate")),
            record_date=date(row.get("recordDate")),
            paid_on=date(row.get("paymentDate")),
            known_at=request.received_at,
        )


def splits(request, body):
    for row in table(body):
        to, start = (row.get("split") or row.get("stock splits")).split("/")
        yield record(
            "corporate_action",
            source="eodhd",
            symbol=listed(request, row),
            action_type="split",
            ex_date=row["date"],
            split_to=number(to),
            split_from=number(start),
            known_at=request.received_at,
        )


def news(request, body):
    for row in load(body):
        published_at = rfc3339(instant(row["date"]))
        sentiment = row.get("sentiment") or {}
        yield record(
            "news_article",
            source="eodhd",
            article_id=article_id(row["link"]),
            published_at=published_at,
            title=text(row["title"]),
            url=text(row["link"]),
            content=text(row.get("content")),
            symbols=values(row.get("symbols")),
            tags=values(row.get("tags")),
            sentiment_score=number(sentiment.get("polarity")) if sentiment else SCORED,
            sentiment_negative=number(sentiment.get("neg")) if sentiment else SCORED,
            sentiment_neutral=number(sentiment.get("neu")) if sentiment else SCORED,
            sentiment_positive=number(sentiment.get("pos")) if sentiment else SCORED,
            sentiment_scorer="provider" if sentiment else SCORED,
            known_at=request.known(published(published_at)),
        )


# Sections of a company's numbers as of now.
NUMBERS = ("Highlights", "Valuation", "SharesStats", "Technicals")
# What `General` says that is stored under a name of its own.
NAMED = {
    "Code", "Type", "Name", "Exchange", "CurrencyCode", "CountryName", "CountryISO", "ISIN", "CUSIP", "CIK", "LEI",
    "FiscalYearEnd", "Fiscal_Year_End", "IPODate", "DelistedDate", "Sector", "Industry", "Description", "Fund_Summary",
    "WebURL", "FullTimeEmployees", "UpdatedAt",
}  # fmt: skip
NOTHING = (None, "", "NA", "N/A", "0000-00-00")


def fundamentals(request, body):
    if body.strip() in (b"No Results", b"[]"):
        return
    answer = load(body)
    # With a filter the answer is one section, without its name.
    if "StrongBuy" in answer:
        answer = {"AnalystRatings": answer}
    elif answer and all("ownerName" in part for part in answer.values() if isinstance(part, dict)) and "0" in answer:
        answer = {"InsiderTransactions": answer}
    general = answer.get("General") or {}
    sections = [answer.get(name) or {} for name in NUMBERS]
    quarter = date(sections[0].get("MostRecentQuarter"))
    if general:
        yield company(request, answer, general, has_ratio=quarter is not None)
        yield exchange(request, general)
        yield priced(request, general)
    if quarter:
        yield ratio(request, general, sections, quarter)
    yield from statements(request, answer, general)
    if answer.get("AnalystRatings"):
        yield rating(request, answer["AnalystRatings"])
    for line in values(answer.get("InsiderTransactions")):
        yield insider(request, line)


def said(general, name):
    return None if general.get(name) in NOTHING else text(general[name])


def values(section):
    """The entries of a section: an object by date or number, or a list."""
    return list(section.values() if isinstance(section, dict) else section or [])


def company(request, answer, general, has_ratio):
    without_record = {
        name: part
        for name, part in answer.items()
        if name not in ("General", "Financials", "AnalystRatings", "InsiderTransactions")
        and not (has_ratio and name in NUMBERS)
        and part not in (None, "", [], {})
    }
    rest = {name: value for name, value in general.items() if name not in NAMED and value not in NOTHING}
    other = ({"General": rest} if rest else {}) | without_record
    return record(
        "company",
        source="eodhd",
        symbol=request.item,
        name=said(general, "Name"),
        cik=ten_digits(said(general, "CIK")),
        isin=said(general, "ISIN"),
        cusip=said(general, "CUSIP"),
        lei=said(general, "LEI"),
        kind=said(general, "Type"),
        exchange=said(general, "Exchange"),
        currency=said(general, "CurrencyCode"),
        country=said(general, "CountryName"),
        sector=said(general, "Sector"),
        industry=said(general, "Industry"),
        description=said(general, "Description") or said(general, "Fund_Summary"),
        website=said(general, "WebURL"),
        employees=number(general.get("FullTimeEmployees")),
        listed_on=date(general.get("IPODate")),
        delisted_on=date(general.get("DelistedDate")),
        fiscal_year_end=said(general, "FiscalYearEnd") or said(general, "Fiscal_Year_End"),
        shares_outstanding=number((answer.get("SharesStats") or {}).get("SharesOutstanding")),
        market_cap=number((answer.get("Highlights") or {}).get("MarketCapitalization")),
        other=dump(other) if other else None,
        known_at=request.received_at,
    )


def exchange(request, general):
    return record(
        "exchange",
        source="eodhd",
        exchange_code=said(general, "Exchange"),
        country=said(general, "CountryName"),
        country_code=said(general, "CountryISO"),
        known_at=request.received_at,
    )


KINDS = {"Common Stock": "share", "FUND": "fund", "ETF": "etf", "INDEX": "index"}


def priced(request, general):
    return instrument(
        "eodhd",
        request.item,
        request.item.rsplit(".", 1)[0],
        said(general, "Exchange"),
        KINDS[said(general, "Type")],
        said(general, "CurrencyCode"),
        ("none", "all", "splits"),
        request.received_at,
        isin=said(general, "ISIN"),
    )


def numbers(*parts):
    """All numbers under their own names, also those in quotes; of two with one name the first."""
    found = {}
    for part in parts:
        for name, value in part.items():
            if number(value) is not None:
                found.setdefault(name, Number(number(value)))
    return found


def ratio(request, general, sections, quarter):
    highlights, valuation = sections[:2]
    return record(
        "financial_ratio",
        source="eodhd",
        symbol=request.item,
        ratio_set="fundamentals",
        period="TTM",
        period_end=quarter,
        currency=said(general, "CurrencyCode"),
        market_cap=number(highlights.get("MarketCapitalization")),
        price_earnings=number(highlights.get("PERatio")),
        price_book=number(valuation.get("PriceBookMRQ")),
        return_on_equity=number(highlights.get("ReturnOnEquityTTM")),
        net_margin=number(highlights.get("ProfitMargin")),
        metrics=dump(numbers(*sections)),
        known_at=request.received_at,
    )


STATEMENTS = {"Income_Statement": "income", "Balance_Sheet": "balance_sheet", "Cash_Flow": "cash_flow"}


def statements(request, answer, general):
    for section, name in STATEMENTS.items():
        part = (answer.get("Financials") or {}).get(section) or {}
        for periods, period in (("yearly", "FY"), ("quarterly", "Q")):
            for row in values(part.get(periods)):
                amounts = numbers(row)
                if not amounts:
                    continue  # It says nothing.
                filed_on = date(row.get("filing_date"))
                # No period is filed before it is over.
                filed_on = filed_on if filed_on and filed_on > date(row["date"]) else None
                yield record(
                    "financial_statement",
                    source="eodhd",
                    symbol=request.item,
                    statement=name,
                    period=period,
                    period_end=date(row["date"]),
                    currency=text(row.get("currency_symbol")) or text(part.get("currency_symbol")),
                    cik=ten_digits(said(general, "CIK")),
                    filed_on=filed_on,
                    revenue=number(row.get("totalRevenue")),
                    operating_income=number(row.get("operatingIncome")),
                    net_income=number(row.get("netIncome")),
                    total_assets=number(row.get("totalAssets")),
                    total_liabilities=number(row.get("totalLiab")),
                    total_equity=number(row.get("totalStockholderEquity")),
                    operating_cash_flow=number(row.get("totalCashFromOperatingActivities")),
                    free_cash_flow=number(row.get("freeCashFlow")),
                    metrics=dump(amounts),
                    known_at=request.known(day_after(filed_on, ZONES.get(request.item.rsplit(".", 1)[-1], "UTC"))),
                )


def rating(request, row):
    return record(
        "analyst_rating",
        source="eodhd",
        symbol=request.item,
        rated_on=date(request.received_at),
        rating=number(row.get("Rating")),
        target_price=number(row.get("TargetPrice")),
        strong_buy=number(row.get("StrongBuy")),
        buy=number(row.get("Buy")),
        hold=number(row.get("Hold")),
        sell=number(row.get("Sell")),
        strong_sell=number(row.get("StrongSell")),
        known_at=request.received_at,
    )


def insider(request, row):
    return record(
        "insider_transaction",
        source="eodhd",
        transaction_id=HASH,
        symbol=text(row.get("code")) or request.item,
        owner_name=text(row["ownerName"]),
        owner_cik=ten_digits(row.get("ownerCik")),
        owner_title=text(row.get("ownerTitle")),
        transaction_date=date(row.get("transactionDate")),
        transaction_code=text(row.get("transactionCode")),
        shares=number(row.get("transactionAmount")),
        price=number(row.get("transactionPrice")),
        acquired_disposed=text(row.get("transactionAcquiredDisposed")),
        shares_after=number(row.get("postTransactionAmount")),
        reported_on=date(row.get("reportDate")),
        link=text(row.get("secLink")) or text(row.get("link")),
        known_at=request.received_at,
    )


def insider_transactions(request, body):
    symbol, _, feed = request.item.partition("@")
    if feed != "form4":
        for row in load(body):
            yield insider(request, row)
        return
    for form in load(body)["data"]:
        for table_name in ("non_derivative", "derivative"):
            for place, line in enumerate(form.get(table_name) or []):
                is_holding = not line.get("transaction_code") and not line.get("transaction_date")
                yield record(
                    "insider_transaction",
                    source="eodhd",
                    transaction_id=f"{form['accession_number']}/{table_name}/{place}",
                    symbol=symbol,
                    accession_number=form["accession_number"],
                    form=text(form.get("form_type")) or "4",
                    table_name=f"{table_name}_holding" if is_holding else table_name,
                    owner_name=text(line["reporting_owner_name"]),
                    owner_cik=ten_digits(line.get("reporting_owner_cik")),
                    owner_title=relation(line),
                    security_title=text(line.get("security_title")),
                    transaction_date=date(line.get("transaction_date")),
                    transaction_code=text(line.get("transaction_code")),
                    shares=number(line.get("shares_amount")),
                    price=number(line.get("price_per_share")),
                    acquired_disposed=text(line.get("acquired_or_disposed")),
                    shares_after=number(line.get("shares_owned_after")),
                    ownership=text(line.get("direct_or_indirect")),
                    reported_on=date(form.get("filed_at")),
                    known_at=request.known(day_after(date(form.get("filed_at")), NEW_YORK)),
                )


def relation(line):
    """The office, else what makes an insider."""
    for name, said_so in (("is_director", "Director"), ("is_officer", "Officer"), ("is_ten_percent_owner", "10% owner")):
        if not text(line.get("officer_title")) and line.get(name) is True:
            return said_so
    return text(line.get("officer_title")) or text(line.get("other_text"))
