"""What a running server holds: the model's front half, the worker, the keys, metrics and log."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from paddock import settings as settings_module
from paddock.inference.checkpoint import store
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.runtimes.base import Limits
from paddock.inference.serve import keys
from paddock.inference.serve.answers import Served
from paddock.inference.serve.backend import Backend
from paddock.inference.serve.config import ServeConfig
from paddock.inference.serve.errors import ApiError, unavailable
from paddock.inference.serve.log import Log
from paddock.inference.serve.metrics import Metrics
from paddock.inference.serve.supervisor import Supervisor
from paddock.inference.tokenizer.load import load_chat_template, load_tokenizer


class State:
    """Everything that routes share. Made before the server listens; lives in its event loop."""

    def __init__(self, config: ServeConfig, supervisor: Backend | None = None) -> None:
        """Reads what is small: configuration, tokenizer, keys. Raises what those raise."""
        self.config = config
        path = store.locate(config.model, settings_module.load())
        self.served = Served(
            config.served_name,
            load_tokenizer(path),
            load_chat_template(path),
            open_checkpoint(path).config(),
        )
        self.keys = keys.read(config.api_key_file) if config.api_key_file else None
        self.metrics = Metrics(config.served_name)
        self.log = Log(config.log_format, prompts=config.log_prompts)
        self.draining = False
        self.answers = 0
        """Answers accepted and not ended, waiting ones included."""
        self.supervisor = supervisor or self._backend(path)
        self.idle = asyncio.Event()
        self.idle.set()

    def _backend(self, path: Path) -> Backend:
        config = self.config
        if config.options.get("runtime") == "vllm":
            from paddock.inference.serve.vllm.command import Command
            from paddock.inference.serve.vllm.supervisor import VllmSupervisor

            command = Command.of(path, config.served_name, config.max_batch, config.options)
            size = self.served.tokenizer.vocab_size
            return VllmSupervisor(command, size, on_stats=self.metrics.hear, on_death=self._died)
        return Supervisor(
            config.model,
            {"max_batch": config.max_batch, **config.options},
            stream_interval_s=config.stream_interval_s,
            on_stats=self.metrics.hear,
            on_death=self._died,
            on_loss=self._lost,
        )

    def start(self) -> None:
        """Starts the worker."""
        self.supervisor.start()

    async def stop(self) -> None:
        """Ends the worker."""
        await self.supervisor.stop()

    def owner(self, key: str | None) -> str | None:
        """Whose key it is. Raises ApiError (401) if one is wanted and this is none."""
        if self.keys is None:
            return None
        owner = self.keys.owner(key) if key else None
        if owner is None:
            what = "this API key is not known" if key else "an API key is needed"
            raise ApiError(
                401,
                f"{what}: send Authorization: Bearer KEY",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return owner

    def check_model(self, name: str | None) -> None:
        """Raises ApiError (404) for a model that is not served."""
        if name is not None and name != self.served.name:
            raise ApiError(
                404,
                f"the model {name!r} is not served here; {self.served.name!r} is",
                code="model_not_found",
                param="model",
            )

    def why_not_ready(self) -> str | None:
        """One word, or None if requests can be answered."""
        if self.draining:
            return "draining"
        if self.supervisor.failure is not None:
            return "failed"
        return None if self.supervisor.ready else "loading"

    def limits(self) -> Limits:
        """The runtime's limits. Raises ApiError (503) if there is nobody to answer."""
        why = self.why_not_ready()
        limits = self.supervisor.limits
        if why is not None or limits is None:
            text = {
                "draining": "the server is about to end and takes no new requests",
                "failed": "the model cannot be loaded; the server's log says why",
            }.get(why or "", "the model is being loaded")
            raise unavailable(text, retry_after=5)
        return limits

    def enter(self, answers: int) -> None:
        """Takes up places for ``answers``. Raises ApiError (429) if there are too few."""
        most = self.config.max_batch + self.config.max_waiting
        if self.answers + answers > most:
            raise ApiError(
                429,
                f"{self.answers} answers are being made or wait; {most} are the limit",
                code="queue_full",
                headers={"Retry-After": str(self._retry_after())},
            )
        self.answers += answers
        self.idle.clear()

    def leave(self, answers: int) -> None:
        """Gives the places back."""
        self.answers -= answers
        if not self.answers:
            self.idle.set()

    def _retry_after(self) -> int:
        """Seconds until about a quarter of the queue should be through, at the speed so far."""
        stats: Any = self.metrics.engine
        ended = stats.get("stopped", 0) + stats.get("ended_by_length", 0) if stats else 0
        up = self.log.uptime()
        if not ended or up <= 0:
            return 2
        return max(1, min(60, round(self.answers / 4 * up / ended)))

    def _died(self, code: int | None) -> None:
        self.metrics.restarted()
        self.log.event("the worker died and is started again", exit_code=code)

    def _lost(self, why: str) -> None:
        self.metrics.rank_losses.labels(self.metrics.model).inc()
        self.log.event("ranks were lost and are started again", reason=why)
