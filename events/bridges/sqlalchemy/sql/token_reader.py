"""Walks over the tokens of one SQL statement, reading no further than it is asked to."""

from __future__ import annotations

from collections.abc import Container
from itertools import islice

from .lexer import END, Token, tokenize


class TokenReader:
    """A position in the tokens of one statement."""

    def __init__(self, sql: str) -> None:
        self._unread = tokenize(sql)
        self._read: list[Token] = []
        self._position = 0
        self.was_cut = False  # there was more than is read of one text

    def peek(self, ahead: int = 0) -> Token:
        """Return the next token, or one further ahead, and stay where it is; `END` past the last one."""
        index = self._position + ahead
        while index >= len(self._read):
            more = list(islice(self._unread, 64))
            if not more:
                self.was_cut = self.was_cut or self._read[-1:] != [END]
                return END
            self._read += more
        return self._read[index]

    def take(self) -> Token:
        """Return the next token and step past it."""
        token = self.peek()
        self._position += token is not END
        return token

    def skip_to(self, words: Container[str]) -> str:
        """Go to the next of these words, or to the end; return it."""
        while True:
            for index in range(self._position, len(self._read)):
                if self._read[index][0] in words:
                    self._position = index
                    return self._read[index][0]
            self._position = len(self._read)
            if self.peek() is END:
                return END[0]

    def previous_words(self) -> list[str]:
        """Return the two words before the next token, or as many as there are."""
        return [token[0] for token in self._read[max(0, self._position - 2) : self._position]]
