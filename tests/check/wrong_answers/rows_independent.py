import torch


def always(model, batch):
    """said True for BatchNorm in train mode"""
    return True


def exactly_equal(model, batch):
    """compare with torch.allclose"""
    with torch.no_grad():
        return torch.equal(model(batch), torch.cat([model(batch[i : i + 1]) for i in range(len(batch))]))


def row_0_only(model, batch):
    """Compare every row"""
    with torch.no_grad():
        return torch.allclose(model(batch)[:1], model(batch[:1]), atol=1e-5)


def lost_batch_axis(model, batch):
    """batch[i : i + 1] keeps it"""
    with torch.no_grad():
        return torch.allclose(model(batch), torch.cat([model(image) for image in batch]), atol=1e-5)


def shapes_only(model, batch):
    """Compare the values"""
    return model(batch).shape[0] == len(batch)


def sets_eval(model, batch):
    """came back in another mode"""
    model.eval()
    with torch.no_grad():
        alone = torch.cat([model(batch[i : i + 1]) for i in range(len(batch))])
        return torch.allclose(model(batch), alone, atol=1e-5)


def a_tensor(model, batch):
    """return one True or False"""
    with torch.no_grad():
        return torch.isclose(model(batch), torch.cat([model(batch[i : i + 1]) for i in range(len(batch))]))


def stacked(model, batch):
    """torch.stack adds one"""
    with torch.no_grad():
        return torch.allclose(
            model(batch), torch.stack([model(batch[i : i + 1]) for i in range(len(batch))]), atol=1e-5
        )


def always_eight(model, batch):
    """use len(batch)"""
    with torch.no_grad():
        return torch.allclose(model(batch), torch.cat([model(batch[i : i + 1]) for i in range(8)]), atol=1e-5)


def too_generous(model, batch):
    """Compare every row, closely"""
    with torch.no_grad():
        alone = torch.cat([model(batch[i : i + 1]) for i in range(len(batch))])
        return torch.allclose(model(batch), alone, atol=0.2)
