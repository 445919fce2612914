"""The sources of a class, and which of them are of one kind."""


def group_of(source: str) -> str:
    """The family of a source 'family/generator', and the source itself where it names none.

    Generators of one family leave like traces, so a family is left out as a whole.
    """
    return source.partition("/")[0]
