import math

from rejoinder.training.examples import encode
from rejoinder.training.feeds import HISTORY, JOINT, JUDGED, LIST, PAIR
from rejoinder.training.pairs import read_pairs
from rejoinder.training.turns import encode_prompt, end_of_turn

from tests.training.test_pairs import GOOD, write

RANKED = {**GOOD, "candidates": [{"text": t, "value": v} for t, v in (("light", 2.5), ("water", 1.0), ("air", -1.0))]}
ALONE = {name: value for name, value in GOOD.items() if name != "chosen"}
JOINED = {**GOOD, "rejected_prompt": [{"role": "user", "content": "why is the water short"}]}


def read_one(tmp_path, tokenizer, line, feed, **options):
    examples, dropped = encode(list(read_pairs(write(tmp_path / "p.jsonl", line))), tokenizer, 512, feed, **options)
    return examples[0] if examples else None, dict(dropped)


def test_a_flip_rate_that_nobody_estimated_is_none(tmp_path, tokenizer):
    example, dropped = read_one(tmp_path, tokenizer, GOOD, PAIR)
    assert math.isnan(example.eps)
    assert not dropped


def test_what_cannot_be_learnt_from_is_dropped_and_counted(tmp_path, tokenizer):
    path = write(
        tmp_path / "p.jsonl",
        GOOD,
        {**GOOD, "id": "b", "chosen": "air"},
        {**GOOD, "id": "c", "rejected": " "},
        {**GOOD, "id": "d", "weight": 0},
        {**GOOD, "id": "e", "chosen": "water " * 200},
    )
    examples, dropped = encode(list(read_pairs(path)), tokenizer, 100)
    assert [e.id for e in examples] == ["a"]
    assert dropped == {"identical_responses": 1, "empty_response": 1, "zero_weight": 1, "too_long": 1}


def test_a_list_is_whole_for_those_who_read_lists_and_a_pair_of_its_ends_for_others(tmp_path, tokenizer):
    whole, _ = read_one(tmp_path, tokenizer, RANKED, LIST)
    ends, _ = read_one(tmp_path, tokenizer, RANKED, PAIR)
    assert [tokenizer.decode(r[:-1]) for r in whole.responses] == ["light", "water", "air"]
    assert whole.values == (2.5, 1.0, -1.0)
    assert ends.responses == (whole.responses[0], whole.responses[2])
    assert ends.values == (1.0, 0.0)


def test_a_list_with_an_empty_answer_in_it_is_dropped_by_those_who_would_read_that(tmp_path, tokenizer):
    hollow = {
        **RANKED,
        "candidates": [c | {"text": " " if c["value"] == 1 else c["text"]} for c in RANKED["candidates"]],
    }
    assert read_one(tmp_path, tokenizer, hollow, LIST) == (None, {"empty_response": 1})
    assert read_one(tmp_path, tokenizer, hollow, PAIR)[0] is not None


def test_an_answer_judged_by_itself_is_for_those_who_judge_by_themselves(tmp_path, tokenizer):
    alone, _ = read_one(tmp_path, tokenizer, ALONE, JUDGED)
    assert [tokenizer.decode(r[:-1]) for r in alone.responses] == ["air"]
    assert alone.values == (0.0,)
    assert read_one(tmp_path, tokenizer, ALONE, PAIR) == (None, {"one_side": 1})


def test_two_prompts_share_what_they_share_and_the_rest_is_counted_with_the_responses(tmp_path, tokenizer):
    example, _ = read_one(tmp_path, tokenizer, JOINED, JOINT)
    sides = [(JOINED["prompt"], "light"), (JOINED["rejected_prompt"], "air")]
    for k, (messages, text) in enumerate(sides):
        whole = encode_prompt(tuple(messages), tokenizer)
        assert example.prompt + example.responses[k][: example.opening[k]] == whole
        assert tokenizer.decode(example.responses[k][example.opening[k] : -1]) == text
        assert example.length(k) == len(example.responses[k]) - example.opening[k]
    assert example.asked == encode_prompt(tuple(JOINED["prompt"]), tokenizer)
    assert example.opening[0] > 0
    assert read_one(tmp_path, tokenizer, JOINED, PAIR) == (None, {"two_prompts": 1})


def test_the_same_prompt_twice_is_one_prompt(tmp_path, tokenizer):
    twice, _ = read_one(tmp_path, tokenizer, {**GOOD, "rejected_prompt": GOOD["prompt"]}, JOINT)
    once, _ = read_one(tmp_path, tokenizer, GOOD, JOINT)
    assert (twice.prompt, twice.responses, twice.opening) == (once.prompt, once.responses, (0, 0))


def test_thoughts_with_their_marks_are_not_counted_and_an_open_one_goes_to_the_end(tmp_path, tokenizer):
    line = {**GOOD, "chosen": "<t>the water boils</t>light", "rejected": "air<t>short"}
    example, _ = read_one(tmp_path, tokenizer, line, PAIR, thoughts=("<t>", "</t>"))
    plain, _ = read_one(tmp_path, tokenizer, line, PAIR)
    assert example.responses == plain.responses
    for response, counted, kept in zip(example.responses, example.counted, ("light", "air"), strict=True):
        seen = [token for token, counts in zip(response, counted, strict=True) if counts]
        # A token that holds an end of a mark and a beginning of the answer belongs to the mark.
        assert kept.endswith(tokenizer.decode(seen[:-1]))
        assert seen[-1] == end_of_turn(tokenizer)
        assert len(seen) > 1
    assert example.seen == sum(map(sum, example.counted)) < plain.seen


TOLD = [{"role": "system", "content": "short answer please"}, {"role": "user", "content": "yes"}, *GOOD["prompt"]]


def test_a_prompt_is_read_with_the_users_history_and_without_it(tmp_path, tokenizer):
    """The history is all but the last message, or as many as the pair says; instructions are nobody's history."""
    whole, _ = read_one(tmp_path, tokenizer, {**GOOD, "prompt": TOLD}, HISTORY)
    assert whole.prompt == encode_prompt(tuple(TOLD), tokenizer)
    assert whole.bare == encode_prompt((TOLD[0], *GOOD["prompt"]), tokenizer)
    assert [tokenizer.decode(r[:-1]) for r in whole.responses] == ["light"]
    longer = [*TOLD[:2], {"role": "assistant", "content": "air"}, *GOOD["prompt"]]
    first, _ = read_one(tmp_path, tokenizer, {**GOOD, "prompt": longer, "history": 1}, HISTORY)
    assert first.bare == encode_prompt((longer[0], *longer[2:]), tokenizer)
    others, _ = read_one(tmp_path, tokenizer, {**GOOD, "prompt": TOLD}, PAIR)
    assert others.bare is None


def test_where_there_is_no_history_or_nothing_was_chosen_a_reader_of_histories_has_nothing(tmp_path, tokenizer):
    assert read_one(tmp_path, tokenizer, GOOD, HISTORY) == (None, {"no_history": 1})
    ruled = [TOLD[0], *GOOD["prompt"]]
    assert read_one(tmp_path, tokenizer, {**GOOD, "prompt": ruled}, HISTORY) == (None, {"no_history": 1})
    assert read_one(tmp_path, tokenizer, {**GOOD, "prompt": TOLD, "history": 0}, HISTORY) == (None, {"no_history": 1})
    assert read_one(tmp_path, tokenizer, {**ALONE, "prompt": TOLD}, HISTORY) == (None, {"one_side": 1})
