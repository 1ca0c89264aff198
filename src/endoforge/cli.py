"""The command line: `endoforge COMMAND [FLAGS]`.

Each command is a configuration dataclass, whose fields are its flags, and a function that takes
it. Nothing heavy is imported until a command runs.
"""

import contextlib
import importlib
import inspect
import io
import logging
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, make_dataclass, replace
from typing import Any, get_type_hints

from endoforge import __version__
from endoforge.backends.wish import unread_choice, with_environment
from endoforge.core.errors import Resumable, UserError, mend_of
from endoforge.core.logs import LogLevel, level_of, start_logging
from endoforge.core.signals import end_on_interrupts, held_interrupts
from endoforge.core.text import shortened
from endoforge.habits import command_named, unread_log_level, without_separator
from endoforge.help_texts import explained

log = logging.getLogger(__name__)

EXIT_OK, EXIT_BUG, EXIT_USAGE, EXIT_INCOMPLETE, EXIT_INTERRUPTED = 0, 1, 2, 3, 130
ISSUES = "please report it with the output of the same command and --debug"


@dataclass(frozen=True)
class Command:
    """A subcommand: its line in the overview, its dataclass, and what runs it."""

    summary: str
    config: str
    """`module:ClassName`, imported when the command is parsed."""
    run: Callable[[Any], int | None] | str
    """A function, whose result is the exit code (None: 0), or `module:function` of which the result
    has `lines()` to print, and perhaps `incomplete`: whether it lacks a part of a video that
    couldn't be decoded."""
    in_processes: bool = False
    """Whether torchrun may start several processes of it."""


@dataclass(frozen=True, kw_only=True)
class General:
    """Flags of every command."""

    log_level: LogLevel = field(default_factory=lambda: level_of(os.environ))
    """How much to log on stderr. The environment variable ENDOFORGE_LOG sets the default."""

    debug: bool = False
    """Show the traceback of an error."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line `argv` (default: the process's) and exit."""
    end_on_interrupts()
    sys.exit(run(list(sys.argv[1:] if argv is None else argv)))


def run(argv: list[str]) -> int:
    """Run the command line and return its exit code.

    0 done, 1 bug or runs that no worker could make, 2 usage, 3 done but for a part of a video,
    130 interrupted.
    """
    debug = "--debug" in argv
    # PyTorch's threads wait for each other in busy loops; where another program wants the same
    # cores, long ones cost most of the speed. GNU's OpenMP reads this when PyTorch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    # OpenCV reads this when it is loaded. Its own limit is 2^30 pixels: gigabytes, for a file of
    # some kB that only it can read (`captures.pictures.MOST_PIXELS` is ours).
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**27))
    try:
        return _dispatch(argv)
    except UserError as error:
        return _fail(f"endoforge: error: {error}", EXIT_USAGE, debug)
    except Resumable:
        return _fail(f"endoforge: interrupted; go on with: {_resuming(argv)}", EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        return _fail("endoforge: interrupted", EXIT_INTERRUPTED, debug)
    except BrokenPipeError:
        sys.stdout = None  # nobody reads any more: don't flush at exit
        return EXIT_OK
    except OSError as error:
        return _fail(f"endoforge: error: {mend_of(error)}", EXIT_USAGE, debug)
    except Exception as error:
        kind = type(error).__name__
        return _fail(f"endoforge: bug: {kind}: {error} ({ISSUES})", EXIT_BUG, debug)


def _fail(line: str, code: int, debug: bool = False) -> int:
    if debug:
        for text in traceback.format_exc().splitlines():
            print(shortened(text), file=sys.stderr)
    if _rank() and code == EXIT_INTERRUPTED:
        return code  # the first process says it for all
    line = f"process {_rank()}: {line}" if _launched() else line
    try:
        print(shortened(line), file=sys.stderr, flush=True)
    except OSError:
        sys.stderr = None  # nowhere to say it; the code does, which a flush at exit would change
    return code


def _resuming(argv: list[str]) -> str:
    """The command that goes on with the training of this one."""
    command = shlex.join(["endoforge", *(word for word in argv if word != "--fresh")])
    return f"the same torchrun, {command}" if _launched() else command


def _launched() -> bool:
    """Did torchrun start this process?"""
    return "TORCHELASTIC_RUN_ID" in os.environ


def _rank() -> int:
    """The number of this process among those that torchrun started."""
    return int(os.environ.get("RANK", 0)) if _launched() else 0


def _dispatch(argv: list[str]) -> int:
    argv = argv[1:] if argv[:1] == ["--"] else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        _print(overview().splitlines())
        return EXIT_OK
    if argv[0] == "--version":
        _print([f"endoforge {__version__}"])
        return EXIT_OK
    name, args = command_named(argv[0], COMMANDS), argv[1:]
    command = COMMANDS[name]
    if _launched() and not command.in_processes:
        several = ", ".join(name for name, other in COMMANDS.items() if other.in_processes)
        raise UserError(f"{name} runs as one process; torchrun is for {several}")
    config, general = parse(name, args)
    # Of the processes that torchrun started the first speaks for all.
    quiet = _rank() and general.log_level != "debug"
    start_logging("error" if quiet else general.log_level)
    for line in (unread_log_level(args, os.environ), unread_choice(config, os.environ)):
        if line is not None:
            log.warning(line)
    config = with_environment(config, os.environ)
    if callable(command.run):
        return command.run(config) or EXIT_OK
    report = named(command.run)(config)
    _print(report.lines())
    return EXIT_INCOMPLETE if getattr(report, "incomplete", False) else EXIT_OK


def named(path: str) -> Any:
    """What `module:name` names; the module is imported now."""
    module, _, name = path.partition(":")
    with held_interrupts():
        return getattr(importlib.import_module(module), name)


def overview() -> str:
    """What `endoforge --help` prints."""
    width = max(len(name) for name in COMMANDS)
    lines = [
        f"EndoForge {__version__}: a polyp detector for colonoscopy video that needs no labelled",
        "video. Simulate a colon, record labelled frames, train, and measure.\n",
        "usage: endoforge COMMAND [FLAGS]        endoforge COMMAND --help",
        "",
        *(f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()),
        "",
        "New here? `endoforge demo` does it all in a few minutes.",
    ]
    return "\n".join(lines)


def parse(name: str, args: list[str]) -> tuple[Any, General]:
    """A command's configuration and the general flags, from its arguments.

    Raises UserError for what can't be used, and SystemExit(0) after --help.
    """
    import tyro

    config = named(COMMANDS[name].config)
    both = make_dataclass(config.__name__, [], bases=(General, config), kw_only=True, frozen=True)
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint), _named_stdout():
            parsed: Any = tyro.cli(
                explained(both, args),
                prog=f"endoforge {name}",
                description=inspect.cleandoc(config.__doc__ or ""),
                args=without_separator(args, _flags(both)),
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            _print([])  # --help may still be on its way
            raise
        raise UserError(f"{one_line(complaint.getvalue())} (endoforge {name} --help)") from None
    named("endoforge.roots.places:check_flags")(both, parsed)
    return _part(config, parsed), _part(General, parsed)


def _flags(config: type[Any]) -> set[str]:
    hints = get_type_hints(config, include_extras=True)
    names = {_named_otherwise(hints[field.name]) or field.name for field in fields(config)}
    return {*(f"--{name.replace('_', '-')}" for name in names), "--help", "-h"}


def _named_otherwise(hint: Any) -> str | None:
    """The name of a flag whose field can't have it: `from` is a word of Python's."""
    notes = getattr(hint, "__metadata__", ())
    return next((note.name for note in notes if getattr(note, "name", None)), None)


def _part(part: type[Any], parsed: Any) -> Any:
    """The fields of `parsed` that belong to the dataclass `part`."""
    return part(**{field.name: getattr(parsed, field.name) for field in fields(part)})


def one_line(complaint: str) -> str:
    """The message within tyro's box, without its frame, title and footer.

    After the message, tyro may suggest a flag: "Perhaps you meant:", then the flag on a line.
    """
    lines = [line.strip("│ ") for line in complaint.splitlines()]
    inside = [line for line in lines if line and not line.startswith(("╭", "╰"))]
    rules = [number for number, line in enumerate(inside) if set(line) == {"─"}]
    message = " ".join(inside[: rules[0]] if rules else inside).rstrip(".")
    message = re.sub(r"(?<=Expected one of )\(.*\)", _choices, message)
    if "Perhaps you meant:" in inside:
        suggestion = inside[inside.index("Perhaps you meant:") + 1].split(" ")[0]
        message += f"; perhaps you meant {suggestion}"
    return message


def _choices(listed: re.Match[str]) -> str:
    """tyro's tuple of choices, as text: shuffled, and with None, if a flag may be left out."""
    names = re.findall(r"'([^']*)'", listed[0])
    return ", ".join(sorted({*names} - {"None"}) if "None" in names else names)


def _datagen(config: Any) -> int:
    if config.print_randomization:
        ranges = named("endoforge.datagen.job:randomization_of")(config)
        _print(named("endoforge.sim.randomization:randomization_toml")(ranges).splitlines())
        return EXIT_OK
    generate = named("endoforge.datagen.generate:generate")
    seed = named("endoforge.datagen.seeds:seed_of")(config)
    report = generate(replace(config, seed=seed))
    _print(report.lines())
    if not report.lost:
        return EXIT_OK
    lost = ", ".join(str(one.run_index) for one in report.lost)
    line = f"endoforge: error: not complete: runs {lost}; the same command with --seed {seed}"
    return _fail(f"{line} --resume goes on", EXIT_BUG)


def _sim_view(config: Any) -> None:
    if config.mode == "datagen" and config.headless:
        from endoforge.datagen.config import DatagenConfig

        _datagen(
            DatagenConfig(
                seed=config.seed,
                randomization=config.randomization,
                output_root=config.output_root,
                max_frames=config.max_frames,
                resolution=config.resolution,
                renderer=config.renderer,
            )
        )
        return
    seed = named("endoforge.datagen.seeds:first_seed")(config.seed)
    _print(named("endoforge.view.serving:run_view")(config, seed).lines())


def _devices(config: Any) -> None:
    _print(named("endoforge.devices_command:device_lines")(config))


def _print(lines: list[str]) -> None:
    """Write lines to stdout; OSError, which names it, if that can't be done.

    What in them is no part of a line, such as escape codes in a name of a file, is escaped.
    """
    if not _rank():
        with _named_stdout():
            print("".join(f"{shortened(line)}\n" for line in lines), end="", flush=True)


@contextlib.contextmanager
def _named_stdout() -> Iterator[None]:
    """What is inside writes to stdout; an error that comes of it says so."""
    try:
        yield
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            sys.stdout = None  # it keeps what it couldn't write; don't try again at exit
            error.filename = "standard output"
        raise


COMMANDS = {
    "demo": Command(
        "the whole journey: simulate, prune, train, evaluate, and a report",
        "endoforge.demo.config:DemoConfig",
        "endoforge.demo.demo:run_demo",
    ),
    "sim-view": Command(
        "the live simulator in the browser: fly the scope, watch the detector",
        "endoforge.view.config:SimViewConfig",
        _sim_view,
    ),
    "datagen": Command(
        "simulate colonoscopies and record labelled frames as capture runs",
        "endoforge.datagen.config:DatagenConfig",
        _datagen,
    ),
    "prune-empty": Command(
        "copy the frames that show a polyp to another folder",
        "endoforge.captures.config:PruneConfig",
        "endoforge.captures.prune:prune_empty",
    ),
    "overlay-labels": Command(
        "draw the boxes of a run on its frames",
        "endoforge.captures.config:OverlayConfig",
        "endoforge.captures.overlay:overlay_labels",
    ),
    "import": Command(
        "turn labelled pictures of other tools, or a video, into capture runs",
        "endoforge.inference.config:ImportCommandConfig",
        "endoforge.inference.import_command:run_import_command",
    ),
    "convert": Command(
        "write capture runs in another tool's format",
        "endoforge.formats.config:ConvertConfig",
        "endoforge.formats.converting:run_convert",
    ),
    "train": Command(
        "train a detector, or go on with a training",
        "endoforge.train.config:TrainConfig",
        "endoforge.train.loop:train",
        in_processes=True,
    ),
    "train-hp": Command(
        "train with settings for a longer run",
        "endoforge.train.config:TrainHpConfig",
        "endoforge.train.loop:train",
        in_processes=True,
    ),
    "eval": Command(
        "measure a detector on every frame of a folder",
        "endoforge.evaluate.config:EvalConfig",
        "endoforge.report.eval_command:run_eval",
    ),
    "detect": Command(
        "find polyps in pictures and videos, draw them and write them down",
        "endoforge.inference.config:DetectConfig",
        "endoforge.inference.detecting_files:run_detect",
    ),
    "select": Command(
        "choose the frames of runs that are most worth labelling next",
        "endoforge.select.config:SelectConfig",
        "endoforge.select.select_command:run_select",
    ),
    "export": Command(
        "write a checkpoint as an ONNX file or a web page, checked first",
        "endoforge.export.config:ExportConfig",
        "endoforge.export.exporting:run_export",
    ),
    "card": Command(
        "write a model card for weights: what is known of them, and what isn't",
        "endoforge.cards.config:CardConfig",
        "endoforge.cards.card_command:run_card",
    ),
    "push": Command(
        "upload weights or shards to the Hugging Face Hub",
        "endoforge.hub.config:PushConfig",
        "endoforge.hub.pushing:run_push",
    ),
    "pull": Command(
        "download weights or shards from the Hugging Face Hub, and check them",
        "endoforge.hub.config:PullConfig",
        "endoforge.hub.pulling:run_pull",
    ),
    "bench": Command(
        "measure rendering, recording, training and detecting on this machine",
        "endoforge.bench.config:BenchConfig",
        "endoforge.bench.measuring:run_bench",
    ),
    "devices": Command(
        "list what can render and train here, and what is picked",
        "endoforge.devices_command:DevicesConfig",
        _devices,
    ),
}
