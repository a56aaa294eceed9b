"""What a person may ask for, and what is said of the rest."""

from __future__ import annotations

import time

import pytest

from paddock.deploy.catalog import load
from paddock.deploy.resolve import HostView, Wish, make, resolve
from paddock.errors import NoStack, UsageError

B910 = HostView(accelerator="ascend", chip="910b", arch="aarch64")


def wish(**given: object) -> Wish:
    return make(load(), **{"framework": "torch", **given})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"framework": "tensorflow"}, "unknown framework 'tensorflow'", "mindspore, torch"),
        ({"model": "llama-2-7b"}, "unknown model 'llama-2-7b'; did you mean 'llama2-7b'", "known"),
        ({"pins": ("cann",)}, "'cann' is not COMPONENT=VERSION", "--pin cann=7.0.0"),
        ({"pins": ("can=7.0.0",)}, "unknown component 'can'; did you mean 'cann'", "known are"),
        ({"pins": ("cann=7.1.0",)}, "no such CANN in the catalogue", "paddock catalog list cann"),
        ({"pins": ("cann=seven",)}, "'seven' is not a version", None),
        ({"pins": ("numpy=1.x",)}, "is not a version of a Python package", None),
        ({"pins": ("chip>910",)}, "names have no order", None),
        ({"allow": ("numpy2",)}, "nothing to allow by the name 'numpy2'", "numpy-2-with-cann"),
        ({"with_": ("mindinsigt",)}, "did you mean 'mindinsight'", None),
        ({"python": "three"}, "--python three: 'three' is not a version of Python", None),
    ],
)  # fmt: skip
def test_what_is_refused(given: dict[str, object], message: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        wish(**given)
    assert message in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text", ["cann=7.0.0", "cann==7.0.0", "cann = 7.0.0", "cann=7.0.0.beta1", "cann=7.0.0|7.0.0"]
)
def test_spellings_of_a_pin(text: str) -> None:
    stack = resolve(load(), B910, wish(pins=(text,)))
    assert stack.version("cann") == "7.0.0"


def test_names_of_the_model() -> None:
    assert wish(model="llama2_7b").model == wish(model="llama2-7b-chat").model == "llama2-7b"


def test_kernels_bring_their_toolkit() -> None:
    stack = resolve(load(), B910, wish(pins=("kernels=910b_8.0.0",)))
    assert (stack.version("cann"), stack.version("kernels")) == ("8.0.0", "910b")


def test_a_python_of_two_numbers_is_all_of_them() -> None:
    stack = resolve(load(), B910, wish(pins=("cann=7.0.0",), python="3.9"))
    assert stack.version("python") == "3.9.7"
    with pytest.raises(NoStack):
        resolve(load(), B910, wish(pins=("cann=7.0.0",), python="3.9.8"))


def test_a_component_that_the_stack_lacks() -> None:
    with pytest.raises(UsageError, match="a stack of torch on ascend has no mindspore"):
        resolve(load(), B910, wish(pins=("mindspore=2.2.11",)))


def test_a_stack_that_no_recipe_makes() -> None:
    with pytest.raises(UsageError, match="no stack of vllm on cpu") as caught:
        resolve(load(), HostView(chip="cpu"), wish(framework="vllm"))
    assert caught.value.hint == "on cpu it knows torch, mindspore"


def test_what_is_pinned_need_not_be_known() -> None:
    """A version that the catalogue has not seen, of a component that it only samples."""
    stack = resolve(load(), B910, wish(pins=("cann=8.0.0", "numpy=1.22.0")))
    assert stack.version("numpy") == "1.22.0"
    stack = resolve(load(), B910, wish(pins=("cann=8.0.0",), python="3.10.7"))
    assert stack.version("python") == "3.10.7"


def test_a_pin_goes_before_the_host() -> None:
    """--pin driver=... asks what would be with another driver."""
    from paddock.deploy.resolve import VersionFile

    old = B910.with_(driver=VersionFile("23.0.0"))
    stack = resolve(load(), old, wish(pins=("driver=25.5.0",)))
    assert (stack.version("driver"), stack.version("cann")) == ("25.5.0", "8.5.0")


def test_nothing_vouches_for_it_is_said() -> None:
    stack = resolve(load(), B910, wish(pins=("torch_npu=1.5.0.post3",), python="3.7"))
    assert any("no source says whether Python 3.7" in note for note in stack.notes)


def test_it_is_quick() -> None:
    """0.03 s on a quiet machine, 0.2 s is the promise; the best of three, with a wide margin."""
    catalog = load()
    seconds = []
    for _ in range(3):
        begin = time.process_time()
        resolve(catalog, B910, make(catalog, "vllm"))
        seconds.append(time.process_time() - begin)
    assert min(seconds) < 0.2
