"""What can be wrong with a template: in its source (found when it is compiled) or in its values (found in a call)."""

from __future__ import annotations


class TemplateError(ValueError):
    """The source is not a template of this language.

    `offset` counts characters from the start of the source; `path` leads to that source where a whole tree was given.
    """

    def __init__(self, message: str, mend: str, offset: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend
        self.offset = offset
        self.path: tuple[str | int, ...] = ()

    def below(self, path: tuple[str | int, ...]) -> TemplateError:
        self.path = path
        return self


class RenderError(Exception):
    """The values of this call do not fit. The message never repeats a value, because that could be a secret."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
