def megabytes(n_bytes):
    """that is MB"""
    return n_bytes / 1_000_000


def kibibytes(n_bytes):
    """that is KiB"""
    return n_bytes / 1024


def multiplied(n_bytes):
    """you multiplied"""
    return n_bytes * 2**20


def gibibytes(n_bytes):
    """that is GiB"""
    return n_bytes / 2**30


def cut_off(n_bytes):
    """Use /, without //"""
    return n_bytes // 2**20


def rounded(n_bytes):
    """you rounded inside the function"""
    return round(n_bytes / 2**20, 2)


def as_text(n_bytes):
    """expected a Python number"""
    return f"{n_bytes / 2**20} MiB"


def printed(n_bytes):
    """returned nothing"""
    n_bytes / 2**20


def caret(n_bytes):
    """a power is written **"""
    return n_bytes / 2 ^ 20


def mixed(n_bytes):
    """by 1,024 and by 1,000"""
    return n_bytes / 1024 / 1000


def whole(n_bytes):
    """without // or int()"""
    return int(n_bytes / 2**20)
