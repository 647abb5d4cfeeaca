"""The stage on a tiny model. F04: reference explicit, divergence from the original; F12: digests; F17: resume."""

import json
import multiprocessing
import signal

import pytest
import torch
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadFile, BadSettings, ClaimTaken, DataLoss, FailedPrecondition, ResourceExhausted
from rejoinder.training.publish import file_digest, verify
from rejoinder.training.stage import count, run

TRAIN = {
    "lora": {"r": 4, "alpha": 8},
    "lr": 3e-3,
    "epochs": 3,
    "pairs_per_step": 4,
    "checkpoint_every": 2,
    "probe_pairs": 4,
    "probe_tokens": 6,
    "device": "cpu",
}
STEPS = 9


@pytest.fixture
def stage(tmp_path, base_dir, make_pairs):
    """Runs the stage in this process; returns the output folder."""
    pairs = make_pairs()

    def go(name="out", base=base_dir, lines=None, manifest=None, **train):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"train": TRAIN | train, **(manifest or {})}))
        emit = (lambda line: None) if lines is None else lines.append
        run(path, pairs, base, tmp_path / name, clock=ManualClock(), emit=emit)
        return tmp_path / name

    return go


@pytest.fixture
def command(tmp_path, base_dir, make_pairs):
    """Starts the stage as a process of its own, as a round does; the process, and what it prints."""
    from tests.training.forked import commanded

    pairs, started = make_pairs(), []
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["tests.training.forked"])

    def start(name, environment=None, held=0, **train):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"train": TRAIN | train}))
        arguments = ["run", "--manifest", path, "--pairs", pairs, "--base", base_dir, "--out", tmp_path / name]
        lines, theirs = forks.Pipe()
        process = forks.Process(target=commanded, args=(list(map(str, arguments)), environment or {}, theirs, held))
        process.start()
        theirs.close()
        started.append(process)
        return process, lines

    yield start
    for process in started:
        process.kill()
        process.join()


def metrics(out):
    return json.loads((out / "metrics.json").read_text())


def step_lines(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_what_stands_in_the_output_is_what_the_contract_says(stage):
    out = stage()
    files = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert files == {
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "metrics.json",
        "metrics.jsonl",
        "digest.json",
    }
    assert verify(out) == json.loads((out / "digest.json").read_text())["digest"]
    assert not out.with_name("out.work").exists()
    found = metrics(out)
    assert found["pairs"]["trained"] == 12
    assert found["pairs"]["packed_tokens"] < found["pairs"]["plain_tokens"]
    assert found["before"]["kl_to_original_per_token"] == 0 < found["after"]["kl_to_original_per_token"]
    assert {"generated_tokens", "generated_length_ratio", "kl_to_original_sampled"} <= set(found["after"])
    assert [line["step"] for line in step_lines(out)] == list(range(1, STEPS + 1))
    assert found["last_step"]["accuracy"] > found["first_step"]["accuracy"]


def test_a_budget_of_what_another_run_learnt_from_makes_the_same_run(stage, tmp_path, base_dir, make_pairs):
    """Counted before, spent, and told afterwards: one figure."""
    plain = stage("plain")
    tokens = count(tmp_path / "plain.json", make_pairs(), base_dir)["tokens"]
    assert metrics(plain)["learnt_tokens"] == tokens > metrics(plain)["pairs"]["packed_tokens"]
    budgeted = stage("budgeted", epochs=1, token_budget=tokens)
    assert step_lines(budgeted) == step_lines(plain)
    assert metrics(budgeted)["learnt_tokens"] == tokens
    assert metrics(plain)["cpu_seconds"] > 0


def test_the_adapter_is_one_that_peft_loads(stage, base_dir):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    out = stage()
    ids = torch.tensor([[1, 50, 60, 70]])
    base = AutoModelForCausalLM.from_pretrained(base_dir)
    bare = base(input_ids=ids).logits
    tuned = PeftModel.from_pretrained(base, out / "adapter")(input_ids=ids).logits
    assert (tuned - bare).abs().max() > 1e-3


def test_run_again_it_finds_itself_done_and_trains_nothing(stage):
    out, again = stage(), []
    before = file_digest(out / "digest.json")
    stage(lines=again)
    assert not again
    assert file_digest(out / "digest.json") == before


def test_other_settings_may_not_take_the_same_output(stage):
    stage()
    with pytest.raises(ClaimTaken, match="other inputs"):
        stage(seed=1)


def test_equal_inputs_make_equal_adapters_in_any_folder(stage):
    first, second, other = stage("a"), stage("b"), stage("c", seed=1)
    name = "adapter/adapter_model.safetensors"
    assert file_digest(first / name) == file_digest(second / name) != file_digest(other / name)


def test_reference_and_start_name_adapters_of_the_manifest(stage, tmp_path):
    first = stage("first")
    manifest = {"adapters": {"previous": "first/adapter", "promoted": str(first / "adapter")}}
    both = stage("both", manifest=manifest, reference="previous", init="previous")
    moved, unmoved = metrics(both)["before"], step_lines(both)[0]
    assert moved["kl_to_original_per_token"] == pytest.approx(
        metrics(first)["after"]["kl_to_original_per_token"], rel=1e-4
    )
    assert unmoved["chosen_gain"] == pytest.approx(0, abs=1e-4)
    drift = stage("drift", manifest=manifest, reference="original", init="previous")
    assert step_lines(drift)[0]["chosen_gain"] != pytest.approx(0, abs=1e-2)
    other = stage("other", manifest=manifest, reference="promoted", init="original")
    assert metrics(other)["before"]["kl_to_original_per_token"] == 0
    assert step_lines(other)[0]["chosen_gain"] != pytest.approx(0, abs=1e-2)


def test_an_adapter_that_the_manifest_does_not_name_is_refused(stage):
    with pytest.raises(FailedPrecondition, match="previous"):
        stage(reference="previous")


@pytest.mark.parametrize("name", ["pairs", "base"])
def test_inputs_that_are_not_the_manifests_are_refused_before_training(stage, name):
    with pytest.raises(DataLoss, match=name):
        stage(manifest={"inputs": {name: "0" * 64}})


def test_a_misspelt_setting_or_a_broken_manifest_is_refused(stage, tmp_path, base_dir):
    with pytest.raises(BadSettings, match="beta"):
        stage(beta=0.1)
    with pytest.raises(BadSettings, match="orpo has no reference"):
        stage(objective="orpo", anchor="fall")
    (tmp_path / "no.json").write_text("{")
    with pytest.raises(BadFile, match="manifest"):
        run(tmp_path / "no.json", tmp_path, base_dir, tmp_path / "o", clock=ManualClock(), emit=lambda line: None)


def test_a_run_that_would_not_fit_is_refused_before_its_first_step(stage, tmp_path):
    lines = []
    with pytest.raises(ResourceExhausted, match="tokens_per_batch"):
        stage(memory_limit_mb=1, lines=lines)
    assert not lines
    assert not (tmp_path / "out").exists()


def test_no_word_of_a_pair_stands_in_any_output(stage, make_pairs):
    out = stage()
    texts = [json.loads(line)["chosen"] for line in make_pairs().read_text().splitlines()]
    said = {word for text in texts for word in text.split() if len(word) > 6}
    written = "".join((out / n).read_text() for n in ("metrics.json", "metrics.jsonl", "digest.json"))
    assert said
    assert not [word for word in said if word in written]


@pytest.mark.system
def test_killed_half_way_it_leaves_nothing_that_looks_complete_and_resumes_bit_equal(stage, command, tmp_path):
    """F17. SIGKILL after step 5; the last checkpoint is of step 4; a new process does 5 to 9 again."""
    whole = stage("whole")
    killed, lines = command("killed", held=5)
    assert [lines.recv()["step"] for _ in range(5)] == [1, 2, 3, 4, 5]
    killed.kill()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()
    assert (tmp_path / "killed.work" / "checkpoint.safetensors").exists()
    resumed, lines = command("killed")
    assert lines.recv()["step"] == 5
    resumed.join()
    assert resumed.exitcode == 0
    assert step_lines(tmp_path / "killed") == step_lines(whole)
    adapter = "adapter/adapter_model.safetensors"
    assert file_digest(tmp_path / "killed" / adapter) == file_digest(whole / adapter)
    verify(tmp_path / "killed")


@pytest.mark.system
def test_two_processes_train_as_one_does(stage, command, tmp_path):
    """Equal global batch: 1e-4 at step 1, and 1e-2 after 50, as sums are added in another order."""
    # The meeting place stands before they begin, as torchrun's does: a merely free port may be another's by then.
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
    world |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0"}
    small = {"epochs": 17, "tokens_per_batch": 64, "probe_pairs": 0, "lr": 1e-3}
    team = [command("team", world | {"RANK": str(rank)}, **small) for rank in range(2)]
    alone = stage("alone", **small)
    for process, _ in team:
        process.join()
        assert process.exitcode == 0
    one, two = (step_lines(out) for out in (alone, tmp_path / "team"))
    assert metrics(tmp_path / "team")["processes"] == 2
    assert two[0]["grad_norm"] == pytest.approx(one[0]["grad_norm"], rel=1e-4)
    assert two[0]["loss"] == pytest.approx(one[0]["loss"], rel=1e-4)
    assert two[50]["loss"] == pytest.approx(one[50]["loss"], rel=1e-2)
    assert one[50]["loss"] < 0.9 * one[0]["loss"]


def test_an_objective_of_lists_refuses_pairs_before_the_first_step(stage):
    with pytest.raises(FailedPrecondition, match="tpo learns from lists"):
        stage(objective="tpo")


def test_a_users_history_is_read_from_the_pairs_file(stage, make_pairs):
    """Prompts of two messages teach; those of one have no history and are dropped by name."""
    with pytest.raises(FailedPrecondition, match="no_history"):
        stage(objective="nextquill")
    path = make_pairs()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    told = [line | {"prompt": [{"role": "user", "content": "thank you"}, *line["prompt"]]} for line in lines[:-1]]
    path.write_text("".join(json.dumps(line) + "\n" for line in [*told, lines[-1]]))
    out = stage(objective="nextquill", anchor_weight=0, pairs_per_step=11)
    assert metrics(out)["pairs"]["dropped"] == {"no_history": 1}
    assert step_lines(out)[-1]["loss"] < step_lines(out)[0]["loss"]
    assert verify(out)


def test_a_teacher_is_a_base_with_an_adapter_and_its_digest_stands_in_the_output(stage, make_base, tmp_path):
    """The teacher is a round of our own on another base; the student has its rest and its advantage."""
    larger = make_base(seed=5)
    stage("aligned", base=larger, max_steps=2, pairs_per_step=12)
    teacher = {"base": str(larger), "adapter": "aligned/adapter"}
    for objective in ("dckd", "adpa"):
        out = stage(objective, objective=objective, teacher=teacher, anchor_weight=0, pairs_per_step=12)
        assert step_lines(out)[-1]["loss"] < step_lines(out)[0]["loss"]
        assert {"teacher/base", "teacher/adapter"} <= set(metrics(out)["inputs"])
        assert verify(out)
    with pytest.raises(BadSettings, match="larger model"):
        stage("none", objective="dckd")
    with pytest.raises(BadSettings, match="base, adapter"):
        stage("half", objective="dckd", teacher={"base": str(larger)})
