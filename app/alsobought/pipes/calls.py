"""What a text calls, and what it names for the engine to call: functions, aggregates, dictionaries, types, lambdas.

Read from its words, not from a parser's tree: a parser that reads a text otherwise than the engine hides nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

from alsobought.pipes.columns import Finding
from alsobought.pipes.functions import DICTIONARIES, TAKES_LAMBDA, instead, is_aggregate, is_allowed
from alsobought.pipes.lexemes import NOTHING, Lexeme, argument_end, is_lambda, words_of
from alsobought.pipes.names import BEFORE_BRACKET, TYPES

# Words that read the clock or the server without brackets, and clauses that a pipe has no use for.
CLOCKS = {"now", "now64", "today", "yesterday", "curdate", "localtime", "localtimestamp"}
CLOCKS |= {"current_date", "current_time", "current_timestamp"}
SERVER = {"user", "current_user", "session_user", "currentuser", "database", "current_database", "currentdatabase"}
SERVER |= {"schema", "currenthandler", "currentrequesturl"}
BARE = CLOCKS | SERVER | {"apply", "into", "outfile"}
DATABASES = {"system", "information_schema"}  # the engine's own, in every position: `in system.one` reads a table, too
AGGREGATE = re.compile(r"'(\w+)(\([0-9., ]*\))?'")


def unlisted(code: Sequence[Lexeme]) -> Iterator[Finding]:
    """The functions that are not in the list, called with brackets or without."""
    for before, name, after in zip([NOTHING, *code], code, [*code[1:], NOTHING], strict=False):
        if not name.is_name:
            continue
        word = name.name
        if after.text == "(":
            may_stand = name.kind == "word" and (word in BEFORE_BRACKET or word in TYPES)
            if not may_stand and not is_allowed(word):
                yield Finding(name.at, f"the function {name.text} is not allowed in a pipe", instead(word))
        elif word in DATABASES and after.text == ".":
            yield Finding(name.at, f"{name.text}. is not allowed in a pipe", "Read the project's tables")
        elif word in BARE and name.kind == "word" and before.text != ".":
            yield Finding(name.at, f"{name.text} is not allowed in a pipe", instead(word) if word in CLOCKS else "")


def unwritten(code: Sequence[Lexeme], dictionaries: Collection[str]) -> Iterator[Finding]:
    """What the engine takes for a name must be written out: a dictionary, an aggregate, a type, and a lambda, since it takes
    the bare name of any function for one.
    """
    code = [*code, NOTHING, NOTHING]  # after a bracket there is always something to look at
    for at, (name, bracket) in enumerate(pairwise(code), 2):
        if bracket.text != "(" or not name.is_name:
            continue
        if name.name in TAKES_LAMBDA:
            end = argument_end(code, at)
            if end < len(code) and code[end].text == "," and not is_lambda(code, at):
                yield Finding(code[at].at, f"{name.text} takes a lambda that is written out", "x -> …")
        elif name.name in DICTIONARIES:
            literal = _literal(code, at)
            if literal.text[1:-1] not in dictionaries:
                hint = "Name one of the project's dictionaries: 'catalogue'"
                yield Finding(name.at, f"{name.text} of {code[at].text}", hint)
        elif name.name == "arrayreduce":
            named = AGGREGATE.fullmatch(_literal(code, at).text)
            if not named or not is_aggregate(named[1]):
                yield Finding(name.at, f"{name.text} of {code[at].text}", "Name an aggregate that is listed: 'sum'")
        elif name.name == "cast" and not _names_a_type(code, at):
            yield Finding(name.at, f"{name.text} to a type that is not written out", "Write: cast(x as String)")


def _literal(code: Sequence[Lexeme], at: int) -> Lexeme:
    """The text that is the first of several arguments, if it is nothing else."""
    alone = at + 1 < len(code) and code[at].kind == "string" and code[at + 1].text == ","
    return code[at] if alone else NOTHING


def _names_a_type(code: Sequence[Lexeme], at: int) -> bool:
    """Whether `x as Type` or `x, 'Type'` stands here, of the types that a pipe may use."""
    end = argument_end(code, at)
    if end >= len(code) or code[end].text != ",":
        return True  # `x as Type`: its words are looked at like all words
    words = words_of(code[end + 1]) if argument_end(code, end + 1) == end + 2 < len(code) else ()
    return bool(words) and code[end + 2].text == ")" and all(word.isdigit() or word in TYPES for word in words)
