"""Pretrained weights: where they are published, how they are fetched, what to do without internet."""

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
class PublishedWeights:
    """Where weights are published: at a URL, or in a repository of the Hugging Face hub.

    `files` are the names that the weights may have there, the usual one first.
    """

    url: str
    files: tuple[str, ...]
    repository: str = ""
    revision: str | None = None

    @property
    def cached(self) -> Path | None:
        """The file of an earlier download; None if there is none."""
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
    """Return the folder in which torch looks for weights before it downloads them."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def find_published(recipe: Recipe) -> PublishedWeights:
    """Find where the recipe's pretrained weights are published, according to its library.

    Raises:
        UserError: the library has none.
    """
    if recipe.library == "torchvision":
        import torchvision

        return _published_at(torchvision.models.get_model_weights(recipe.architecture).DEFAULT.url)
    import huggingface_hub
    import timm

    config = timm.get_pretrained_cfg(recipe.architecture)
    if config is not None and config.hf_hub_id:
        repository, _, revision = config.hf_hub_id.partition("@")
        constants = huggingface_hub.constants
        usual = (constants.SAFETENSORS_SINGLE_FILE, constants.PYTORCH_WEIGHTS_NAME)
        files = (config.hf_hub_filename,) if config.hf_hub_filename else usual
        url = huggingface_hub.hf_hub_url(repository, files[0], revision=revision or None)
        return PublishedWeights(url=url, files=files, repository=repository, revision=revision or None)
    if config is not None and config.url:
        return _published_at(str(config.url))
    raise UserError(
        f"timm has no pretrained weights for {recipe.architecture}. "
        "Set pretrained = false under [training] or give a weights file."
    )


def _published_at(url: str) -> PublishedWeights:
    return PublishedWeights(url, (Path(urlparse(url).path).name,))


def fetch_weights(recipe: Recipe) -> Path:
    """Return the file of the recipe's pretrained weights; download it if it is missing.

    Raises:
        UserError: there are none, or the download failed. The message lists what to do without internet.
    """
    published = find_published(recipe)
    if file := published.cached:
        return file
    try:
        return _fetch_from_hub(published) if published.repository else _fetch_from_address(published)
    except (OSError, http.client.HTTPException, RuntimeError) as error:
        # torch's message for a download that is truncated or corrupt.
        if isinstance(error, RuntimeError) and "invalid hash" not in str(error):
            raise
        _remember_failure(recipe, published)
        raise MissingWeightsError(_describe_ways_out(recipe, published, error)) from error


def _remember_failure(recipe: Recipe, published: PublishedWeights) -> None:
    """Record the failed download, and where PublishedWeights.cached would find the files."""
    if not published.repository:
        remember_failure(recipe.architecture, torch_cache(), published.files[:1])
        return
    import huggingface_hub

    folder = f"models--{published.repository.replace('/', '--')}/snapshots"
    kept = Path(huggingface_hub.constants.HF_HUB_CACHE) / folder
    remember_failure(recipe.architecture, kept, tuple(f"*/{name}" for name in published.files))


def _fetch_from_address(published: PublishedWeights) -> Path:
    _check_connection(published.url)
    file = torch_cache() / published.files[0]
    file.parent.mkdir(parents=True, exist_ok=True)
    checksum = re.search(r"-([a-f0-9]{8,})\.", file.name)
    torch.hub.download_url_to_file(published.url, str(file), checksum[1] if checksum else None)
    return file


def _fetch_from_hub(published: PublishedWeights) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    if not huggingface_hub.constants.HF_HUB_OFFLINE:
        _check_connection(published.url)
    # The hub's error derives from that of its HTTP client, which depends on its version. hf_xet, which
    # fetches large files for it, raises a RuntimeError when a transfer breaks off.
    client_errors: tuple[type[BaseException], ...] = (*HfHubHTTPError.__bases__, RuntimeError)
    for name in published.files:
        try:
            return Path(
                huggingface_hub.hf_hub_download(published.repository, name, revision=published.revision)
            )
        except LocalEntryNotFoundError:
            # The hub cannot be reached; the file may exist there.
            raise
        except EntryNotFoundError:
            continue
        except client_errors as error:
            raise OSError(str(error)) from error
    raise OSError(f"{published.repository} has none of {', '.join(published.files)}")


def _check_connection(url: str) -> None:
    """Fail within seconds; the libraries would retry for minutes."""
    address = urlparse(url)
    if address.scheme in urllib.request.getproxies() or not address.hostname:
        # Only the proxy can reach the host.
        return
    port = address.port or (443 if address.scheme == "https" else 80)
    socket.create_connection((address.hostname, port), SECONDS_TO_CONNECT).close()


def _describe_ways_out(recipe: Recipe, published: PublishedWeights, error: Exception) -> str:
    """Return what failed and the options that remain, one a line."""
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
