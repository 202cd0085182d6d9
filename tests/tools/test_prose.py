"""The check of the prose finds what it is for, in each place where prose stands."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "tools" / "prose.py"
SPEC = importlib.util.spec_from_file_location("prose", PATH)
prose = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(prose)

DOCSTRING = '''
def measure(image, step):
    """Measure.

    Parameters
    ----------
    image
        {}
        of a second line, which may begin with anything.
    step : int
        Number of the step.

    Returns
    -------
    float
        Energy.
    """
'''


def findings(source):
    return [message for _, message in prose.check_python(source)]


@pytest.mark.parametrize(
    "start", ["Of the run.", "That are compared.", "Whether it is noisy.", "On the CPU.", "Likewise."]
)
def test_descriptions_that_are_fragments(start):
    assert list(prose.check_python(DOCSTRING.format(start))) == [
        (8, f'a description begins with "{start.rstrip(".").split()[0]}": write a whole noun phrase')
    ]


@pytest.mark.parametrize("start", ["Noisy image.", "True if it is noisy.", "As for `fit`.", "Offset in counts."])
def test_descriptions_that_are_whole(start):
    assert not findings(DOCSTRING.format(start))


@pytest.mark.parametrize(
    "source",
    [
        'add("--noise", help="of the noise")',
        'HELP = "of the noise"\nadd("--noise", help=HELP)',
        'n: int = Field(description="Of the net.")',
        'button.setToolTip("Of the fit.")',
        'options = {"n": {"tooltip": "For the fit."}}',
        'widget = SpinBox(tooltip=f"For {n} fits.")',
        'WIDTH = 4\n"""In inches."""',
        'class A:\n    width: int\n    """In inches."""',
    ],
)
def test_fragments_elsewhere(source):
    assert len(findings(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "x = foreseen_stop",  # prose: allow
        '"""The stop is foretold."""',  # prose: allow
        "class PixelWorth: pass",  # prose: allow
        "def meet(self): pass",
        "def f(wishes): pass",
        "self._tell_noise()",
        "n_alike = 2",
        "class Words: pass",
        "def build(words): pass",
        "# the image is judged\n# by its error",
        '"""Say what it draws soon."""',  # prose: allow
    ],
)
def test_words(source):
    assert findings(source)


@pytest.mark.parametrize(
    "source",
    [
        "# about 25% of it",  # prose: allow
        'print(f"{share:.0%}")',  # prose: allow
        'print(f"{share:%}")',  # prose: allow
        'print(f"{100 * share:.2g}%")',  # prose: allow
    ],
)
def test_percent_signs_without_a_space(source):
    assert findings(source)


@pytest.mark.parametrize(
    "source", ["# about 25 % of it", 'print(f"{100 * share:.0f} %")', '"a%20b"', 'f"{time:%H:%M}"', "k = 5 % n"]
)
def test_percent_signs_with_a_space_and_other_uses(source):
    assert not findings(source)


@pytest.mark.parametrize(
    "source", ["words = text.split()", "def test_x(words): pass", "s.butterworth()", "def follows(): pass"]
)
def test_words_that_are_used(source):
    assert not findings(source)


def test_markdown_and_allowed_lines(tmp_path, capsys):
    path = tmp_path / "page.md"
    path.write_text("Fine.\nIt is worth\nso\nmany words.\n")  # prose: allow
    assert prose.main([str(path)]) == 1
    assert [line.split(":")[1] for line in capsys.readouterr().out.splitlines()] == ["2", "3"]
    path.write_text("It is worth it. <!-- prose: allow -->\n")
    assert prose.main([str(path)]) == 0
