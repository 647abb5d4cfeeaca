"""The user's topics as the settings name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rejoinder.observe.settings import ObserveSettings

if TYPE_CHECKING:
    from rejoinder.stream.kafka.foreign import ForeignTopics


def open_topics(settings: ObserveSettings) -> ForeignTopics:
    """Looks at the topics. Raises what ForeignTopics raises. The library is imported here: it takes 0.3 s."""
    from rejoinder.stream.kafka.foreign import ForeignTopics
    from rejoinder.stream.kafka.settings import KafkaSettings

    named = {theme.topic: theme.id for theme in settings.topics}
    return ForeignTopics(KafkaSettings(**settings.brokers.model_dump()), list(named), named)
