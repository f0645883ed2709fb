"""What cannot be traced, said in words that name the layer and the way out."""

import torch
from torch import nn

from helpers.memory.torch_private import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
    steps_in_backward,
)
from helpers.problems import Problem, layer_name, network, words_of

MEASURE = "measure(...) on a GPU or watch() around your own step count it as it runs"


def refuse_what_has_no_trace(model: object) -> None:
    """Raise `Problem` for what is known beforehand not to work."""
    for name, module in network("model", model).named_modules():
        layer = layer_name(name, module)
        if isinstance(module, torch.jit.ScriptModule):
            raise Problem(f"{layer} is TorchScript, which hides its operations; give the model it was made from.")
        if type(module).__name__ == "OptimizedModule":
            raise Problem(f"{layer} is compiled; give the model as it was before torch.compile.")
        if isinstance(module, nn.parallel.DistributedDataParallel):
            raise Problem(f"{layer} wraps a model for several processes; give the model itself: model.module.")
        forward = vars(module).get("forward")
        if forward is not None and getattr(forward, "__self__", None) is not module:
            raise Problem(
                f"{layer} has a forward that was put onto the object, as torch.compile(model.forward) does; a copy of "
                "the model would run the original. Give the model as it was before."
            )
        if any(map(steps_in_backward, module.parameters(False))):
            raise Problem(
                f"{layer} has hooks on its parameters (register_post_accumulate_grad_hook), which a copy has not. For "
                "an optimizer that steps during backward give the model without them, and "
                f"loop=Loop(step_in_backward=True); or {MEASURE}."
            )
        if getattr(module, "sparse", False) is True:
            raise Problem(
                f"{layer} has sparse=True: its gradient is a sparse tensor, whose size depends on the data. "
                f"Give it sparse=False; or {MEASURE}."
            )
        tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for tensor_name, tensor in tensors:
            if tensor.layout != torch.strided or tensor.is_quantized:
                kind = "quantized" if tensor.is_quantized else f"of layout {tensor.layout}"
                raise Problem(f"{tensor_name} of {layer} is {kind}; only dense tensors can be traced. {MEASURE}.")


def explain(error: Exception, layer: str, phase: str) -> str:
    """A sentence about an exception from a traced step. layer: where it began, or "" outside all layers."""
    where = f"layer {layer}" if layer else "the optimizer" if phase in ("", "step") else "the loss"
    words = words_of(error)
    text = words.strip().splitlines()
    first = text[0] if text else type(error).__name__
    first += "" if first.endswith((".", "!", "?")) else "."
    if isinstance(error, AttributeError):
        return f"{where} stopped: AttributeError: {first.replace('FakeTensor', 'Tensor')}"
    if isinstance(error, DataDependentOutputException):
        way_out = "Take that part out of the model; or " if layer else "Do without it; or "
        if "Transformer" in layer:
            way_out = "PyTorch's layers look at a mask where is_causal is not given: give it, True or False; or "
        return (
            f"{where} looks at the values of a tensor ({error.func}), as .item() or `if x.sum() > 0` do. trace() knows "
            f"shapes, not values. {way_out}{MEASURE}."
        )
    if "saved tensor hooks" in words:
        return (
            f"{where} uses torch.func, which keeps what it needs for its gradients where trace() cannot see it. Call "
            f"backward() in place of it; or {MEASURE}."
        )
    if isinstance(error, DynamicOutputShapeException) and "pack_padded" in str(error.func):
        return (
            f"{where} packs sequences, whose size depends on their lengths. For the most that it can be, give the "
            f"recurrent layer the padded batch; or {MEASURE}."
        )
    if isinstance(error, DynamicOutputShapeException):
        return (
            f"in {where} the shape of a result depends on the values ({error.func}), as with nonzero or x[mask]. "
            f"trace() knows shapes, not values. Use torch.where or a fixed size; or {MEASURE}."
        )
    if "NestedTensor" in words:
        return (
            f"{where} makes nested tensors, whose size depends on the values. Switch them off, as in "
            f"nn.TransformerEncoder(..., enable_nested_tensor=False); or {MEASURE}."
        )
    if "to have one of the following scalar types: Long, Int" in words:
        return (
            f"{where} wants whole numbers, and sample_shape makes floats. Give example=(inputs, target) with int64 "
            "inputs, for example torch.zeros(8, 128, dtype=torch.int64)."
        )
    if "must be Tensor, not" in words and not layer:
        return f"{where} stopped: {first} Give a loss function that takes what the model returns."
    if isinstance(error, UnsupportedOperatorException) or "fake impl" in words or "FakeTensor" in words:
        return (
            f"{where} uses an operation that does not run on tensors without values: {first} An operation of your own "
            f"needs torch.library.register_fake; or {MEASURE}."
        )
    if "closure" in words:
        return (
            f"{where} wants a closure for its step(), which runs as often as the values demand; trace() knows none. "
            f"Choose another, or {MEASURE}."
        )
    if "sparse" in words.lower() and not isinstance(error, ValueError):
        return f"{where} makes a sparse tensor, which cannot be traced: {first} Use dense tensors; or {MEASURE}."
    if "numpy" in words:
        return (
            f"{where} leaves PyTorch for NumPy, where no trace can follow: {first} Use torch functions; or {MEASURE}."
        )
    advice = " Try the same shapes on the model itself, model(batch)." if layer else ""
    return f"{where} stopped: {type(error).__name__}: {first}{advice}"
