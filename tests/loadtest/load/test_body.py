"""Bodies carry the image unchanged, as the service itself reads them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.request.body import split_images
from loadtest.load.body import BOUNDARY, FORMS

# The service rejects bodies that look like JSON under another content type; no image does.
JPEG_START = b"\xff\xd8\xff"
images = (
    st.binary(max_size=3000)
    .filter(lambda data: BOUNDARY.encode() not in data)
    .map(lambda data: JPEG_START + data)
)


@given(images, st.sampled_from(list(FORMS)))
@settings(deadline=None)
def test_every_form_of_body_holds_the_image(image: bytes, form: str) -> None:
    body = FORMS[form](image)
    assert split_images(body.data, body.content_type, 1) == [image]
