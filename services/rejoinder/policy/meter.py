"""What the policy process counts beside arms and answers, under the names of core/metrics.py."""

from __future__ import annotations

from rejoinder.policy.shadow import DROPPED, PAIR
from rejoinder.runtime.arms.meter import ArmsMeter
from rejoinder.runtime.backends.generation import GenerationEngine
from rejoinder.runtime.backends.rows import Answer


class Meter(ArmsMeter):
    def watch_shadow(self) -> None:
        """From 0, or a rate would not see the first."""
        for end in (PAIR, *DROPPED):
            self._metrics["shadow_answers_total"].labels(end)

    def watch_engine(self, engine: GenerationEngine) -> None:
        """A gauge that is read when somebody asks."""
        self._metrics["generation_queue"].set_function(lambda: engine.waiting)

    def shadowed(self, end: str) -> None:
        """An answer that nobody sees: it made a pair, or why not."""
        self._metrics["shadow_answers_total"].labels(end).inc()

    def answered(self, answer: Answer) -> None:
        self._metrics["tokens_total"].labels("prompt").inc(answer.prompt_tokens)
        self._metrics["tokens_total"].labels("completion").inc(len(answer.tokens))
