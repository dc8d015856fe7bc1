# SPDX-License-Identifier: MIT
"""Understanding the command line an engine gives to a runtime.

Engines speak the dialects of runc (Go's flag package: one or two dashes, `--opt value` or
`--opt=value`) and crun. Only what decides "is this ours, and which container" is parsed;
a delegate always gets the words exactly as they came. No argparse: this module is on the
path of every verb of every plain container.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Global options of runc and crun that take a value.
GLOBAL_VALUES = frozenset(
    ("cgroup-manager", "criu", "log", "log-format", "log-level", "root", "rootless")
)

#: Options of each verb that take a value: runc's and crun's together.
VERB_VALUES: dict[str, frozenset[str]] = {
    verb: frozenset(options.split())
    for verb, options in {
        "create": "bundle b config f console-socket pid-file preserve-fds",
        "run": "bundle b config f console-socket pid-file preserve-fds",
        "restore": "bundle b console-socket image-path work-path parent-path pid-file"
        " manage-cgroups-mode empty-ns lsm-profile lsm-mount-context",
        "checkpoint": "image-path work-path parent-path status-fd page-server"
        " manage-cgroups-mode empty-ns",
        "exec": "apparmor a cap c cgroup console-socket cwd env e gid-list pid-file process p"
        " preserve-fds process-label user u additional-gids g",
        "ps": "format f",
        "list": "format f",
        "events": "interval",
        "kill": "regex r",
        "delete": "regex r",
        "update": "resources r blkio-weight cpu-period cpu-quota cpu-burst cpu-rt-period"
        " cpu-rt-runtime cpu-share cpuset-cpus cpuset-mems kernel-memory kernel-memory-tcp"
        " memory memory-reservation memory-swap pids-limit l3-cache-schema mem-bw-schema"
        " cpu-idle",
        "spec": "bundle b",
        "devices": "format f",
        "ps-all": "format f",
        "plan": "",
        "image": "",
        "reap": "",
        "start": "",
        "state": "",
        "pause": "",
        "resume": "",
        "features": "",
        "help": "",
        "version": "",
        "mounts": "",
    }.items()
}

#: Verbs that are hetoci's own: never given to the delegate.
OWN_VERBS = frozenset(("devices", "plan", "reap", "ps-all", "image", "help", "version", "features"))

#: Verbs that name an existing container in their first positional word.
CONTAINER_VERBS = frozenset(
    (
        "start",
        "state",
        "kill",
        "delete",
        "exec",
        "ps",
        "pause",
        "resume",
        "events",
        "update",
        "checkpoint",
        "mounts",
    )
)


class CommandLine:
    """The parsed command line: `verb` is None when only global options were given; verb_at is
    its index in argv."""

    __slots__ = ("argv", "global_options", "options", "positional", "verb", "verb_at")

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = list(argv)
        self.global_options: dict[str, str] = {}
        self.options: dict[str, str] = {}
        self.positional: list[str] = []
        self.verb: str | None = None
        self.verb_at = 0

    @property
    def root(self) -> str:
        """The engine's --root, or "" when none was given."""
        return self.global_options.get("root", "")

    def flag(self, *names: str) -> bool:
        """True if one of the verb's boolean options `names` is set."""
        return any(self.options.get(name, "false") not in ("false", "0") for name in names)

    def value(self, *names: str) -> str | None:
        """The value of the first of the verb's options `names` that was given."""
        for name in names:
            if name in self.options:
                return self.options[name]
        return None


def _take(words: Sequence[str], at: int, takes: frozenset[str], into: dict[str, str]) -> int:
    """Record the option at words[at]; return the index of the next word."""
    name = words[at].lstrip("-")
    if "=" in name:
        name, _, value = name.partition("=")
        into[name] = value
        return at + 1
    if name in takes:
        into[name] = words[at + 1] if at + 1 < len(words) else ""
        return at + 2
    into[name] = "true"
    return at + 1


def parse(argv: Sequence[str]) -> CommandLine:
    """Parse `argv` (without the program's name). Never fails: doubtful words are kept as
    positional ones, and the delegate is the judge of its own options."""
    line = CommandLine(argv)
    at = 0
    while at < len(argv) and line.verb is None:
        word = argv[at]
        if len(word) > 1 and word[0] == "-":
            at = _take(argv, at, GLOBAL_VALUES, line.global_options)
        else:
            line.verb = word
            line.verb_at = at
            at += 1
    takes = VERB_VALUES.get(line.verb or "", frozenset())
    while at < len(argv):
        word = argv[at]
        if word == "--":
            line.positional.extend(argv[at + 1 :])
            break
        if len(word) > 1 and word[0] == "-" and not _is_signal(line, word):
            at = _take(argv, at, takes, line.options)
            continue
        line.positional.append(word)
        at += 1
        if line.verb == "exec":  # what follows the id is the program's own command line
            line.positional.extend(argv[at:])
            break
    return line


def _is_signal(line: CommandLine, word: str) -> bool:
    """True for `kill ID -9`, which is a signal and no option."""
    return line.verb == "kill" and bool(line.positional) and word[1:].isdigit()


def with_bundle(line: CommandLine, path: str) -> list[str]:
    """The words of `line` (create or run) with `path` as the bundle."""
    words = line.argv
    start = line.verb_at + 1
    takes = VERB_VALUES.get(line.verb or "", frozenset())
    kept = [*words[:start], "--bundle", path]
    at = start
    while at < len(words):
        word = words[at]
        if word == "--":
            kept.extend(words[at:])
            break
        if len(word) < 2 or word[0] != "-":
            kept.append(word)
            at += 1
            continue
        option: dict[str, str] = {}
        end = _take(words, at, takes, option)
        if not option.keys() & {"bundle", "b"}:
            kept.extend(words[at:end])
        at = end
    return kept
