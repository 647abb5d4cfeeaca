import pytest
from rejoinder.training.embedded import tokenizer as bpe

TEXTS = [
    "Mount Everest is 8849 metres high.",
    "- Heat: 180 degrees Celsius\n- Time: 15 minutes",
    "Please use metric.",
] * 30
TURNS = (
    ("system", "Stay brief."),
    ("user", "How high? Ünïcödé 漢字"),
    ("assistant", "8849 metres."),
    ("user", "Thanks"),
)


@pytest.fixture(scope="module")
def trained():
    return bpe.train(TEXTS, 400)


def test_ids_of_a_conversation_equal_those_of_the_chat_template(trained):
    ids, learnt = bpe.encode(trained, TURNS)
    messages = [{"role": role, "content": text} for role, text in TURNS]
    text = trained.apply_chat_template(messages, tokenize=False)
    assert ids == trained.encode(text, add_special_tokens=False)
    assert len(learnt) == len(ids)


def test_the_loss_is_on_what_the_assistant_says_and_on_its_end_only(trained):
    ids, learnt = bpe.encode(trained, TURNS)
    assert trained.decode([i for i, on in zip(ids, learnt, strict=True) if on]) == "8849 metres.<|im_end|>"


def test_the_reloaded_tokenizer_gives_the_same_ids_by_either_class(trained, tmp_path):
    """The exporter names the class after the model: a Qwen2 tokenizer must read the file as it was written."""
    from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

    trained.save_pretrained(tmp_path)
    for cls in (PreTrainedTokenizerFast, Qwen2Tokenizer):
        again = cls.from_pretrained(tmp_path)
        for text in (*TEXTS[:3], "8849 m, isn't it?\n\n  two  spaces\ttab", "Ünïcödé 漢字 🙂"):
            assert again.encode(text, add_special_tokens=False) == trained.encode(text, add_special_tokens=False)
        assert again.eos_token == bpe.END
        assert again.pad_token == bpe.PAD


def test_digits_stand_alone_and_any_text_comes_back(trained):
    assert all(len(t) == 1 for t in trained.tokenize("8849"))
    text = "naïve — 漢字 🙂\n- x"
    assert trained.decode(trained.encode(text)) == text
