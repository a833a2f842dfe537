"""Check the calls of a text: functions, aggregates, dictionaries, types and lambdas.

The check reads lexemes, not a syntax tree: if the parser and the engine disagree about a text, no call
is missed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from alsobought.pipes.columns import Finding
from alsobought.pipes.functions import DICTIONARIES, TAKES_LAMBDA, is_aggregate, is_allowed, suggest_function
from alsobought.pipes.lexemes import NO_LEXEME, Lexeme, argument_end, is_lambda, words_in
from alsobought.pipes.names import BEFORE_BRACKET, TYPES

# Words that read the clock or the server without brackets, and clauses that are not allowed in a pipe.
CLOCKS = {"now", "now64", "today", "yesterday", "curdate", "localtime", "localtimestamp"}
CLOCKS |= {"current_date", "current_time", "current_timestamp"}
SERVER = {"user", "current_user", "session_user", "currentuser", "database", "current_database", "currentdatabase"}
SERVER |= {"schema", "currenthandler", "currentrequesturl"}
OTHER_HINTS = {
    "apply": "Write the function around each column",
    "into": "A pipe only reads",
    "outfile": "A pipe only reads",
}
BARE = CLOCKS | SERVER | set(OTHER_HINTS)
DATABASES = {"system", "information_schema"}  # refused in every position: `in system.one` reads a table, too
AGGREGATE = re.compile(r"'(\w+)(\([0-9., ]*\))?'")


def unlisted_calls(code: Sequence[Lexeme]) -> Iterator[Finding]:
    """Calls, with or without brackets, of functions that are not on the allow-list."""
    for before, name, after in zip([NO_LEXEME, *code], code, [*code[1:], NO_LEXEME], strict=False):
        if not name.is_name:
            continue
        word = name.name
        if after.text == "(":
            is_syntax = name.kind == "word" and (word in BEFORE_BRACKET or word in TYPES)
            if not is_syntax and not is_allowed(word):
                yield Finding(name.offset, f"the function {name.text} is not allowed in a pipe", suggest_function(word))
        elif word in DATABASES and after.text == ".":
            yield Finding(name.offset, f"{name.text}. is not allowed in a pipe", "Read the project's tables")
        elif word in BARE and name.kind == "word" and before.text != ".":
            yield Finding(name.offset, f"{name.text} is not allowed in a pipe", _hint(word))


def _hint(word: str) -> str:
    if word in CLOCKS:
        return suggest_function(word)
    return "It reads the state of the server" if word in SERVER else OTHER_HINTS[word]


def dynamic_names(code: Sequence[Lexeme], dictionaries: Collection[str]) -> Iterator[Finding]:
    """Names of dictionaries, aggregates and types, and lambdas, that are not literal.

    The engine takes the bare name of any function for a lambda.
    """
    code = [*code, NO_LEXEME, NO_LEXEME]  # so that an argument follows each bracket
    for index, (name, bracket) in enumerate(pairwise(code), 2):
        if bracket.text != "(" or not name.is_name:
            continue
        if name.name in TAKES_LAMBDA:
            end = argument_end(code, index)
            if end < len(code) and code[end].text == "," and not is_lambda(code, index):
                yield Finding(code[index].offset, f"the lambda of {name.text} must be written out", "x -> …")
        elif name.name in DICTIONARIES:
            literal = _literal(code, index)
            if literal.text[1:-1] not in dictionaries:
                hint = "Name one of the project's dictionaries: 'catalogue'"
                yield Finding(name.offset, f"{name.text} cannot take {code[index].text}", hint)
        elif name.name == "arrayreduce":
            aggregate = AGGREGATE.fullmatch(_literal(code, index).text)
            if not aggregate or not is_aggregate(aggregate[1]):
                yield Finding(
                    name.offset, f"{name.text} cannot take {code[index].text}", "Name a listed aggregate: 'sum'"
                )
        elif name.name == "cast" and not _is_literal_type(code, index):
            yield Finding(name.offset, f"the type of {name.text} must be written out", "Write: cast(x as String)")


def _literal(code: Sequence[Lexeme], index: int) -> Lexeme:
    """The first of several arguments, if it is a string literal."""
    is_literal = index + 1 < len(code) and code[index].kind == "string" and code[index + 1].text == ","
    return code[index] if is_literal else NO_LEXEME


def _is_literal_type(code: Sequence[Lexeme], index: int) -> bool:
    """True for `x as Type` and `x, 'Type'` with a type that a pipe may use."""
    end = argument_end(code, index)
    if end >= len(code) or code[end].text != ",":
        return True  # `x as Type`: its words are checked like all words
    words = words_in(code[end + 1]) if argument_end(code, end + 1) == end + 2 < len(code) else ()
    return bool(words) and code[end + 2].text == ")" and all(word.isdigit() or word in TYPES for word in words)
