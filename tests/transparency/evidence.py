# SPDX-License-Identifier: Apache-2.0
"""What becomes of the possible findings of a real program as evidence grows: from the orders of its locks alone,
from everything it synchronised with, and from runs that are steered into them. A finding is known by its fingerprint."""
import collections
import dataclasses
import json
import subprocess

# A lock that a thread held when it ended is no order of locks.
NOT_AN_ORDER = "held-at-exit"


@dataclasses.dataclass
class Finding:
    verdict: str
    summary: str
    source: object  # the file that gordian confirm reads it from
    number: int     # in there


@dataclasses.dataclass
class Evidence:
    verdicts: collections.Counter  # of the findings, in the end
    steered: int                   # runs
    words: list


def read_findings(path, source):
    """{fingerprint: Finding}; of several with one, what is least settled."""
    settled = {"possible": 0, "proved": 1, "refuted": 2}
    found = {}
    if not path.exists():
        return found
    for number, finding in enumerate(json.loads(path.read_text(encoding="utf-8")).get("findings", []), 1):
        if finding["kind"] == NOT_AN_ORDER:
            continue
        one = Finding(finding["verdict"], finding["summary"], source, number)
        known = found.get(finding["fingerprint"])
        if known is None or settled.get(one.verdict, 0) < settled.get(known.verdict, 0):
            found[finding["fingerprint"]] = one
    return found


def is_confirmed(program, gordian, folder, finding, seed):
    report = folder / "confirmed.json"
    report.unlink(missing_ok=True)
    program.run([str(gordian), "confirm", "--quiet", f"--replay={seed}", f"--finding={finding.number}", "--json", str(report),
                 str(finding.source), "--"], folder)
    return any(one.verdict == "confirmed" for one in read_findings(report, report).values())


def gather(program, gordian, folder, runs):
    """One recorded run of `program` under its load, and up to `runs` steered ones for each finding it leaves open."""
    orders, recording, predicted = folder / "orders.json", folder / "run.grec", folder / "predicted.json"
    program.run([str(gordian), "run", "--quiet", "--json", str(orders), "--record", str(recording), "--"], folder)
    subprocess.run([gordian, "predict", "--quiet", "--json", predicted, recording], check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=600)
    findings = {**read_findings(orders, orders), **read_findings(predicted, recording)}
    seen = Evidence(collections.Counter(), 0, [])
    for finding in findings.values():
        for seed in range(1, runs + 1) if finding.verdict in ("possible", "proved") else ():
            seen.steered += 1
            if is_confirmed(program, gordian, folder, finding, seed):
                finding.verdict = "confirmed"
                break
        seen.verdicts[finding.verdict] += 1
        seen.words.append(f"{finding.verdict}, {finding.summary}")
    return seen
