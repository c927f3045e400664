"""count_tests.py EVENTS FAILURES: prints "passed failed skipped" of one `bazel test --build_event_json_file=EVENTS`.

Single tests are counted, from the XML of each target. What failed is added to the file FAILURES, a line each.
"""

import json
import os
import sys
import urllib.parse
import xml.etree.ElementTree as ET

# Bazel's exit codes that say nothing which the tests haven't said.
QUIET_EXITS = {"SUCCESS", "TESTS_FAILED", "NO_TESTS_FOUND"}


def read_events(path):
    try:
        with open(path, encoding="utf-8") as stream:
            return [json.loads(line) for line in stream]
    except (OSError, ValueError):
        return []  # Bazel died before it wrote any


def xml_path(result):
    for output in result.get("testActionOutput", []):
        if output.get("name") == "test.xml":
            return urllib.parse.unquote(urllib.parse.urlparse(output["uri"]).path)
    return ""


def count_xml(label, path):
    """(passed, names of the failed, skipped) of one target."""
    passed, failed, skipped = 0, [], 0
    for case in ET.parse(path).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(f"{label} {case.get('classname', '')}.{case.get('name')}")
        elif case.find("skipped") is not None or case.get("status") == "notrun":
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def count_target(label, result):
    good = result["status"] in ("PASSED", "FLAKY")
    try:
        passed, failed, skipped = count_xml(label, xml_path(result))
    except (OSError, ET.ParseError):
        passed, failed, skipped = int(good), [], 0
    if not good and not failed:
        failed = [f"{label} {result['status']}"]
    return passed, failed, skipped


def main():
    events = read_events(sys.argv[1])
    config = os.path.splitext(os.path.basename(sys.argv[1]))[0]
    passed, failed, skipped = 0, [], 0
    exit_name = "it said nothing"
    for event in events:
        kind = event["id"]
        if "testResult" in event:
            counts = count_target(kind["testResult"]["label"], event["testResult"])
            passed, failed, skipped = passed + counts[0], failed + counts[1], skipped + counts[2]
        elif "completed" in event and not event["completed"].get("success"):
            failed.append(f"{kind['targetCompleted']['label']} doesn't build")
        elif "finished" in event:
            exit_name = event["finished"]["exitCode"]["name"]
    if not failed and exit_name not in QUIET_EXITS:
        failed.append(f"bazel: {exit_name}")
    with open(sys.argv[2], "a", encoding="utf-8") as stream:
        stream.writelines(f"{config}: {name}\n" for name in failed)
    print(passed, len(failed), skipped)


if __name__ == "__main__":
    main()
