import numpy as np
import pytest
from PIL import Image

from tests.example.pictures import BAD, COFFEE, coffee, encoded, plain
from tracebench.example.pictures.classifier import BadImageError, Classifier


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier()


def test_the_default_picture_is_an_espresso(classifier: Classifier) -> None:
    probabilities = classifier.infer(classifier.preprocess(COFFEE))
    first, *others = classifier.postprocess(probabilities)
    assert first["label"] == "espresso"
    assert first["probability"] == pytest.approx(0.951, abs=0.005)
    assert [one["label"] for one in others[:2]] == ["tea cup", "consomme"]


def test_the_network_gives_a_distribution(classifier: Classifier) -> None:
    probabilities = classifier.infer(classifier.preprocess(COFFEE))
    assert probabilities.shape == (1000,)
    assert probabilities.min() >= 0
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("RGB", "JPEG"),
        ("RGB", "WEBP"),
        ("RGB", "BMP"),
        ("RGBA", "PNG"),
        ("P", "GIF"),
        ("RGB", "TIFF"),
    ],
)
def test_formats(classifier: Classifier, mode: str, kind: str) -> None:
    probabilities = classifier.infer(classifier.preprocess(coffee(mode, kind)))
    assert classifier.postprocess(probabilities)[0]["label"] == "espresso"


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_pictures_without_colour(classifier: Classifier, mode: str) -> None:
    tensor = classifier.preprocess(coffee(mode, "PNG"))
    np.testing.assert_array_equal(tensor[0, 0], tensor[0, 1])
    np.testing.assert_array_equal(tensor[0, 0], tensor[0, 2])


@pytest.mark.parametrize(
    "size", [(224, 224), (640, 480), (31, 47), (1, 1), (1, 60_000), (9_000, 3)]
)
def test_one_colour_stays_one_colour(classifier: Classifier, size: tuple[int, int]) -> None:
    tensor = classifier.preprocess(plain(*size, colour=(191, 127, 63)))
    assert tensor.shape == (1, 3, 224, 224)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    for channel, value in enumerate((0.5, 0.0, -0.5)):
        assert np.all(tensor[0, channel] == value)


@pytest.mark.parametrize(
    ("seen", "only_grey"),
    [((144, 16, 368, 240), True), ((145, 16, 368, 240), False), ((144, 16, 368, 239), False)],
)
def test_the_middle_is_looked_at(
    classifier: Classifier, seen: tuple[int, int, int, int], only_grey: bool
) -> None:
    picture = Image.new("RGB", (512, 256), (255, 255, 255))
    picture.paste((127, 127, 127), seen)
    tensor = classifier.preprocess(encoded(picture, "PNG"))
    assert bool(np.all(tensor == 0)) is only_grey


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_bad_pictures(classifier: Classifier, content: bytes, message: str) -> None:
    with pytest.raises(BadImageError) as caught:
        classifier.preprocess(content)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_the_best_five_come_first(classifier: Classifier) -> None:
    probabilities = np.zeros(1000, np.float32)
    probabilities[[504, 967, 0, 999, 1, 2]] = [0.25, 0.5, 0.125, 0.0625, 0.03125, 0.01]
    found = [tuple(one.values()) for one in classifier.postprocess(probabilities)]
    assert found[:3] == [("espresso", 0.5), ("coffee mug", 0.25), ("tench", 0.125)]
    assert [probability for _, probability in found[3:]] == [0.0625, 0.03125]
