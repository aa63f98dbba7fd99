"""Packed layers, held to torch's own."""

import torch
from torch import nn

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


def test_the_same_to_rounding_for_any_batch() -> None:
    plain, packed = make_model(), make_model()
    pack(packed)
    assert not any(type(layer) in (nn.Conv2d, nn.Linear) for layer in packed)
    for count in (1, 3):
        inputs = torch.randn(count, 4, 8, 8)
        torch.testing.assert_close(packed(inputs), plain(inputs))


def test_gradients_pass_through_packed_products() -> None:
    plain, packed = make_model()[4:], make_model()[4:]
    pack_products(packed)
    assert not any(type(layer) is nn.Linear for layer in packed.children())
    inputs = torch.randn(3, 2, 16)
    towards = torch.randn(7, 2, 3).permute(2, 1, 0)  # not as it lies in memory
    gradients = []
    for model in (plain, packed):
        heard = inputs.clone().requires_grad_()
        torch.autograd.backward(model(heard), towards)
        gradients.append(heard.grad)
    torch.testing.assert_close(*gradients)


def test_what_is_trained_stays_as_it_is() -> None:
    model = make_model()
    model[4].requires_grad_(True)
    pack_products(model)
    assert type(model[4]) is nn.Linear
    assert type(model[5]) is not nn.Linear


def test_a_gradient_has_gradients_itself() -> None:
    plain, packed = make_model()[4], make_model()[4:5]
    pack_products(packed)
    found = []
    for model in (plain, packed):
        inputs = torch.linspace(-1, 1, 16).requires_grad_()
        (gradient,) = torch.autograd.grad(model(inputs).square().sum(), inputs, create_graph=True)
        found.append(torch.autograd.grad(gradient.square().sum(), inputs))
    torch.testing.assert_close(*found)


def test_other_precisions_are_left_alone() -> None:
    model = make_model().bfloat16()
    pack(model)
    assert [type(layer) for layer in model] == [type(layer) for layer in make_model()]
