"""What to do next with a rollout: one pure function for the laptop engine and the operator.

`decide(plan, status, observed, now)` returns the first row that applies. The caller performs the actions in order and
stores the status last, so a crash in between repeats the row; every action may be repeated. A caller that cannot read
the registry or the arms table does not decide at all: the lease runs out and replicas fall to stable by themselves.

| row               | holds                                                    | then                             |
|-------------------|----------------------------------------------------------|----------------------------------|
| fenced            | the arms table carries a higher term than ours           | nothing: another leader writes   |
| closed            | the rollout is over                                      | nothing                          |
| reverted          | served is the last good version again, as we asked       | aborted, closed                  |
| superseded        | somebody else created a newer served generation          | canary off, closed as superseded |
| promoted          | served is our canary                                     | it is stable; the watch begins   |
| revert            | in the watch: abort, or the verdict is worse             | create served: last good version |
| watch_over        | the watch has passed                                     | unload the replaced one, closed  |
| watching          | in the watch                                             | nothing                          |
| abort             | a person said abort                                      | canary off, aborted              |
| wrong_digest      | a replica reports another digest under the canary's name | canary off, aborted              |
| worse             | the verdict is worse                                     | canary off, aborted              |
| shadow_harm       | in the shadow phase: a veto fired on its pairs           | aborted: nobody has met it       |
| suspended         | the rollout is suspended                                 | canary off while it lasts        |
| frozen            | the policy is frozen                                     | arms stay as they are, renewed   |
| busy              | before exposure: another's live canary, or shadow phase  | wait                             |
| override          | a person said promote, every replica has the digest      | create served, with who said it  |
| sign_canary       | a person must sign before exposure and has not           | wait                             |
| load_deadline     | not every replica reported the digest in time            | aborted                          |
| loading           | not every replica reports the canary's digest            | load it                          |
| shadow            | the plan has a shadow phase and it has not begun         | answers again, shown to nobody   |
| shadowing         | it was not kept going for its time yet                   | wait; `held` where none is at it |
| shadow_unmeasured | too few pairs of a veto; neither plan nor person exposes | wait, shadowing on               |
| first_step        | ready                                                    | canary at the first weight       |
| sign_promotion    | promotable at the last step; a person has not signed     | hold, renewed                    |
| promote           | last step, promotable, duration over, digests met        | create served                    |
| step              | may advance, duration over, digests met                  | the next weight                  |
| deadline          | the step's deadline has passed                           | on_deadline: aborted, or hold    |
| hold              | else                                                     | hold, renewed; `held` says why   |

A command names the arms generation it was made on and is ignored on any other. Renewals keep the generation.
Losing the exclusive create shows as somebody else's served generation (F11): row superseded. Stable in the table is
always what the registry serves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rejoinder.core.arms import Lease
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollout.rows import ROWS, Look
from rejoinder.rollout.state import CANARY, Decision, Observed, Status, WriteArms

#: A lease is renewed when this part of its time has passed, so that two lost renewals do not end a canary.
RENEW_AFTER = 1 / 3


def decide(plan: RolloutPlan, status: Status, observed: Observed, now: float) -> Decision:
    """The next status and what to do; pure, total, and safe to call at any time and any number of times."""
    look = Look(plan, status, observed, now)
    for name, row in ROWS:
        found = row(look)
        if found is None:
            continue
        after, actions = found
        if name in ("fenced", "closed"):
            return Decision(name, after, actions)
        return Decision(name, after, (*_arms(look, after), *actions))
    raise AssertionError("the last row always applies")


def _arms(look: Look, after: Status) -> Iterator[WriteArms]:
    """The table that `after` means, if it differs from the one in force, or the lease is due."""
    seen, arms = look.seen, look.seen.arms
    ttl, live = look.plan.lease_ttl_s, after.phase == CANARY and after.held != "suspended"
    # An approval that was given for something else must not answer this: it names the generation.
    asked = after.held == "shadow_unmeasured" != look.status.held
    if not (live or asked) and arms.canary not in (None, after.canary):
        return  # another rollout's canary: its own engine writes this table
    salts = replace(arms.salts, assignment=after.salt) if live else arms.salts
    wanted = replace(
        arms,
        unit=look.plan.unit if live else arms.unit,
        salts=salts,
        stable=seen.served.version,
        canary=after.canary if live else None,
        steps=after.steps if live else (),
        lease=arms.lease if live and arms.lease else (Lease(ttl) if live else None),
        frozen=seen.frozen,
    )
    changed = wanted != arms or asked or seen.term > arms.term
    due = live and (wanted.lease is None or look.now - wanted.lease.renewed_at >= RENEW_AFTER * ttl)
    if changed or due:
        yield WriteArms(
            replace(
                wanted,
                term=seen.term,
                generation=arms.generation + 1 if changed else arms.generation,
                written_at=look.now,
                lease=Lease(ttl, look.now, look.now + ttl) if live else None,
                reason=after.held or after.reason,
            )
        )
