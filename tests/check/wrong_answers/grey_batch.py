import torch


def no_channel(images):
    """the channel axis is missing"""
    return torch.stack(images).float() / 255


def batch_as_channels(images):
    """one image with 5 channels"""
    return torch.stack(images)[None].float() / 255


def channel_last(images):
    """the channel axis is last"""
    return torch.stack(images).unsqueeze(-1).float() / 255


def glued(images):
    """stack makes a new axis"""
    return torch.cat(images).float() / 255


def flattened(images):
    """you flattened each image"""
    return torch.stack([image.flatten() for image in images]).float() / 255


def only_the_first(images):
    """only one image is in the batch; 5 were given"""
    return images[0][None, None].float() / 255


def still_uint8(images):
    """dtype is still uint8"""
    return torch.stack(images).unsqueeze(1)


def not_scaled(images):
    """Divide by 255"""
    return torch.stack(images).unsqueeze(1).float()


def scaled_to_256(images):
    """you divided by 256"""
    return torch.stack(images).unsqueeze(1).float() / 256


def scaled_to_its_largest(images):
    """a dark batch becomes brighter"""
    batch = torch.stack(images).unsqueeze(1).float()
    return batch / batch.max()
