"""A CUDA device without one: tensors whose values only their own operations may touch, and copies that are as late as they may be.

Operations are done at once, but count as under way until somebody waits for the device or reads a result: meanwhile no copy of another
stream may begin to overwrite what they use, and no memory may go.

The values lie on the host, wrapped in tensors of torch's device "meta", which none of numpy, a host tensor, or an operation between
devices can reach; what CUDA alone can do (`out_dtype`) is done here as it is defined. Speed, memory and the rounding of matrix units are
not emulated: those need the device.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from tasks import devices
from tasks.workspace import release

DEVICE = torch.device("meta")
CROSSING = ("_to_copy", "copy_", "index", "index_put", "index_put_")
"""Operations that may have tensors of both sides: copies, and what takes indices from the host."""


UNDER_WAY = set[int]()
"""Places of what operations use that nobody waited for."""
READ_BY_COPIES = set[int]()
"""Places of host memory from which copies are on their way."""


KEPT_ERRORS = list[int]()
"""What a call of the driver failed with: the next operation raises it."""


class OnDevice(torch.Tensor):
    """A tensor of the device."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held):
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype, device=DEVICE
        )
        made.held = held
        return made

    def tolist(self):
        """The values, on the host."""
        UNDER_WAY.clear()
        return self.held.tolist()

    def __setitem__(self, place, value):
        """A list is made a tensor here: made by torch, it would be one of the device "meta" that holds nothing."""
        parts = place if isinstance(place, tuple) else (place,)
        super().__setitem__(tuple(torch.tensor(part, dtype=torch.long) if isinstance(part, list) else part for part in parts), value)

    def record_stream(self, stream):
        """Nothing is freed while it is in use here."""

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return run(operation, args, kwargs or {})


class Stream:
    """Copies that wait until somebody waits for them."""

    now: "Stream | None" = None
    """The one whose block it is."""

    def __init__(self):
        self.waiting: list[Callable[[], object]] = []

    def wait_event(self, event):
        """Nothing that comes later is done before the event."""
        event.synchronize()

    def synchronize(self):
        """All that is computed is done."""
        UNDER_WAY.clear()


class Event:
    """A place in a stream."""

    def __init__(self):
        self.stream, self.copies = Stream(), []

    def record(self):
        """Here."""
        assert Stream.now is not None
        self.stream, self.copies = Stream.now, list(Stream.now.waiting)

    def synchronize(self):
        """Do what was asked for before the event."""
        for copy in self.copies:
            copy()
        self.stream.waiting = [copy for copy in self.stream.waiting if copy not in self.copies]
        self.copies = []


@contextmanager
def on(stream: Stream) -> Generator[None]:
    """What `torch.cuda.stream` is."""
    before, Stream.now = Stream.now, stream
    yield
    Stream.now = before


def run(operation, args, kwargs):
    """An operation on values of the device, or a copy from one side to the other."""
    name = operation.overloadpacket.__name__
    here = refuse_strangers(name, args, kwargs)
    wanted = kwargs.get("device")
    onto_device = here if wanted is None else torch.device(wanted).type != "cpu"
    bare_args, bare = tree_map(unwrapped, args), {key: tree_map(unwrapped, value) for key, value in kwargs.items()}
    if wanted is not None:
        bare["device"] = "cpu"
    bare.pop("pin_memory", None)
    if KEPT_ERRORS and onto_device:
        raise RuntimeError(f"{name}: CUDA error {KEPT_ERRORS.pop()}")
    if name == "copy_" and Stream.now is not None and (bare.get("non_blocking") or bare_args[2:] == (True,)):
        Stream.now.waiting.append(late_copy(operation, bare_args))
        return args[0]
    follow(operation, args, (here and not onto_device) or name == "_local_scalar_dense")
    found = ON_CUDA_ALONE.get(str(operation), operation)(*bare_args, **bare)
    if name == "copy_":
        return args[0]
    return tree_map(lambda value: OnDevice(value) if isinstance(value, torch.Tensor) and onto_device else value, found)


def late_copy(operation, arguments) -> Callable[[], None]:
    """A copy that is done when it is called: until then its source stays, and from now on nothing may be computed on its target."""
    target, source = (place_of(value) for value in arguments[:2])
    assert target not in UNDER_WAY, "a copy may overwrite what is still computed on"
    READ_BY_COPIES.add(source)

    def copy() -> None:
        operation(*arguments)
        READ_BY_COPIES.discard(source)

    return copy


def follow(operation, args, is_waited_for: bool) -> None:
    """Count what an operation uses as used, or all that was before as done; views compute nothing."""
    if is_waited_for:
        UNDER_WAY.clear()
    elif not any(argument.alias_info and not argument.alias_info.is_write for argument in operation._schema.arguments):
        UNDER_WAY.update(place_of(value.held) for value in tree_flatten(args)[0] if isinstance(value, OnDevice))


def place_of(values: torch.Tensor) -> int:
    """Where the memory begins that a tensor is in."""
    return values.untyped_storage().data_ptr()


def refuse_strangers(name, args, kwargs) -> bool:
    """Whether anything is on the device; numbers may come from anywhere, tensors of both sides go together for a copy alone."""
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.Tensor)]
    here = [value for value in tensors if isinstance(value, OnDevice)]
    strangers = [value for value in tensors if not isinstance(value, OnDevice) and value.dim()]
    assert not any(value.is_meta for value in strangers), f"{name}: the emulation lost the values of a tensor"
    if here and strangers and name not in CROSSING:
        raise RuntimeError(f"{name}: tensors of two devices")
    return bool(here)


def unwrapped(value):
    return value.held if isinstance(value, OnDevice) else value


def wide(a, b, out_dtype):
    """A product of narrow operands in a wider type."""
    return torch.mm(a.to(out_dtype), b.to(out_dtype))


ON_CUDA_ALONE: dict[str, Callable] = {"aten.mm.dtype": wide}


class Everything(TorchDispatchMode):
    """Makes new tensors where they are asked for."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return run(operation, args, kwargs or {})


def empty(elements: int, dtype: torch.dtype) -> torch.Tensor:
    """A buffer with the values that a fresh one may have: none that are right."""
    made = torch.empty(elements, dtype=dtype)
    return OnDevice(made.view(torch.uint8).fill_(0xFF).view(dtype))


OUT_OF_MEMORY = 2
"""As CUDA numbers it."""


class Driver:
    """What `torch.cuda.cudart()` is: it knows who holds pinned memory."""

    def __init__(self):
        self.refuses: Callable[[int], bool] = lambda nbytes: False
        """Whether so many bytes cannot be pinned."""
        self.pinned: dict[int, int] = {}
        self.given_back: list[int] = []
        """How much was pinned whenever torch gave back what it kept of the device's memory."""

    def cudaHostRegister(self, place, nbytes, flags):
        """Pin it."""
        if self.refuses(nbytes):
            KEPT_ERRORS.append(OUT_OF_MEMORY)
            return OUT_OF_MEMORY
        self.pinned[place] = nbytes
        return 0

    def cudaHostUnregister(self, place):
        """Forget it."""
        assert place not in READ_BY_COPIES, "pinned memory goes while it is copied"
        assert not UNDER_WAY, "memory goes while something is computed"
        del self.pinned[place]


@contextmanager
def emulated_device() -> Generator[Driver]:
    """The device `cuda` is one of these."""
    driver = Driver()
    UNDER_WAY.clear()
    KEPT_ERRORS.clear()
    replaced = {
        "Stream": Stream,
        "Event": Event,
        "stream": on,
        "current_stream": Stream,
        "cudart": lambda: driver,
        "empty_cache": lambda: driver.given_back.append(len(driver.pinned)),
        "mem_get_info": lambda: (8 << 30, 16 << 30),
        "_lazy_init": lambda: None,  # else torch refuses the name of a device that it was not made for
    }
    with pytest.MonkeyPatch.context() as patch, Everything():
        for name, replacement in replaced.items():
            patch.setattr(torch.cuda, name, replacement)
        patch.setitem(devices.DEVICES, "cuda", replace(devices.DEVICES["cuda"], place=DEVICE.type, empty=empty))
        yield driver
        release()
        assert not driver.pinned
