# SPDX-License-Identifier: MIT
"""The specification agrees with itself, with the recipes, and with the runtime."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from hetoci import assemble, keys, model
from hetoci import metadata as runtime
from hetoci.__main__ import KINDS
from hetoci.config import Config
from hetoci.errors import HetociError, MetadataError
from hetoci.workloads import FirmwareWorkload
from hetoci_lab import spec
from hetoci_lab.errors import LabError
from hetoci_lab.paths import tree

GOOD = sorted((spec.folder() / "examples" / "good").glob("*.json"))
BAD = sorted((spec.folder() / "examples" / "bad").glob("*.json"))
SCHEMAS = sorted((spec.folder() / "schema").glob("*.json"))
DOCUMENTS = sorted(spec.folder().rglob("*.md"))
ALL = ("*",)


def load(path: Path) -> Any:
    return spec.read_json(path.read_text(encoding="utf-8"), path.name)


def bad_cases() -> Iterator[Any]:
    for path in BAD:
        content = load(path)
        for case in content["cases"]:
            name = f"{path.stem}: {case['about']}"
            yield pytest.param(content["schema"], case, id=name)


def tables(markdown: str) -> Iterator[list[dict[str, str]]]:
    """The tables of a Markdown text, each as its rows by heading; code marks are dropped."""
    block: list[str] = []
    for line in [*markdown.splitlines(), ""]:
        if line.startswith("|"):
            if not set(line) <= set("|-: "):
                block.append(line)
        elif block:
            cells = [[c.strip().replace("`", "") for c in row.split("|")[1:-1]] for row in block]
            yield [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]
            block = []


def rows(document: str, *headings: str) -> list[dict[str, str]]:
    """All rows, of the tables that have these headings."""
    text = (spec.folder() / document).read_text(encoding="utf-8")
    return [row for table in tables(text) for row in table if set(headings) <= set(row)]


# the specification and itself


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_a_schema_is_a_schema(path: Path) -> None:
    Draft202012Validator.check_schema(load(path))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_good_example_is_good(path: Path) -> None:
    content = load(path)
    assert spec.problems(content["schema"], content["document"]) == []


@pytest.mark.parametrize(("schema", "case"), list(bad_cases()))
def test_a_bad_example_is_refused_for_its_reasons(schema: str, case: Mapping[str, Any]) -> None:
    found = spec.problems(schema, case["document"])
    assert [{"where": p.where, "reason": p.reason} for p in found] == case["problems"]
    assert all("\n" not in str(problem) for problem in found)


def test_every_schema_has_good_and_bad_examples() -> None:
    names = {path.name.removesuffix(".schema.json") for path in SCHEMAS}
    assert {load(path)["schema"] for path in GOOD} == names
    assert {load(path)["schema"] for path in BAD} == names


def test_every_key_is_in_a_good_example() -> None:
    used = {
        re.sub(r"\.(accelerator|endpoint)\.[^.]+\.", r".\1.<name>.", key)
        for path in GOOD
        if load(path)["schema"] == spec.METADATA
        for key in load(path)["document"]
    }
    assert {key.name for key in spec.known_keys()} <= used


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_examples_in_the_text_are_good(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for schema, example in re.findall(r"^```json schema=(\S+)\n(.*?)^```$", text, re.M | re.S):
        assert spec.problems(schema, spec.read_json(example, path.name)) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    quoted = re.compile(r"^>.*$", re.MULTILINE)  # text proposed for other documents
    text = quoted.sub("", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_the_tables_of_keys_are_the_schemas() -> None:
    found = {row["key"]: row for row in rows("metadata.md", "key", "type", "default", "status")}
    assert found.keys() == {key.name for key in spec.known_keys()}
    for key in spec.known_keys():
        row = found[key.name]
        assert (row["type"], row["default"], row["status"]) == (key.type, key.default, key.status)
        assert row["meaning"] == key.description
        shown = re.escape(row["example"]).replace("…", ".*")
        assert re.fullmatch(shown, key.example), key.name


def test_the_table_of_workloads_is_the_schemas() -> None:
    found = {row["workload"]: row["status"] for row in rows("metadata.md", "workload", "what runs")}
    (key,) = (key for key in spec.known_keys() if key.name == spec.WORKLOAD)
    assert found == dict(key.values)


def test_the_tables_of_aliases_are_the_schemas() -> None:
    found = {}
    for name in ("key", "variable"):
        for row in rows("mapping.md", name, "ours", "verdict", "status"):
            if row["verdict"] != "no" and row[name] in spec.aliases():
                found[row[name]] = (row["ours"], row["status"])
    wanted = {name: (a["key"], a["x-status"]) for name, a in spec.aliases().items()}
    assert found == wanted


def test_aliases_lead_to_keys_that_exist() -> None:
    assert {alias["key"] for alias in spec.aliases().values()} <= {
        key.name for key in spec.known_keys()
    }


@pytest.mark.parametrize("key", spec.known_keys(), ids=lambda key: key.name)
def test_a_key_keeps_the_rules_for_names(key: spec.Key) -> None:
    longest = key.spelt("a" * 16)
    assert len(longest) <= spec.KEY_LIMIT
    # Kubernetes: an annotation's name, and with /CONTAINER behind it, a DNS subdomain before it.
    assert re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", longest)
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", part) for part in longest.split("."))
    assert len(longest) + 4000 <= spec.PAIR_LIMIT


@pytest.mark.parametrize("key", spec.known_keys(), ids=lambda key: key.name)
def test_a_keys_example_has_its_type(key: spec.Key) -> None:
    found = spec.metadata_problems({key.spelt(): key.example})
    assert not [problem for problem in found if "right would be" in problem.reason]


@settings(max_examples=50)
@given(st.dictionaries(st.text(), st.one_of(st.text(), st.none(), st.integers()), max_size=5))
def test_no_metadata_breaks_the_checker(document: dict[str, Any]) -> None:
    assert all("\n" not in str(problem) for problem in spec.problems(spec.METADATA, document))


names = st.sampled_from([key.spelt() for key in spec.known_keys()]) | st.text().map(
    "io.hetoci.".__add__
)


@settings(max_examples=50)
@given(st.dictionaries(names, st.text(), min_size=1, max_size=5))
def test_no_value_of_our_keys_breaks_the_checker(document: dict[str, str]) -> None:
    assert all(
        problem.where in {"", spec.WORKLOAD, *document}
        for problem in spec.problems(spec.METADATA, document)
    )


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        ('{"a": "1"}'.encode("utf-16"), "is not JSON"),
        (b'{"a": NaN}', "has NaN"),
        (b'{"a": "1", "a": "2"}', "has 'a' more than once"),
        (b"[" * 100_000, "has 100000 bytes"),
        (b"[" * 60_000, "is not JSON"),
        (b"[]", "is a list"),
        (b'"x"', "is a string"),
        (b'{"io.hetoci.workload": 1}', "io.hetoci.workload is a number"),
    ],
)
def test_a_bad_labels_file_is_refused(raw: bytes, words: str) -> None:
    assert words in "; ".join(str(problem) for problem in spec.labels_problems(raw))


def test_a_good_labels_file_is_good() -> None:
    assert spec.labels_problems(b'{"io.hetoci.workload": "firmware", "a": "b\\nc"}') == []


def test_ten_thousand_labels_are_refused_whatever_they_are() -> None:
    many = {f"io.hetoci.accelerator.a{n}.bitstream": "/a" for n in range(10_000)}
    found = spec.metadata_problems({spec.WORKLOAD: "accelerator", **many})
    assert "has 10001 keys of the extension, 256 are allowed" in {p.reason for p in found}


def test_a_schema_that_is_not_there_is_named() -> None:
    with pytest.raises(LabError, match=r"no schema 'gpu'.*devices, image-metadata"):
        spec.schema("gpu")


@pytest.mark.parametrize(
    ("rate", "hertz"), [("100", 100), ("33.5k", 33_500), ("125M", 125e6), ("1G", 1e9), ("x", 0)]
)
def test_rates_are_in_hertz(rate: str, hertz: float) -> None:
    assert spec.hertz(rate) == hertz


# the specification and the recipes


def recipe_labels(containerfile: Path) -> dict[str, str]:
    path = tree() / "recipes" / "common" / "labels.py"
    found = importlib.util.spec_from_file_location("recipe_labels", path)
    assert found and found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    labels: dict[str, str] = module.labels(containerfile.read_text(encoding="utf-8"))
    return labels


@pytest.mark.parametrize(
    "path",
    sorted((tree() / "recipes").glob("*/Containerfile")),
    ids=lambda path: path.parent.name,
)
def test_a_recipes_labels_are_good(path: Path) -> None:
    assert spec.problems(spec.METADATA, recipe_labels(path)) == []


def test_the_labels_of_the_guide_to_images_are_good(tmp_path: Path) -> None:
    guide = (tree() / "docs/images.md").read_text(encoding="utf-8")
    path = tmp_path / "Containerfile"
    path.write_text(guide.split("```dockerfile\n")[1].split("```")[0])
    assert spec.problems(spec.METADATA, recipe_labels(path)) == []


# the specification and the runtime


def runtime_reasons(metadata: Mapping[str, Any]) -> list[str]:
    """What the runtime says against these annotations; empty if it takes them."""
    try:
        parsed(metadata, {})
    except MetadataError as error:
        return list(error.reasons)
    except HetociError as error:
        return [str(error)]
    return []


def parsed(annotations: Mapping[str, Any], labels: Mapping[str, Any]) -> Any:
    image = [("image label", labels)]
    return runtime.workload(
        runtime.Sources(annotations, image, args=("x.elf",)), Config({"image-keys": "*"})
    )


@pytest.fixture
def all_workloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runtime as its parser is: it also lets workloads pass that it does not run yet."""
    monkeypatch.setattr(runtime, "WORKLOADS", tuple(keys.TYPES["workload"].words))
    monkeypatch.setattr(runtime, "PLANNED", ())


def runtime_status(key: spec.Key) -> str:
    """What the runtime does: a key is implemented if a workload that it is for runs, and
    nothing says that the key is not acted on yet."""
    runs = {"all", *runtime.WORKLOADS} & set(key.workloads)
    return "implemented" if runs and key.name not in runtime.PLANNED else "planned"


@pytest.mark.parametrize("key", spec.known_keys(), ids=lambda key: key.name)
def test_a_keys_status_is_what_the_runtime_does(key: spec.Key) -> None:
    assert key.status == runtime_status(key)


@pytest.mark.parametrize("key", spec.known_keys(), ids=lambda key: key.name)
def test_a_planned_key_is_refused_with_a_sentence_that_says_so(key: spec.Key) -> None:
    workload = "firmware" if "all" in key.workloads else key.workloads[0]
    beside = {
        "accelerator": "io.hetoci.accelerator.hash.bitstream",
        "domain": "io.hetoci.domain.kernel",
    }
    if ".endpoint." in key.name:
        beside["accelerator"] = "io.hetoci.endpoint.hash.service"
    document = {spec.WORKLOAD: workload}
    if workload in beside:
        document[beside[workload]] = "x"
    document[key.spelt()] = workload if key.name == spec.WORKLOAD else key.example
    found = runtime_reasons(document)
    if key.status == "implemented":
        assert found == []
    else:
        assert found
        assert all("not run yet" in r or "not acted on yet" in r for r in found)


def test_a_workloads_status_is_what_the_runtime_does() -> None:
    (key,) = (key for key in spec.known_keys() if key.name == spec.WORKLOAD)
    found = {
        value: "implemented" if value in runtime.WORKLOADS else "planned" for value in key.values
    }
    assert found == dict(key.values)


def test_what_runs_has_verbs() -> None:
    assert set(runtime.WORKLOADS) == set(KINDS)


def test_the_runtime_reads_the_keys_that_are_specified() -> None:
    assert set(keys.all_names()) == {key.name for key in spec.known_keys()}


@pytest.mark.parametrize("name", sorted(spec.schema(spec.METADATA)["$defs"]))
def test_the_runtimes_types_are_the_schemas(name: str) -> None:
    rule = spec.schema(spec.METADATA)["$defs"][name]
    if name == "value":
        assert "at most 4000" in rule["description"]
        assert rule["maxLength"] == assemble.MAX_VALUE
        return
    assert keys.TYPES[name].right == rule["description"]


@pytest.mark.parametrize(
    "name",
    sorted(n for n, rule in spec.schema(spec.METADATA)["$defs"].items() if "pattern" in rule),
)
@settings(max_examples=50)
@given(data=st.data())
def test_the_runtimes_patterns_mean_what_the_schemas_mean(name: str, data: st.DataObject) -> None:
    pattern = spec.schema(spec.METADATA)["$defs"][name]["pattern"]
    right = st.from_regex(pattern)
    odd = st.text("019.,;-_ /{}slotahp=kMGKs~*\u0663äxXfF+:", max_size=12)
    text = data.draw(right | odd | st.tuples(right, odd).map("".join))
    if text.isprintable():  # others are refused before patterns are looked at
        assert (keys.TYPES[name].objection(text) is None) == bool(
            (re.search(pattern, text) and name != "clocks") or clocks_fit(name, text)
        )


def clocks_fit(name: str, text: str) -> bool:
    return name == "clocks" and not spec.metadata_problems(
        {
            spec.WORKLOAD: "accelerator",
            "io.hetoci.accelerator.a.bitstream": "/a",
            "io.hetoci.accelerator.a.clocks": text,
        }
    )


def test_the_runtimes_aliases_are_the_schemas() -> None:
    found = {name: alias.key for name, alias in {**keys.ALIASES, **keys.VARIABLES}.items()}
    assert found == {name: alias["key"] for name, alias in spec.aliases().items()}
    assert set(keys.ALIASES) == runtime.ALIASES


def test_an_aliass_status_is_what_the_runtime_does() -> None:
    status = {key.name: runtime_status(key) for key in spec.known_keys()}
    for name, alias in spec.aliases().items():
        assert alias["x-status"] == status[alias["key"]], name


def test_the_runtime_takes_the_longest_value() -> None:
    assert runtime_reasons({spec.WORKLOAD: "firmware", runtime.FIRMWARE: "/" + "a" * 3999}) == []


def test_a_users_alias_wins_over_the_images_key() -> None:
    labels = {spec.WORKLOAD: "firmware", "io.hetoci.firmware.core": "image"}
    assert parsed({runtime.ARM_CORE: "user"}, labels).core == "user"


GOOD_METADATA = [path for path in GOOD if path.stem.startswith("metadata-")]


@pytest.mark.parametrize("path", GOOD_METADATA, ids=lambda path: path.stem)
@pytest.mark.usefixtures("all_workloads")
def test_the_runtime_understands_good_examples(path: Path) -> None:
    assert runtime_reasons(load(path)["document"]) == []


@pytest.mark.parametrize("path", GOOD_METADATA, ids=lambda path: path.stem)
def test_the_runtime_takes_good_examples_it_implements_and_no_others(path: Path) -> None:
    document = load(path)["document"]
    status = {key.name: key.status for key in spec.known_keys()}
    used = [re.sub(r"(accelerator|endpoint)\.[^.]+\.", r"\1.<name>.", key) for key in document]
    implemented = document.get(spec.WORKLOAD, "firmware") in runtime.WORKLOADS and all(
        status.get(key, "implemented") == "implemented" for key in used
    )
    assert (runtime_reasons(document) == []) == implemented


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case["about"])
        for path in BAD
        if load(path)["schema"] == spec.METADATA
        for case in load(path)["cases"]
        if any(key.startswith(spec.PREFIX) for key in case["document"])
    ],
)
@pytest.mark.usefixtures("all_workloads")
def test_the_runtime_refuses_bad_examples_in_the_same_words(case: Mapping[str, Any]) -> None:
    wanted = [f"{p['where']} {p['reason']}" for p in case["problems"]]
    found = [
        reason.removeprefix("annotation ").replace("the metadata names", " names")
        for reason in runtime_reasons(case["document"])
    ]
    assert sorted(map(without_guess, found)) == sorted(map(without_guess, wanted))


def without_guess(reason: str) -> str:
    """A reason without what may differ: the nearest key, and how a key is quoted."""
    return re.sub(r"did you mean .*", "", reason).replace("'", "").replace("\n", "\\n")


def core() -> model.Core:
    found = model.Core("remoteproc0", "r5f@0", model.CoreType("Cortex-R5F", ((32, 40),)))
    found.state = "offline"
    found.memory = (model.MemoryRange("atcm0", 0, 0x10000),)
    return found


def test_the_runtimes_inventory_has_its_schema() -> None:
    busy = core()
    busy.memory = None
    busy.holder = model.Holder("echo", "/run/x", 5, "1")
    shown = json.loads(json.dumps([core().to_json(), busy.to_json()]))
    assert spec.problems("inventory", shown) == []


def test_the_runtimes_plan_has_its_schema() -> None:
    plan = model.Plan(
        FirmwareWorkload("/x.elf"),
        [core()],
        [(core(), ["is not allowed"])],
        [model.Step("claim", "remoteproc0"), model.Step("activate", "remoteproc0")],
    )
    assert spec.problems("plan", json.loads(json.dumps(plan.to_json()))) == []
