def numbers(parameters, optimizer):
    """Each takes 4 bytes"""
    return parameters * {"sgd": 2, "momentum": 3, "adam": 4}[optimizer]


def no_gradients(parameters, optimizer):
    """one part is missing"""
    return 4 * parameters * {"sgd": 1, "momentum": 2, "adam": 3}[optimizer]


def the_article(parameters, optimizer):
    """three times what SGD needs"""
    return 4 * parameters * {"sgd": 2, "momentum": 3, "adam": 6}[optimizer]


def state_for_sgd(parameters, optimizer):
    """plain SGD keeps no state"""
    return 4 * parameters * {"sgd": 3, "momentum": 3, "adam": 4}[optimizer]


def state_alone(parameters, optimizer):
    """which is the state alone"""
    return 4 * parameters * {"sgd": 2, "momentum": 3, "adam": 2}[optimizer]


def other_names(parameters, optimizer):
    """The names are"""
    return 4 * parameters * {"SGD": 2, "Momentum": 3, "Adam": 4}[optimizer]


def rounded(parameters, optimizer):
    """rounds up to 512 bytes"""
    return -(-4 * parameters // 512) * 512 * {"sgd": 2, "momentum": 3, "adam": 4}[optimizer]


def no_momentum(parameters, optimizer):
    """Every way through it needs a return"""
    if optimizer != "momentum":
        return 4 * parameters * (2 if optimizer == "sgd" else 4)
