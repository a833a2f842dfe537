"""A small simulated shop with known answers.

No clock and no network: the same arguments give the same events on any machine. Every known answer is one of the names
below, and `tests/demo/test_toyshop.py` verifies each from the events in plain Python. For two of them, plain counts give
another, wrong answer.

| name           | property of `history(until)` with default arguments                                               |
|----------------|---------------------------------------------------------------------------------------------------|
| `COMPANIONS`   | each of the two shares a basket with the other more than twice as often as with anything else     |
| `STAPLE`       | in more baskets than any other item, day after day: leads popular, must not lead trending;        |
|                | by plain counts, wrongly the first partner of most items without a companion                      |
| `OVERSHADOWED` | by plain counts the `STAPLE` is first, because of caterers' huge orders; with baskets weighted by |
|                | 1/√order_size, the item named here                                                                |
| `RISING`       | almost no events until a day before the end, then more than any other item                         |
| `TASTES`       | shopper → the category of nearly all their events, except its last two items, so that there is    |
|                | something to recommend                                                                            |
| `SOLD_OUT`     | bought like the rest, but `available` is false now                                                |
| `UNSEEN`       | in the catalogue, in no event                                                                     |
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, cycle
from typing import Any

COMPANIONS = {
    "green-tea": "teapot",
    "matcha": "matcha-whisk",
    "chamomile": "honey",
    "espresso-beans": "coffee-grinder",
    "filter-coffee": "paper-filters",
    "basil-seeds": "terracotta-pot",
    "fountain-pen": "ink-bottle",
    "sketchbook": "pencil-set",
    "bath-salt": "beeswax-candle",
    "chess-set": "chess-clock",
    "jigsaw": "puzzle-mat",
    "cat-food": "cat-bowl",
}
STAPLE = "cane-sugar"
OVERSHADOWED = {"dark-chocolate": "almonds"}
RISING = "moka-pot"
TASTES = {
    "ada": "Kitchen/Tea",
    "bruno": "Garden/Herbs",
    "cleo": "Pets/Cats",
    "dario": "Office/Writing",
}
SOLD_OUT = "scratching-post"
UNSEEN = "slate-coaster"

# item_id | title | brand | price | attributes; the most popular of each shelf first (the staple last: it is an addition).
_CATALOGUE = """
Kitchen/Tea
  green-tea       | Green tea, sencha     | Sora      |  8.90 | leaf=whole, origin=Japan
  teapot          | Cast-iron teapot      | Sora      | 39.00 | volume=0.8 l, colour=black
  black-tea       | Assam breakfast tea   | Harbour   |  6.50 | leaf=broken, origin=India
  earl-grey       | Earl Grey             | Harbour   |  7.20 | leaf=whole, flavour=bergamot
  chamomile       | Chamomile flowers     | Meadow    |  5.40 | caffeine=none
  tea-strainer    | Fine tea strainer     | Sora      |  9.80 | material=steel
  matcha          | Matcha powder         | Sora      | 24.00 | grade=ceremonial, origin=Japan
  matcha-whisk    | Bamboo matcha whisk   | Sora      | 14.50 | material=bamboo
Kitchen/Coffee
  espresso-beans  | Espresso beans        | Nero      | 12.90 | roast=dark
  coffee-grinder  | Hand coffee grinder   | Burr      | 59.00 | burr=ceramic
  filter-coffee   | Ground filter coffee  | Nero      |  7.90 | roast=medium
  paper-filters   | Paper filters, 100    | Burr      |  3.20 | size=4
  decaf-coffee    | Decaf beans           | Nero      | 13.40 | caffeine=none
  french-press    | French press          | Burr      | 27.00 | volume=1 l
  moka-pot        | Moka pot, six cups    | Burr      | 32.00 | material=aluminium
  milk-frother    | Milk frother          | Burr      | 18.00 | power=battery
Pantry/Baking
  flour           | Wheat flour           | Meadow    |  1.90 | weight=1 kg
  honey           | Wildflower honey      | Meadow    |  6.90 | weight=500 g
  dark-chocolate  | Dark chocolate        | Cabosse   |  3.80 | cocoa=72 %
  almonds         | Almonds               | Meadow    |  5.90 | weight=250 g
  vanilla-pods    | Vanilla pods, 3       | Cabosse   |  8.40 | origin=Madagascar
  muffin-cases    | Muffin cases, 60      | Crumb     |  2.80 | material=paper
  raisins         | Raisins               | Meadow    |  3.10 | weight=250 g
  cane-sugar      | Cane sugar            | Meadow    |  2.60 | weight=1 kg
Garden/Herbs
  basil-seeds     | Basil seeds           | Sprout    |  2.90 | sow=April
  terracotta-pot  | Terracotta pot        | Sprout    |  6.40 | diameter=14 cm
  mint-seeds      | Mint seeds            | Sprout    |  2.90 | sow=March
  potting-soil    | Potting soil          | Sprout    |  7.50 | volume=20 l
  watering-can    | Watering can          | Sprout    | 21.00 | volume=5 l
  garden-gloves   | Garden gloves         | Sprout    | 11.00 | size=M
  herb-scissors   | Herb scissors         | Sprout    | 13.00 | blades=5
Office/Writing
  fountain-pen    | Fountain pen          | Quill     | 29.00 | nib=F
  ink-bottle      | Ink, bottle           | Quill     |  9.50 | colour=blue
  notebook        | Notebook A5, dotted   | Quill     | 12.00 | pages=192
  sketchbook      | Sketchbook A4         | Graphite  | 15.00 | paper=160 g
  pencil-set      | Pencils, set of 12    | Graphite  | 17.00 | grades=6B-4H
  eraser          | Kneadable eraser      | Graphite  |  2.20 | colour=grey
  letter-paper    | Letter paper          | Quill     |  8.80 | sheets=50
  sealing-wax     | Sealing wax           | Quill     |  7.70 | colour=red
Home/Bath
  bath-salt       | Bath salt, lavender   | Lagoon    |  9.20 | scent=lavender
  beeswax-candle  | Beeswax candle        | Lagoon    | 11.50 | burns=40 h
  hand-soap       | Olive hand soap       | Lagoon    |  4.60 | weight=100 g
  bath-towel      | Bath towel            | Lagoon    | 24.00 | material=cotton
  bath-brush      | Bath brush            | Lagoon    | 12.50 | material=beech
  shampoo-bar     | Shampoo bar           | Lagoon    |  8.10 | weight=80 g
  slate-coaster   | Slate coaster         | Lagoon    |  5.00 | diameter=10 cm
Games/Table
  chess-set       | Chess set             | Gambit    | 45.00 | material=maple
  chess-clock     | Chess clock           | Gambit    | 38.00 | display=digital
  jigsaw          | Jigsaw, 1000 pieces   | Gambit    | 16.00 | motif=harbour
  puzzle-mat      | Puzzle mat            | Gambit    | 19.00 | size=1000
  playing-cards   | Playing cards         | Gambit    |  4.90 | cards=52
  dice            | Dice, set of 7        | Gambit    |  6.60 | sides=4-20
  dominoes        | Dominoes              | Gambit    | 13.50 | tiles=28
Pets/Cats
  cat-food        | Cat food, trout       | Whisker   | 11.90 | weight=2 kg
  cat-bowl        | Cat bowl              | Whisker   |  9.40 | material=ceramic
  feather-toy     | Feather toy           | Whisker   |  6.20 | length=60 cm
  cat-brush       | Cat brush             | Whisker   |  8.70 | coat=long
  scratching-post | Scratching post       | Whisker   | 49.00 | height=90 cm
  catnip          | Catnip                | Whisker   |  3.90 | weight=30 g
  cat-bed         | Cat bed               | Whisker   | 34.00 | size=M
"""

Event = dict[str, Any]
Item = dict[str, Any]


def _parse(catalogue: str) -> Iterator[Item]:
    category = ""
    for line in catalogue.strip().splitlines():
        if not line.startswith(" "):
            category = line
            continue
        item_id, title, brand, price, attributes = (cell.strip() for cell in line.split("|"))
        yield {
            "item_id": item_id,
            "title": title,
            "category": category,
            "brand": brand,
            "price": float(price),
            "available": item_id != SOLD_OUT,
            "image": "",
            "attributes": dict(pair.split("=", 1) for pair in attributes.split(", ")),
        }


ITEMS: tuple[Item, ...] = tuple(_parse(_CATALOGUE))
SPELL_SECONDS = 60  # how long one pair of products is popular in `live`

_SHELVES: dict[str, list[str]] = {}
for _item in ITEMS:
    _SHELVES.setdefault(_item["category"], []).append(_item["item_id"])
_PRICES: dict[str, float] = {item["item_id"]: item["price"] for item in ITEMS}
_PARTNERS = COMPANIONS | {companion: item_id for item_id, companion in COMPANIONS.items()}
_KNOWN_ANSWERS = {*_PARTNERS, *OVERSHADOWED, *OVERSHADOWED.values(), STAPLE, RISING, SOLD_OUT, UNSEEN}


def _other_items(*departments: str) -> list[str]:
    shelves = (shelf for category, shelf in _SHELVES.items() if category.startswith(departments))
    return [item_id for shelf in shelves for item_id in shelf if item_id not in _KNOWN_ANSWERS]


# Items that fill caterers' orders, and items that become popular for a while: they affect no known answer.
_CATERED = _other_items("Kitchen", "Pantry", "Home")
_POPULAR_LATER = _other_items("Garden", "Office", "Games", "Pets")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400  # seconds


@dataclass(frozen=True)
class _Shopper:
    """Chooses from `shelf` with probability `loyalty`, else from any shelf; never from `avoided`."""

    user_id: str
    shelf: str
    loyalty: float = 0.85
    avoided: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Visit:
    """A session without its time. A guest has no user_id and never pays, because payment requires a sign-in."""

    user_id: str
    basket: tuple[str, ...]
    glances: tuple[str, ...] = ()
    paid: bool = True


def items() -> list[Item]:
    """The catalogue as new dicts, one per product, for `POST /items`."""
    return [item | {"attributes": dict(item["attributes"])} for item in ITEMS]


def history(until: datetime, days: int = 60, shoppers: int = 300, seed: int = 7) -> Iterator[Event]:
    """The events of the `days` before `until`, in time order, for `POST /events`; `price` is per unit.

    About 32,000 events. The known answers hold for the default arguments, not in a much smaller shop. Ids do not depend on
    `until`: a history sent twice has duplicates only. There are no nights or weekends, so the last hour always has events.
    Raises ValueError if `until` has no time zone.
    """
    end, rng = _milliseconds(until), random.Random(seed)
    events: list[Event] = []
    for number, (age, visit) in enumerate(_plan(rng, days, shoppers)):
        session = _session(rng, visit, f"toy{seed}-{number:05d}")
        steps = sum(event["event_type"] != "purchase" for event in session)
        pauses = [rng.randint(2_000, 45_000) if n <= steps else 0 for n in range(len(session))]
        begin = end - round(age * 1000) - sum(pauses)
        events += [
            event | {"timestamp": _iso(begin + pause)} for event, pause in zip(session, accumulate(pauses), strict=True)
        ]
    return iter(sorted(events, key=lambda event: (event["timestamp"], event["event_id"])))


def live(start: datetime, seed: int = 11) -> Iterator[Event]:
    """An endless stream of events from `start` on, about two per second.

    Most visitors look for the current pair of `popular_pairs(seed)`, which changes every `SPELL_SECONDS` of event time. Ids
    contain `start`: a second run has new events. Raises ValueError if `start` has no time zone.
    """
    return _live(_milliseconds(start), seed)


def popular_pairs(seed: int = 11) -> Iterator[tuple[str, str]]:
    """The popular pairs of `live(…, seed)`: a product, and the one it is bought with; one pair per spell, endlessly."""
    order = random.Random(seed).sample(_POPULAR_LATER, len(_POPULAR_LATER))
    return cycle(zip(order[::2], order[1::2], strict=True))


def _live(begin: int, seed: int) -> Iterator[Event]:
    rng, spells = random.Random(seed), popular_pairs(seed)
    _, crowd = _shoppers(300)
    now, spell_ends, number = begin, begin, 0
    pair = ("", "")
    open_sessions: list[list[Event]] = [[] for _ in range(4)]
    while True:
        now += min(3_000, 100 + round(rng.expovariate(1 / 400)))
        while now >= spell_ends:
            pair, spell_ends = next(spells), spell_ends + SPELL_SECONDS * 1000
        session = rng.choice(open_sessions)
        if not session:
            shopper = rng.choice(crowd)
            visit = _targeted_visit(rng, shopper, *pair) if rng.random() < 0.8 else _browse(rng, shopper)
            session += _session(rng, visit, f"live{seed}-{begin}-{number}")
            number += 1
        together = len(session) if session[0]["event_type"] == "purchase" else 1
        yield from [event | {"timestamp": _iso(now)} for event in session[:together]]
        del session[:together]


def _plan(rng: random.Random, days: int, shoppers: int) -> Iterator[tuple[float, _Visit]]:
    """All visits, unordered, each with the seconds from its last event to the end."""
    named, crowd = _shoppers(shoppers)
    longest_visit = 3_600

    def random_age() -> float:
        return 1 + rng.random() * (days * _DAY - longest_visit)

    visits = shoppers * days // 6
    for shopper in rng.choices(named * 4 + crowd, k=visits):
        yield random_age(), _browse(rng, shopper)
    for number in range(visits // 60):
        order = (STAPLE, *OVERSHADOWED, *rng.sample(_CATERED, 8))
        yield random_age(), _Visit(f"caterer-{number % 5 + 1}", order)
    for number in range(visits // 75):
        for pair in OVERSHADOWED.items():
            yield random_age(), _Visit(crowd[number % len(crowd)].user_id, pair)
    rise = max(1, shoppers // 6)
    for number in range(rise):  # increasingly dense, the last one a second before the end
        yield 1 + 0.95 * _DAY * (number / rise) ** 2, _targeted_visit(rng, rng.choice(crowd), RISING)


def _shoppers(count: int) -> tuple[list[_Shopper], list[_Shopper]]:
    """The named shoppers, and the others."""
    named = [_Shopper(name, shelf, 0.96, tuple(_SHELVES[shelf][-2:])) for name, shelf in TASTES.items()]
    shelves = list(_SHELVES)
    others = range(max(1, count - len(named)))
    return named, [_Shopper(f"shopper-{n + 1:03d}", shelves[n % len(shelves)]) for n in others]


def _browse(rng: random.Random, shopper: _Shopper) -> _Visit:
    """A visit without a goal: looks at items, and fills a basket every other time."""
    basket = _basket(rng, shopper) if rng.random() < 0.5 else []
    glances = [_choice(rng, shopper) for _ in range(rng.randint(1, 3) + (0 if basket else 2))]
    guest = rng.random() < 0.15
    return _Visit("" if guest else shopper.user_id, tuple(basket), tuple(glances), rng.random() < 0.8 and not guest)


def _targeted_visit(rng: random.Random, shopper: _Shopper, item_id: str, partner: str = "") -> _Visit:
    """A visit for one product, perhaps bought with its partner."""
    basket = [item for item in (item_id, partner) if item] if rng.random() < 0.7 else []
    return _Visit(shopper.user_id, tuple(basket), (item_id, _choice(rng, shopper)))


def _basket(rng: random.Random, shopper: _Shopper) -> list[str]:
    """One to three items, often their companions, sometimes the staple; named shoppers add only items of their shelf."""
    chosen = [_choice(rng, shopper) for _ in range(rng.choice((1, 1, 1, 2, 2, 3)))]
    additions = [_PARTNERS[item] for item in chosen if item in _PARTNERS and rng.random() < 0.65]
    if rng.random() < 0.25:
        additions.append(STAPLE)
    if shopper.user_id in TASTES:
        additions = [item for item in additions if item in _SHELVES[shopper.shelf] and item not in shopper.avoided]
    basket = list(dict.fromkeys(chosen + additions))
    rng.shuffle(basket)
    return basket


def _choice(rng: random.Random, shopper: _Shopper) -> str:
    """One item by the shopper's taste; the first of a shelf is chosen about twice as often as the last."""
    shelf = _SHELVES[shopper.shelf if rng.random() < shopper.loyalty else rng.choice(list(_SHELVES))]
    item_id = shelf[int(len(shelf) * rng.random() ** 1.3)]
    hidden = item_id == UNSEEN or (item_id == RISING and rng.random() < 0.7)
    return _choice(rng, shopper) if hidden or item_id in shopper.avoided else item_id


def _session(rng: random.Random, visit: _Visit, session_id: str) -> list[Event]:
    """The events of a visit in order, without times; the lines of an order are last, together."""
    paths = [(item, _look_steps(rng)) for item in dict.fromkeys(visit.glances) if item not in visit.basket]
    paths += [(item, _basket_steps(rng)) for item in visit.basket]
    rng.shuffle(paths)
    identity = {"session_id": session_id} | ({"user_id": visit.user_id} if visit.user_id else {})
    events: list[Event] = [{"event_type": step, **identity, "item_id": item} for item, path in paths for step in path]
    order = {"order_id": f"{session_id}-order", "order_size": len(visit.basket)}
    for item in visit.basket if visit.paid else ():
        line = {"quantity": rng.choice((1, 1, 1, 2, 3)), "price": _PRICES[item]}
        events.append({"event_type": "purchase", **identity, "item_id": item, **order, **line})
    return [{"event_id": f"{session_id}-{n:02d}"} | event for n, event in enumerate(events)]


def _look_steps(rng: random.Random) -> list[str]:
    """An impression, perhaps opened, liked, or put into the cart and removed again."""
    path = ["impression"]
    if rng.random() < 0.6:
        path += ["click", "view"]
        path += ["like"] if rng.random() < 0.1 else []
        path += ["add_to_cart", "remove_from_cart"] if rng.random() < 0.08 else []
    return path


def _basket_steps(rng: random.Random) -> list[str]:
    """Found in a list, or opened directly, and put into the cart."""
    return [*(["impression", "click"] if rng.random() < 0.5 else []), "view", "add_to_cart"]


def _milliseconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone; datetime.now(UTC) has one")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _iso(milliseconds: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
