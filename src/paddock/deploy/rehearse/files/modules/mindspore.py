from ctypes import CDLL, byref, c_int
from types import SimpleNamespace

_target = SimpleNamespace(device="Ascend")


def set_context(device_target="Ascend", **options):
    _target.device = device_target


def run_check():
    if _target.device == "Ascend":
        # As the real one: the driver's library by the loader's path, then the chips.
        count = c_int()
        CDLL("libdrvdsmi_host.so").dsmi_get_device_count(byref(count))
        if count.value == 0:
            raise RuntimeError("Get device count failed: no device can be opened")
    print(f"MindSpore version: {__version__}")
    print(
        "The result of multiplication calculation is correct, MindSpore has been installed on "
        f"platform [{_target.device}] successfully! (a stand-in of paddock rehearse)"
    )
