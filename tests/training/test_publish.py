import os

import pytest
from rejoinder.core.errors import ClaimTaken, DataLoss
from rejoinder.training.publish import DIGEST, already_published, publish, sole_writer, tree_digest, verify


def draft(folder, text="weights"):
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "w").write_text(text)
    return folder


def test_what_is_published_is_complete_and_verifies(tmp_path):
    digest = publish(draft(tmp_path / "d"), tmp_path / "out", "key")
    assert verify(tmp_path / "out") == digest == already_published(tmp_path / "out", "key")
    assert not (tmp_path / "d").exists()


def test_an_empty_folder_may_wait_at_the_destination(tmp_path):
    (tmp_path / "out").mkdir()
    publish(draft(tmp_path / "d"), tmp_path / "out", "key")
    assert (tmp_path / "out" / DIGEST).exists()


def test_the_first_complete_output_wins_and_the_second_runner_takes_it_over(tmp_path):
    first = publish(draft(tmp_path / "d1", "one"), tmp_path / "out", "key")
    assert publish(draft(tmp_path / "d2", "two"), tmp_path / "out", "key") == first
    assert (tmp_path / "out" / "adapter" / "w").read_text() == "one"
    assert not (tmp_path / "d2").exists()


def test_an_output_of_other_inputs_is_never_overwritten(tmp_path):
    publish(draft(tmp_path / "d1"), tmp_path / "out", "key")
    with pytest.raises(ClaimTaken, match="other inputs"):
        publish(draft(tmp_path / "d2"), tmp_path / "out", "another")


def test_a_folder_without_digest_is_not_complete(tmp_path):
    draft(tmp_path / "out")
    with pytest.raises(ClaimTaken, match="no complete output"):
        already_published(tmp_path / "out", "key")


@pytest.mark.parametrize("harm", ["change", "add", "remove"])
def test_any_changed_added_or_missing_byte_is_data_loss(tmp_path, harm):
    publish(draft(tmp_path / "d"), tmp_path / "out", "key")
    target = tmp_path / "out" / "adapter" / "w"
    acts = {
        "change": lambda: target.write_text("weightz"),
        "add": lambda: (target.parent / "x").touch(),
        "remove": target.unlink,
    }
    acts[harm]()
    with pytest.raises(DataLoss):
        verify(tmp_path / "out")


def test_the_digest_depends_on_names_and_bytes_alone(tmp_path):
    one, two = draft(tmp_path / "1"), draft(tmp_path / "2")
    os.utime(two / "adapter" / "w", (0, 0))
    assert tree_digest(one) == tree_digest(two)


def test_a_second_writer_is_refused_while_the_first_lives(tmp_path):
    with sole_writer(tmp_path / "w"):
        with pytest.raises(ClaimTaken):
            with sole_writer(tmp_path / "w"):
                pass
    with sole_writer(tmp_path / "w"):
        pass
