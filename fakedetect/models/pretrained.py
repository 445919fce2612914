"""Pretrained weights: where they are published, fetching them, and what to do without internet."""

import http.client
import re
import socket
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import torch

from fakedetect.core.errors import MissingWeightsError, UserError
from fakedetect.core.settings.recipes import PROBE, Recipe
from fakedetect.models.downloads import remember_failure

SECONDS_TO_CONNECT = 3.0


@dataclass(frozen=True)
class Published:
    """Where weights are published: at an address, or as a repository of the Hugging Face hub.

    `files` are the names that the weights may have there, the usual one first.
    """

    url: str
    files: tuple[str, ...]
    repository: str = ""
    revision: str | None = None

    @property
    def cached(self) -> Path | None:
        """The file, where an earlier run has left it."""
        if not self.repository:
            file = torch_cache() / self.files[0]
            return file if file.is_file() else None
        import huggingface_hub

        for name in self.files:
            found = huggingface_hub.try_to_load_from_cache(self.repository, name, revision=self.revision)
            if isinstance(found, str):
                return Path(found)
        return None


def torch_cache() -> Path:
    """The folder in which torch looks for weights before it downloads them."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def find_published(recipe: Recipe) -> Published:
    """Where the recipe's pretrained weights come from, as its library says.

    Raises:
        UserError: there are none.
    """
    if recipe.library == "torchvision":
        import torchvision

        return _at(torchvision.models.get_model_weights(recipe.architecture).DEFAULT.url)
    import huggingface_hub
    import timm

    config = timm.get_pretrained_cfg(recipe.architecture)
    if config is not None and config.hf_hub_id:
        repository, _, revision = config.hf_hub_id.partition("@")
        constants = huggingface_hub.constants
        usual = (constants.SAFETENSORS_SINGLE_FILE, constants.PYTORCH_WEIGHTS_NAME)
        files = (config.hf_hub_filename,) if config.hf_hub_filename else usual
        url = huggingface_hub.hf_hub_url(repository, files[0], revision=revision or None)
        return Published(url=url, files=files, repository=repository, revision=revision or None)
    if config is not None and config.url:
        return _at(str(config.url))
    raise UserError(
        f"timm has no pretrained weights for {recipe.architecture}. "
        "Set pretrained = false under [training] or give a weights file."
    )


def _at(url: str) -> Published:
    return Published(url, (Path(urlparse(url).path).name,))


def fetch_weights(recipe: Recipe) -> Path:
    """The file of the recipe's pretrained weights, downloaded where it is not there yet.

    Raises:
        UserError: there are none, or they cannot be downloaded; with where to put them by hand.
    """
    published = find_published(recipe)
    if file := published.cached:
        return file
    try:
        return _fetch_from_hub(published) if published.repository else _fetch_from_address(published)
    except (OSError, http.client.HTTPException, RuntimeError) as error:
        # torch's word for a download that was cut off or changed on the way.
        if isinstance(error, RuntimeError) and "invalid hash" not in str(error):
            raise
        _remember_failure(recipe, published)
        raise MissingWeightsError(_advise(recipe, published, error)) from error


def _remember_failure(recipe: Recipe, published: Published) -> None:
    """Keep that the weights could not be fetched, and where Published.cached would find them."""
    if not published.repository:
        remember_failure(recipe.architecture, torch_cache(), published.files[:1])
        return
    import huggingface_hub

    folder = f"models--{published.repository.replace('/', '--')}/snapshots"
    kept = Path(huggingface_hub.constants.HF_HUB_CACHE) / folder
    remember_failure(recipe.architecture, kept, tuple(f"*/{name}" for name in published.files))


def _fetch_from_address(published: Published) -> Path:
    _check_connection(published.url)
    file = torch_cache() / published.files[0]
    file.parent.mkdir(parents=True, exist_ok=True)
    checksum = re.search(r"-([a-f0-9]{8,})\.", file.name)
    torch.hub.download_url_to_file(published.url, str(file), checksum[1] if checksum else None)
    return file


def _fetch_from_hub(published: Published) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    if not huggingface_hub.constants.HF_HUB_OFFLINE:
        _check_connection(published.url)
    # The hub's own error derives from that of the HTTP client that it happens to use; hf_xet, which fetches
    # large files for it, calls a transfer that broke off a RuntimeError.
    client_errors: tuple[type[BaseException], ...] = (*HfHubHTTPError.__bases__, RuntimeError)
    for name in published.files:
        try:
            return Path(
                huggingface_hub.hf_hub_download(published.repository, name, revision=published.revision)
            )
        except LocalEntryNotFoundError:
            # The hub cannot be reached, which says nothing of the file.
            raise
        except EntryNotFoundError:
            continue
        except client_errors as error:
            raise OSError(str(error)) from error
    raise OSError(f"{published.repository} has none of {', '.join(published.files)}")


def _check_connection(url: str) -> None:
    """Fail within seconds where the libraries would try for minutes."""
    place = urlparse(url)
    if place.scheme in urllib.request.getproxies() or not place.hostname:
        # Only the proxy reaches the place.
        return
    port = place.port or (443 if place.scheme == "https" else 80)
    socket.create_connection((place.hostname, port), SECONDS_TO_CONNECT).close()


def _advise(recipe: Recipe, published: Published, error: Exception) -> str:
    """What failed, and the ways to train all the same, one to a line."""
    cause = getattr(error, "reason", error)
    reason = getattr(cause, "strerror", None) or "no internet?"
    lines = [
        f"The pretrained weights of {recipe.name} cannot be downloaded ({reason}). Options:",
        f"- With internet access, download {published.files[0]}:",
        f"    {published.url}",
    ]
    if published.repository:
        lines[1] = f"- With internet access, download {published.files[0]} of {published.repository}:"
        if recipe.section:
            lines.append('  and name it below your model\'s timm = "…" in paths.toml: weights = "FILE"')
        else:
            lines += [
                "  and name it in paths.toml, as a model of your own:",
                f"    [models.my_{recipe.name}]",
                f'    timm = "{recipe.architecture}"',
                f'    weights = "{published.files[0]}"',
                f"    batch_size = {recipe.batch_size}",
            ]
    else:
        lines += ["  and put it into this folder:", f"    {torch_cache()}"]
    if recipe.method != PROBE:
        lines.append("- Start from random weights: pretrained = false below [training] in paths.toml.")
    lines.append("- Choose another model.")
    return "\n".join(lines)
