"""Which texts look like the path of a file."""

import pytest

from modelslab_async._cli.path_like_text import looks_like_path


@pytest.mark.parametrize(
    "text",
    [
        *("cat.png", "CAT.JPEG", "my cat.webp", "pictures/cat.gif", "talk.mp3", "clip.mp4"),
        *("./cat", "../cats/cat", "~/cat", "/data/cat", "C:\\cats\\cat", "C:/cats/cat", ".\\cat"),
    ],
)
def test_path_is_recognized(text):
    """It has the suffix of a picture, a sound or a video, or it begins as paths do."""
    assert looks_like_path(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "cat", "oil on canvas", "a.b", "3.5", "example.com", "stabilityai/sdxl-1.0", "v1.5"),
        *("/imagine a cat", "/imagine", "./ and ../ are folders", "png", ".png", "make a .gif"),
        *("a cat\nand cat.png", "cat.png is a file", "a" * 300 + ".png", "a\0b", "and so on..."),
    ],
)
def test_other_text_is_not_taken_for_a_path(text):
    """Prompts, numbers, hosts and ids of models are sent as they are."""
    assert not looks_like_path(text)
