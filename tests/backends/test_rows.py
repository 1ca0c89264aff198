import torch

from endoforge.backends.rows import cut, lay_in_a_row

CPU = torch.device("cpu")


def test_tensors_become_parts_of_a_row_and_stay_as_they_lie():
    kernel = torch.nn.Parameter(torch.rand(4, 2, 3, 3).to(memory_format=torch.channels_last))
    bias = torch.rand(5)
    values, strides = [kernel.detach().clone(), bias.clone()], [kernel.stride(), bias.stride()]
    row = lay_in_a_row([kernel, bias], CPU)
    assert row.shape == (4 * 2 * 9 + 5,)
    assert not row.requires_grad
    for one, value, stride in zip((kernel, bias), values, strides, strict=True):
        assert torch.equal(one, value)
        assert one.stride() == stride
    row.mul_(2)
    assert torch.equal(kernel, 2 * values[0])
    assert torch.equal(bias, 2 * values[1])
    assert kernel.requires_grad
    for view, value in zip(cut(row, [kernel, bias]), values, strict=True):
        assert torch.equal(view, 2 * value)


def test_no_tensors_are_a_row_without_numbers():
    assert lay_in_a_row([], CPU).shape == (0,)
