def four_bytes(model):
    """another dtype"""
    return 4 * sum(p.numel() for p in model.parameters())


def no_buffers(model):
    """the buffers are missing"""
    return sum(p.nbytes for p in model.parameters())


def numbers_only(model):
    """how many numbers there are"""
    return sum(t.numel() for t in (*model.parameters(), *model.buffers()))


def rounded(model):
    """rounded up to 512"""
    return sum(-(-t.nbytes // 512) * 512 for t in (*model.parameters(), *model.buffers()))


def twice(model):
    """counted it twice"""
    return sum(t.nbytes for t in model.state_dict().values())


def asks_the_model(model):
    """a tensor has nbytes"""
    return model.nbytes


def only_what_learns(model):
    """a layer is frozen"""
    learning = sum(p.nbytes for p in model.parameters() if p.requires_grad)
    return learning + sum(b.nbytes for b in model.buffers())
