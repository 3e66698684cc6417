#!/usr/bin/env bash
# Classify a folder into a CSV file, then count the images of each class:
#
#     pip install ./client
#     examples/folder.sh photos results.csv
#
# Run it again after an interruption: it continues where it stopped. URL names another service than
# http://127.0.0.1:8000.
set -euo pipefail

mobilenet-gateway-client classify "$1" --output "$2" --url "${URL:-http://127.0.0.1:8000}" --top-k 1
python3 - "$2" <<'END'
import collections, csv, sys

with open(sys.argv[1], newline="") as file:
    counts = collections.Counter(row["label_1"] for row in csv.DictReader(file))
for label, count in counts.most_common():
    print(f"{count:6} {label}")
END
