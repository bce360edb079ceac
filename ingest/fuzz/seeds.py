"""Makes the seeds of the fuzz targets of the recorded cases: seeds.py CASES CORPORA."""

import base64
import json
import sys
import zlib
from pathlib import Path

MAX_BYTES = 65536
# Targets whose cases stand in a folder of another name.
FOLDERS = {"pycoverage-sqlite": "coverage-sqlite", "opencover": "opencover"}


def put(target, case, number, content):
    if 0 < len(content) <= MAX_BYTES:
        folder = corpora / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"seed-{case.parent.name}-{case.name}-{number}").write_bytes(content)


def inputs(case):
    """The files of a case, in whichever way it has them."""
    yield from (path.read_bytes() for path in sorted(case.glob("input.*")))
    scenario = case / "scenario.json"
    if scenario.exists():
        for upload in json.loads(scenario.read_text()).get("uploads", []):
            files = upload.get("files", [])
            yield from (file["input"].encode() for file in files if "input" in file)


def bodies(case):
    """Whole bodies of uploads: (target, body)."""
    for content in inputs(case):
        yield "envelope-legacy", b"a/b.c\n<<<<<< network\n\n# path=r\n" + content + b"\n<<<<<< EOF\n"
        data = base64.b64encode(zlib.compress(content)).decode()
        file = {"filename": "r", "format": "base64+compressed", "data": data, "labels": ""}
        body = {"network_files": ["a/b.c"], "coverage_files": [file], "report_fixes": {}, "metadata": {}}
        yield "envelope-v1", json.dumps(body).encode()
    scenario = case / "scenario.json"
    if scenario.exists():
        for upload in json.loads(scenario.read_text()).get("uploads", []):
            if "raw" in upload:
                yield "envelope-legacy", upload["raw"].encode()
            if "v1" in upload:
                yield "envelope-v1", json.dumps(upload["v1"]).encode()


cases, corpora = Path(sys.argv[1]), Path(sys.argv[2])
targets = [path.stem.replace("_", "-") for path in (Path(__file__).parent / "targets").glob("*.rs")]
for target in targets:
    (corpora / target).mkdir(parents=True, exist_ok=True)
    for case in sorted((cases / FOLDERS.get(target, target)).glob("*")):
        for number, content in enumerate(inputs(case)):
            put(target, case, number, content)
for case in sorted(cases.glob("*/*")):
    for number, content in enumerate(inputs(case)):
        put("detect", case, number, content)
        start = content.lstrip()[:1]
        if start == b"<":
            put("scan-xml", case, number, content)
        if start in (b"{", b"["):
            put("scan-json", case, number, content)
    for number, (target, body) in enumerate(bodies(case)):
        put(target, case, number, body)
