"""Audit pinned requirements or installed packages for known vulnerabilities.

    python -m container.audit (-r FILE | --path FOLDER)...

A known vulnerability is a failure. If the advisory service does not answer or knows none of the
packages, the audit is skipped with a message.
"""

import json
import subprocess
import sys
from typing import Any

TIMEOUT_S = 10  # for each answer of the service
TOTAL_TIMEOUT_S = 120


def report(arguments: list[str]) -> tuple[list[dict[str, Any]], str]:
    """The findings of pip-audit for each package, and the last line of its output."""
    command = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--format", "json",
               "--timeout", str(TIMEOUT_S), *arguments]  # fmt: skip
    if "-r" in arguments:  # pinned and hashed: nothing to resolve, nothing to install
        command += ["--disable-pip", "--require-hashes"]
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=TOTAL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return [], f"no answer within {TOTAL_TIMEOUT_S} s"
    said = (run.stderr.strip().splitlines() or [""])[-1]
    try:
        return json.loads(run.stdout)["dependencies"], said
    except ValueError:
        return [], said


def main(arguments: list[str]) -> None:
    packages, said = report(arguments)
    audited = [package for package in packages if "vulns" in package]
    if not audited:
        reasons = {package.get("skip_reason", "").partition(":")[0] for package in packages}
        print(f"audit: skipped, no advisory data: {', '.join(sorted(reasons)) or said}")
        return
    found = [
        f"{package['name']} {package['version']}: {known['id']}"
        for package in audited
        for known in package["vulns"]
    ]
    print(f"audit: {len(audited)} packages, {len(found)} known vulnerabilities")
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main(sys.argv[1:])
