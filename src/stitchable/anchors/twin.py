"""A model that reads some parameters of its own and is otherwise another one, tensor for tensor."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MethodType
from typing import Any, TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)

_ORIGINAL = "_twin_of"


def twin_of(model: nn.Module, own: Mapping[str, nn.Parameter]) -> nn.Module:
    """A model like ``model`` with some parameters of its own.

    Only the modules on the way to these are new. They share tensors, hooks, options and the training mode
    with theirs of ``model``, now and later; modules in which nothing differs are those of ``model`` itself.
    So both can be run at once, from several threads, and nothing has to be swapped.

    Args:
        model: It is not touched. It must not get other parameters or buffers afterwards, only other values.
        own: By dotted name in ``model``. A parameter that ``model`` reads under several names is replaced
            under all of them.
    """
    replaced = {id(model.get_parameter(name)): parameter for name, parameter in own.items()}
    return _twin(model, replaced, {})


def original_of(module: Module) -> Module:
    """The module whose twin this is; itself, where it is none."""
    original: Module = module.__dict__.get(_ORIGINAL, module)
    return original


def _twin(module: nn.Module, replaced: Mapping[int, nn.Parameter], made: dict[int, nn.Module]) -> nn.Module:
    if id(module) in made:
        return made[id(module)]
    parameters = {name: replaced.get(id(each), each) for name, each in module._parameters.items()}
    children = {
        name: child if child is None else _twin(child, replaced, made)
        for name, child in module._modules.items()
    }
    alone = all(each is parameters[name] for name, each in module._parameters.items())
    if alone and all(child is children[name] for name, child in module._modules.items()):
        made[id(module)] = module
        return module
    original: Any = type(module)  # as a type, it has no hash for mypy
    cls: Any = _twin_class(original)
    twin: nn.Module = cls.__new__(cls)
    made[id(module)] = twin
    shared: dict[str, Any] = {
        name: MethodType(value.__func__, twin)
        if isinstance(value, MethodType) and value.__self__ is module
        else value
        for name, value in module.__dict__.items()
        if name not in ("training", "_compiled_call_impl")
    }
    twin.__dict__.update(shared)
    twin.__dict__.update({_ORIGINAL: module, "_modules": children})
    if not alone:
        twin.__dict__["_parameters"] = parameters
    return twin


@cache
def _twin_class(cls: Any) -> Any:
    """A class whose instances are in the training mode of their original."""
    # Modes are set module by module (a frozen BatchNorm in a block that trains), and not through twins.
    mode = property(lambda twin: twin.__dict__[_ORIGINAL].training)
    return type(cls.__name__, (cls,), {"training": mode, "__module__": cls.__module__})
