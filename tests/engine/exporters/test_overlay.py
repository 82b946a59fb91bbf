"""The overlay is the clip, with the people drawn where the motion says they are."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from extpose_blender.engine.exporters import overlay
from extpose_blender.engine.exporters.overlay import PERSON_COLORS, write_overlay
from extpose_blender.protocol.body_file import BodyGeometry
from extpose_blender.protocol.errors import OutputNotWritable
from extpose_blender.protocol.flow import Frame
from extpose_blender.protocol.geometry import project_points

from ..motions import make_motion


def grey_frames(count: int, width: int, height: int) -> Iterator[Frame]:
    """Frames like the reader's: read-only, made one at a time."""
    for row in range(count):
        image = np.full((height, width, 3), 90, np.uint8)
        image.flags.writeable = False
        yield Frame(row, row, row / 30, image)


def read(path: Path) -> tuple[list[np.ndarray], av.VideoStream]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [f.to_ndarray(format="rgb24") for f in container.decode(stream)], stream


@pytest.mark.parametrize(("width", "height"), [(320, 240), (321, 241)])
def test_people_stand_where_the_motion_says(
    tmp_path: Path, body: BodyGeometry, width: int, height: int
) -> None:
    motions = [make_motion(body, 8, x_m, (width, height)) for x_m in (-1.0, 1.0)]
    motions = [replace(m, keypoints_2d=0 * m.keypoints_2d) for m in motions]
    path = tmp_path / "overlay.mp4"
    write_overlay(path, grey_frames(8, width, height), motions, [body, body])
    images, stream = read(path)
    assert len(images) == 8 and stream.average_rate == 30
    assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    assert images[0].shape == (height + height % 2, width + width % 2, 3)
    for motion, color in zip(motions, PERSON_COLORS, strict=False):
        xy = project_points(motion.joints, motion.camera_T_world, motion.camera_K)
        tinted = np.abs(images[5].astype(int) - 90).max(axis=2) > 12
        y, x = np.nonzero(tinted & (np.abs(np.arange(tinted.shape[1]) - xy[5, :, 0].mean()) < 75))
        low, high = xy[5].min(axis=0), xy[5].max(axis=0)
        np.testing.assert_allclose([x.min(), y.min()], low, atol=9)
        np.testing.assert_allclose([x.max(), y.max()], high, atol=9)
        mean = images[5][y, x].mean(axis=0)
        assert np.argmax(mean) == np.argmax(color)
    assert [p.name for p in tmp_path.iterdir()] == ["overlay.mp4"]


def test_keypoints_are_drawn_over_the_mesh(tmp_path: Path, body: BodyGeometry) -> None:
    motion = make_motion(body, 2, size=(640, 480))
    write_overlay(tmp_path / "o.mp4", grey_frames(2, 640, 480), [motion], [body])
    image = read(tmp_path / "o.mp4")[0][1]
    x, y, _ = motion.keypoints_2d[1, 5]
    assert image[round(float(y)), round(float(x))].min() > 190


def test_a_failing_disk_leaves_nothing(
    tmp_path: Path, body: BodyGeometry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words for people, the earlier file untouched, no rest of the new one."""
    path = tmp_path / "overlay.mp4"
    path.write_bytes(b"earlier")

    def full(aside: Path, *_: object) -> None:
        aside.write_bytes(b"half")
        raise av.FFmpegError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(overlay, "_encode", full)
    with pytest.raises(OutputNotWritable, match="disk is full"):
        write_overlay(path, grey_frames(2, 64, 48), [make_motion(body, 2)], [body])
    assert path.read_bytes() == b"earlier" and len(list(tmp_path.iterdir())) == 1
