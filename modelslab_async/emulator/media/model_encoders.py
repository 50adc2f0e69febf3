"""Makes small 3D models in five file formats, without a 3D library."""

import json
import struct

_POINTS = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
# Each face of the tetrahedron is three indexes into `_POINTS`.
_FACES = ((0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3))
_FBX = """\
; FBX 7.4.0 project file
FBXHeaderExtension:  {{
    FBXHeaderVersion: 1003
    FBXVersion: 7400
    Creator: "{name}"
}}
Definitions:  {{
    Version: 100
    Count: 2
    ObjectType: "Geometry" {{
        Count: 1
    }}
    ObjectType: "Model" {{
        Count: 1
    }}
}}
Objects:  {{
    Geometry: 1, "Geometry::tetrahedron", "Mesh" {{
        Vertices: *12 {{
            a: {points}
        }}
        PolygonVertexIndex: *12 {{
            a: {faces}
        }}
        GeometryVersion: 124
    }}
    Model: 2, "Model::tetrahedron", "Mesh" {{
        Version: 232
    }}
}}
Connections:  {{
    C: "OO",2,0
    C: "OO",1,2
}}
"""


def obj(name: str) -> bytes:
    """Make a tetrahedron as Wavefront OBJ."""
    points = "".join(f"v {x} {y} {z}\n" for x, y, z in _POINTS)
    faces = "".join(f"f {a + 1} {b + 1} {c + 1}\n" for a, b, c in _FACES)
    return f"# {name}\n{points}{faces}".encode()


def ply(name: str) -> bytes:
    """Make a tetrahedron as PLY."""
    points = "".join(f"{x} {y} {z}\n" for x, y, z in _POINTS)
    faces = "".join(f"3 {a} {b} {c}\n" for a, b, c in _FACES)
    properties = "".join(f"property float {axis}\n" for axis in "xyz")
    return (
        f"ply\nformat ascii 1.0\ncomment {name}\nelement vertex 4\n{properties}"
        f"element face 4\nproperty list uchar int vertex_index\nend_header\n{points}{faces}"
    ).encode()


def stl(name: str) -> bytes:
    """Make a tetrahedron as text STL."""
    # An STL reader computes the normal of a facet itself if the file gives a normal of zero.
    facets = "".join(
        "facet normal 0 0 0\nouter loop\n"
        + "".join("vertex {} {} {}\n".format(*_POINTS[number]) for number in face)
        + "endloop\nendfacet\n"
        for face in _FACES
    )
    return f"solid {name}\n{facets}endsolid {name}\n".encode()


def fbx(name: str) -> bytes:
    """Make a tetrahedron as ASCII FBX."""
    points = ",".join(str(value) for point in _POINTS for value in point)
    # FBX marks the last point of a face: instead of the index `c`, the file has `-c - 1`.
    faces = ",".join(f"{a},{b},{-c - 1}" for a, b, c in _FACES)
    return _FBX.format(name=name, points=points, faces=faces).encode()


def glb(name: str) -> bytes:
    """Make an empty scene as binary glTF."""
    scene = json.dumps({"asset": {"version": "2.0", "generator": name}}).encode()
    scene += b" " * (-len(scene) % 4)
    chunk = struct.pack("<I4s", len(scene), b"JSON") + scene
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunk)) + chunk
