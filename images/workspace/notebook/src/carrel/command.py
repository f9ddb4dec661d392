"""The `carrel` command of a workspace."""

import argparse
import sys
import time

from .desk import DeskAwayError, DeskRefusedError, explain, me, why
from .show import ExplanationView, MeView, RefusalsView, as_json

_WATCH_SECONDS = 1.0
_COMPLETION = """\
_carrel() {
  local word=${COMP_WORDS[COMP_CWORD]}
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "why explain me completion" -- "$word"))
  else
    case ${COMP_WORDS[1]} in
      why) COMPREPLY=($(compgen -W "--json --last --watch --help" -- "$word")) ;;
      explain | me) COMPREPLY=($(compgen -W "--json --help" -- "$word")) ;;
    esac
  fi
}
complete -F _carrel carrel
"""
_EPILOG = """\
examples:
  carrel why                    what was refused lately, and what to do
  carrel why --last 3 --json    the same as data
  carrel why --watch            each refusal as it happens; end with Ctrl-C
  carrel explain pypi:numpy     whether a package could be installed
  carrel explain 8.8.8.8:443    whether an address could be reached
  carrel me                     under which grant this workspace runs

exit codes: 0 done or allowed, 1 refused (explain), 2 not understood, 3 no desk answers
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        return int(given.run(given))
    except DeskRefusedError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except DeskAwayError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:
        # `carrel why | head` is no fault.
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="carrel",
        description="Ask Carrel from inside your workspace.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    refused = commands.add_parser("why", help="What was refused lately, and what to do.")
    refused.add_argument("--last", type=int, default=20, metavar="N", help="At most N (20).")
    refused.add_argument("--watch", action="store_true", help="Tell each refusal as it happens.")
    refused.set_defaults(run=_why)
    would = commands.add_parser("explain", help="Whether something could be reached, and why.")
    would.add_argument("target", help="pypi:numpy, example.org or 8.8.8.8:443")
    would.set_defaults(run=_explain)
    mine = commands.add_parser("me", help="Under which grant this workspace runs.")
    mine.set_defaults(run=_me)
    for each in (refused, would, mine):
        each.add_argument("--json", action="store_true", help="Print data instead of text.")
    shell = commands.add_parser("completion", help="Print completion for bash.")
    shell.set_defaults(run=_completion)
    return parser


def _why(given: argparse.Namespace) -> int:
    if given.watch:
        return _watch(given)
    _print(why(last=given.last), given)
    return 0


def _watch(given: argparse.Namespace) -> int:
    seen: dict[tuple[object, ...], int] = {}
    while True:
        told = why(last=200)
        fresh = []
        for each in told.refusals:
            key = (each.protocol, each.address, each.port, each.name, each.layer, each.rule)
            if seen.get(key) != each.count:
                seen[key] = each.count
                fresh.append(each)
        if fresh:
            _print(RefusalsView(tuple(fresh), lost=told.lost, total=told.total), given)
            sys.stdout.flush()
        time.sleep(_WATCH_SECONDS)  # noqa: TID251 - the desk's list changes once a second


def _explain(given: argparse.Namespace) -> int:
    told = explain(given.target)
    _print(told, given)
    return 0 if told.allowed else 1


def _me(given: argparse.Namespace) -> int:
    _print(me(), given)
    return 0


def _completion(given: argparse.Namespace) -> int:  # noqa: ARG001 - as the others
    sys.stdout.write(_COMPLETION)
    return 0


def _print(view: RefusalsView | ExplanationView | MeView, given: argparse.Namespace) -> None:
    text = as_json(view) if given.json else view.text(colour=sys.stdout.isatty())
    sys.stdout.write(text + "\n")
