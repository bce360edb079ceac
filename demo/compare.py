"""Waits until Hitline has processed the demo's uploads and prints its totals beside the tools' own.

usage: compare.py URL API_TOKEN NAME=SHA=TOOL=FILE...
FILE is what the tool itself says: `coverage json` or the text of `lcov --summary`.
Exits 1 if any number differs or an upload was not processed.
"""

import json
import re
import sys
import time
import urllib.error
import urllib.request

WAIT_S = 60
POLL_S = 0.2
PENDING = ("started", "uploaded", "", None)


def get(url, token):
    request = urllib.request.Request(url, headers={"Authorization": "Bearer " + token})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def wait_until_processed(repo, sha, token):
    """Asks for the commit's uploads until none is pending; returns their states."""
    states = []
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        page = get(f"{repo}/commits/{sha}/uploads/", token)
        states = [upload["state"] for upload in page["results"]]
        if states and not any(state in PENDING for state in states):
            break
        time.sleep(POLL_S)
    return states


def tool_totals(tool, path):
    """Lines, covered and missed, as the tool counts them."""
    with open(path) as file:
        if tool == "coverage.py":
            totals = json.load(file)["totals"]
            return totals["num_statements"], totals["covered_lines"], totals["missing_lines"]
        covered, lines = map(int, re.search(r"lines\.*: .*\((\d+) of (\d+) lines?\)", file.read()).groups())
        return lines, covered, lines - covered


def main():
    url, token, *cases = sys.argv[1:]
    row = "{:<10} {:<14} {:>6} {:>8} {:>7}   {}"
    print(row.format("project", "says", "lines", "covered", "missed", ""))
    agree = True
    for case in cases:
        name, sha, tool, path = case.split("=", 3)
        repo = f"{url}/api/v2/github/acme/repos/{name}"
        states = wait_until_processed(repo, sha, token)
        theirs = tool_totals(tool, path)
        print(row.format(name, tool, *theirs, ""))
        try:
            totals = get(f"{repo}/totals/?sha={sha}", token)["totals"]
        except urllib.error.HTTPError as error:
            print(row.format(name, "Hitline", "-", "-", "-", f"{error}; uploads: {', '.join(map(str, states))}"))
            agree = False
            continue
        ours = totals["lines"], totals["hits"] + totals["partials"], totals["misses"]
        same = ours == theirs
        agree = agree and same
        note = f"{totals['partials']} of the covered lines partial: {'agrees' if same else 'DIFFERS'}"
        print(row.format(name, "Hitline", *ours, note))
    print()
    print("Covered: the line ran at all. Hitline calls such a line a hit or, where some branch was not taken, partial;")
    print("the tools count branches apart from lines. So Hitline's covered is hits + partials.")
    sys.exit(0 if agree else 1)


main()
