"""The loop: it learns, repeats itself, lowers its rate, stops, restores, and refuses clearly."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss
from torch.utils.data import DataLoader

from pp_lib.train import (
    EarlyStopping,
    History,
    ThreeHeadVGG16,
    balanced_class_weights,
    evaluate,
    fit,
    head_losses,
)

QUIET = {"device": "cpu", "progress": False}


def hopeless(val):
    """Turn the labels round: the better the fit, the higher the validation loss."""
    return replace(val, labels=(val.labels + 1) % 3)


def test_a_planted_signal_is_learnt(tiny, make_features):
    train, val = make_features(300), make_features(100, seed=1)
    history = fit(tiny, train, val, epochs=30, lr=0.03, **QUIET)
    assert history.val_accuracy["aperture"][history.best_epoch - 1] > 0.9
    assert history.val_loss[0] > history.best_val_loss
    # nothing was planted for ISO: its loss stays at ln 3, within sampling
    assert history.val_head_loss["iso"][-1] == pytest.approx(math.log(3), abs=0.1)
    assert history.stop_reason in ("epochs done", "early stop")


def test_three_heads_on_vgg16_learn_from_cached_features(make_features):
    model = ThreeHeadVGG16("random")
    before = {k: v.clone() for k, v in model.features.state_dict().items()}
    train = make_features(64, channels=512, signal=10.0)
    val = make_features(32, channels=512, signal=10.0, seed=1)
    history = fit(model, train, val, epochs=4, batch_size=16, **QUIET)
    assert history.val_accuracy["aperture"][history.best_epoch - 1] > 0.7
    assert all(torch.equal(v, before[k]) for k, v in model.features.state_dict().items())
    assert all(p.grad is None for p in model.features.parameters())


def test_the_whole_model_learns_from_photographs(make_pictures):
    model = ThreeHeadVGG16("random", freeze_features=False)
    before = model.features[0].weight.detach().clone()
    loader = DataLoader(make_pictures(4), batch_size=2, shuffle=True)
    history = fit(model, loader, loader, epochs=1, lr=1e-4, precision="bfloat16", **QUIET)
    assert len(history) == 1
    assert not torch.equal(model.features[0].weight, before)
    assert model.features[0].weight.dtype == torch.float32


def test_a_frozen_backbone_is_left_alone_by_photographs(make_pictures):
    model = ThreeHeadVGG16("random")
    before = model.features[0].weight.clone()
    loader = DataLoader(make_pictures(4), batch_size=2)
    fit(model, loader, loader, epochs=1, **QUIET)
    assert torch.equal(model.features[0].weight, before)


def test_same_seed_same_bits_and_the_callers_random_state_is_left_alone(make_features):
    train, val = make_features(20, channels=512), make_features(10, channels=512, seed=1)
    results = []
    for seed, disturbance in ((5, 0), (5, 123), (6, 0)):
        torch.manual_seed(disturbance)
        np_state, state = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
        model = ThreeHeadVGG16("random")
        history = fit(model, train, val, epochs=2, batch_size=8, seed=seed, **QUIET)
        assert torch.equal(state, torch.get_rng_state())
        assert np.array_equal(np_state, np.random.get_state()[1])  # noqa: NPY002
        results.append((history.train_loss, history.val_loss, model.state_dict()))
    (loss_a, val_a, a), (loss_b, val_b, b), (loss_c, _, _) = results
    assert (loss_a, val_a) == (loss_b, val_b)
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert loss_a != loss_c


def test_same_seed_same_bits_with_a_loader_that_shuffles(make_tiny, make_pictures):
    losses = []
    for disturbance in (0, 1):
        torch.manual_seed(disturbance)
        loader = DataLoader(make_pictures(12, jitter=0.5), batch_size=5, shuffle=True)
        history = fit(make_tiny(3), loader, loader, epochs=3, seed=2, **QUIET)
        losses.append((history.train_loss, history.val_loss))
    assert losses[0] == losses[1]


def test_the_rate_is_halved_before_training_stops(tiny, make_features):
    train = make_features(60)
    history = fit(tiny, train, hopeless(train), epochs=50, lr=0.01, **QUIET)
    assert history.stop_reason == "early stop"
    assert history.best_epoch == 1
    assert len(history) == 1 + 8
    # bad epochs are 2 to 9; after the third (epoch 4) and the sixth (epoch 7) the rate is halved
    assert history.lr == [0.01] * 4 + [0.005] * 3 + [0.0025] * 2


def test_the_notes_pair_of_patiences_is_refused(tiny, make_features):
    with pytest.raises(ValueError, match="before the lower rate is tried"):
        fit(tiny, make_features(40), make_features(40), epochs=1, plateau_patience=2,
            stop_patience=3)  # fmt: skip


def test_the_best_weights_are_restored(tiny, make_features):
    train, val = make_features(60), hopeless(make_features(30, seed=1))
    history = fit(tiny, train, val, epochs=5, lr=0.05, **QUIET)
    assert history.best_epoch == 1
    assert history.val_loss[-1] > history.val_loss[0]
    checked = evaluate(tiny, val, device="cpu")
    assert checked.loss == history.best_val_loss
    assert not tiny.training


def test_history_is_plain_data(tiny, make_features):
    history = fit(tiny, make_features(40), make_features(20), epochs=3, **QUIET)
    values = json.loads(json.dumps(history.to_dict(), allow_nan=False))
    assert History.from_dict(values) == history
    assert len(history) == 3
    for name in ("train_loss", "val_loss", "lr", "seconds"):
        assert len(values[name]) == 3
    for kind in ("train", "val"):
        for j in range(3):
            heads = [losses[j] for losses in values[f"{kind}_head_loss"].values()]
            assert values[f"{kind}_loss"][j] == pytest.approx(sum(heads), rel=1e-6)  # float32 sums
    with pytest.raises(ValueError, match="no epoch"):
        _ = History().best_val_loss


def test_training_loss_is_the_mean_over_photographs_not_over_batches(tiny, make_features):
    train = make_features(33)  # batches of 32 and 1
    expected = evaluate(tiny, train, device="cpu").loss
    history = fit(tiny, train, train, epochs=1, lr=1e-12, **QUIET)
    assert history.train_loss[0] == pytest.approx(expected, rel=1e-6)  # float32


def test_evaluation_is_scikit_learns(tiny, make_features):
    data = make_features(50)
    found = evaluate(tiny, data, batch_size=7, device="cpu")
    total = 0
    for j, (name, z) in enumerate(found.logits.items()):
        y = data.labels[:, j].numpy()
        loss = log_loss(y, torch.softmax(z.double(), dim=1).numpy(), labels=[0, 1, 2])
        assert found.head_loss[name] == pytest.approx(loss, rel=1e-5)  # float32
        assert found.accuracy[name] == accuracy_score(y, z.argmax(dim=1).numpy())
        total += loss
    assert found.loss == pytest.approx(total, rel=1e-5)
    assert torch.equal(found.labels, data.labels)


def test_evaluation_leaves_mode_and_random_state_alone(make_features, make_pictures):
    model = ThreeHeadVGG16("random").train()
    state = torch.get_rng_state()
    a = evaluate(model, make_features(6, channels=512), device="cpu")
    b = evaluate(model, make_features(6, channels=512), device="cpu")
    evaluate(model, DataLoader(make_pictures(2)), device="cpu")
    assert model.training
    assert not model.features.training
    assert torch.equal(a.logits["iso"], b.logits["iso"])  # no dropout
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_names_epoch_and_batch(tiny, make_features, value):
    train, val = make_features(40), make_features(20)
    train.features[:] = torch.where(torch.arange(40)[:, None, None, None] == 7, value, 0.0)
    before = {k: v.clone() for k, v in tiny.state_dict().items()}
    with pytest.raises(FloatingPointError, match=r"nan at epoch 1, batch [1-5]: "):
        fit(tiny, train, val, epochs=2, batch_size=8, lr=1e-9, **QUIET)
    assert all(torch.allclose(v, before[k], atol=1e-7) for k, v in tiny.state_dict().items())


def test_a_validation_loss_that_is_no_number_keeps_the_best_weights(tiny, make_features):
    train, val = make_features(40), make_features(20)
    val.features[3] = math.nan
    with pytest.raises(FloatingPointError, match="validation loss is nan after epoch 1"):
        fit(tiny, train, val, epochs=2, **QUIET)


def interrupt_after(model, calls):
    forward, count = model.forward_from_features, iter(range(calls))

    def interrupted(f):
        if next(count, None) is None:
            raise KeyboardInterrupt
        return forward(f)

    model.forward_from_features = interrupted
    return forward


def test_an_interrupt_keeps_the_last_good_weights(tiny, make_tiny, make_features):
    train, val = make_features(40), make_features(20)
    forward = interrupt_after(tiny, 2 * (5 + 1) + 3)  # in the third epoch of 5 batches + validation
    history = fit(tiny, train, val, epochs=9, batch_size=8, lr=0.01, **QUIET)
    assert history.stop_reason == "interrupted"
    assert len(history) == 2
    tiny.forward_from_features = forward
    assert evaluate(tiny, val, device="cpu").loss == history.best_val_loss
    other = make_tiny()
    assert fit(other, train, val, epochs=2, batch_size=8, lr=0.01, **QUIET).val_loss == (
        history.val_loss
    )


def test_an_interrupt_before_anything_is_finished_goes_on(tiny, make_features):
    interrupt_after(tiny, 2)
    with pytest.raises(KeyboardInterrupt):
        fit(tiny, make_features(40), make_features(20), epochs=2, batch_size=8, **QUIET)


def test_bad_data_is_refused(tiny, make_features, make_pictures):
    good = make_features(20)
    none = replace(good, features=good.features[:0], labels=good.labels[:0], photo=good.photo[:0])
    outside = replace(good, labels=good.labels + 1)
    no_batch = DataLoader(make_pictures(3), batch_size=4, drop_last=True)
    for train, val, words in (
        (none, good, "train holds no photograph"),
        (good, none, "val holds no photograph"),
        (outside, good, "train: labels of aperture must be 0 to 2, got 1 to 3"),
        (good, outside, "val: labels"),
        (no_batch, good, "train gives no batch: 3 photographs, batch size 4"),
        (good, no_batch, "val gives no batch"),
        ([1, 2], good, "FeatureSet or a DataLoader, got list"),
    ):
        with pytest.raises(ValueError, match=words):
            fit(tiny, train, val, epochs=1, batch_size=4, **QUIET)
    with pytest.raises(ValueError, match="from 1 to the 20 rows of train, got 32"):
        fit(tiny, good, good, epochs=1, **QUIET)
    with pytest.raises(ValueError, match=r"\(B, 512, h, w\)"):
        fit(ThreeHeadVGG16("random"), good, good, epochs=1, batch_size=4, **QUIET)


def test_bad_labels_in_a_loader_are_refused(make_tiny, make_pictures):
    outside, missing = make_pictures(4), make_pictures(4)
    outside.labels[2, 1] = -1
    with pytest.raises(ValueError, match="batch 2: labels of iso must be 0 to 2, got -1"):
        evaluate(make_tiny(3), DataLoader(outside, batch_size=2), device="cpu")
    getitem = type(missing).__getitem__
    loader = DataLoader(
        [(x, {"iso": y["iso"]}) for x, y in (getitem(missing, i) for i in range(4))]
    )
    with pytest.raises(ValueError, match="batch 1 has no label for aperture, shutter"):
        evaluate(make_tiny(3), loader, device="cpu")


def test_bad_arguments_are_refused(tiny, make_features, make_tiny):
    data = make_features(20)
    for arguments, words in (
        ({"epochs": 0}, "epochs"),
        ({"epochs": 1, "batch_size": 0}, "batch_size"),
        ({"epochs": 1, "lr": -1.0}, "(?i)learning rate"),
        ({"epochs": 1, "precision": "float16"}, "precision"),
        ({"epochs": 1, "min_delta": -1.0}, "min_delta"),
    ):
        with pytest.raises(ValueError, match=words):
            fit(tiny, data, data, **({"batch_size": 4} | QUIET | arguments))
    tiny.requires_grad_(False)
    with pytest.raises(ValueError, match="no free parameter"):
        fit(tiny, data, data, epochs=1, batch_size=4, **QUIET)
    unfrozen = make_tiny()
    unfrozen.frozen = False
    with pytest.raises(ValueError, match="cannot train the backbone"):
        fit(unfrozen, data, data, epochs=1, batch_size=4, **QUIET)


@given(st.lists(st.floats(0, 2) | st.just(math.nan), min_size=1, max_size=30), st.integers(1, 5),
       st.sampled_from([0.0, 0.1]))  # fmt: skip
def test_early_stopping_by_brute_force(losses, patience, min_delta):
    stopper, best, best_at, stopped = EarlyStopping(patience, min_delta), math.inf, -1, False
    for i, loss in enumerate(losses):
        if loss < best - min_delta:
            best, best_at = loss, i
        assert stopper.update(loss) == (i - best_at >= patience)
        assert stopper.improved == (best_at == i)
        assert stopper.best == best
        stopped |= stopper.improved
    assert stopped or all(math.isnan(loss) for loss in losses)


@pytest.mark.parametrize("arguments", [(0,), (1, -0.1)])
def test_early_stopping_refuses(arguments):
    with pytest.raises(ValueError, match="patience"):
        EarlyStopping(*arguments)


def test_training_counts_as_validation_does(tiny, make_features):
    """Of heads in stops too: an answer in the right class is right."""
    generator = torch.Generator().manual_seed(0)
    stops = torch.tensor([5.0, 2.0, 7.0]) + 2 * torch.randn(60, 3, generator=generator)
    data = replace(make_features(60), labels=stops)
    tiny.outputs = "stops"
    tiny.heads = torch.nn.ModuleDict({name: torch.nn.Linear(4, 1) for name in tiny.heads})
    for head, bias in zip(tiny.heads.values(), (5.0, 2.0, 7.0), strict=True):
        torch.nn.init.constant_(head.bias, bias)
    history = fit(tiny, data, data, epochs=1, batch_size=7, lr=1e-12, **QUIET)
    for name, found in history.train_accuracy.items():
        assert found == pytest.approx(history.val_accuracy[name])
        assert 0.2 < found[0] < 1
    assert history.train_loss[0] == pytest.approx(history.val_loss[0], rel=1e-5)  # float32
    with pytest.raises(ValueError, match="are for classes, got labels in stops"):
        fit(tiny, data, data, epochs=1, batch_size=7, focal_gamma=1.0, **QUIET)


def test_options_change_what_is_asked_for_and_not_what_is_compared(make_tiny, make_features):
    train, val = make_features(60), make_features(30, seed=1)
    weights = balanced_class_weights(train.labels)
    losses = []
    for options in ({}, {"class_weights": weights}, {"label_smoothing": 0.2}, {"focal_gamma": 2.0}):
        model = make_tiny()
        expected = head_losses(model.forward_from_features(train.features), train.labels, **options)
        history = fit(model, train, val, epochs=1, batch_size=60, lr=1e-12, **options, **QUIET)
        assert history.train_loss[0] == pytest.approx(expected.sum().item(), rel=1e-6)
        losses.append((history.train_loss[0], history.val_loss[0]))
    assert len({loss for loss, _ in losses}) == 4
    assert [loss for _, loss in losses] == pytest.approx([losses[0][1]] * 4, rel=1e-6)
    with pytest.raises(ValueError, match="class_weights of iso must be 3"):
        fit(model, train, val, epochs=1, class_weights=weights | {"iso": [1, 2]}, **QUIET)


def test_one_program_can_train_in_both_precisions(make_tiny, make_features):
    for precision in ("float32", "bfloat16", "float32"):
        fit(make_tiny(), make_features(40), make_features(20), epochs=1, precision=precision,
            **QUIET)  # fmt: skip
