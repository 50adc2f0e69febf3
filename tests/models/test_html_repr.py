"""What a notebook shows of replies: https pictures, and no word of a server as HTML."""

from html.parser import HTMLParser

import pytest

from modelslab_async import (
    Failed,
    Processing,
    Success,
    Ticket,
    Unresolved,
    Unsubmitted,
    UnusableFile,
    WaitTimeout,
)

TICKET = Ticket("images", 1)
ATTACK = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
PICTURE = "https://x.example/0.png?a=1&b=2"


class Page(HTMLParser):
    """The elements and the text of a piece of HTML."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def named(self, name):
        return [attrs for tag, attrs in self.elements if tag == name]


def page_of(value):
    return Page(value._repr_html_())


def test_success_shows_its_pictures_and_other_links():
    """A picture is an image that leads to its link; a film is a link."""
    film = "https://x.example/1.mp4"
    page = page_of(Success(ticket=TICKET, output=(PICTURE, film, "a transcript")))
    [image] = page.named("img")
    assert PICTURE == image["src"]
    assert "no-referrer" == image["referrerpolicy"]
    assert [PICTURE, film] == [link["href"] for link in page.named("a")]
    assert "images:1 success" in page.text
    assert "a transcript" in page.text


@pytest.mark.parametrize(
    "output",
    [
        "http://x.example/0.png",
        "javascript:alert(1)//.png",
        "data:image/png;base64,iVBORw0KGgo=",
        "https:///0.png",
        "https://user:word@x.example/0.png",
        "https://[x/0.png",
        "https://x.example/\n0.png",
        "file:///etc/passwd.png",
        "//x.example/0.png",
        " https://x.example/a b.png",
    ],
)
def test_other_links_are_texts(output):
    """Only an https link to a host is followed by a browser."""
    page = page_of(Success(ticket=TICKET, output=(output,)))
    assert {"div", "b"} == {tag for tag, _ in page.elements}
    assert output in page.text


@pytest.mark.parametrize(
    "value",
    [
        Success(ticket=Ticket("images", ATTACK), message=ATTACK),
        Success(ticket=TICKET, output=(ATTACK, f"https://x.example/{ATTACK}.png")),
        Processing(ticket=TICKET, status=ATTACK, message=ATTACK, eta=3.0),
        Failed(ticket=TICKET, message=ATTACK),
        Unresolved(ticket=TICKET, cause=WaitTimeout(ATTACK)),
        Unsubmitted(cause=UnusableFile(ATTACK)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_everything_is_escaped(value):
    """The words of a server make no element."""
    page = page_of(value)
    assert set() == {tag for tag, _ in page.elements} - {"div", "b"}
    assert ATTACK in page.text


@pytest.mark.parametrize("nsfw", [True, False, None])
def test_flagged_result_is_hidden(nsfw):
    """If the service says nsfw, neither picture nor link is shown."""
    page = page_of(Success(ticket=TICKET, output=(PICTURE,), nsfw=nsfw))
    assert bool(nsfw) != bool(page.named("img"))
    assert bool(nsfw) != bool(page.named("a"))
    assert bool(nsfw) == ("not safe for work" in page.text)


def test_long_results_are_shortened():
    """A megabyte of base64 and a thousand links make a short page."""
    long_text = Success(ticket=TICKET, output=("A" * 1_000_000,))
    many = Success(ticket=TICKET, output=("https://x.example/1.mp4",) * 1000)
    assert len(long_text._repr_html_()) < 1000
    assert len(many._repr_html_()) < 20_000
    assert "and 950 more" in page_of(many).text
