import numpy as np
import pytest

from endoforge.data.images import Images


@pytest.fixture
def images():
    """Five pictures of 2x4 pixels, whose values are 0 to 4, in two blocks out of order."""
    pixels = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((2, 4, 3), np.uint8)
    return Images([pixels[[4, 5, 2]], pixels[[1, 0, 3]]], [1, 1, 0, 1, 0], [1, 0, 2, 2, 0])


@pytest.mark.parametrize(
    "places", [slice(None), slice(1, 4), slice(None, None, -2), [3, 0, 3], np.array([4]), []]
)
def test_it_is_indexed_as_an_array_is(images, places):
    whole = np.arange(5)[places]
    found = images[places]
    assert found.shape == (len(whole), 2, 4, 3)
    assert found.dtype == np.uint8
    assert np.array_equal(found, whole[:, None, None, None] * np.ones((2, 4, 3)))


def test_a_number_gives_one_picture(images):
    assert images.shape == (5, 2, 4, 3)
    assert len(images) == 5
    assert np.array_equal(images[3], np.full((2, 4, 3), 3))
    assert np.array_equal(images[np.int64(-1)], np.full((2, 4, 3), 4))
    assert [picture[0, 0, 0] for picture in images] == [0, 1, 2, 3, 4]
    with pytest.raises(IndexError):
        images[5]


def test_some_of_them_are_images_again(images):
    some = images.at([4, 1])
    assert some.shape == (2, 2, 4, 3)
    assert some[:][:, 0, 0, 0].tolist() == [4, 1]


@pytest.mark.parametrize("places", [0, slice(None), [0]])
def test_what_is_done_to_a_copy_leaves_the_pictures_alone(images, places):
    images[places][:] = 99
    assert images[places].max() == 0 or images[0].max() == 0
