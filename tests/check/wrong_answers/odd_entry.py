ANSWERS = {
    (0, 28, 28): "compared with",
    (3, 28, 28): "beside entry 3",
    (3, 32, 28): "height first",
    (4, 28, 32): "counted from 0",
    (0, 28, 32): "entry that stands behind it",
    (28, 28, 32): "the entry, not a size",
    (3, 28): "got 2 numbers, expected 3",
}
