"""`rejoinder`: the group, its lazily imported commands, and what a person sees when something is wrong."""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

import click

from rejoinder.core.errors import BadFile, RejoinderError

#: Command → its module (attribute `command`, or the one it says) and the one line of `rejoinder --help`. Modules are
#: imported when called.
COMMANDS = {
    "demo": ("rejoinder.cli.demo", "The whole loop with simulated people, and a report"),
    "up": ("rejoinder.cli.up", "Run every service on this machine"),
    "import": ("rejoinder.cli.import_", "Read chat logs into a data folder or a running service"),
    "observe": ("rejoinder.cli.observe", "Read topics, files and posted turns of applications, continuously"),
    "satisfaction": ("rejoinder.cli.satisfaction", "How satisfied people are, by version, reason, source or day"),
    "signals": ("rejoinder.cli.signals", "Read follow-ups as SAT/DSAT; evaluate on labelled turns; audit your own"),
    "trace": ("rejoinder.cli.trace", "From an answer, event, version, round or ticket to everything behind it"),
    "looks": ("rejoinder.cli.looks", "Who was shown users' words, and when"),
    "erase": ("rejoinder.cli.erase", "Forget a user everywhere; answers with a ticket"),
    "ledger": ("rejoinder.cli.ledger", "Bring the ledger's tables up to this version"),
    "deadletters": ("rejoinder.cli.deadletters", "What could not be used, by reason; put it back"),
    "replay": ("rejoinder.cli.replay", "Rebuild the ledger from the log and compare digests"),
    "round": ("rejoinder.cli.round", "Plan a round, run it, compare two"),
    "rollout": ("rejoinder.cli.rollout", "Plan a rollout, start it, look at it, decide"),
    "export": ("rejoinder.cli.export", "Write pairs as JSON Lines for TRL"),
    "evaluate": ("rejoinder.cli.evaluate", "Measure a policy, choices and judges; a page about your own rounds"),
    "reward": ("rejoinder.cli.reward", "Evaluate the reward head on people's choices"),
    "models": ("rejoinder.cli.models", "Build the embedded models"),
    "compile": ("rejoinder.cli.compile", "An encoder in bf16, int8, fp16, with what each costs and gains"),
    "triton-repo": ("rejoinder.cli.triton:repo", "Write a model's version into a Triton server's repository"),
    "triton-keep": ("rejoinder.cli.triton:keep", "Keep a Triton server at what its repository holds, and heal it"),
}


class LazyGroup(click.Group):
    """Lists every command without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        return getattr(importlib.import_module(module), attribute or "command")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rejoinder")
def group() -> None:
    """From what users show in use to a better served model."""


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; a person's mistake is one line on stderr and exit status 2, never a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = group.main(arguments, prog_name="rejoinder", standalone_mode=False)
    except RejoinderError as error:
        _report(error, as_json="--json" in arguments)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        # A path that cannot be, a full disk, a folder of somebody else's: the system's own words and the path.
        _report(BadFile(unusable(error), file=error.filename), as_json="--json" in arguments)
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)


def unusable(error: OSError) -> str:
    """One line for a person: what the system said, and of which file."""
    said = (error.strerror or type(error).__name__).lower()
    return f"{error.filename}: {said}" if error.filename else said


def _report(error: RejoinderError, as_json: bool) -> None:
    if as_json:
        facts: dict[str, Any] = {"reason": error.reason, "message": error.message, **error.metadata}
        click.echo(json.dumps({"error": facts}), err=True)
    else:
        click.echo(f"error: {error.message} ({error.reason})", err=True)


if __name__ == "__main__":
    main()
