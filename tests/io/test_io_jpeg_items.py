"""Files behind a JPEG's picture (gain maps, films, second views) go along, or are named and no longer claimed."""

import io

import numpy as np
import pytest
from PIL import Image

import restore_jax.io.photos as rio
from restore_jax.io.codecs import jpeg_structure, xmp
from tests.image_samples import RGB8, exif, numbers, opened, place, saved
from tests.photo_carriers import FILM, GAIN, container, motion, multi_picture, multi_pictures_in, packet, ultra_hdr

OTHERS = ("png", "tif", "webp", "heic", "avif")


def through(tmp_path, data, suffix="jpg"):
    """(photo, what is named, the bytes written) of a JPEG that is read and written."""
    photo = rio.read_photo(place(tmp_path, "in.jpg", data))
    named = rio.write_photo(tmp_path / f"out.{suffix}", photo.pixels, photo)
    return photo, named, (tmp_path / f"out.{suffix}").read_bytes()


def test_a_gain_map_and_a_film_go_along_byte_for_byte(tmp_path):
    for film in (b"", FILM):
        source = ultra_hdr(film=film)
        photo, named, data = through(tmp_path, source)
        assert named == ()
        assert data.endswith(GAIN + film)
        assert opened(tmp_path / "out.jpg").info["xmp"] == Image.open(io.BytesIO(source)).info["xmp"]
        again = rio.read_photo(tmp_path / "out.jpg")
        assert [item.kind for item in again.extras["items"]] == ["gain map", "film"][: 1 + bool(film)]
        np.testing.assert_array_equal(numbers(again), np.asarray(opened(tmp_path / "out.jpg")))
        assert photo.left_out == ()


def test_a_film_of_the_older_kind_goes_along(tmp_path):
    _, named, data = through(tmp_path, motion())
    assert named == ()
    assert data.endswith(FILM)
    assert b'MicroVideoOffset="%d"' % len(FILM) in data


@pytest.mark.parametrize("suffix", OTHERS)
def test_other_formats_name_them_and_claim_nothing(tmp_path, suffix):
    for source, kinds in ((ultra_hdr(film=FILM), ("gain map", "film")), (motion(), ("film",))):
        _, named, data = through(tmp_path, source, suffix)
        assert named == kinds
        left = rio.read_photo(tmp_path / f"out.{suffix}")
        assert b"Pier" in left.xmp
        for word in (b"hdrgm:", b"GainMap", b"MotionPhoto", b"MicroVideo", b"Directory"):
            assert word not in left.xmp
        assert FILM not in data


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_gain_map_is_turned_with_its_picture(tmp_path, orientation):
    photo, named, data = through(tmp_path, ultra_hdr(orientation, FILM))
    assert named == ()
    turns = {1: 0, 2: 0, 3: 2, 4: 2, 5: -1, 6: -1, 7: 1, 8: 1}[orientation]
    stored = np.asarray(Image.open(io.BytesIO(GAIN)))
    expected = np.rot90(stored, turns)
    expected = expected[:, ::-1] if orientation in (2, 4, 5, 7) else expected
    gain, film = photo.extras["items"]
    found = np.asarray(Image.open(io.BytesIO(gain.data)))
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 1.5
    assert data.endswith(gain.data + FILM)
    assert film.data == FILM
    said = opened(tmp_path / "out.jpg").info["xmp"]
    assert b'Item:Length="%d"' % len(gain.data) in said
    assert b'Item:Length="%d"' % len(FILM) in said
    assert xmp.claims(said) == (0, [("gain map", len(gain.data)), ("film", len(FILM))])


def test_padding_behind_the_picture_is_stepped_over(tmp_path):
    said = container(("GainMap", "image/jpeg", len(GAIN)), padding=7)
    source = saved(RGB8, "jpeg", xmp=said) + bytes(7) + GAIN + bytes(3)
    photo, named, data = through(tmp_path, source)
    assert [item.kind for item in photo.extras["items"]] == ["gain map"]
    assert named == ()
    assert data.endswith(GAIN)
    assert xmp.claims(opened(tmp_path / "out.jpg").info["xmp"]) == (0, [("gain map", len(GAIN))])


def test_claims_of_what_a_file_does_not_hold_are_not_passed_on(tmp_path):
    source = ultra_hdr(film=FILM)[: -len(GAIN + FILM)]  # as many a programme leaves it
    _, named, _ = through(tmp_path, source)
    assert named == ()
    said = opened(tmp_path / "out.jpg").info["xmp"]
    assert b"Pier" in said
    assert xmp.claims(said) == (0, [])
    assert b"hdrgm:Version" not in said
    assert b"MotionPhoto" not in said


def test_a_multi_picture_index_is_written_anew(tmp_path):
    second, preview = saved(RGB8[::-1], "jpeg"), saved(RGB8[::2, ::2], "jpeg")
    source = multi_picture((0x020002, second), (0x010001, preview), (0, GAIN))
    assert [data for _, data in multi_pictures_in(source)[1:]] == [second, preview, GAIN]
    photo, named, data = through(tmp_path, source)
    assert named == ("the preview of the old picture",)
    assert [item.kind for item in photo.extras["items"]] == [
        "second view",
        "gain map" if b"21496" in GAIN else "other picture",
    ]
    listed = multi_pictures_in(data)
    assert [kind for kind, _ in listed] == [0x20030000, 0x020002, 0]
    assert [picture for _, picture in listed[1:]] == [second, GAIN]
    assert listed[0][1] + second + GAIN == data
    with Image.open(tmp_path / "out.jpg") as image:  # as Pillow reads the index
        assert image.n_frames == 3
        image.seek(1)
        np.testing.assert_array_equal(np.asarray(image), np.asarray(Image.open(io.BytesIO(second))))


def test_what_nobody_names_goes_along_and_zeros_do_not(tmp_path):
    plain = saved(RGB8, "jpeg")
    for tail, kept in ((bytes(4096), b""), (b"a maker's own data", b"a maker's own data"), (FILM, FILM)):
        photo, named, data = through(tmp_path, plain + tail)
        assert named == ()
        assert b"".join(item.data for item in photo.extras["items"]) == kept
        assert data.endswith(kept or b"\xff\xd9")
    assert through(tmp_path, plain + b"a maker's own data", "png")[1] == ("data behind the picture",)


def test_extended_xmp_goes_along_or_is_named(tmp_path):
    head = packet('xmpNote:HasExtendedXMP="0123"', spaces=' xmlns:xmpNote="http://ns.adobe.com/xmp/note/"')
    body = b"http://ns.adobe.com/xmp/extension/\0" + b"0123" * 8 + bytes(8) + b"<x/>"
    segment = jpeg_structure.segment(0xE1, body)
    for orientation, kept in ((1, True), (6, False)):
        source = saved(RGB8, "jpeg", xmp=head, extra=segment, exif=exif(orientation))
        _, named, data = through(tmp_path, source)
        assert named == (() if kept else ("extended XMP",))
        assert (segment in data) == kept
        assert (b"HasExtendedXMP" in data) == kept
        assert b"Pier" in data
    assert through(tmp_path, saved(RGB8, "jpeg", xmp=head, extra=segment), "png")[1] == ("extended XMP",)
    assert b"HasExtendedXMP" not in rio.read_photo(tmp_path / "out.png").xmp


def test_captions_credentials_and_comments(tmp_path):
    captions = jpeg_structure.segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x02ab")
    signed = jpeg_structure.segment(0xEB, b"JP\0\1\0\0\0\1" + bytes(40))
    source = saved(RGB8, "jpeg", extra=captions + signed, comment=b"a pier")
    credentials = "content credentials (they sign the old picture)"
    _, named, data = through(tmp_path, source)
    assert named == (credentials,)
    assert captions in data
    assert opened(tmp_path / "out.jpg").info["comment"] == b"a pier"
    assert b"JP\0\1" not in data
    assert through(tmp_path, source, "png")[1] == (credentials, "comment", "captions and keywords (Photoshop's, IPTC)")


def test_exif_and_xmp_too_long_for_a_jpeg_are_named(tmp_path):
    long = packet(body="<dc:title>" + "a" * 70_000 + "</dc:title>")
    block = Image.Exif()
    block[0x9286] = "b" * 70_000
    pixels = RGB8 / np.float32(255)
    photo = rio.Photo(pixels, xmp=long, exif=block.tobytes()[6:])
    named = rio.write_photo(tmp_path / "out.jpg", pixels, photo)
    assert named == ("XMP (longer than a JPEG's segment)", "EXIF (longer than a JPEG's segment)")
    assert rio.write_photo(tmp_path / "out.png", pixels, photo) == ()


def test_packets_that_are_no_xml_are_left_alone():
    for odd in (b"<x:xmpmeta", b"", b"\xff\xfe<", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b"plain"):
        assert xmp.claims(odd) == (0, [])
        assert xmp.without(odd, {"film", "gain map"}) == odd
    assert xmp.claims(None) == (0, [])


def test_a_packet_keeps_all_but_the_claims():
    said = container(("GainMap", "image/jpeg", 5), ("MotionPhoto", "video/mp4", 9), attributes='hdrgm:Version="1.0"')
    less = xmp.without(b'<?xpacket begin="" id="W5"?>' + said + b'<?xpacket end="w"?>', {"gain map"})
    assert xmp.claims(less) == (0, [("film", 9)])
    assert b"hdrgm:Version" not in less
    assert less.startswith(b'<?xpacket begin="" id="W5"?>')
    assert less.endswith(b'<?xpacket end="w"?>')
    assert b'dc:source="Pier"' in less
