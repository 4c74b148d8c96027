"""ICI: one table of flows, as a workbook or saved as text. Columns are read by place, not by their headings."""

import csv
import datetime
import decimal
import io
import re

from common import record

# FORMATS of the files: every other column is a spacer.
COLUMNS = {
    "total": 1,
    "equity": 3,
    "equity_domestic": 5,
    "equity_world": 7,
    "hybrid": 9,
    "bond": 11,
    "bond_taxable": 13,
    "bond_municipal": 15,
    "commodity": 17,
}
# Mutual funds are divided further, and hold no commodities.
MUTUAL_FUND_COLUMNS = {
    "total": 1,
    "equity": 3,
    "equity_domestic": 5,
    "equity_world": 17,
    "hybrid": 23,
    "bond": 25,
    "bond_taxable": 27,
    "bond_municipal": 39,
}
PARTS = {
    "total": ["equity", "hybrid", "bond", "commodity"],
    "equity": ["equity_domestic", "equity_world"],
    "bond": ["bond_taxable", "bond_municipal"],
}
FILES = {"combined": "combined_flows_data", "etf": "etf_flows_data", "mutual_fund": "flows_data"}


def flows(request, body):
    report, year = request.item.split("@")
    columns = MUTUAL_FUND_COLUMNS if report == "mutual_fund" else COLUMNS
    frequency = None
    for row in rows(body):
        head = row[0].strip() if isinstance(row[0], str) else row[0]
        if isinstance(head, str) and re.match(r"(?i)estimated weekly", head):
            frequency = "weekly"
        elif isinstance(head, str) and re.match(r"(?i)monthly", head):
            frequency = "monthly"
        period_end = day(head)
        if frequency is None or period_end is None:
            continue
        millions = {category: whole(row[place]) for category, place in columns.items()}
        for category, value in millions.items():
            parts = [millions[part] for part in PARTS.get(category, []) if part in millions]
            yield record(
                "etf_flow",
                source="ici",
                report=report,
                frequency=frequency,
                period_end=period_end,
                category=category,
                net_flow_millions=str(value),
                parts_deviation_millions=str(abs(value - sum(parts))) if parts else None,
                source_file=f"{FILES[report]}_{year}.xls",
                known_at=request.last_modified,
            )


def rows(body):
    """The rows of a text, or of the sheet of a workbook that has the table: a date is a text or a datetime.date."""
    if body.startswith(b"\xd0\xcf\x11\xe0"):
        return workbook(body)
    separator = "\t" if b"\t" in body else ","
    return [row for row in csv.reader(io.StringIO(body.decode()), delimiter=separator) if row]


def workbook(body):
    import xlrd  # Nothing else needs it.

    book = xlrd.open_workbook(file_contents=body)
    sheet = max(book.sheets(), key=lambda sheet: sheet.nrows)

    def value(cell):
        is_date = cell.ctype == xlrd.XL_CELL_DATE
        return xlrd.xldate_as_datetime(cell.value, book.datemode).date() if is_date else cell.value

    return [[value(cell) for cell in sheet.row(place)] for place in range(sheet.nrows)]


def day(head):
    if isinstance(head, datetime.date):
        return head.isoformat()
    if isinstance(head, str) and re.fullmatch(r"\d\d?/\d\d?/\d{4}", head):
        return datetime.datetime.strptime(head, "%m/%d/%Y").date().isoformat()
    return None


def whole(cell):
    """Millions, rounded; with commas in a text, where brackets are a minus."""
    text = str(cell).strip().replace(",", "")
    if text.startswith("("):
        text = "-" + text.strip("()")
    return int(decimal.Decimal(text).quantize(0, decimal.ROUND_HALF_UP))
