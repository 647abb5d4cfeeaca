"""Every scenario of `make chaos`, and the faults planted on purpose."""

from __future__ import annotations

from tests.chaos.scenarios import (
    answers,
    arms,
    brokers,
    clocks,
    network,
    observed,
    planted,
    processes,
    repeats,
    servers,
    volumes,
    workers,
)
from tests.chaos.scenarios.row import Planted, Scenario

SCENARIOS = (
    Scenario("broker_leader_killed", "broker", "F06 F07 U02", brokers.leader_killed),
    Scenario("two_of_three_brokers_down", "broker", "F06 U02", brokers.two_of_three_down),
    Scenario("slow_broker", "broker", "F06 F07", brokers.slow_broker),
    Scenario("feedback_killed", "process", "F06 F07 U01 U02", processes.feedback_killed),
    Scenario("projector_killed_mid_batch", "process", "F06 F07", processes.ledger_killed),
    Scenario("signals_killed", "process", "F06 F07", processes.signals_killed, 0.5),
    Scenario("postgres_killed", "process", "F06 F07", processes.postgres_killed),
    Scenario("worker_killed_inside_a_transaction", "process", "F06 F07", workers.killed_inside),
    Scenario("worker_woken_inside_a_transaction", "process", "F07 F11", workers.woken_inside),
    Scenario("fenced_producer", "process", "F07 F11", workers.fenced_producer),
    Scenario("rebalance_storm", "process", "F06 F07", workers.rebalance_storm),
    Scenario("shifted_clock", "process", "F07 U01", clocks.shifted_clock, 0.7),
    Scenario("generate_while_all_else_dies", "process", "F06 F07", answers.generate_while_all_else_dies, 0.05),
    Scenario("policy_killed", "process", "F06 F07", answers.policy_killed, 0.05, may_refuse=True),
    Scenario("rerank_killed", "process", "F06 F07", servers.rerank_killed, 0.05),
    Scenario("gateway_killed", "process", "F06 F07", servers.gateway_killed, 0.05),
    Scenario("observe_killed", "process", "F06 F07", observed.observe_killed, 0.02),
    Scenario("stale_leader_then_compaction", "process", "F11 F13", arms.stale_leader, 0.01),
    Scenario("partition", "network", "F06 F07", network.partition),
    Scenario("broker_disk_full", "volume", "F06", volumes.broker_disk_full),
    Scenario("spool_disk_full", "volume", "F06", volumes.spool_disk_full, 0.05),
    Scenario("duplicate_delivery", "process", "F07 U01", repeats.duplicate_delivery),
    Scenario("ten_thousand_three_times", "process", "F06 F07 U01", repeats.thrice_with_kills),
)

PLANTED = (
    Planted("ack_before_the_write", "lost", planted.ack_before_the_write),
    Planted("commit_before_the_work", "lost", planted.commit_before_the_work),
    Planted("work_outside_a_transaction", "duplicated", planted.work_outside_a_transaction),
)
