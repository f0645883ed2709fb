ANSWERS = {
    (0.25, 0.5): "in GiB",
    (512, 512): "what is unallocated belongs to PyTorch",
    (256, 768): "would help as well",
    (256, -512): "above 0",
    (244, 494): "not 1,000",
    (512, 256): "wrong order",
    (1, 2): "is not it",
    256: "expected 2",
}
