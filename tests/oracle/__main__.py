"""A second reading of the providers' responses, to hold the parsers against. Shares no code and no library with them.

Written from what is known of the formats and from the declarations in `schemas/`. Reads requests from standard input,
a JSON object a line with `source`, `endpoint`, `item`, `offset`, `received_at`, `last_modified` and `file`, and writes
for each a line with the list of its records, sorted by dataset and key: every field but `observed_at`, which is the time
of receipt, and `flags`, which the consumer sets. Numbers are text, exactly as read; times are RFC 3339, in UTC.

    echo '{"source":"fred","endpoint":"series","item":"GDP","offset":0,"received_at":"2026-11-20T12:00:00Z",
      "last_modified":null,"file":"sources/fixtures/fred/series/GDP.json"}' | python3 tests/oracle
"""

import importlib
import json
import sys
import traceback

from common import Request, key


def main():
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            source = importlib.import_module(asked["source"])
            with open(asked["file"], "rb") as file:
                body = file.read()
            request = Request(asked["item"], asked["offset"], asked["received_at"], asked["last_modified"])
            records = sorted(getattr(source, asked["endpoint"])(request, body), key=key)
            print(json.dumps({"records": records}))
        except Exception:
            print(json.dumps({"error": traceback.format_exc()}))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
