import pytest
from rejoinder.core.errors import BadSettings
from rejoinder.training.settings import LoraSettings, TrainSettings


def test_reference_and_start_are_separate_and_both_original_by_default():
    settings = TrainSettings.from_mapping({})
    assert (settings.reference, settings.init) == ("original", "original")
    other = TrainSettings.from_mapping({"reference": "promoted", "init": "previous", "lora": {"r": 4}})
    assert (other.reference, other.init, other.lora) == ("promoted", "previous", LoraSettings(r=4))


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"refrence": "original"}, "refrence"),
        ({"lora": {"rank": 4}}, "rank"),
        ({"reference": "best"}, "reference"),
        ({"init": "yesterday"}, "init"),
        ({"epochs": 0}, "epochs"),
        ({"lr": -1e-4}, "lr"),
        ({"anchor_weight": -1}, "anchor_weight"),
        ({"anchor": "fell"}, "anchor"),
        ({"warmup_share": 1.0}, "warmup_share"),
        ({"lora": {"r": 0}}, "lora.r"),
    ],
)
def test_a_misspelt_key_or_a_value_out_of_range_is_named(values, name):
    with pytest.raises(BadSettings, match=name):
        TrainSettings.from_mapping(values)
