import torch
from torch.nn import functional as F


def keeps_the_graph(model, batches):
    """holds the graph"""
    return sum(F.cross_entropy(model(x), y) for x, y in batches) / len(batches)


def a_tensor(model, batches):
    """the result is a tensor"""
    with torch.no_grad():
        return sum(F.cross_entropy(model(x), y) for x, y in batches) / len(batches)


def no_no_grad(model, batches):
    """activations are kept"""
    return sum(F.cross_entropy(model(x), y).item() for x, y in batches) / len(batches)


def keeps_logits(model, batches):
    """a list of tensors"""
    with torch.no_grad():
        logits = [model[:-1](x).repeat(1, 4) for x, _ in batches]
        losses = [F.cross_entropy(model[-1](h[:, :64]), y).item() for h, (_, y) in zip(logits, batches, strict=True)]
    return sum(losses) / len(losses)


def keeps_losses(model, batches):
    """Something of the old batch lives on"""
    losses = [F.cross_entropy(model(x), y) for x, y in batches]
    return sum(loss.item() for loss in losses) / len(losses)


def the_sum(model, batches):
    """that is the sum"""
    with torch.no_grad():
        return sum(F.cross_entropy(model(x), y).item() for x, y in batches)


def the_first(model, batches):
    """return stand inside the loop"""
    with torch.no_grad():
        for x, y in batches:
            return F.cross_entropy(model(x), y).item()


def the_last(model, batches):
    """that is the last batch"""
    with torch.no_grad():
        for x, y in batches:
            loss = F.cross_entropy(model(x), y).item()
    return loss


def by_samples(model, batches):
    """a mean already"""
    with torch.no_grad():
        return sum(F.cross_entropy(model(x), y).item() for x, y in batches) / sum(len(y) for _, y in batches)


def trains(model, batches):
    """leave backward() out"""
    with torch.no_grad():
        for x, y in batches:
            F.cross_entropy(model(x), y).backward()


def divided_in_the_loop(model, batches):
    """return stand inside the loop"""
    total = 0.0
    with torch.no_grad():
        for x, y in batches:
            total += F.cross_entropy(model(x), y).item()
            return total / len(batches)
