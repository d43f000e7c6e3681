"""Both files loaded as the daemon loads them, and the servers probed, before anything is written."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dnslb.cli.setup.draft import Draft
from dnslb.cli.setup.files import config_text, zone_text
from dnslb.config import ConfigError, Settings, load
from dnslb.probe.recipe import Target
from dnslb.probe.report_json import report_json
from dnslb.probe.smtp import probe


def texts(draft: Draft, config: Path) -> dict[Path, str]:
    """Return what is to be written, by path: the zone first, so that the configuration never lacks it."""
    zone = config.parent / f"{draft.zone}.zone"
    return {zone: zone_text(draft), config: config_text(draft, config.parent.absolute())}


def loaded(draft: Draft, config: Path) -> Settings:
    """Load the files from a directory that is gone afterwards. Raise ConfigError, by names without a directory."""
    with TemporaryDirectory() as place:
        directory = Path(place)
        for path, text in texts(draft, config).items():
            (directory / path.name).write_text(text, encoding="utf-8")
        with _named_by_name_alone(place):
            settings = load(directory / config.name)
    return replace(settings, warnings=tuple(warning.replace(f"{place}/", "") for warning in settings.warnings))


@contextmanager
def _named_by_name_alone(place: str) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise ConfigError(
            tuple(
                replace(problem, file=Path(problem.file).name, message=problem.message.replace(f"{place}/", ""))
                for problem in error.problems
            )
        ) from None


async def reports(settings: Settings) -> AsyncIterator[dict[str, Any]]:
    """Probe all servers at once, in all aspects; yield each as `dnslb probe --json` has it, in their order."""
    tasks = [asyncio.create_task(_report(target)) for target in settings.targets]
    try:
        for task in tasks:
            yield await task
    finally:
        for task in tasks:
            task.cancel()


async def _report(target: Target) -> dict[str, Any]:
    report = await probe(target, frozenset(target.recipe.intervals))
    return report_json(f"{target.pool}/{target.member}", report)
