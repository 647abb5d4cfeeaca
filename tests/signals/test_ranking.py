import numpy as np
import pytest
from rejoinder.signals.ranking import auc, ranks, spearman
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import roc_auc_score


@pytest.mark.parametrize("seed", range(3))
def test_ranks_and_what_is_made_of_them_agree_with_scipy_and_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    p, y = rng.random(300).round(1), (rng.random(300) < 0.4).astype(float)
    assert ranks(p) == pytest.approx(rankdata(p))
    assert auc(p, y) == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert spearman(p, y) == pytest.approx(spearmanr(p, y)[0], abs=1e-12)


def test_what_cannot_be_ranked_is_not_a_number():
    assert np.isnan(auc(np.array([0.1, 0.2]), np.array([1.0, 1.0])))
    assert np.isnan(spearman(np.array([1.0, 2.0]), np.array([3.0, 3.0])))
