"""`dnslb simulate`: the words typed."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

import click

from dnslb.answer.service import ServiceType
from dnslb.cli import known
from dnslb.cli.options import Failed, config_option, errors_shown, json_option
from dnslb.cli.output import emit, emit_json
from dnslb.cli.simulate import text, words
from dnslb.cli.simulate.progress import Progress
from dnslb.cli.simulate.subject import Changes, Subject, of_configuration, of_weights
from dnslb.pool.member import Policy
from dnslb.simulation import figures
from dnslb.simulation.authorities import Authority, Workers
from dnslb.simulation.resolvers import Resolver
from dnslb.simulation.senders import MANNERS
from dnslb.simulation.traffic import Crowd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from dnslb.simulation.figures import Figures, Scene

_ALL = "all"
_NUMBER = click.IntRange(1, 100_000)

_OPTIONS = (
    click.option(
        "--weights", type=words.Word(words.weights, "WEIGHTS"), metavar="5,3,1,1", help="Instead of a configuration's."
    ),
    click.option(
        "--type",
        "kind",
        type=click.Choice(ServiceType, case_sensitive=False),
        help="The service's type.  [default: address]",
    ),
    click.option(
        "--policy",
        type=click.Choice([policy.value for policy in Policy]),
        help="The pool's policy; with latency all greet alike.  [default: its own, or weighted]",
    ),
    click.option("--view", metavar="NAME", help="What clients of this view get.  [default: those that are in none]"),
    click.option(
        "--records",
        type=words.Word(words.configured("records"), "K"),
        metavar="K|all",
        help="Members in an answer.  [default: the service's, or 2; 1 with source-hash]",
    ),
    click.option(
        "--ttl",
        type=words.Word(words.ttl, "TTL"),
        metavar="SECONDS|MIN-MAX",
        help="TTL of an answer, or its bounds.  [default: the service's, or 30]",
    ),
    click.option("--resolvers", type=_NUMBER, metavar="N", help="How many ask.  [default: 50]"),
    click.option(
        "--spread",
        type=words.Word(words.spread, "SPREAD"),
        default="zipf",
        metavar="zipf|equal|LIST",
        help="How the mail is spread over them; LIST: the largest ones' percentages, as in 40,10.  [default: zipf]",
    ),
    click.option(
        "--resolver",
        type=click.Choice(Resolver, case_sensitive=False),
        default=Resolver.UNBOUND,
        help="What they run.  [default: unbound]",
    ),
    click.option(
        "--senders",
        type=words.Word(words.senders, "SENDERS"),
        default="postfix",
        show_default=True,
        metavar="NAME[=PART],...",
        help=f"What sends mail behind each: {', '.join(MANNERS)}.",
    ),
    click.option(
        "--rate",
        type=words.Word(words.rate, "RATE"),
        default="100",
        show_default=True,
        metavar="N",
        help="Messages a second, all together.",
    ),
    click.option(
        "--for",
        "duration",
        type=words.Word(words.configured("duration"), "DURATION"),
        default="1h",
        show_default=True,
        metavar="15m",
        help="How long mail comes.",
    ),
    click.option(
        "--down",
        type=words.Word(words.fault, "FAULT"),
        multiple=True,
        metavar="MEMBER@10m..20m",
        help="Let a member refuse connections.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1, 256),
        default=1,
        show_default=True,
        metavar="N",
        help="Processes that answer, each with turns of its own.",
    ),
    click.option(
        "--unsteered", is_flag=True, help="Let each query of a resolver come to any worker, as some kernels do."
    ),
    click.option(
        "--runs", type=_NUMBER, default=20, show_default=True, metavar="N", help="Take the mean of so many runs."
    ),
    click.option(
        "--seed", type=int, default=1, show_default=True, metavar="N", help="The same seed gives the same figures."
    ),
    click.option("--compare", is_flag=True, help="Show what other DNS balancers would make of it."),
    click.option("--plot", type=words.Word(words.picture, "FILE"), metavar="FILE", help="Draw it, as .svg or .png."),
)


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    return reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), command)


@click.command
@click.argument("service", required=False, shell_complete=known.services)
@_with_options
@config_option
@json_option
def simulate(  # noqa: PLR0913 -- one for each option
    service: str | None,
    *,
    config: Path | None,
    weights: tuple[int, ...] | None,
    runs: int,
    seed: int,
    compare: bool,
    plot: Path | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401 -- the others of _OPTIONS
) -> None:
    """Show the shares of the mail that members really get.

    Resolvers cache answers, and some are much larger than others: so members do not get quite what their weights say.
    This runs resolvers, senders and faults in virtual time over the code that makes the daemon's answers. SERVICE is a
    name of the configuration; --weights needs none.

    \b
    Example: dnslb simulate mx.lb.example.org
             dnslb simulate --weights 5,3,1,1 --spread 40 --ttl 60 --for 15m --compare
             dnslb simulate mx.lb.example.org --down mx1@10m..20m --senders postfix=3,java
    """  # noqa: D301 -- click's mark for a paragraph to be left as it is
    with errors_shown(as_json=as_json):
        subject = _subject(service, config, weights, options)
    scene = _scene(subject, options)
    _check(scene, compare=compare, plot=plot)
    kinds = list(Authority) if compare else [Authority.DNSLB]
    found = _figures(scene, kinds, seed=seed, runs=runs)
    if plot is not None:
        _draw(subject.name, found, plot)
    if as_json:
        emit_json(text.as_json(subject.name, scene, found, seed=seed, runs=runs))
        return
    parts = [text.headline(subject.name, scene, runs), text.shares(found[Authority.DNSLB])]
    emit("\n\n".join([*parts, text.comparison(found)] if compare else parts))


def _subject(
    service: str | None, config: Path | None, weights: tuple[int, ...] | None, options: dict[str, Any]
) -> Subject:
    # "all" is None, as in a configuration, and what is not typed is None too.
    typed = click.get_current_context().get_parameter_source("records") is not click.core.ParameterSource.DEFAULT
    all_records = typed and options["records"] is None
    policy = None if options["policy"] is None else Policy(options["policy"])
    changes = Changes(options["kind"], options["records"], all_records, options["ttl"], policy)
    if weights is None:
        return of_configuration(config, service, options["view"], changes)
    if service is not None or config is not None or options["view"] is not None:
        raise click.UsageError(
            "--weights are instead of a configuration: name no SERVICE, no --view and no -c FILE with them"
        )
    return of_weights(weights, changes)


def _scene(subject: Subject, options: dict[str, Any]) -> Scene:
    spread = options["spread"]
    # Percentages that leave nothing need no other resolvers.
    whole = sum(spread.percents) == 100  # noqa: PLR2004 -- per cent
    resolvers = options["resolvers"] or (len(spread.percents) if whole else 50)
    try:
        spread.sizes(resolvers)
    except ValueError as error:
        raise click.UsageError(f"--spread: {error}") from None
    crowd = Crowd(resolvers, spread, options["resolver"], options["senders"], options["rate"])
    faults, duration = options["down"], options["duration"]
    _check_faults(faults, subject, duration)
    workers = Workers(options["workers"], steered=not options["unsteered"])
    return figures.Scene(subject.service, subject.pool, subject.thresholds, crowd, duration, tuple(faults), workers)


def _check_faults(faults: Iterable[Any], subject: Subject, duration: float) -> None:
    names = [member.name for member in subject.pool.members]
    for fault in faults:
        if fault.member not in names:
            raise click.UsageError(f"--down: there is no member {fault.member!r}; there are {', '.join(names)}")
        if fault.begin >= duration:
            raise click.UsageError(f"--down: {fault.member} goes down after {fault.begin:g} s, and all is over by then")


def _check(scene: Scene, *, compare: bool, plot: Path | None) -> None:
    messages = scene.crowd.rate * scene.duration
    if messages < 1:
        raise click.UsageError(f"--rate and --for: that is {messages:.2g} messages in all, and shares need some")
    kind = scene.service.type
    for sender in scene.crowd.senders:
        if kind not in MANNERS[sender].types:
            raise click.UsageError(f"--senders: {sender} does not look up {kind} records")
    if compare and kind is ServiceType.SRV:
        raise click.UsageError("--compare: SRV records carry weights themselves, whoever gives them")
    if plot is not None:
        from dnslb.cli.simulate import chart  # noqa: PLC0415 -- only where it is needed

        if not chart.available():
            raise Failed("--plot needs matplotlib, which is not there: pip install 'dnslb[plot]'")


def _figures(scene: Scene, kinds: list[Authority], *, seed: int, runs: int) -> dict[Authority, Figures]:
    progress = Progress(runs * len(kinds))
    try:
        return {kind: figures.simulate(scene, kind, seed=seed, runs=runs, after_run=progress.step) for kind in kinds}
    finally:
        progress.end()


def _draw(name: str, found: dict[Authority, Figures], path: Path) -> None:
    from dnslb.cli.simulate import chart  # noqa: PLC0415 -- only where it is needed

    try:
        chart.draw(name, {kind.value: of for kind, of in found.items()}, path)
    except OSError as error:
        raise Failed(f"{path} cannot be written: {error.strerror}") from error
