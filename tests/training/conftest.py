"""A tiny random chat model with a tokenizer trained on the spot, in the folder layout of every base."""

import json
import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = (
    "the water boils at one hundred degrees celsius give me a short answer please list three rivers in france "
    "yes no seine loire rhone why is the sky blue because light scatters in air thank you what about fahrenheit"
)
WORDS = TEXT.split()


def build_base(folder, kind="qwen2", seed=0):
    """Writes config.json, model.safetensors, tokenizer.json and tokenizer_config.json; returns the folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    corpus = [" ".join(WORDS), "system user assistant\n"] * 4
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        corpus,
        trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=TEMPLATE
    )
    config_class, model_class = {
        "qwen2": (Qwen2Config, Qwen2ForCausalLM),
        "llama": (LlamaConfig, LlamaForCausalLM),
    }[kind]
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    config = config_class(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
        initializer_range=0.15,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = model_class(config)
        # A fresh model's biases are zero, and an export that lost them would go unnoticed.
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_pairs(path, count=12, seed=0):
    """Pairs with ragged lengths; a third state a flip probability."""
    import random

    draw = random.Random(seed)

    def text(low, high):
        return " ".join(draw.choices(WORDS, k=draw.randint(low, high)))

    with path.open("w") as out:
        for i in range(count):
            line = {
                "id": f"p{i}",
                "group": f"u{i // 2}",
                "prompt": [{"role": "user", "content": text(2, 9)}],
                "chosen": text(1, 6),
                "rejected": text(3, 12),
                "weight": round(draw.uniform(0.5, 2), 2),
                "margin": 1.0,
            }
            if i % 3 == 0:
                line["flip_probability"] = 0.2
            out.write(json.dumps(line) + "\n")
    return path


@pytest.fixture(scope="session", autouse=True)
def _modest_threads():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base_dir(tmp_path_factory):
    return build_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def tokenizer(base_dir):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base_dir)


@pytest.fixture
def make_base(tmp_path):
    """The builder itself, for a test that wants another architecture or seed."""
    return lambda **options: build_base(tmp_path / "-".join(map(str, options.values())), **options)


@pytest.fixture
def make_pairs(tmp_path):
    return lambda **options: write_pairs(tmp_path / "pairs.jsonl", **options)


@pytest.fixture
def examples(make_pairs, tokenizer):
    """Pairs; the first half of a prompt is what an objective may be asked to leave out."""
    import dataclasses

    from rejoinder.training.examples import encode
    from rejoinder.training.pairs import read_pairs

    found, dropped = encode(list(read_pairs(make_pairs())), tokenizer, 2048)
    assert not dropped
    return [dataclasses.replace(e, bare=e.prompt[len(e.prompt) // 2 :]) for e in found]
