from rejoinder.core.types import Comment, FollowUp, Polarity
from rejoinder.signals.extractors import comment, minilm


def test_a_comment_is_read_as_a_follow_up_of_the_same_words(about, ports):
    words = "perfect, thanks"
    (signal,) = comment.extract([about(Comment(words))], minilm.Params(), ports)
    (turn,) = minilm.extract([about(FollowUp(words))], minilm.Params(), ports)
    assert signal.polarity is turn.polarity is Polarity.SAT
    assert (signal.level, signal.reasons) == (turn.level, turn.reasons)
    assert signal.event_id != turn.event_id
