"""Several answers at once on one event loop, each left when it is long enough: the model stops too.

python examples/stream_async.py "List three rivers" "Write a poem" --most 80
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import aclosing

from rejoinder.clients import AsyncPolicyClient, Connection, End, GenerateAsk, Message, Role


async def answer(policy: AsyncPolicyClient, question: str, most: int, patience_s: float) -> str:
    """What came of it: the whole answer, or its beginning and why it ends there."""
    text = ""
    try:
        async with asyncio.timeout(patience_s):
            # aclosing: leaving the loop early tells the server, which takes the answer off its batch.
            async with aclosing(policy.generate(GenerateAsk((Message(Role.USER, question),)))) as parts:
                async for part in parts:
                    if isinstance(part, str):
                        text += part
                    elif isinstance(part, End):
                        return f"{text} [{part.finish_reason}]"
                    if len(text) >= most:
                        return f"{text[:most]} [left]"
    except TimeoutError:
        return f"{text} [out of patience]"
    return text


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("questions", nargs="+")
    options.add_argument("--policy", default="127.0.0.1:50052")
    options.add_argument("--most", type=int, default=200, help="characters")
    options.add_argument("--patience", type=float, default=60.0, help="seconds for one answer")
    given = options.parse_args()
    async with AsyncPolicyClient(Connection(given.policy, deadline_s=given.patience)) as policy:
        asked = [answer(policy, question, given.most, given.patience) for question in given.questions]
        for question, found in zip(given.questions, await asyncio.gather(*asked), strict=True):
            print(f"{question}\n  {found!r}")


if __name__ == "__main__":
    asyncio.run(main())
