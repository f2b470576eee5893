"""Lay out a small acyclic graph in rows, so that every arrow points down and few cross."""

from dataclasses import dataclass, field
from itertools import accumulate, pairwise

SWEEPS = 24  # of ordering; a map of twenty chapters settles in fewer
PULLS = 400  # of straightening, a long chain passes its place on by one row each time
LANE = 0.16  # of a box's width: what an arrow takes that only passes through a row


def reduced(needs):
    """Return the graph without the arrows that follow from others.

    Parameters
    ----------
    needs : dict
        What each node needs, {node: set of nodes}, nodes in an order in which needs come first.

    Raises
    ------
    ValueError
        If a node needs one that comes later, or that is not there.
    """
    everything = {}  # all that a node needs, near or far
    for node, direct in needs.items():
        late = sorted(direct - set(everything))
        if late:
            names = ", ".join(map(str, late))
            raise ValueError(f"{node} needs {names}, which does not come before it")
        everything[node] = direct.union(*(everything[n] for n in direct))
    return {
        node: {n for n in direct if not any(n in everything[other] for other in direct)}
        for node, direct in needs.items()
    }


@dataclass
class Layout:
    """Where everything is: x in widths of a box from the middle, y in rows.

    Attributes
    ----------
    place : dict
        (x, row) of each node.
    paths : dict
        For each arrow (from, to) the list of points that it passes through, ends included.
    """

    place: dict = field(default_factory=dict)
    paths: dict = field(default_factory=dict)

    @property
    def n_rows(self):
        """Return the number of rows."""
        return 1 + max(row for _, row in self.place.values())


def layout(needs, gap):
    """Return the `Layout` of a reduced graph.

    Parameters
    ----------
    needs : dict
        As for `reduced`.
    gap : float
        The least distance between two boxes in a row, in widths of a box.
    """
    row = {}
    for node, direct in needs.items():
        row[node] = 1 + max((row[n] for n in direct), default=-1)
    # An arrow over several rows passes through a lane, (from, to, row), in each of them.
    rows = [[n for n in needs if row[n] == r] for r in range(1 + max(row.values()))]
    chains = []
    for node, direct in needs.items():
        for start in sorted(direct):
            lanes = [(start, node, r) for r in range(row[start] + 1, row[node])]
            for lane in lanes:
                rows[lane[2]].append(lane)
            chains.append([start, *lanes, node])
    links = [link for chain in chains for link in pairwise(chain)]
    rows = _ordered(rows, links)
    x = _straightened(rows, links, gap)
    result = Layout({n: (x[n], row[n]) for n in needs})
    for chain in chains:
        points = [(x[p], p[2] if isinstance(p, tuple) else row[p]) for p in chain]
        result.paths[chain[0], chain[-1]] = points
    return result


def crossings(rows, links):
    """Return how many pairs of links between neighbouring rows cross."""
    index = {n: (r, i) for r, nodes in enumerate(rows) for i, n in enumerate(nodes)}
    ends = [(index[a], index[b]) for a, b in links]
    return sum(
        a[0] == c[0] and (a[1] - c[1]) * (b[1] - d[1]) < 0
        for k, (a, b) in enumerate(ends)
        for c, d in ends[:k]
    )


def _ordered(rows, links):
    """Order each row by where its neighbours are, down and up in turn; return the best seen."""
    best = rows
    for sweep in range(SWEEPS):
        index = {n: i / max(1, len(nodes) - 1) for nodes in rows for i, n in enumerate(nodes)}
        downwards = sweep % 2 == 0
        near = {}
        for a, b in links:
            node, neighbour = (b, a) if downwards else (a, b)
            near.setdefault(node, []).append(neighbour)
        ordered = []
        for nodes in rows if downwards else rows[::-1]:
            nodes = sorted(nodes, key=lambda n: _mean([index[m] for m in near.get(n, [n])]))
            index |= {n: i / max(1, len(nodes) - 1) for i, n in enumerate(nodes)}
            ordered.append(nodes)
        rows = ordered if downwards else ordered[::-1]
        if crossings(rows, links) < crossings(best, links):
            best = rows
    return best


def _straightened(rows, links, gap):
    """Return x of everything: near the mean of its neighbours, and as far apart as it must be."""
    half = {n: LANE / 2 if isinstance(n, tuple) else 0.5 for nodes in rows for n in nodes}
    x = {n: i - (len(nodes) - 1) / 2 for nodes in rows for i, n in enumerate(nodes)}
    near = {n: [] for n in x}
    for a, b in links:
        near[a].append(b)
        near[b].append(a)
    for _ in range(PULLS):
        for nodes in rows:
            wanted = [_mean([x[m] for m in near[n]] or [0.0]) for n in nodes]
            widths = [half[a] + half[b] + gap for a, b in pairwise(nodes)]
            offsets = list(accumulate(widths, initial=0.0))
            weights = [len(near[n]) or 1 for n in nodes]
            apart = _rising([w - o for w, o in zip(wanted, offsets, strict=True)], weights)
            x |= {n: p + o for n, p, o in zip(nodes, apart, offsets, strict=True)}
    return x


def _rising(values, weights):
    """Return the numbers nearest to the values, in weighted squares, that never fall."""
    blocks = []  # [weighted sum, weight, how many]; those that would fall share their mean
    for value, weight in zip(values, weights, strict=True):
        blocks.append([value * weight, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] > blocks[-1][0] * blocks[-2][1]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    return [total / weight for total, weight, count in blocks for _ in range(count)]


def _mean(values):
    return sum(values) / len(values)
