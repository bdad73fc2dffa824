"""The pictures of docs/ can be read where they are shown, about 830 pixels wide."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.load.bench.environment import PYTHON

SHOWN = 830
LARGEST = 150_000
PIXELS_PER_POINT = 96 / 72
DOCS = Path(__file__).parents[2] / "docs"


def sizes_of_text(svg: str) -> list[float]:
    """Every text's height in pixels, on a page that shows the picture in that width."""
    width = re.search(r'<svg [^>]*width="([\d.]+)pt"[^>]*viewBox="0 0 ([\d.]+) ', svg)
    assert width
    scale = min(float(width[1]) * PIXELS_PER_POINT, SHOWN) / float(width[2])
    return [float(size) * scale for size in re.findall(r'<text style="[^"]*font-size: ([\d.]+)px', svg)]


@pytest.mark.parametrize("name", ["performance.svg", "latency.svg", "capacity.svg", "dashboard.svg"])
def test_text_is_at_least_eleven_pixels_high(name: str) -> None:
    sizes = sizes_of_text((DOCS / name).read_text())
    assert len(sizes) > 20
    assert min(sizes) >= 11


def test_a_contender_is_named_once_in_a_row_of_two() -> None:
    svg = (DOCS / "performance.svg").read_text()
    titles = re.findall(r'<text style="font-weight: 700;', svg)
    assert titles
    assert svg.count(">this service</text>") == -(-len(titles) // 2)


def test_picture_of_the_dashboard_has_every_panel() -> None:
    svg = (DOCS / "dashboard.svg").read_text()
    assert len(svg) < LARGEST
    board = json.loads((DOCS / "operations" / "dashboard.json").read_text())
    titles = [panel["title"] for panel in board["panels"]]
    assert [title for title in titles if not re.search(f">{re.escape(title)}(, [^<]*)?</text>", svg)] == []


@pytest.mark.usefixtures("tools")
def test_picture_of_capacity_is_what_its_script_draws(tmp_path: Path) -> None:
    drawn = tmp_path / "capacity.svg"
    subprocess.run((PYTHON, DOCS / "operations" / "capacity_chart.py", drawn), check=True)
    assert drawn.read_text() == (DOCS / "capacity.svg").read_text()
