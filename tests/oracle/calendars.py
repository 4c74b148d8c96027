"""When markets trade, by PyPI's exchange_calendars: a line for each calendar and each day with what it says of it.

Without a session there is but the name and the date; else when the session opens and closes follows, in UTC.

    python3 tests/oracle/calendars.py 2024-11-28 2024-11-29 XNYS 24/7
"""

import sys

import exchange_calendars
import pandas


def main():
    first, last, *names = sys.argv[1:]
    for name in names:
        # Left to itself a calendar ends a year from today.
        schedule = exchange_calendars.get_calendar(name, start=first, end=last).schedule
        sessions = dict(zip(schedule.index, zip(schedule["open"], schedule["close"])))
        for day in pandas.date_range(first, last):
            print(name, day.date(), *(instant.isoformat() for instant in sessions.get(day, ())))


if __name__ == "__main__":
    main()
