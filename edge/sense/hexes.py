"""Which cell of the map a place is in: H3's resolution 8, hexagons of half a kilometre, without the library.

A gateway that is carried around tells whoever carries it which cells are done. The map is made by the server with H3
itself; here it is only to be known whether two places are in one cell, and that is a projection and a rounding.
Source: H3's faceijk.c (Apache-2.0): the icosahedron's faces, their axes, the gnomonic projection; even resolutions are
not rotated. Only a cell across an edge of the icosahedron is told as two; none of them lies in Vietnam.
"""

from __future__ import annotations

from math import acos, atan2, cos, sin, sqrt, tan
from math import radians as rad

_RESOLUTION_8 = 7**4 / 0.381966011250105  # sqrt(7) each step, and the unit of the coarsest grid
_FACES = (  # latitude and longitude of a face's middle, and the azimuth of its first axis
    (0.803582649718989942, 1.248397419617396099, 5.619958268523939882),
    (1.307747883455638156, 2.536945009877921159, 5.760339081714187279),
    (1.054751253523952054, -1.347517358900396623, 0.780213654393430055),
    (0.600191595538186799, -0.450603909469755746, 0.430469363979999913),
    (0.491715428198773866, 0.401988202911306943, 6.130269123335111400),
    (0.172745327415618701, 1.678146885280433686, 2.692877706530642877),
    (0.605929321571350690, 2.953923329812411617, 2.982963003477243874),
    (0.427370518328979641, -1.888876200336285401, 3.532912002790141181),
    (-0.079066118549212831, -0.733429513380867741, 3.494305004259568154),
    (-0.230961644455383637, 0.506495587332349035, 3.003214169499538391),
    (0.079066118549212831, 2.408163140208925497, 5.930472956509811562),
    (0.230961644455383637, -2.635097066257444203, 0.138378484090254847),
    (-0.172745327415618701, -1.463445768309359553, 0.448714947059150361),
    (-0.605929321571350690, -0.187669323777381622, 0.158629650112549365),
    (-0.427370518328979641, 1.252716453253507838, 5.891865957979238535),
    (-0.600191595538186799, 2.690988744120037492, 2.711123289609793325),
    (-0.491715428198773866, -2.739604450678486295, 3.294508837434268316),
    (-0.803582649718989942, -1.893195233972397139, 3.804819692245439833),
    (-1.307747883455638156, -0.604647643711872080, 3.664438879055192436),
    (-1.054751253523952054, 1.794075294689396615, 2.361378999196363184),
)


def cell(lat: float, lon: float) -> tuple[int, int, int]:
    """Return the cell of a place (WGS 84 degrees): the same for two places just where H3's is, in Vietnam."""
    y, x = rad(lat), rad(lon)
    face = max(range(len(_FACES)), key=lambda one: _nearness(_FACES[one], y, x))
    middle_y, middle_x, axis = _FACES[face]
    azimuth = atan2(cos(y) * sin(x - middle_x), cos(middle_y) * sin(y) - sin(middle_y) * cos(y) * cos(x - middle_x))
    far = tan(acos(min(_nearness(_FACES[face], y, x), 1.0))) * _RESOLUTION_8
    along, across = far * cos(axis - azimuth), far * sin(axis - azimuth)
    second = across / (sqrt(3) / 2)
    return (face, *_rounded(along - second / 2, second))


def _nearness(face: tuple[float, float, float], y: float, x: float) -> float:
    """Return the cosine of the angle between a face's middle and a place."""
    return sin(face[0]) * sin(y) + cos(face[0]) * cos(y) * cos(x - face[1])


def _rounded(first: float, second: float) -> tuple[int, int]:
    """Return the hexagon of a place along two axes that are 60 degrees apart."""
    third = -first - second
    whole = [round(first), round(second), round(third)]
    off = [abs(at - to) for at, to in zip((first, second, third), whole, strict=True)]
    worst = off.index(max(off))
    whole[worst] = -sum(one for number, one in enumerate(whole) if number != worst)
    return whole[0], whole[1]
