"""The checks of lesson 00: bytes, MiB, and an error read number by number."""

from math import isclose, prod

from helpers.check.core import Verdict, judge, judge_value


def photo_bytes(answer: object) -> Verdict:
    """The bytes of a colour photograph of 600 x 512 pixels as uint8: 600 * 512 * 3."""
    pixels = 600 * 512
    return judge_value(
        "photo_bytes",
        answer,
        pixels * 3,
        "921,600 bytes: three numbers a pixel, one byte each.",
        {
            pixels: "307,200 is the number of pixels. Each pixel holds three numbers: red, green, blue.",
            pixels * 4: "that is four numbers a pixel; red, green and blue are three.",
            pixels * 12: "that counts four bytes a number. float32 takes four; this image is uint8 and takes one.",
            pixels * 24: "that counts bits (8 a number). Memory is counted in bytes.",
            600 + 512 + 3: "you added the sizes. Every row has every column: multiply them.",
            600 * 512 * 3 / 2**20: "that is the size in MiB. The question asks for bytes.",
        },
        "Work out each factor again: height, width, numbers in a pixel, bytes in a number.",
    )


def to_mib(answer: object) -> Verdict:
    """Bytes in, MiB out: divide by 2**20."""

    def coach(arguments: tuple, got: object, want: float) -> str | None:
        (n_bytes,) = arguments
        if not isinstance(got, int | float) or isinstance(got, bool) or isclose(got, want, rel_tol=1e-6):
            return None
        if isclose(got, n_bytes / 10**6, rel_tol=1e-6):
            return "you divided by 1,000,000: that is MB. One MiB is 2**20 = 1,048,576 bytes."
        if isclose(got, n_bytes / 2**10, rel_tol=1e-6):
            return "you divided by 1,024 once: that is KiB. One MiB is 1,024 * 1,024 bytes."
        if isclose(got, n_bytes * 2**20, rel_tol=1e-6):
            return "you multiplied. There are fewer MiB than bytes: divide."
        if isclose(got, n_bytes / 2**30, rel_tol=1e-6):
            return "you divided by 2**30: that is GiB."
        if isclose(got, n_bytes / 1024 / 1000, rel_tol=1e-6):
            return "you divided by 1,024 and by 1,000. One MiB is 1,024 * 1,024 bytes."
        if got == n_bytes // 2**20:
            return f"{n_bytes:,} bytes gave {got}: what is behind the point was cut off. Use /, without // or int()."
        if got == round(want, 1) or got == round(want, 2):
            return "you rounded inside the function. Return the full number and round when you print."
        return None

    cases = [(921_600,), (2**20,), (12_345_678,), (1,)]
    return judge("to_mib", answer, cases, lambda n: n / 2**20, "bytes / 2**20 is the unit of the whole course.", coach)


def bytes_of(answer: object) -> Verdict:
    """Shape and bytes per number in, bytes out: the product of the sizes times the bytes per number."""

    def coach(arguments: tuple, got: object, want: int) -> str | None:
        shape, each = arguments
        if isinstance(got, bool) or not isinstance(got, int | float) or got == want:
            return None
        if got == sum(shape) * each:
            return f"you added the sizes of {shape}. Multiply them: every row has every column."
        if got == prod(shape):
            return f"you counted the {prod(shape):,} numbers, but not that each takes {each} bytes."
        if len(shape) > 1 and got == prod(shape[1:]) * each:
            return f"you left out the first size of {shape}. The batch axis counts too."
        if len(shape) > 3 and got == prod(shape[:3]) * each:
            return f"you used three sizes of {shape}. A shape may have any number of axes."
        if got == prod(shape) * 4:
            return f"you took 4 bytes a number; here bytes_per_number is {each}."
        return None

    cases = [((3, 5), 4), ((64, 1, 28, 28), 1), ((32, 3, 32, 32), 4), ((1024,), 2), ((7, 2, 3, 4, 5), 8)]
    return judge(
        "bytes_of", answer, cases, lambda shape, each: prod(shape) * each, "it works for every shape and dtype.", coach
    )


def odd_entry(answer: object) -> Verdict:
    """Read 'stack expects each tensor to be equal size, but got [28, 28] at entry 0 and [28, 32] at entry 3'."""
    return judge_value(
        "entry, height, width",
        answer,
        (3, 28, 32),
        "entry 3 is the odd one, 28 high and 32 wide. You read an error number by number.",
        {
            (0, 28, 28): "entry 0 is the one that the others are compared with. Read on to the second entry.",
            (3, 28, 28): "the entry is right. [28, 28] is the size of entry 0; read the size beside entry 3.",
            (3, 32, 28): "right numbers, wrong order: a size is written height first, then width.",
            (4, 28, 32): "entries are counted from 0, and the message already does so: use its number as it is.",
            (0, 28, 32): "the size is right. It belongs to the entry that stands behind it.",
            (28, 28, 32): "the first number is the entry, not a size. The message says 'at entry …'.",
        },
        "All three numbers stand in the second half of the message.",
    )
