ANSWERS = {
    600 * 512: "number of pixels",
    600 * 512 * 3 * 4: "float32 takes four",
    600 * 512 * 4: "four numbers a pixel",
    600 * 512 * 3 * 8: "counts bits",
    600 + 512 + 3: "added the sizes",
    600 * 512 * 3 / 2**20: "size in MiB",
    -5: "-5 is not it",
}
