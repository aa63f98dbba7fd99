"""Packed layers, compared with torch's."""

import pytest
import torch
from torch import nn
from torch.backends import mkldnn

from covergen.compute.onednn import pack, pack_products


def make_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(4, 6, 3, padding=1),
        nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False),
        nn.Conv2d(8, 8, 1, groups=2),
        nn.Flatten(2),
        nn.Linear(16, 5),
        nn.Linear(5, 7, bias=False),
    ).requires_grad_(False)


def test_packed_model_is_equal_up_to_rounding() -> None:
    plain, packed = make_model(), make_model()
    pack(packed)
    assert not any(type(layer) in (nn.Conv2d, nn.Linear) for layer in packed)
    for count in (1, 3):
        inputs = torch.randn(count, 4, 8, 8)
        torch.testing.assert_close(packed(inputs), plain(inputs))


@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel", "size"), [(224, 224, 3, 4), (192, 192, 3, 8), (320, 128, 1, 16)]
)
def test_packed_weights_are_not_reordered_on_every_call(
    inputs: int, outputs: int, kernel: int, size: int, capfd: pytest.CaptureFixture[str]
) -> None:
    plain = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2).requires_grad_(False)
    packed = nn.Sequential(plain)
    pack(packed)
    for count in (1, 16, 1):  # the expected layout depends on the batch size
        pictures = torch.randn(count, inputs, size, size).to(memory_format=torch.channels_last)
        torch.testing.assert_close(packed(pictures), plain(pictures))
        capfd.readouterr()
        with mkldnn.verbose(mkldnn.VERBOSE_ON):  # type: ignore[no-untyped-call]  # torch's own
            packed(pictures)
        calls = capfd.readouterr().out
        assert "exec,cpu,convolution" in calls
        assert "exec,cpu,reorder" not in calls


def test_gradients_pass_through_packed_linear_layers() -> None:
    plain, packed = make_model()[4:], make_model()[4:]
    pack_products(packed)
    assert not any(type(layer) is nn.Linear for layer in packed.children())
    inputs = torch.randn(3, 2, 16)
    output_gradient = torch.randn(7, 2, 3).permute(2, 1, 0)  # not contiguous
    gradients = []
    for model in (plain, packed):
        leaf = inputs.clone().requires_grad_()
        torch.autograd.backward(model(leaf), output_gradient)
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


def test_trainable_layers_are_not_packed() -> None:
    model = make_model()
    model[4].requires_grad_(True)
    pack_products(model)
    assert type(model[4]) is nn.Linear
    assert type(model[5]) is not nn.Linear


def test_half_precision_is_not_packed() -> None:
    model = make_model().bfloat16()
    pack(model)
    assert [type(layer) for layer in model] == [type(layer) for layer in make_model()]
