"""The checks of lesson 00: bytes, MiB, and an error read number by number."""

from math import prod

from helpers.check.core import Question, exercise

photo_bytes = Question(
    "photo_bytes",
    600 * 512 * 3,
    "921,600 bytes: three numbers a pixel, one byte each.",
    {
        "307,200 is the number of pixels. Each pixel holds three numbers: red, green, blue.": 600 * 512,
        "that is four numbers a pixel; red, green and blue are three.": 600 * 512 * 4,
        "that counts four bytes a number. float32 takes four; this image is uint8 and takes one.": 600 * 512 * 3 * 4,
        "that counts bits (8 a number). Memory is counted in bytes.": 600 * 512 * 3 * 8,
        "you added the sizes. Every row has every column: multiply them.": 600 + 512 + 3,
        "that is the size in MiB. The question asks for bytes.": 600 * 512 * 3 / 2**20,
    },
    "Work out each factor again: height, width, numbers in a pixel, bytes in a number.",
    "The bytes of a colour photograph of 600 x 512 pixels as uint8: 600 * 512 * 3.",
)


@exercise(
    cases=[(12_345_678,), (921_600,), (2**20,), (1,)],
    praise="bytes / 2**20 is the unit of the whole course.",
    slips={
        "you divided by 1,000,000: that is MB. One MiB is 2**20 = 1,048,576 bytes.": lambda n: n / 10**6,
        "you divided by 1,024 once: that is KiB. One MiB is 1,024 * 1,024 bytes.": lambda n: n / 2**10,
        "you multiplied. There are fewer MiB than bytes: divide.": lambda n: n * 2**20,
        "you divided by 2**30: that is GiB.": lambda n: n / 2**30,
        "you divided by 1,024 and by 1,000. One MiB is 1,024 * 1,024 bytes.": lambda n: n / 1024 / 1000,
        "what is behind the point was cut off. Use /, without // or int().": lambda n: n // 2**20,
        "you rounded inside the function. Return the full number and round when you print.": [
            lambda n: round(n / 2**20, 1),
            lambda n: round(n / 2**20, 2),
        ],
    },
)
def to_mib(n_bytes):
    """Bytes in, MiB out: divide by 2**20."""
    return n_bytes / 2**20


@exercise(
    cases=[((3, 5), 4), ((64, 1, 28, 28), 1), ((32, 3, 32, 32), 4), ((1024,), 2), ((7, 2, 3, 4, 5), 8)],
    praise="it works for every shape and dtype.",
    slips={
        "you added the sizes. Multiply them: every row has every column.": lambda shape, each: sum(shape) * each,
        "you counted the numbers, but not that each takes bytes_per_number bytes.": lambda shape, each: prod(shape),
        "you left out the first size. The batch axis counts too.": lambda shape, each: prod(shape[1:]) * each,
        "you used three sizes. A shape may have any number of axes.": lambda shape, each: prod(shape[:3]) * each,
        "you took 4 bytes a number; bytes_per_number says how many.": lambda shape, each: prod(shape) * 4,
    },
)
def bytes_of(shape, bytes_per_number):
    """Shape and bytes per number in, bytes out: the product of the sizes times the bytes per number."""
    return prod(shape) * bytes_per_number


odd_entry = Question(
    "entry, height, width",
    (3, 28, 32),
    "entry 3 is the odd one, 28 high and 32 wide. You read an error number by number.",
    {
        "entry 0 is the one that the others are compared with. Read on to the second entry.": (0, 28, 28),
        "the entry is right. [28, 28] is the size of entry 0; read the size beside entry 3.": (3, 28, 28),
        "right numbers, wrong order: a size is written height first, then width.": (3, 32, 28),
        "entries are counted from 0, and the message already does so: use its number as it is.": (4, 28, 32),
        "the size is right. It belongs to the entry that stands behind it.": (0, 28, 32),
        "the first number is the entry, not a size. The message says 'at entry …'.": (28, 28, 32),
    },
    "All three numbers stand in the second half of the message.",
    "Read 'stack expects each tensor to be equal size, but got [28, 28] at entry 0 and [28, 32] at entry 3'.",
)
