class Tensor:
    def __init__(self, value):
        self.value = value

    def npu(self):
        import torch_npu

        torch_npu.count()
        return self

    def cpu(self):
        return self

    def __add__(self, other):
        return Tensor(self.value + other.value)

    def __repr__(self):
        return f"tensor([[{self.value}., ...]])  (a stand-in of paddock rehearse)"


def ones(*shape):
    return Tensor(1)
