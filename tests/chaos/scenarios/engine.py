"""The arms topic's writer as a process: `engine.py SETTINGS NAME`. It takes the topic and says `took TERM`; for each
line it is sent it writes the next table and says `wrote TERM GENERATION`, or the reason why it could not."""

from __future__ import annotations

import sys
import time

from rejoinder.core.arms import ArmsTable, Version
from rejoinder.core.errors import RejoinderError
from rejoinder.rollouts.kafkaowner import KafkaOwner
from rejoinder.rollouts.tables import ArmsTopic
from rejoinder.stream.kafka.log import KafkaLog
from rejoinder.stream.kafka.settings import KafkaSettings

POLICY = "assist"


def main(fields: str, name: str) -> None:
    log = KafkaLog(KafkaSettings(**eval(fields)))
    owner = KafkaOwner(log, POLICY)
    topic = ArmsTopic(log, owner, POLICY)
    try:
        topic.take()
        before = topic.read()
        generation = 0 if before is None else before.generation
        print(f"took {topic.term}", flush=True)
        for _ in sys.stdin:
            generation += 1
            stable = Version(f"assist-{name}", f"sha256:{name}")
            try:
                topic.write(ArmsTable(POLICY, topic.term, generation, time.time(), holdout_share=0.0, stable=stable))
            except RejoinderError as error:
                print(error.reason, flush=True)
            else:
                print(f"wrote {topic.term} {generation}", flush=True)
    finally:
        owner.close()
        log.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
