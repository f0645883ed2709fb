"""Every private name of PyTorch that the course uses, so that an upgrade has one address.

The course's own names are on the left; nothing else under `helpers` knows those on the right, but `problems`, which
asks a module whether it has `_parameters`.
"""

from collections.abc import Callable

import torch
from torch import Tensor, _decomp
from torch._subclasses import fake_tensor
from torch.fx.experimental import symbolic_shapes
from torch.nn.modules import batchnorm, conv
from torch.utils import _python_dispatch, _pytree

FakeTensor, FakeTensorMode, FakeCopyMode = fake_tensor.FakeTensor, fake_tensor.FakeTensorMode, fake_tensor.FakeCopyMode
SHAPES = symbolic_shapes  #: imported here, and not by the first fake tensor, as its import adds a filter of warnings
DataDependentOutputException = fake_tensor.DataDependentOutputException
DynamicOutputShapeException = fake_tensor.DynamicOutputShapeException
UnsupportedOperatorException = fake_tensor.UnsupportedOperatorException
written_in_python = _decomp.decomposition_table  #: the operations whose fake kernel may be another than the real one
FAKE_TENSOR_LOG = fake_tensor.__name__  #: the logger of fake tensors
STOPS_EARLY = "_StopRecomputationError"  #: the kind of error with which checkpoint() ends its second run

as_plain_tensors = torch._C.DisableTorchFunctionSubclass  #: subclasses have no say in what happens to them
TorchDispatchMode, no_modes = _python_dispatch.TorchDispatchMode, _python_dispatch._disable_current_modes
tree_leaves, tree_map_only = _pytree.tree_leaves, _pytree.tree_map_only
BatchNorm, Convolution = batchnorm._BatchNorm, conv._ConvNd

Operation = torch._ops.OpOverload
DispatchKeySet, AUTOCAST_OF_CPU = torch._C.DispatchKeySet, torch._C.DispatchKey.AutocastCPU
without_dispatch_keys = torch._C._ExcludeDispatchKeyGuard
has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key  #: (operator's name, key's name) -> bool
all_operations = torch._C._dispatch_get_all_op_names
dispatch_key = torch._C._dispatch_key_parse  #: from its name
keys_below = torch._C._dispatch_keyset_full_after
thread_has_key, give_thread_key = (
    torch._C._dispatch_tls_is_dispatch_key_included,
    torch._C._dispatch_tls_set_dispatch_key_included,
)
thread_leaves_key_out = torch._C._dispatch_tls_is_dispatch_key_excluded
flash_attention = torch.ops.aten._scaled_dot_product_flash_attention
efficient_attention = torch.ops.aten._scaled_dot_product_efficient_attention
attention_in_steps = torch.ops.aten._scaled_dot_product_attention_math
next_node_number = torch.autograd._get_sequence_nr  #: of the autograd node that forward makes next


def running_node_number() -> int | None:
    """The number of the autograd node that runs now, in the order in which forward made them; None outside backward."""
    node = torch._C._current_autograd_node()
    return None if node is None else node._sequence_nr()


def unwrapped(tensor: Tensor) -> Tensor:
    """The tensor of all samples, where `torch.vmap` shows that of one."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor


def storage_key(storage: torch.UntypedStorage) -> int:
    """The same for every look at one storage, for as long as it lives."""
    return storage._cdata


def schema(operation: Operation) -> torch._C.FunctionSchema:
    """Name and arguments of an operation: ``.name`` is "aten::addmm", ``.arguments`` have names."""
    return operation._schema


def gradient_hooks(tensor: Tensor) -> list[Callable]:
    """What `register_hook` put onto this tensor."""
    return list((tensor._backward_hooks or {}).values())


def steps_in_backward(parameter: Tensor) -> bool:
    """Whether hooks run as soon as this parameter's gradient is there."""
    return bool(getattr(parameter, "_post_accumulate_grad_hooks", None))


class SteadyScaler(torch.amp.GradScaler):
    """PyTorch's own scaler, but a gradient that overflows does not skip the step.

    Fake gradients have no values to ask, and a real step that is skipped would leave the optimizer without state.
    """

    def _maybe_opt_step(self, optimizer, optimizer_state, *args, **kwargs):
        return optimizer.step(*args, **kwargs)

    @property
    def state(self) -> list[Tensor]:
        """What the scaler keeps from step to step."""
        return [self._scale, self._growth_tracker]
