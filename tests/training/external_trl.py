"""A plain TRL script that keeps the stage contract: what `train: external` may run instead of ours.

It shares no code with the room. python external_trl.py --manifest M --pairs P --base DIR --out DIR
"""

import argparse
import hashlib
import json
import os
import shutil
from pathlib import Path

from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def train(pairs, base, scratch, settings):
    model = AutoModelForCausalLM.from_pretrained(base, dtype="float32")
    trainer = DPOTrainer(
        model=model,
        args=DPOConfig(
            output_dir=str(scratch),
            beta=settings.get("params", {}).get("beta", 0.1),
            learning_rate=settings.get("lr", 2e-4),
            num_train_epochs=settings.get("epochs", 1),
            per_device_train_batch_size=4,
            seed=settings.get("seed", 0),
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            logging_steps=1,
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(
            [
                {
                    "prompt": pair["prompt"],
                    "chosen": [{"role": "assistant", "content": pair["chosen"]}],
                    "rejected": [{"role": "assistant", "content": pair["rejected"]}],
                }
                for pair in pairs
            ]
        ),
        processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    trainer.train()
    return trainer


def main():
    parser = argparse.ArgumentParser()
    for name in ("manifest", "pairs", "base", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args()
    draft = given.out.with_name(given.out.name + ".draft")
    shutil.rmtree(draft, ignore_errors=True)
    pairs = [json.loads(line) for line in given.pairs.read_text().splitlines() if line]
    settings = json.loads(given.manifest.read_text()).get("train", {})
    trainer = train(pairs, given.base, draft / "scratch", settings)
    trainer.model.save_pretrained(draft / "adapter")
    shutil.rmtree(draft / "scratch", ignore_errors=True)
    (draft / "adapter" / "README.md").unlink(missing_ok=True)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    metrics = {"contract": "train/v1", "pairs": {"trained": len(pairs), "dropped": {}}, "losses": losses}
    (draft / "metrics.json").write_text(json.dumps(metrics))
    files = {p.relative_to(draft).as_posix(): sha256(p.read_bytes()) for p in sorted(draft.rglob("*")) if p.is_file()}
    digest = sha256(json.dumps(files, sort_keys=True, separators=(",", ":")).encode())
    key = sha256(given.manifest.read_bytes() + given.pairs.read_bytes())
    (draft / "digest.json").write_text(json.dumps({"digest": digest, "files": files, "key": key}))
    os.rename(draft, given.out)


if __name__ == "__main__":
    main()
