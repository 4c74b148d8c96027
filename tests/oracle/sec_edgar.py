"""SEC EDGAR: tickers, filings and facts as JSON; forms 3, 4 and 5 as XML."""

import datetime
import re
import xml.etree.ElementTree as ElementTree
import zoneinfo

from common import NEW_YORK, clock, date, dump, instant, load, number, public, record, ten_digits, text

ZONE = zoneinfo.ZoneInfo(NEW_YORK)
# A day without a time: midnight, in New York or as UTC has it.
DAY_ALONE = re.compile("T0[045]:00:00")


def company_tickers(request, body):
    seen = set()
    for row in load(body).values():
        if row["ticker"] in seen:
            continue
        seen.add(row["ticker"])
        yield record(
            "company",
            source="sec_edgar",
            symbol=row["ticker"],
            name=text(row["title"]),
            cik=ten_digits(row["cik_str"]),
            known_at=request.last_modified,
        )


# Facts about a filer that are stored under a name of their own.
NAMED = {
    "cik", "name", "lei", "entityType", "sic", "sicDescription", "description", "website", "fiscalYearEnd",
    "formerNames", "filings",
}  # fmt: skip


def submissions(request, body):
    page = load(body)
    cik = ten_digits(request.item)
    if request.offset:
        yield from filings(request, cik, page)
        return
    yield from filings(request, cik, page["filings"]["recent"])
    other = {name: value for name, value in page.items() if name not in NAMED and value not in (None, "", [], {})}
    yield record(
        "company",
        source="sec_edgar",
        symbol=f"CIK{cik}",
        name=text(page["name"]),
        cik=cik,
        lei=text(page.get("lei")),
        kind=text(page.get("entityType")),
        exchange=page["exchanges"][0] if page.get("exchanges") else None,
        sic=text(page.get("sic")),
        industry=text(page.get("sicDescription")),
        description=text(page.get("description")),
        website=text(page.get("website")),
        fiscal_year_end=text(page.get("fiscalYearEnd")),
        former_names=[name["name"] for name in page.get("formerNames", [])],
        other=dump(other) if other else None,
        known_at=request.last_modified,
    )


def clocks(digits, received_at):
    """By which clocks a filing may have these digits: EDGAR takes filings from 6 to 22 in New York, and none of tomorrow."""
    possible = set()
    for zone in ("UTC", NEW_YORK):
        time = instant(clock(digits, zone))
        hour = time.astimezone(ZONE).hour
        if 6 <= hour <= 22 and time <= instant(received_at):
            possible.add(zone)
    return possible


def acceptance(digits, told, request):
    """When a filing was accepted, and the latest time that it can be; `told` are the clocks that the page's filings tell."""
    if not digits or DAY_ALONE.search(digits):
        return None, None
    own = clocks(digits, request.received_at)
    zones = own if len(own) == 1 else told
    accepted_at = clock(digits, *zones) if len(zones) == 1 else None
    return accepted_at, accepted_at or clock(digits, NEW_YORK)


def filings(request, cik, columns):
    times = [(text(time) or "").removesuffix("Z") for time in columns["acceptanceDateTime"]]
    told = [clocks(time, request.received_at) for time in times if time and not DAY_ALONE.search(time)]
    told = set().union(*(zones for zones in told if len(zones) == 1))
    for values, digits in zip(zip(*columns.values(), strict=True), times, strict=True):
        row = dict(zip(columns, values))
        accepted_at, latest = acceptance(digits, told, request)
        yield record(
            "filing",
            source="sec_edgar",
            cik=cik,
            accession_number=row["accessionNumber"],
            form=row["form"],
            filed_on=date(row["filingDate"]),
            reported_on=date(row["reportDate"]),
            accepted_at=accepted_at,
            act=text(row.get("act")),
            file_number=text(row.get("fileNumber")),
            film_number=text(row.get("filmNumber")),
            items=text(row.get("items")),
            size_bytes=number(row.get("size")),
            primary_document=text(row.get("primaryDocument")),
            primary_document_description=text(row.get("primaryDocDescription")),
            core_type=text(row.get("core_type")),
            is_xbrl=number(row.get("isXBRL")),
            is_inline_xbrl=number(row.get("isInlineXBRL")),
            known_at=request.known(public(latest, date(row["filingDate"]), row["form"])),
        )


def company_facts(request, body):
    for taxonomy, concepts in load(body)["facts"].items():
        for concept, said in concepts.items():
            for unit, facts in said["units"].items():
                for fact in facts:
                    yield record(
                        "xbrl_fact",
                        source="sec_edgar",
                        cik=ten_digits(request.item),
                        taxonomy=taxonomy,
                        concept=concept,
                        unit=unit,
                        period_type="duration" if "start" in fact else "instant",
                        period_start=date(fact.get("start", fact["end"])),
                        period_end=date(fact["end"]),
                        accession_number=fact["accn"],
                        value=number(fact["val"]),
                        fiscal_year=number(fact.get("fy")),
                        fiscal_period=text(fact.get("fp")),
                        form=fact["form"],
                        filed_on=date(fact["filed"]),
                        frame=text(fact.get("frame")),
                        known_at=request.known(public(None, date(fact["filed"]), fact["form"])),
                    )


def ownership(request, body):
    cik, accession, _ = re.split("[,/]", request.item)
    document = body.decode()
    filed = re.search(r"FILED AS OF DATE:\s*(\d{4})(\d\d)(\d\d)", document)
    filed_on = "-".join(filed.groups()) if filed else None
    accepted = re.search(r"<ACCEPTANCE-DATETIME>\s*(\d{14})", document)
    accepted_at = None
    if accepted:
        accepted_at = clock(datetime.datetime.strptime(accepted.group(1), "%Y%m%d%H%M%S").isoformat(), NEW_YORK)
    if filed:
        document = document.split("<XML>")[1].split("</XML>")[0].strip()
    root = ElementTree.fromstring(document)
    owners = root.findall("reportingOwner")
    signed_on = date(text(root.findtext("ownerSignature/signatureDate")))
    symbol = text(root.findtext("issuer/issuerTradingSymbol"))
    for line, table, place in lines(root):
        shares = amount(line, "transactionAmounts/transactionShares")
        if table == "derivative_holding":
            shares = amount(line, "underlyingSecurity/underlyingSecurityShares")
        yield record(
            "insider_transaction",
            source="sec_edgar",
            transaction_id=f"{accession[:10]}-{accession[10:12]}-{accession[12:]}/{table}/{place}",
            symbol=None if symbol and symbol.upper() in ("NONE", "N/A", "NA") else symbol,
            issuer_cik=ten_digits(root.findtext("issuer/issuerCik")),
            accession_number=f"{accession[:10]}-{accession[10:12]}-{accession[12:]}",
            form=text(root.findtext("documentType")),
            table_name=table,
            owner_name="; ".join(text(owner.findtext("reportingOwnerId/rptOwnerName")) for owner in owners),
            owner_cik=ten_digits(owners[0].findtext("reportingOwnerId/rptOwnerCik")),
            owner_title=title(owners[0].find("reportingOwnerRelationship")),
            security_title=value(line, "securityTitle"),
            transaction_date=date(value(line, "transactionDate")),
            transaction_code=text(line.findtext("transactionCoding/transactionCode")),
            shares=shares,
            price=amount(line, "transactionAmounts/transactionPricePerShare"),
            acquired_disposed=value(line, "transactionAmounts/transactionAcquiredDisposedCode"),
            shares_after=amount(line, "postTransactionAmounts/sharesOwnedFollowingTransaction"),
            ownership=value(line, "ownershipNature/directOrIndirectOwnership"),
            reported_on=filed_on or signed_on,
            link=f"https://www.sec.gov/Archives/edgar/data/{'/'.join(re.split('[,/]', request.item))}",
            known_at=request.known(public(accepted_at, filed_on, text(root.findtext("documentType")))),
        )


def lines(root):
    """The lines of both tables, each with its number in the table."""
    for table, name in (("nonDerivativeTable", "non_derivative"), ("derivativeTable", "derivative")):
        for place, line in enumerate(root.findall(f"{table}/*"), start=1):
            yield line, f"{name}_holding" if line.tag.endswith("Holding") else name, place


def value(line, path):
    return text(line.findtext(f"{path}/value"))


def amount(line, path):
    """A number; None where it is in a footnote alone."""
    return number(value(line, path))


def title(relation):
    """Office and relations of an owner to the issuer."""
    if relation is None:
        return None

    def is_one(name):
        return (text(relation.findtext(name)) or "").lower() in ("1", "true")

    said = [text(relation.findtext("officerTitle")) or ("Officer" if is_one("isOfficer") else None)]
    said.append("Director" if is_one("isDirector") else None)
    said.append("10% Owner" if is_one("isTenPercentOwner") else None)
    said.append(text(relation.findtext("otherText")))
    return "; ".join(part for part in said if part) or None
