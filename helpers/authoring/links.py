"""List every address that the lessons link to, for a person who is online to check.

uv run python -m helpers.authoring.links
"""

from helpers.authoring import lessons


def main() -> None:
    """Print each address once, with the lessons that link to it."""
    found: dict[str, list[str]] = {}
    for path in lessons.LESSONS:
        for link in dict.fromkeys(lessons.links(lessons.read(path))):
            found.setdefault(link, []).append(path.name[:2])
    for link, where in sorted(found.items()):
        print(f"{link}  (lesson {', '.join(where)})")


if __name__ == "__main__":
    main()
