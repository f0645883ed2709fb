import torch


def wraps(image, more):
    """wrapped around"""
    return (image.int() + more).to(torch.uint8)


def clamps_too_late(image, more):
    """wrapped around"""
    return (image + torch.tensor(more).to(torch.uint8)).clamp(max=255)


def as_float(image, more):
    """give uint8 back"""
    return (image.float() + more).clamp(max=255)


def up_to_256(image, more):
    """you clamped to 256"""
    return (image.int() + more).clamp(max=256).to(torch.uint8)


def unchanged(image, more):
    """came back as it was"""
    return image.clone()


def in_place(image, more):
    """changed the tensor"""
    return image.add_(torch.tensor(more).to(torch.uint8))


def clamped_from_below(image, more):
    """clamp(255) sets the smallest value"""
    return (image.int() + more).clamp(255).to(torch.uint8)


def compares_a_tensor(image, more):
    """.clamp works on every number"""
    return min(image.int() + more, 255)


def squeezed(image, more):
    """got shape"""
    return (image.int() + more).clamp(max=255).to(torch.uint8).squeeze()
