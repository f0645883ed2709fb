"""Check `classroom/values.yaml` against the schema that the chart of Zero to JupyterHub publishes.

    git clone https://github.com/jupyterhub/zero-to-jupyterhub-k8s
    uv run python -m classroom.chart zero-to-jupyterhub-k8s/jupyterhub 4.4.0

Validates our values, merged with the chart's own as Helm merges them, and writes `classroom/chart.json`: for each key
of ours the types that the schema allows. A test holds the values to it, so that no copy of the schema is needed here.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import yaml

HERE = Path(__file__).resolve().parent
VALUES, RECORD = HERE / "values.yaml", HERE / "chart.json"
NAMES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}


def keys(values: dict, above: str = "") -> Iterator[tuple[str, object]]:
    """Every key of nested values with what stands there: ("hub.config", {…}), ("cull.every", 300)."""
    for name, value in values.items():
        yield above + name, value
        if isinstance(value, dict):
            yield from keys(value, f"{above}{name}.")


def merged(below: dict, above: dict) -> dict:
    """As Helm merges values: dictionaries key by key, all else is replaced."""
    both = {
        name: merged(below[name], value) if isinstance(value, dict) and isinstance(below.get(name), dict) else value
        for name, value in above.items()
    }
    return below | both


def allowed(schema: dict, path: str) -> list[str] | None:
    """The types that the schema allows at this path; [] where anything is, None where the schema knows no such key."""
    for name in path.split("."):
        patterns = [part for pattern, part in schema.get("patternProperties", {}).items() if re.search(pattern, name)]
        others = schema.get("additionalProperties", True)
        named = [schema["properties"][name]] if name in schema.get("properties", {}) else patterns
        if not named and others is False:
            return None
        schema = named[0] if named else others if isinstance(others, dict) else {}
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def faults(values: dict, known: dict[str, list[str]]) -> list[str]:
    """What is wrong with the values, by the types of each key: a line for each fault."""
    found = []
    for path, value in keys(values):
        types = known.get(path)
        if types is None:
            found.append(f"{path} is no key of the chart")
        elif types and NAMES[type(value)] not in types and not ("number" in types and type(value) is int):
            found.append(f"{path} is {value!r}; the chart wants {' or '.join(types)}")
    return found


def main(arguments: list[str]) -> int:
    """The folder of the chart and its version in, the record out; 1 if a value is not allowed."""
    try:
        chart, version = Path(arguments[0]), arguments[1]
        schema, defaults = (yaml.safe_load((chart / f"values{kind}.yaml").read_text()) for kind in (".schema", ""))
    except (LookupError, OSError):
        print("give the folder of the chart, which holds values.schema.yaml and values.yaml, and its version")
        return 1
    ours = yaml.safe_load(VALUES.read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    problems = [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
        for error in jsonschema.Draft7Validator(schema).iter_errors(merged(defaults, ours))
    ]
    known = {path: types for path, _ in keys(ours) if (types := allowed(schema, path)) is not None}
    for line in problems + faults(ours, known):
        print(line)
    if not problems:
        record = {"chart": "jupyterhub (Zero to JupyterHub)", "version": version, "types": known}
        RECORD.write_text(json.dumps(record, indent=1) + "\n")
        print(f"{len(known)} keys agree with the schema; written to {RECORD.name}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
