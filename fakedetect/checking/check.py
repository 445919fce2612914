"""Option 8: give a verdict on each of the user's own pictures."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fakedetect.checking.request import CheckRequest, check_targets, parse_prevalence
from fakedetect.core.errors import MissingWeightsError, UserError
from fakedetect.core.installation import SMALL_STARTER, STARTER
from fakedetect.core.processes.shards import parse_shard
from fakedetect.core.settings.model_folder import checkpoint_file, find_starter, find_trained_models
from fakedetect.core.settings.settings import Settings
from fakedetect.core.terminal.console import Console, Outcome
from fakedetect.images.named import parse_path, parse_paths, parse_usable_paths, read_path_list
from fakedetect.models.downloads import has_failed_recently

PAGE_ENDINGS = (".html", ".htm")


def _describe_missing_model(settings: Settings, trained: Sequence[Settings]) -> str:
    """Describe what to do without a trained model, a command a line."""
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
    """Return the starter, or the small one if the backbone's download failed recently."""
    small = find_starter(settings, SMALL_STARTER)
    if small and has_failed_recently(starter):
        console.note(
            f"{settings.model} has not been trained; using {SMALL_STARTER}.\n"
            f"The download of {STARTER}, which is more accurate, failed recently. To try again:\n"
            f"  {starter.command('check', 'PATH')}"
        )
        return small
    console.note(f"{settings.model} has not been trained; using {STARTER}, which comes with the program.")
    return starter


def _ask_request(settings: Settings, console: Console, has_model: bool) -> CheckRequest | None:
    """Ask the user for a request; None if the user left.

    Args:
        has_model: ask for the options of a verdict too, not for the pictures only.
    """
    question = "Pictures or folder to check (TAB completes)"
    pictures = console.ask_until(question, lambda answer: parse_paths([answer]), path=True)
    if not pictures or not has_model:
        return CheckRequest(pictures) if pictures else None
    request = _ask_target(console, CheckRequest(pictures))
    if request is None:
        return None
    count = len(find_trained_models(settings))
    return replace(
        request,
        all_models=count > 1 and console.confirm(f"Use all {count} trained models?"),
        heat_map=console.confirm("Draw a heat map of each picture?"),
    )


def _ask_target(console: Console, request: CheckRequest) -> CheckRequest | None:
    """Ask for a result file until it can be written, and add it to the request; None if the user left."""
    question = "Also write the results to a page (.html) or a CSV file (file name; Enter: no)"
    while named := console.ask(question, path=True):
        target = _add_ending(parse_path(named), ".html")
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


def _add_ending(file: Path, ending: str) -> Path:
    """Append an ending to a file name without one, unless such a file exists."""
    return file if file.suffix or os.path.lexists(file) else file.with_name(f"{file.name}{ending}")


def _read_pictures(
    settings: Settings, console: Console, texts: Sequence[str], files_from: str | None
) -> tuple[list[Path], int]:
    """Return the pictures that the command names or lists, and the number of names that were skipped.

    Raises:
        UserError: nothing is named, or none of it can be used.
    """
    if "-" in texts and files_from is None:
        texts, files_from = [text for text in texts if text != "-"], "-"
    if bool(texts) == bool(files_from):
        raise UserError(
            "Name pictures and folders, or a list of them with --files-from FILE"
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
    **options: Any,
) -> CheckRequest:
    """Build a request from a command's arguments and the pictures that _read_pictures() returned."""
    named = CheckRequest(
        shard=parse_shard(shard),
        prevalence=parse_prevalence(prevalence),
        pictures=pictures,
        missing=missing,
        csv=_add_ending(parse_path(csv), ".csv") if csv else None,
        html=_add_ending(parse_path(html), ".html") if html else None,
        **options,
    )
    check_targets(named)
    return named


def check(settings: Settings, console: Console, ask: bool = False, **arguments: Any) -> Outcome:
    """Print a verdict for each picture: fake, real or unsure.

    Without a trained model, use a starter. Without a starter too, list the options and print what the files
    say about their origin.

    Args:
        ask: ask the user what to check.
        arguments: the fields of CheckRequest without `ask`. pictures, csv, html, prevalence and shard are
            texts as typed or pasted; files_from names a list of pictures.
    """
    request = None
    if not ask:
        named = arguments.pop("pictures"), arguments.pop("files_from", None)
        request = _read_request(*_read_pictures(settings, console, *named), **arguments)
    trained = find_trained_models(settings)
    has_model = bool(trained) if request and request.all_models else checkpoint_file(settings).is_file()
    starter = None if has_model or trained else find_starter(settings)
    if starter:
        starter = _choose_starter(settings, console, starter)
        settings, has_model = starter, True
    if not has_model:
        console.fail(_describe_missing_model(settings, trained))
    request = request or _ask_request(settings, console, has_model)
    if request is None:
        return Outcome("No picture given.", left=True)
    if starter:
        request = replace(request, all_models=False)
    console.show_loading("fakedetect.checking.judging")
    from fakedetect.checking.judging import check_pictures, show_origins

    if not has_model:
        return show_origins(settings, console, request)
    try:
        return check_pictures(settings, console, request)
    except MissingWeightsError as error:
        small = find_starter(settings, SMALL_STARTER)
        if starter and small and small.model != settings.model:
            problem = str(error).partition(" Options:")[0]
            console.warn(f"{problem}\nUsing {SMALL_STARTER} instead: no download, but less accurate.")
            return check_pictures(small, console, request)
        console.fail(str(error))
        return show_origins(settings, console, request)
