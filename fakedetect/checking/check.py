"""Option 8: is this picture real? A verdict on each of the user's own pictures."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fakedetect.checking.request import Request, check_targets, parse_prevalence
from fakedetect.core.errors import MissingWeightsError, UserError
from fakedetect.core.installation import SMALL_STARTER, STARTER
from fakedetect.core.processes.shards import parse_shard
from fakedetect.core.settings.model_folder import checkpoint_file, find_starter, find_trained_models
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome
from fakedetect.images.named import parse_path, parse_paths, parse_usable_paths, read_path_list
from fakedetect.models.downloads import has_failed_recently

PAGE_ENDINGS = (".html", ".htm")


def _tell_missing(settings: Settings, trained: Sequence[Settings]) -> str:
    """What a verdict needs, and the ways to it."""
    ways = [
        (settings.command("train"), "train it on your own real and fake pictures"),
        (settings.command("demo"), "see the whole job on made-up pictures, in about a minute"),
    ]
    if starter := find_starter(settings):
        ways.insert(0, (starter.command("check", "PATH"), "use the starter, which comes with the program"))
    if trained:
        other = trained[0].command("check", "PATH")
        ways.insert(0, (other, f"use {trained[0].model}, which is trained"))
    width = max(len(command) for command, _ in ways)
    return "\n".join(
        [
            f"{settings.model} has not been trained, so it cannot give a verdict. Options:",
            *(f"  {command:<{width}}  {what}" for command, what in ways),
            f"  or put a {settings.checkpoint.name} from elsewhere into {settings.model_folder}",
        ]
    )


def _choose_starter(settings: Settings, console: Console, starter: Settings) -> Settings:
    """The starter, or the small one where the backbone is known to be missing."""
    small = find_starter(settings, SMALL_STARTER)
    if small and has_failed_recently(starter):
        console.note(
            f"{settings.model} has not been trained; using {SMALL_STARTER}.\n"
            f"The download of {STARTER}, which is more accurate, failed lately. To try again:\n"
            f"  {starter.command('check', 'PATH')}"
        )
        return small
    console.note(f"{settings.model} has not been trained; using {STARTER}, which comes with the program.")
    return starter


def _ask_request(settings: Settings, console: Console, able: bool) -> Request | None:
    """The request as the user answers; None where they left.

    Args:
        able: a model is there, which leaves more to be asked than for which pictures.
    """
    question = "Pictures or folder to check (TAB completes)"
    pictures = console.ask_until(question, lambda answer: parse_paths([answer]), path=True)
    if not pictures or not able:
        return Request(pictures) if pictures else None
    request = _ask_target(console, Request(pictures))
    if request is None:
        return None
    count = len(find_trained_models(settings))
    return replace(
        request,
        all_models=count > 1 and console.confirm(f"Use all {count} trained models?"),
        heat_map=console.confirm("Draw a heat map of each picture?"),
    )


def _ask_target(console: Console, request: Request) -> Request | None:
    """The request with the file that the user names for the results, asked for until it can be one; None
    where they left."""
    question = "Also write the results to a page (.html) or a CSV file (file name; Enter: no)"
    while named := console.ask(question, path=True):
        target = _with_ending(parse_path(named), ".html")
        is_page = target.suffix.lower() in PAGE_ENDINGS
        found = replace(request, html=target) if is_page else replace(request, csv=target)
        try:
            check_targets(found)
        except UserError as error:
            if not console.interactive:
                raise
            console.fail(str(error))
        else:
            return found
    return None if named is None else request


def _with_ending(file: Path, ending: str) -> Path:
    """A file that was named without an ending, with one; what is there already keeps its name."""
    return file if file.suffix or os.path.lexists(file) else file.with_name(f"{file.name}{ending}")


def _read_pictures(
    settings: Settings, console: Console, texts: Sequence[str], files_from: str | None
) -> tuple[list[Path], int]:
    """The pictures that the command names or lists, and how many names were passed over.

    Raises:
        UserError: nothing is named, or nothing of it can be used.
    """
    if "-" in texts and files_from is None:
        texts, files_from = [text for text in texts if text != "-"], "-"
    if bool(texts) == bool(files_from):
        raise UserError(
            "Name pictures and folders, or a list of them by --files-from FILE"
            + ("; not both." if texts else f": {settings.command('check', 'PATH')}")
        )
    return (
        read_path_list(files_from, console.warn) if files_from else parse_usable_paths(texts, console.warn)
    )


def _read_request(
    pictures: Sequence[Path],
    missing: int,
    csv: str | None = None,
    html: str | None = None,
    prevalence: str | None = None,
    shard: str | None = None,
    **how: Any,
) -> Request:
    """A command's arguments, and the pictures that _read_pictures() has found, as a request."""
    named = Request(
        shard=parse_shard(shard),
        prevalence=parse_prevalence(prevalence),
        pictures=pictures,
        missing=missing,
        csv=_with_ending(parse_path(csv), ".csv") if csv else None,
        html=_with_ending(parse_path(html), ".html") if html else None,
        **how,
    )
    check_targets(named)
    return named


def check(settings: Settings, console: Console, ask: bool = False, **request: Any) -> Outcome:
    """Give a verdict on each picture: fake, real or unsure, as a line on the screen.

    Without a trained model, say what a verdict needs, and what the files say of themselves.

    Args:
        ask: ask for what to check.
        request: the fields of Request otherwise; pictures, csv, html, prevalence and shard as typed or
            pasted; files_from names a list of pictures.
    """
    wanted = None
    if not ask:
        named = request.pop("pictures"), request.pop("files_from", None)
        wanted = _read_request(*_read_pictures(settings, console, *named), **request)
    trained = find_trained_models(settings)
    able = bool(trained) if wanted and wanted.all_models else checkpoint_file(settings).is_file()
    starter = None if able or trained else find_starter(settings)
    if starter:
        starter = _choose_starter(settings, console, starter)
        settings, able = starter, True
    if not able:
        console.fail(_tell_missing(settings, trained))
    wanted = wanted or _ask_request(settings, console, able)
    if wanted is None:
        return Outcome("No picture given.", left=True)
    if starter:
        wanted = replace(wanted, all_models=False)
    console.show_loading("fakedetect.checking.judging")
    from fakedetect.checking.judging import judge, show_origins

    if not able:
        return show_origins(settings, console, wanted)
    try:
        return judge(settings, console, wanted)
    except MissingWeightsError as error:
        console.fail(str(error))
        small = find_starter(settings, SMALL_STARTER)
        if starter and small and small.model != settings.model:
            console.warn(f"Using {SMALL_STARTER} instead: no download, but less accurate.")
            return judge(small, console, wanted)
        return show_origins(settings, console, wanted)
