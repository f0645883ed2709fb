"""What the guide says and no lesson does: questions to discuss, and wrong answers where a check lists none."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Discussion:
    """A question for the whole class, after a section of a lesson."""

    lesson: str
    section: int
    ask: str
    listen: str  #: what a good answer has in it, and what a wrong one gives away


DISCUSSIONS = (
    Discussion(
        "00",
        2,
        "The batch grows from 64 to 128 images. What in the panel doubles, and what stays?",
        "Shape, bytes and the rows that come out double. The parameters stay: who says that the model grows takes the "
        "batch for a part of the model.",
    ),
    Discussion(
        "00",
        4,
        "A phone's photograph has 3000 x 4000 pixels. How many MiB as uint8, how many as float32?",
        "3000 * 4000 * 3 bytes are 34.3 MiB, and four times that, 137.3 MiB. Listen for the 3 that is forgotten, and "
        "for a division by 1,000,000.",
    ),
    Discussion(
        "00",
        5,
        "Forty red lines. Which do you read first, and which not at all?",
        "The last line, then the line of one's own that has the arrow. The lines of libraries can wait.",
    ),
    Discussion(
        "01",
        4,
        "If the batch size belonged to the model, in which line would you have to write 64?",
        "In none. Every number in the code counts channels, pixels or scores.",
    ),
    Discussion(
        "01",
        5,
        "A colleague's model answers differently for an image alone and in a batch. What do you ask first?",
        "Is there a BatchNorm, and which mode is it in? A first guess at rounding is no shame, but then the difference "
        "is in the last digits.",
    ),
    Discussion(
        "01",
        6,
        "Flatten and Linear take a grey image without batch axis. Why is that worse than an error?",
        "It is right by luck: the channel has size 1 and plays the batch. With colour images, or inside a larger "
        "program, nobody looks there any more.",
    ),
    Discussion(
        "02",
        2,
        "Which width must an image have for the forgotten reshape to go unnoticed?",
        "3, the number of channels: shapes line up from the right. So try code on images that are not 3 wide.",
    ),
    Discussion(
        "02",
        4,
        "You may forget one of the three: backward, step, zero_grad. Which mistake do you see last in the curve?",
        "zero_grad: the loss falls quickly at first, then overshoots. Without one of the others it does not move.",
    ),
    Discussion(
        "02",
        6,
        "One thread has no parallel cores. What does it gain from a batch all the same?",
        "The overhead of a call is paid once, and each weight is read once for many rows. Who says *parallel* is asked "
        "where the second core would be.",
    ),
    Discussion(
        "03",
        1,
        "Same numbers, same shape, and one picture is nine grey ones. What is different?",
        "Which number stands where. permute renames axes, reshape cuts one long row anew. A shape does not say what "
        "its numbers mean.",
    ),
    Discussion(
        "03",
        2,
        "Where would you put a check for a forgotten division by 255, and what would it look at?",
        "Right before the model, at the smallest and largest number. The dtype does not tell: float() alone gives "
        "float32 too.",
    ),
    Discussion(
        "03",
        3,
        "imshow shows a fine picture. What may still be wrong with the numbers?",
        "Grey was stretched, colours were clamped, red and blue may be exchanged. imshow is for eyes, min and max are "
        "for models.",
    ),
    Discussion(
        "04",
        1,
        "Your data get brighter with every epoch. Where do you look?",
        "For something in place in a function: +=, x[...] =, a method that ends in _. The caller's tensor is the same "
        "memory.",
    ),
    Discussion(
        "04",
        2,
        "How can permute turn a photograph of any size in no time?",
        "It moves no number: sizes and strides stand in another order.",
    ),
    Discussion(
        "04",
        4,
        "view stops, reshape goes on. Which of the two is kinder to you?",
        "It depends: view tells you that a copy would be needed; reshape may copy, and then a write through it is seen "
        "by nobody else.",
    ),
    Discussion(
        "05",
        2,
        "Where does 1792 come from, and why does the message not say 64?",
        "64 x 1 x 28: all axes but the last count as rows. Who looks for 1792 in the code does not find it.",
    ),
    Discussion(
        "05",
        3,
        "digits.view(-1, 28) runs. Which line will complain, and what will it say?",
        "The loss, about two batch sizes that differ: 1,792 rows against 64 labels. The mistake stands above.",
    ),
    Discussion(
        "05",
        6,
        "The accuracy fell by half, and there was no error. What do you print first?",
        "What goes into the model: its shape, and one image as the weights meet it. A layer checks the shape alone.",
    ),
    Discussion(
        "06",
        2,
        "Which batch sizes belong in a test, and which one hides a bug?",
        "1, an odd one, one that equals no other size. The size that equals the number of features hides W @ x.",
    ),
    Discussion(
        "06",
        3,
        "Yesterday in_features was 1568, today the rows have 6272. What did somebody do?",
        "6272 is four times 1568: a pooling is gone. Ask the layers, instead of writing the number down.",
    ),
    Discussion(
        "06",
        4,
        "Both seeds fell. Would you write that into a report?",
        "Two coins show tails in one of four tries. Ask for ten seeds, compared seed by seed.",
    ),
    Discussion(
        "07",
        3,
        "Why do so many pages say 3?",
        "They count what Adam has beside the parameters (one gradient, two states), or forget that SGD has parameters "
        "and gradients too. (1 + 1 + 2) / (1 + 1) is 2.",
    ),
    Discussion(
        "07",
        4,
        "ReLU and GELU give the same shape. Why does one cost more?",
        "What counts is what backward computes with. ReLU's result is kept for the next Linear in any case; GELU's "
        "input is kept beside it.",
    ),
    Discussion(
        "07",
        6,
        "Half the batch. Is half the memory free?",
        "Only half of batch and activations. Listen for the fixed part: parameters, gradients, optimizer state.",
    ),
    Discussion(
        "08",
        2,
        "One network has a hill, another a bump. Where do you begin to save in each?",
        "Hill: fewer images, or what is kept of them. Bump: another optimizer, or fused=True. First ask which phase "
        "has the peak.",
    ),
    Discussion(
        "08",
        5,
        "Is the line that raised the out-of-memory error the one to blame?",
        "It came last. What was allocated before it may be the larger part; the message says how much that was.",
    ),
    Discussion(
        "08",
        6,
        "You keep one number for each batch in a list. How can that fill the memory?",
        "If it is a tensor with a graph, what backward needs hangs on it, and mostly the batch itself. .item() is a "
        "plain number.",
    ),
    Discussion(
        "09",
        2,
        "It does not fit with B = 1 either. What do you change?",
        "Not the batch: the peak is in step(). Another optimizer, or one that borrows less.",
    ),
    Discussion(
        "09",
        3,
        "Somebody turns on mixed precision and needs more memory. Is that a bug?",
        "No: 16-bit copies of the weights come on top, and a net with many weights and few activations feels them.",
    ),
    Discussion(
        "09",
        4,
        "4 x 16 in place of 64: what is the same, and what is not?",
        "The gradient, if each loss is weighted. Not the same: BatchNorm's mean, the memory, the time.",
    ),
    Discussion(
        "10",
        2,
        "Why the mean of the gradients, and not their sum?",
        "Each is the gradient of a mean already. The sum would be as many times too large as there are ranks.",
    ),
    Discussion(
        "10",
        4,
        "One rank has fewer images. Who tells you?",
        "Nobody. Each rank has the same say, so an image of the small shard counts more, until you weigh the losses.",
    ),
    Discussion(
        "10",
        5,
        "ZeRO-1 deals out Adam's state, and rank 0 has nearly all of it. Why?",
        "It deals out whole tensors, and this MLP has one large one. A network of many tensors is shared more evenly.",
    ),
    Discussion(
        "11",
        2,
        "When does a batch twice as large buy next to nothing?",
        "Far above the noise scale: its gradient was precise enough already.",
    ),
    Discussion(
        "11",
        3,
        "*Large batches learn slowly*, somebody says. What do you ask back?",
        "By which clock (images, steps, seconds), and with which rule for the learning rate?",
    ),
    Discussion(
        "11",
        5,
        "The same network, written in other numbers, is ten times as sharp. What is left of *flat minima generalise*?",
        "Sharpness alone says little between networks in different numbers. Compare accuracies, over seeds.",
    ),
    Discussion(
        "12",
        2,
        "Which setting moved the peak less than you thought?",
        "Depth: after each pooling little is left, and the peak is at the first ReLU. Checkpointing cannot help there.",
    ),
    Discussion(
        "12",
        3,
        "B = 16, or B = 64 in four parts: the memory is the same. Which do you take?",
        "It depends on what is short: 16 takes four times as many steps in an epoch, 64 in parts the steps of 64.",
    ),
    Discussion(
        "12",
        4,
        "Two of your photographs show the same scene a second apart. What may go wrong?",
        "One in training, one in the test: the accuracy comes out too high. No program can tell; you must.",
    ),
    Discussion(
        "13",
        1,
        "A statement *holds if*. Was its author wrong?",
        "Mostly right where they stood. What is worth knowing is the condition, and the figure on either side of it.",
    ),
    Discussion(
        "13",
        7,
        "Which sentence that you read this month could be put to the five steps?",
        "One that can be false: with a number, a place, a comparison. If nobody has one, take those under *Now you*.",
    ),
)

#: Exercises whose check runs or trains the answer, and so has no list of slips: what somebody writes, as code.
MISTAKES = {
    "build_mlp": (
        "nn.Sequential(nn.Linear(math.prod(sample_shape), hidden), nn.ReLU(), nn.Linear(hidden, classes))",
        "nn.Sequential(nn.Flatten(), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, classes))",
        "nn.Sequential(nn.Flatten(), nn.Linear(math.prod(sample_shape), hidden), nn.Linear(hidden, classes))",
        "nn.Sequential(nn.Flatten(), nn.Linear(math.prod(sample_shape), hidden), nn.ReLU(), nn.Linear(hidden, 10))",
        "nn.Sequential(nn.Flatten(0), nn.Linear(math.prod(sample_shape), hidden), nn.ReLU(), "
        "nn.Linear(hidden, classes))",
    ),
    "quick": ("capstone.Design()", "capstone.Design(batch_size=256)", '{"width": 8}'),
    "small": ("capstone.Design(width=8)", "capstone.Design(width=1, batch_size=64)"),
    "sharp": ("capstone.Design(micro_batches=4)", 'capstone.Design(optimizer="adam", precision="bf16")'),
    "own_network": (
        "nn.Sequential(nn.Conv2d(sample_shape[0], 8, 3), nn.ReLU(), nn.Linear(8, classes))",
        "nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))",
        "nn.Sequential(nn.Conv2d(sample_shape[0], 16, 3, 2), nn.Flatten(), nn.Linear(16 * 15 * 15, classes))",
        "nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))",
        "nn.Sequential(nn.Conv2d(sample_shape[0], 32, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), "
        "nn.Linear(32, classes))",
    ),
}
