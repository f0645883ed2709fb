import torch


def no_batch_axis(model, image):
    """Which step adds the batch axis?"""
    model.eval()
    with torch.no_grad():
        return model(image.float() / 255).argmax(1).item()


def not_scaled(model, image):
    """Divide by 255"""
    model.eval()
    with torch.no_grad():
        return model(image[None].float()).argmax(1).item()


def still_uint8(model, image):
    """the pixels must become float32"""
    model.eval()
    with torch.no_grad():
        return model(image[None]).argmax(1).item()


def train_mode(model, image):
    """dropout threw numbers away"""
    with torch.no_grad():
        return model(image[None].float() / 255).argmax(1).item()


def gradients_on(model, image):
    """with torch.no_grad()"""
    model.eval()
    return model(image[None].float() / 255).argmax(1).item()


def axis_0(model, image):
    """argmax(0) compares rows"""
    model.eval()
    with torch.no_grad():
        return model(image[None].float() / 255).argmax(0)


def a_tensor(model, image):
    """.item() makes a Python int"""
    model.eval()
    with torch.no_grad():
        return model(image[None].float() / 255).argmax(1)


def logits(model, image):
    """ten numbers"""
    model.eval()
    with torch.no_grad():
        return model(image[None].float() / 255)


def smallest(model, image):
    """expected"""
    model.eval()
    with torch.no_grad():
        return model(image[None].float() / 255).argmin(1).item()


def never_called(model, image):
    """never called the model"""
    return 3


def switched_off(model, image):
    """Use with torch.no_grad():"""
    model.eval()
    torch.set_grad_enabled(False)
    return model(image[None].float() / 255).argmax(1).item()


def by_256(model, image):
    """dividing by 255 gives"""
    model.eval()
    with torch.no_grad():
        return model(image[None].float() / 256).argmax(1).item()


def the_value(model, image):
    """argmax gives its place"""
    model.eval()
    with torch.no_grad():
        return model(image[None].float() / 255).max().item()
