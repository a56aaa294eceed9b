"""The PyTorch runtime: one Llama on CPUs, NVIDIA GPUs and Ascend NPUs."""
