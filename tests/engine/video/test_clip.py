"""Every row shows the picture that is on screen at its time, whatever the file is like."""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from extpose_blender.engine.video.clip import Sampling, count_rows, probe_clip, read_frames
from extpose_blender.protocol.flow import Frame

Movie = Callable[..., Path]
Number = Callable[[np.ndarray], int]


def rows_of(path: Path, first_row: int = 0, **sampling: float) -> list[Frame]:
    """All rows of a clip; a warning fails the test."""

    def warn(code: str, message: str, hint: str) -> None:
        raise AssertionError(f"{code}: {message}")

    return list(read_frames(probe_clip(path), Sampling(**sampling), first_row, warn))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.mp4", {}),
        ("a.mkv", {}),
        ("a.mov", {}),
        ("a.ts", {}),
        ("a.avi", {"codec": "mpeg4", "options": {"b": "4000000"}}),
        ("b_frames.avi", {}),
        ("a.webm", {"codec": "libvpx-vp9"}),
        ("a.gif", {"codec": "gif", "pix_fmt": "gray", "rate": 25}),
        ("ntsc.mp4", {"rate": Fraction(30000, 1001)}),
        ("ten_bit.mkv", {"codec": "libx265", "pix_fmt": "yuv420p10le",
                         "options": {"x265-params": "log-level=none"}}),
        ("prores.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
        ("grey.mkv", {"codec": "ffv1", "pix_fmt": "gray"}),
        ("grey16.mkv", {"codec": "ffv1", "pix_fmt": "gray16le"}),
        ("interlaced.mp4", {"options": {"flags": "+ilme+ildct", "x264-params": "tff=1"}}),
    ],
)  # fmt: skip
def test_each_picture_is_one_row(
    movie: Movie, picture_number: Number, name: str, how: dict[str, object]
) -> None:
    path = movie(name, **how)
    frames = rows_of(path)
    assert [picture_number(f.image_rgb) for f in frames] == list(range(30))
    assert [f.frame_index for f in frames] == [f.row for f in frames] == list(range(30))
    assert frames[0].image_rgb.shape == (48, 64, 3)
    rate = probe_clip(path).fps
    np.testing.assert_allclose([f.time_s for f in frames], np.arange(30) / rate, atol=1e-9)


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv", "vfr.mov"])
@pytest.mark.parametrize("fps", [None, 24.0, 50.0, 7.5])
def test_variable_rate_is_followed_by_time(
    movie: Movie, picture_number: Number, name: str, fps: float | None
) -> None:
    """Against a plain search of the time stamps; the clip does not begin at zero."""
    pts = 500 + np.cumsum(np.random.default_rng(4).integers(12, 140, 30))
    path = movie(name, pts_ms=pts.tolist())
    frames = rows_of(path) if fps is None else rows_of(path, fps=fps)
    shown_s = (pts - pts[0]) / 1000
    times = np.array([f.time_s for f in frames])
    want = np.searchsorted(shown_s, times + 1e-6, side="right") - 1
    # Where a row falls on a change of pictures to the clock's tick, either is right.
    clear = np.abs(shown_s[:, None] - times).min(axis=0) > 2e-3
    got = np.array([picture_number(f.image_rgb) for f in frames])
    np.testing.assert_array_equal(got[clear], want[clear])
    np.testing.assert_array_equal([f.frame_index for f in frames], got)
    np.testing.assert_allclose(times, np.arange(len(times)) / (fps or probe_clip(path).fps))
    assert times[-1] >= shown_s[-1] - 1 / (fps or probe_clip(path).fps)


def test_a_clock_is_not_taken_for_a_rate(movie: Movie) -> None:
    pts = np.cumsum(np.random.default_rng(4).integers(20, 90, 30))
    info = probe_clip(movie("vfr.mp4", pts_ms=pts.tolist()))
    assert info.fps == pytest.approx(1000 / np.diff(pts).mean(), rel=0.1)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
@pytest.mark.parametrize("first", [1, 29, 45, 119, 120])
def test_resuming_gives_the_rows_of_an_undisturbed_read(
    movie: Movie, name: str, first: int
) -> None:
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    path = movie(name, 120, codec=codec, options={"g": "20"})
    whole, rest = rows_of(path), rows_of(path, first)
    assert [f.row for f in rest] == [f.row for f in whole[first:]]
    for a, b in zip(whole[first:], rest, strict=True):
        assert (a.frame_index, a.time_s) == (b.frame_index, b.time_s)
        np.testing.assert_array_equal(a.image_rgb, b.image_rgb)


def test_resuming_finds_open_groups_of_pictures(movie: Movie) -> None:
    path = movie(
        "open.mp4", 150, options={"g": "25", "x264-params": "open-gop=1:bframes=4:keyint=25"}
    )
    whole, rest = rows_of(path, fps=20), rows_of(path, 63, fps=20)
    assert [f.frame_index for f in rest] == [f.frame_index for f in whole[63:]]
    for a, b in zip(whole[63:], rest, strict=True):
        np.testing.assert_array_equal(a.image_rgb, b.image_rgb)


def test_part_rate_and_speed(movie: Movie, picture_number: Number) -> None:
    path = movie("a.mp4")
    numbers = [picture_number(f.image_rgb) for f in rows_of(path, start=5, end=14)]
    assert numbers == list(range(5, 15))
    doubled = rows_of(path, start=5, end=14, fps=60)
    assert [picture_number(f.image_rgb) for f in doubled] == [i for i in range(5, 15) for _ in "ab"]
    assert doubled[0].image_rgb is doubled[1].image_rgb
    assert [picture_number(f.image_rgb) for f in rows_of(path, speed=3)] == list(range(0, 30, 3))
    info = probe_clip(path)
    assert count_rows(info, Sampling(start=5, end=14, fps=60)) == 20
    assert count_rows(info, Sampling()) == info.frame_count == 30


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (-90, 3)])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_rotation_metadata_is_applied(movie: Movie, name: str, rotation: int, turns: int) -> None:
    path = movie(name, 3, rotation=rotation)
    plain = rows_of(movie("plain.mkv", 3))[1].image_rgb
    info, image = probe_clip(path), rows_of(path)[1].image_rgb
    assert info.rotation_deg == -rotation % 360
    assert (info.height, info.width) == image.shape[:2]
    np.testing.assert_array_equal(image, np.rot90(plain, turns))


def test_mirrored_picture(movie: Movie) -> None:
    image = rows_of(movie("a.mp4", 3, rotation=0, mirrored=True))[1].image_rgb
    np.testing.assert_array_equal(image, rows_of(movie("plain.mp4", 3))[1].image_rgb[:, ::-1])


@pytest.mark.parametrize("size", [(63, 47), (65, 48), (1, 1), (333, 201)])
def test_odd_sizes(movie: Movie, picture_number: Number, size: tuple[int, int]) -> None:
    frames = rows_of(movie("a.mkv", 4, size, codec="ffv1", pix_fmt="yuv444p"))
    assert frames[0].image_rgb.shape == (size[1], size[0], 3)
    if min(size) > 8:
        assert [picture_number(f.image_rgb) for f in frames] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.mov", "qtrle", "argb"),
        ("b.mov", "png", "rgba"),
        ("a.webm", "libvpx-vp9", "yuva420p"),
        ("c.mov", "prores_ks", "yuva444p10le"),
    ],
)
def test_transparent_parts_lie_over_black(
    tmp_path: Path, write: Movie, name: str, codec: str, pix_fmt: str
) -> None:
    rgba = np.full((48, 64, 4), 200, np.uint8)
    rgba[..., 3] = np.repeat([0, 255], 32)
    image = rows_of(write(tmp_path / name, [rgba] * 3, codec=codec, pix_fmt=pix_fmt))[0].image_rgb
    assert image[:, :28].max() <= 8
    assert np.abs(image[:, 36:].astype(int) - 200).max() <= 8


def test_one_picture_is_one_row(tmp_path: Path, movie: Movie) -> None:
    assert len(rows_of(movie("one.mp4", 1))) == 1
    for name in ("still.png", "still.jpg", "shot_0001.jpg", "jpeg_named.png"):
        _, jpeg = cv2.imencode(
            ".jpg" if "j" in name else ".png", np.full((20, 30, 3), 70, np.uint8)
        )
        (tmp_path / name).write_bytes(jpeg.tobytes())
        (frame,) = rows_of(tmp_path / name)
        assert np.abs(frame.image_rgb.astype(int) - 70).max() <= 1, name


@pytest.mark.parametrize("kind", ["png", "jpg", "tif"])
def test_image_sequences(tmp_path: Path, picture_number: Number, kind: str) -> None:
    numbers = [0, 1, 2, 9, 10, 11]  # Natural order, and a gap.
    for i in numbers:
        cv2.imwrite(str(tmp_path / f"shot_{i}.{kind}"), np.full((20, 30, 3), 8 * i, np.uint8))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / f"._shot_3.{kind}").write_text("left by another system")
    for path in (tmp_path, tmp_path / f"shot_#.{kind}", tmp_path / f"shot_%d.{kind}"):
        frames = rows_of(path, fps=12)
        assert [picture_number(f.image_rgb) for f in frames] == numbers
        assert [f.frame_index for f in frames] == list(range(6))
        assert frames[5].time_s == pytest.approx(5 / 12)
        assert count_rows(probe_clip(path), Sampling(fps=12)) == 6
        rest = rows_of(path, 3, fps=12)
        assert [picture_number(f.image_rgb) for f in rest] == numbers[3:]
    assert [picture_number(f.image_rgb) for f in rows_of(tmp_path, start=2, end=4)] == [2, 9, 10]


def test_an_unreadable_image_is_bridged(tmp_path: Path, picture_number: Number) -> None:
    for i in range(6):
        cv2.imwrite(str(tmp_path / f"{i:03}.png"), np.full((20, 30, 3), 8 * i, np.uint8))
    (tmp_path / "003.png").write_bytes(b"")
    warnings: list[str] = []
    info = probe_clip(tmp_path)
    for first, want in ((0, [0, 1, 2, 2, 4, 5]), (3, [2, 4, 5])):
        frames = read_frames(info, Sampling(), first, lambda code, *_: warnings.append(code))
        assert [picture_number(f.image_rgb) for f in frames] == want
    assert warnings == ["damaged-images"] * 2


def test_focal_length_comes_from_the_tags(movie: Movie) -> None:
    tag = {"com.apple.quicktime.camera.focal_length.35mm_equivalent": "26"}
    path = movie("phone.mov", 3, tags=tag, muxer={"movflags": "use_metadata_tags"})
    assert probe_clip(path).focal_35mm == 26.0
    assert probe_clip(movie("plain.mov", 3)).focal_35mm is None


def test_closing_stops_the_thread(movie: Movie) -> None:
    frames = read_frames(probe_clip(movie("a.mp4", 300)), Sampling())
    next(frames)
    assert any(t.name == "extpose-decode" for t in threading.enumerate())
    frames.close()  # type: ignore[attr-defined]
    assert not any(t.name == "extpose-decode" for t in threading.enumerate())


@pytest.mark.parametrize("clip", ["walk_sit_single/video.mp4", "asl_signs/book.mkv"])
def test_real_clips_give_every_picture(clip: str, shared_path: Callable[[str], Path]) -> None:
    import av

    path = shared_path(f"clips/{clip}")
    with av.open(str(path)) as container:
        count = sum(1 for _ in container.decode(video=0))
    frames = rows_of(path)
    assert [f.frame_index for f in frames] == list(range(count))
    for a, b in zip(frames[70:], rows_of(path, 70), strict=True):
        assert a.frame_index == b.frame_index
        np.testing.assert_array_equal(a.image_rgb, b.image_rgb)


@pytest.mark.parametrize(("orientation", "corner"), [(1, "tl"), (3, "br"), (6, "tr"), (8, "bl")])
def test_a_photo_is_turned_as_its_exif_says(tmp_path: Path, orientation: int, corner: str) -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:20, :30] = 255
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00" + bytes([orientation]) + b"\x00\x00"
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (tmp_path / "photo.jpg").write_bytes(jpeg[:2] + segment + jpeg[2:])
    (frame,) = rows_of(tmp_path / "photo.jpg")
    ends = {"t": 3, "b": -4, "l": 3, "r": -4}
    bright = {v + h for v in "tb" for h in "lr" if frame.image_rgb[ends[v], ends[h], 0] > 128}
    assert bright == {corner}
    assert frame.image_rgb.shape[:2] == ((40, 60) if orientation < 5 else (60, 40))
